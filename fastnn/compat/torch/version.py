"""torch.version: what it was built for."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.torch_version import __version__

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "rocm", "xpu"]

debug = False
cuda = hip = rocm = xpu = None
git_version = "Unknown"

__getattr__ = missing(__name__)
