"""The windows of the pooling layers along one axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# For each output: the pixels of its window that lie in the image, and which taps of the window they are.
Windows = list[tuple[NDArray, NDArray]]


def sliding(size: int, out: int, kernel: int, stride: int, pad: int, dilation: int) -> Windows:
    """Output o sees pixels o * stride - pad + tap * dilation, as far as they are in the image."""
    windows = []
    for o in range(out):
        taps = np.arange(kernel)
        pixels = o * stride - pad + taps * dilation
        inside = (pixels >= 0) & (pixels < size)
        windows.append((pixels[inside], taps[inside]))
    return windows


def adaptive(size: int, out: int) -> Windows:
    """Output o sees pixels floor(o * size / out) to ceil((o + 1) * size / out) - 1."""
    windows = []
    for o in range(out):
        pixels = np.arange(o * size // out, ((o + 1) * size + out - 1) // out)
        windows.append((pixels, np.arange(len(pixels))))
    return windows


def widest(windows: Windows) -> int:
    """The number of taps of the largest window."""
    return max(len(taps) for _, taps in windows)
