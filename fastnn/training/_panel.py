"""What a notebook shows of a training: a bar while it runs, and a table of epochs that stays."""

import html
import time

from fastnn._notebook import Output
from fastnn._tables import aligned, html_table

__all__ = ["Panel"]

_SECONDS = 0.2  # between two updates of the bar
_EPOCHS, _NOTES = 100, 50  # the last so many are shown


class Panel:
    """The bar, the table and notes of one training, in one output of a cell.

    Args:
        total: steps of the whole training.
        done: steps before this part of it.
    """

    def __init__(self, total: int, done: int) -> None:
        self._output = Output()
        self._total, self._first, self._done = total, done, done
        self._start = time.perf_counter()
        self._shown_at = -float("inf")
        self._state = ""
        self._head: list[str] = []
        self._rows: list[list[str]] = []
        self._notes: list[str] = []
        self._has_ended = self._is_between_epochs = False

    def step(self, done: int, state: str) -> None:
        """`done` steps are done; `state` says how it goes."""
        self._done, self._state, self._is_between_epochs = done, state, False
        if time.perf_counter() - self._shown_at >= _SECONDS:
            self._show()

    def epoch(self, cells: dict[str, str]) -> None:
        """An epoch has ended: its numbers by the titles of the columns."""
        self._head = list(dict.fromkeys([*self._head, *cells]))
        self._rows.append([cells.get(name, "") for name in self._head])
        self._is_between_epochs = True
        self._show()

    def note(self, text: str) -> None:
        """Show a line below the table."""
        self._notes.append(text)
        self._show()

    def end(self) -> None:
        """Take the bar away. If the last epoch did not come to its end, its state stays."""
        self._has_ended = True
        if self._state or self._rows:
            self._show()

    def _show(self) -> None:
        self._shown_at = time.perf_counter()
        self._output.show(self._text(), self._page())

    def _last_line(self) -> list[str]:
        """How it goes; nothing between two epochs, of which the table tells."""
        if self._is_between_epochs and self._has_ended:
            return []
        from tqdm import tqdm

        elapsed = self._shown_at - self._start
        words = [self._state, f"step {self._done} of {self._total}", f"{tqdm.format_interval(elapsed)} elapsed"]
        steps = self._done - self._first
        if steps and not self._has_ended:
            words.append(f"{tqdm.format_interval(elapsed / steps * (self._total - self._done))} left")
        return [", ".join(words)]

    def _table(self) -> list[list[str]]:
        rows = [[*row, *[""] * (len(self._head) - len(row))] for row in self._rows[-_EPOCHS:]]
        return [self._head, *rows] if rows else []

    def _text(self) -> str:
        return "\n".join([*aligned(self._table(), ()), *self._notes[-_NOTES:], *self._last_line()])

    def _page(self) -> str:
        parts = []
        if table := self._table():
            parts.append(html_table(table[0], table[1:], ()))
        parts += [f"<p>{html.escape(note)}</p>" for note in self._notes[-_NOTES:]]
        lines = "".join(html.escape(line) for line in self._last_line())
        if not self._has_ended:
            style = "width: 100%; max-width: 40em"
            bar = (
                f'<progress value="{self._done}" max="{self._total}" style="{style}" aria-label="training"></progress>'
            )
            parts.append(f"<div>{bar}</div>")
        if lines:
            parts.append(f"<p>{lines}</p>")
        return "\n".join(parts)
