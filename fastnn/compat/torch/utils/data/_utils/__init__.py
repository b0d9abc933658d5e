"""Parts of data loading by the paths that PyTorch has for them."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.utils.data._utils import collate, fetch, worker

__all__ = ["collate", "fetch", "worker"]

__getattr__ = missing(__name__)
