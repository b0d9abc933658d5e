"""Weights whose largest singular value is 1.

Source: Miyato et al., 2018, "Spectral normalization for generative adversarial networks".
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _random
from fastnn.autograd.methods import FUNCTIONS, UFUNCS
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn.modules.conv import ConvTranspose1d, ConvTranspose2d
from fastnn.compat.torch.nn.parameter import Parameter
from fastnn.compat.torch.nn.utils._derived import derive
from fastnn.compat.torch.nn.utils.weight_norm import remove_hook

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]

__getattr__ = missing(__name__)


def axis_of_outputs(module: Any) -> int:
    """Which axis of a module's weight counts its outputs"""
    return 1 if isinstance(module, ConvTranspose1d | ConvTranspose2d) else 0


def as_matrix(weight: Any, dim: int) -> Any:
    """A weight as a matrix with a row for each place on the axis `dim`"""
    if dim:
        weight = FUNCTIONS[np.moveaxis](weight, dim, 0)
    return FUNCTIONS[np.reshape](weight, (weight._data.shape[0], -1))


def unit(x: NDArray, eps: float) -> NDArray:
    """x / |x|"""
    return x / max(np.linalg.norm(x), eps)


def drawn(size: int, dtype: np.dtype, eps: float) -> NDArray:
    """A vector of length 1 in any direction"""
    return unit(_random.generator().standard_normal(size).astype(dtype), eps).astype(dtype)


def iterate(matrix: NDArray, u: NDArray, v: NDArray, times: int, eps: float) -> None:
    """Bring u and v, in place, nearer to the singular vectors of the largest singular value"""
    for _ in range(times):
        v[...] = unit(matrix.T @ u, eps)
        u[...] = unit(matrix @ v, eps)


def divided(weight: Any, matrix: Any, u: NDArray, v: NDArray) -> Tensor:
    """The weight, divided by u @ matrix @ v, of which u and v are constants"""
    of_rows = UFUNCS[np.matmul](matrix, new(v.copy()))
    return UFUNCS[np.true_divide](weight, FUNCTIONS[np.sum](UFUNCS[np.multiply](new(u.copy()), of_rows)))


class SpectralNorm:
    """A hook that computes a weight from `<name>_orig` before each forward; a step of iteration in training"""

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name, self.dim, self.n_power_iterations, self.eps = name, dim, n_power_iterations, eps

    def compute_weight(self, module: Any, do_power_iteration: bool) -> Tensor:
        """The weight, divided by its largest singular value as it is known"""
        weight = getattr(module, f"{self.name}_orig")
        matrix = as_matrix(weight, self.dim)
        u, v = (module._buffers[f"{self.name}_{letter}"] for letter in "uv")
        if do_power_iteration:
            iterate(matrix._data, u, v, self.n_power_iterations, self.eps)
        return divided(weight, matrix, u, v)

    def remove(self, module: Any) -> None:
        """Let the weight be a parameter again"""
        weight = self.compute_weight(module, False)
        delattr(module, self.name)
        for ending in ("_u", "_v", "_orig"):
            delattr(module, self.name + ending)
        module.register_parameter(self.name, Parameter(new(np.array(weight._data))))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))

    @staticmethod
    def apply(module: Any, name: str, n_power_iterations: int, dim: int, eps: float) -> "SpectralNorm":
        """Put it on a module"""
        hooks = module.__dict__.get("_hooks")
        for hook in () if hooks is None else hooks.forward_pre.values():
            if isinstance(hook, SpectralNorm) and hook.name == name:
                raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
        found = SpectralNorm(name, n_power_iterations, dim, eps)
        if module._parameters[name] is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        weight = derive(module, name)
        rows, columns = as_matrix(weight, dim)._data.shape
        dtype = weight._data.dtype
        module.register_parameter(f"{name}_orig", weight)
        setattr(module, name, new(weight._data))
        module.register_buffer(f"{name}_u", new(drawn(rows, dtype, eps)))
        module.register_buffer(f"{name}_v", new(drawn(columns, dtype, eps)))
        module.register_forward_pre_hook(found)
        return found


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Let a weight be `<name>_orig`, divided by its largest singular value"""
    SpectralNorm.apply(module, name, n_power_iterations, axis_of_outputs(module) if dim is None else dim, eps)
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Let the weight be a parameter again"""
    hook = remove_hook(module, SpectralNorm, name)
    if hook is None:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    hook.remove(module)
    return module
