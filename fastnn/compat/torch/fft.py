"""torch.fft: frequencies. Transforms have complex results, which tensors do not hold here."""

from typing import Any

import numpy as np

from fastnn.autograd.methods import FUNCTIONS
from fastnn.compat.torch._creation import _made
from fastnn.compat.torch._device import check_device
from fastnn.compat.torch._dtype import default_numpy_dtype, numpy_dtype
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor

__all__ = ["fftfreq", "fftshift", "ifftshift", "rfftfreq"]


def fftfreq(n: int, d: float = 1.0, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
            requires_grad: bool = False) -> Tensor:  # fmt: skip
    """The frequencies of `fft`, in cycles per unit, of n samples at distance d."""
    return _frequencies(np.fft.fftfreq(n, d), out, dtype, device, requires_grad)


def rfftfreq(n: int, d: float = 1.0, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:  # fmt: skip
    """The frequencies of `rfft`, in cycles per unit, of n samples at distance d."""
    return _frequencies(np.fft.rfftfreq(n, d), out, dtype, device, requires_grad)


def _frequencies(array: Any, out: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    kind = default_numpy_dtype() if dtype is None else numpy_dtype(dtype)
    return _made(array.astype(kind), requires_grad, out)


def fftshift(input: Any, dim: Any = None) -> Tensor:
    """With the frequency 0 in the middle."""
    return _rolled(input, dim, 1)


def ifftshift(input: Any, dim: Any = None) -> Tensor:
    """With the frequency 0 at the beginning again."""
    return _rolled(input, dim, -1)


def _rolled(input: Any, dim: Any, sign: int) -> Tensor:
    shape = input._data.shape
    axes = tuple(range(len(shape))) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    shifts = tuple(shape[axis] // 2 if sign > 0 else -(shape[axis] // 2) for axis in axes)
    return FUNCTIONS[np.roll](input, shifts, axes)


_NAMES = (
    "fft", "fft2", "fftn", "hfft", "ifft", "ifft2", "ifftn", "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2",
    "rfftn",
)  # fmt: skip
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, "tensors are not complex here: use numpy.fft on x.numpy()"))
