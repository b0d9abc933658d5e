"""torch.autograd.anomaly_mode: a backward ends at the operation whose gradients are NaN."""

from typing import Any

import numpy as np

from fastnn._watching import OBSERVERS
from fastnn.autograd.observer import Observer
from fastnn.compat.torch._missing import missing

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class _Anomalies(Observer):
    lets_join = True

    def operation(self, op: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if phase != "backward":
            return
        for index, gradient in enumerate(results if isinstance(results, tuple) else (results,)):
            if isinstance(gradient, np.ndarray) and gradient.dtype.kind == "f" and np.isnan(gradient).any():
                shape = tuple(gradient.shape)
                raise RuntimeError(
                    f"Function '{type(op).__name__}' returned nan values in its {index}th output, the gradient of an "
                    f"input of shape {shape}"
                )


def _others() -> tuple[Any, ...]:
    return tuple(observer for observer in OBSERVERS.get() if not isinstance(observer, _Anomalies))


def is_anomaly_enabled() -> bool:
    """Whether NaN in gradients are looked for."""
    return len(_others()) < len(OBSERVERS.get())


class set_detect_anomaly:
    """Look for NaN in gradients from now on, or no longer; in a `with`, until its end."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = OBSERVERS.get()
        OBSERVERS.set((*_others(), _Anomalies()) if mode and check_nan else _others())

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        OBSERVERS.set(self._before)


class detect_anomaly:
    """Within the block, a backward raises a RuntimeError at the first operation whose gradients hold NaN."""

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan

    def __enter__(self) -> None:
        self._mode = set_detect_anomaly(True, self._check_nan)

    def __exit__(self, *_: object) -> None:
        self._mode.__exit__()


__getattr__ = missing(__name__)
