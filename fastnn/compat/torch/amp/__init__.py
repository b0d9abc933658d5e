"""torch.amp: fewer bits for speed, which a CPU has nothing of: all is computed in the dtype that it has."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.amp import autocast_mode, grad_scaler
from fastnn.compat.torch.amp.autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available
from fastnn.compat.torch.amp.grad_scaler import GradScaler

__all__ = [
    "GradScaler",
    "autocast",
    "autocast_mode",
    "custom_bwd",
    "custom_fwd",
    "grad_scaler",
    "is_autocast_available",
]

__getattr__ = missing(__name__)
