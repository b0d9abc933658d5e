"""torch.cuda.amp: the older names of `torch.amp`, whose device is "cuda"."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.cuda.amp import autocast_mode, grad_scaler
from fastnn.compat.torch.cuda.amp.autocast_mode import autocast, custom_bwd, custom_fwd
from fastnn.compat.torch.cuda.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "autocast_mode", "custom_bwd", "custom_fwd", "grad_scaler"]

__getattr__ = missing(__name__)
