"""What the user sees while a recipe runs: messages, progress bars, and once an estimate of the remaining time."""

import sys
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from fastnn import training
from fastnn._terminal import is_terminal, say

__all__ = ["Progress", "StepBar", "duration"]

_T = TypeVar("_T")

# The speed of the first steps is believed after so many seconds; a recipe that takes less than the second number
# needs no forecast.
_SECONDS_MEASURED, _SHORTEST_FORECAST = 3.0, 20.0


class Progress:
    """Shows messages and progress bars, and counts the work that is done.

    Args:
        name: the name of the recipe.
        say: a function that is called with messages. None (default) prints them to standard error.
    """

    def __init__(self, name: str, say: Callable[[str], Any] | None = None) -> None:
        self._name, self._say = name, say
        self._total_work, self._unit = 0.0, ""
        self._done = 0.0  # work, also that of stored stages
        self._measured_work, self._measured_seconds = 0.0, 0.0
        self._announced = False

    def say(self, text: str) -> None:
        """Show a message without breaking a progress bar."""
        if self._say is not None:
            self._say(text)
            return
        if is_terminal(sys.stderr):
            from tqdm import tqdm

            tqdm.write(text, file=sys.stderr)
        else:
            say(text)

    def forecast(self, total_work: float, unit: str = "steps") -> None:
        """Announce the amount of work of the whole recipe, so that the first steps can tell how long it takes.

        Args:
            total_work: the work of all loops over `progress`, including stages that may already be stored.
            unit: the unit of work, a plural. Default 'steps'.
        """
        self._total_work, self._unit, self._announced = float(total_work), unit, False

    def progress(
        self,
        iterable: Iterable[_T],
        label: str,
        total: int | None = None,
        *,
        work: float | Callable[[int], float] = 1.0,
    ) -> Generator[_T, None, None]:
        """Iterate with a progress bar that shows the remaining time, if standard error is a terminal.

        Args:
            iterable: what to iterate over.
            label: the text of the bar.
            total: the number of items, if `iterable` has no length.
            work: the work of each item in the units of `forecast`, or a function that returns it for item 0, 1, ... In
                nested loops only the innermost counts.
        """
        from tqdm import tqdm

        stream = sys.stderr
        with tqdm(
            iterable,
            desc=label,
            total=total,
            file=stream,
            dynamic_ncols=True,
            leave=False,
            disable=not is_terminal(stream),
        ) as bar:
            for index, item in enumerate(bar):
                before, start = self._done, time.perf_counter()
                yield item
                if self._done == before:
                    done = work(index) if callable(work) else work
                    self._done += done
                    self._measured_work += done
                    self._measured_seconds += time.perf_counter() - start
                    self._announce()

    def skip(self, work: float) -> None:
        """Count work as done that is not needed: its results are stored, or a loop has ended early."""
        self._done += work

    def _announce(self) -> None:
        """Say once how long the rest takes."""
        if self._announced or not self._total_work or self._measured_seconds < _SECONDS_MEASURED:
            return
        self._announced = True
        speed = self._measured_work / self._measured_seconds
        left = max(self._total_work - self._done, 0)
        if left / speed >= _SHORTEST_FORECAST:
            self.say(
                f"{self._name} takes about {duration(left / speed)} more: "
                f"{left:,.0f} {self._unit} at {speed:,.3g} a second"
            )


class StepBar(training.Callback):
    """A callback that shows the steps of a training, and counts their work for the forecast.

    Args:
        progress: the progress of the recipe.
        label: the text of the bar.
        work: a function that returns the work of step 1, 2, ...
    """

    def __init__(self, progress: Progress, label: str, work: Callable[[int], float]) -> None:
        self._progress, self._label, self._work = progress, label, work
        self._steps: Generator[int, None, None] | None = None

    def on_fit_begin(self, trainer: training.Trainer) -> None:
        done = trainer.step
        self._progress.skip(sum(map(self._work, range(1, done + 1))))
        # One more than there are to do: the first is taken now, before a step.
        steps = range(done, trainer.total_steps + 1)
        self._steps = self._progress.progress(steps, self._label, work=lambda index: self._work(done + index + 1))
        next(self._steps)

    def on_step_end(self, trainer: training.Trainer) -> None:
        assert self._steps is not None  # since on_fit_begin
        next(self._steps)

    def on_exit(self, trainer: training.Trainer) -> None:
        if self._steps is not None:
            self._steps.close()


def duration(seconds: float) -> str:
    """A time in seconds as text.

    Example:
        >>> duration(3.21), duration(750), duration(12000)
        ('3.2 s', '12 min 30 s', '3 h 20 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
