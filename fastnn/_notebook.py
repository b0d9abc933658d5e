"""Notebooks: whether this process is the kernel of one, and outputs of a cell that change while it runs."""

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["Output", "in_notebook"]


def in_notebook() -> bool:
    """Whether a notebook shows what this process displays: in Jupyter, VS Code, Colab, not in a terminal's IPython."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class _Shown:
    """An object that a notebook shows as HTML, and whatever knows no HTML as text."""

    def __init__(self, text: str, page: str) -> None:
        self._text, self._page = text, page

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._page


class Output:
    """An output of the running cell, whose content can be replaced. No widgets are needed."""

    def __init__(self) -> None:
        self._update: Callable[[Any], Any] | None = None

    def show(self, text: str, page: str) -> None:
        """Show HTML in the place of what was shown before; `text` is the same for those who see no HTML."""
        from IPython.display import display

        shown = _Shown(text, page)
        if self._update is not None:
            self._update(shown)
            return
        handle = display(shown, display_id=True)
        self._update = None if handle is None else handle.update
