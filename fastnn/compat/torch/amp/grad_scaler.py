"""torch.amp.grad_scaler: gradients need no scale, for there are no half-precision ones."""

from typing import Any

from fastnn.compat.notes import note
from fastnn.compat.torch._missing import missing

__all__ = ["GradScaler"]


class GradScaler:
    """PyTorch's scaler with enabled=False, whatever `enabled` is: losses and gradients stay as they are."""

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._settings = {
            "growth_factor": growth_factor,
            "backoff_factor": backoff_factor,
            "growth_interval": growth_interval,
        }
        if enabled:
            note("torch.amp.GradScaler does nothing: gradients are of the dtype of their parameters")

    def scale(self, outputs: Any) -> Any:
        """`outputs` themselves."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing: gradients have no scale."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(*args, **kwargs)`"""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Nothing: there is no scale."""

    def get_scale(self) -> float:
        """1, always."""
        return 1.0

    def is_enabled(self) -> bool:
        """Whether losses are scaled: no."""
        return False

    def get_growth_factor(self) -> float:
        """What it was made with, or set to."""
        return self._settings["growth_factor"]

    def set_growth_factor(self, new_factor: float) -> None:
        """Keep this value."""
        self._settings["growth_factor"] = new_factor

    def get_backoff_factor(self) -> float:
        """What it was made with, or set to."""
        return self._settings["backoff_factor"]

    def set_backoff_factor(self, new_factor: float) -> None:
        """Keep this value."""
        self._settings["backoff_factor"] = new_factor

    def get_growth_interval(self) -> int:
        """What it was made with, or set to."""
        return int(self._settings["growth_interval"])

    def set_growth_interval(self, new_interval: int) -> None:
        """Keep this value."""
        self._settings["growth_interval"] = new_interval

    def state_dict(self) -> dict[str, Any]:
        """Empty, as PyTorch's with enabled=False."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: there is no state."""


__getattr__ = missing(__name__, {"OptState": "the scaler has no states of optimisers"})
