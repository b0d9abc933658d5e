"""Figures of matplotlib that no window shows, and that a notebook shows."""

import functools
import io
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["new_axes"]


def new_axes(size: tuple[float, float], dpi: float | None = None) -> Any:
    """The axes of a new figure of so many inches.

    pyplot does not know the figure: it has a global state, and would choose a backend. As the last line of a
    notebook's cell the axes show their figure.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=dpi, layout="constrained").add_subplot(axes_class=_shown_axes())


@functools.cache
def _shown_axes() -> type:
    from matplotlib.axes import Axes

    class ShownAxes(Axes):
        """Axes that a notebook shows as a picture of their figure."""

        def _repr_png_(self) -> bytes:
            picture, figure = io.BytesIO(), cast("Figure", self.figure)
            figure.savefig(picture, format="png")
            return picture.getvalue()

    return ShownAxes
