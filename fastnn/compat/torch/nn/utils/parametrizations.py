"""Ready parametrizations."""

from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn._functional_activation import normalize
from fastnn.compat.torch.nn.modules.module import Module
from fastnn.compat.torch.nn.utils.parametrize import register_parametrization
from fastnn.compat.torch.nn.utils.spectral_norm import as_matrix, axis_of_outputs, divided, drawn, iterate
from fastnn.compat.torch.nn.utils.weight_norm import norm_but, scaled_to

__all__ = ["spectral_norm", "weight_norm"]

__getattr__ = missing(
    __name__, {"orthogonal": "start with nn.init.orthogonal_, and add |w @ w.T - 1|^2 to the loss as a penalty"}
)


class _WeightNorm(Module):
    """(g, v) -> g * v / |v|"""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Tensor:
        return scaled_to(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        """The length and the direction of a weight"""
        return norm_but(weight, self.dim), weight


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Let a weight be g * v / |v|, with the parameters `original0` (g) and `original1` (v)"""
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    """A weight, divided by its largest singular value; a step of iteration in training"""

    def __init__(self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        axes = weight._data.ndim
        if not -axes <= dim < axes:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{axes}, {axes - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim, self.eps = dim % axes, eps
        if axes > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight, self.dim)._data
            rows, columns = matrix.shape
            u, v = drawn(rows, matrix.dtype, eps), drawn(columns, matrix.dtype, eps)
            iterate(matrix.T, v, u, 15, eps)
            self.register_buffer("_u", new(u))
            self.register_buffer("_v", new(v))

    def forward(self, weight: Any) -> Tensor:
        if weight._data.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        known: Any = self._buffers
        u, v = known["_u"], known["_v"]
        if self.training:
            iterate(matrix._data.T, v, u, self.n_power_iterations, self.eps)  # u before v, as PyTorch has it here
        return divided(weight, matrix, u, v)

    def right_inverse(self, value: Any) -> Any:
        """The weight itself"""
        return value


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Let a weight be the parameter `original`, divided by its largest singular value"""
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    dim = axis_of_outputs(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
