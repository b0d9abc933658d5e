"""torch.optim._muon"""

from typing import Any

from numpy.typing import NDArray

from fastnn import optim
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim._common import settings
from fastnn.compat.torch.optim.optimizer import Optimizer

__all__ = ["Muon"]


class Muon(Optimizer, optim.Muon):
    """Muon for matrices: see `fastnn.optim.Muon`.

    PyTorch orthogonalises in bfloat16, fastnn in the dtype of the parameter, so steps differ in the third digit.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(params, settings(locals()))

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group({**group, "normalize_weight": False})

    def check_parameter(self, parameter: Any) -> None:
        if parameter._data.ndim != 2:
            raise ValueError(
                "Muon only supports 2D parameters whereas we found a parameter with size: "
                f"{tuple(parameter._data.shape)}"
            )

    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        super().update(parameter, gradient, state, {**group, "normalize_weight": False})


__getattr__ = missing(__name__)
