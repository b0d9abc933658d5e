"""The optimisers: PyTorch's arguments, fastnn's steps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import optim
from fastnn.compat.torch._dtype import default_numpy_dtype
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.optim.optimizer import Optimizer

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Muon", "NAdam", "RMSprop"]


def _settings(arguments: dict[str, Any]) -> dict[str, Any]:
    """The hyper-parameters among the local variables of an `__init__`."""
    return {name: value for name, value in arguments.items() if name not in ("self", "params", "__class__")}


class SGD(Optimizer, optim.SGD):
    """Stochastic gradient descent with momentum: see `fastnn.optim.SGD`."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, _settings(locals()))


class Adam(Optimizer, optim.Adam):
    """Adam: see `fastnn.optim.Adam`; with decoupled_weight_decay, AdamW."""

    _counts = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(params, _settings(locals()))

    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        # A saved group of an AdamW may be loaded into an Adam, which is then one, too.
        self.decoupled = group.get("decoupled_weight_decay", False)
        super().update(parameter, gradient, state, group)


class AdamW(Adam):
    """Adam with decoupled weight decay: see `fastnn.optim.AdamW`."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, **_settings(locals()), decoupled_weight_decay=True)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


class NAdam(Optimizer, optim.NAdam):
    """NAdam: see `fastnn.optim.NAdam`."""

    _counts = True

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, _settings(locals()))


class RMSprop(Optimizer, optim.RMSprop):
    """RMSprop: see `fastnn.optim.RMSprop`."""

    _counts = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, _settings(locals()))

    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        state["step"] = state.get("step", 0) + 1  # PyTorch's states have it
        super().update(parameter, gradient, state, group)


class Adagrad(Optimizer, optim.Adagrad):
    """Adagrad: see `fastnn.optim.Adagrad`."""

    _counts = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, _settings(locals()))
        for group in self.param_groups:  # PyTorch's state is there from the beginning
            for parameter in group["params"]:
                array = np.full_like(parameter._data, float(group["initial_accumulator_value"]))
                self.state[parameter] = {"step": new(np.zeros((), default_numpy_dtype())), "sum": new(array)}


class Adadelta(Optimizer, optim.Adadelta):
    """Adadelta: see `fastnn.optim.Adadelta`."""

    _counts = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, _settings(locals()))


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
        super().__init__(params, _settings(locals()))

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


__getattr__ = missing("torch.optim")
