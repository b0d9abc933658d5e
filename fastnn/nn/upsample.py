"""The layer that makes images larger."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import NDArray

from fastnn.autograd.tape import run
from fastnn.functional.interpolate import Interpolate, Settings, check_settings
from fastnn.nn.module import Module

__all__ = ["Upsample"]


class Upsample(Module):
    """The same images with more (or fewer) pixels, each a copy of the nearest one or a mean of its four neighbours.

    Args:
        size: height and width of the result, one number or two.
        scale_factor: how many times larger it is, one number or two; in the place of size.
        mode: 'nearest' or 'bilinear'; see `functional.interpolate`.
        align_corners: for 'bilinear', whether the centres of the corner pixels stay where they are, rather than the
            corners of the image; None for False.
    Shape:
        - Input: (N, C, H, W), float32 or float64
        - Output: (N, C, H_out, W_out), H_out = floor(H * scale_factor_h) or as size says
    Raises:
        ValueError: both or none of size and scale_factor are given, or they do not fit the input.
    Example:
        >>> nn.Upsample(scale_factor=2)(np.array([[[[1.0, 2.0]]]]))[0, 0]
        array([[1., 1., 2., 2.],
               [1., 1., 2., 2.]])

    Source: PyTorch's definition.
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        settings = check_settings("Upsample", size, scale_factor, mode, align_corners)
        self.size, self.scale_factor, self.mode = settings.size, settings.scale_factor, settings.mode
        self.align_corners = None if align_corners is None else settings.align_corners

    def forward(self, x: NDArray) -> NDArray:
        settings = Settings(self.size, self.scale_factor, self.mode, bool(self.align_corners))
        return run(Interpolate(settings, "Upsample"), x)

    def extra_repr(self) -> str:
        size = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        corners = "" if self.align_corners is None else f", align_corners={self.align_corners}"
        return f"{size}, mode={self.mode!r}{corners}"
