"""What a recipe is given: its settings, its folder, stages that survive an interruption, and words for the user."""

import os
import re
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import fastnn
from fastnn import data as _data
from fastnn import training
from fastnn._random import manual_seed, random_state, set_random_state
from fastnn._terminal import is_terminal, say
from fastnn.courses.recipe import Recipe
from fastnn.courses.report import Report
from fastnn.data._files import expanded, places
from fastnn.training.checkpoint import load_state, save_state

__all__ = ["Context", "MissingExtraError"]

_T = TypeVar("_T")

# The speed of the first steps is believed after so many seconds; a recipe that takes less than the second number
# needs no forecast.
_SECONDS_MEASURED, _SHORTEST_FORECAST = 3.0, 20.0

_NAME_THE_DATA = "let --data or the environment variable FASTNN_DATA name the folder that has the data"

# `_checksum` of the CIFAR-10 that everybody has. The SHA-256 of a download is verified, but a folder of batches is read
# whatever its pixels and labels are, as long as there are enough of them.
_OFFICIAL_CIFAR10 = 2743666080


class MissingExtraError(ImportError):
    """A recipe needs a package that is not installed."""


class Context:
    """The surroundings of one run of a recipe.

    Args:
        recipe: what runs.
        out: folder of the results; it is made, and it is an error now, not in an hour, if it cannot be written.
        quick, data, seed, options: see `courses.run`.
        say: is told what happens; None prints on standard error.
    Attributes:
        report: to be filled by the recipe.
        quick: use less data; at most a minute in all.
        out: folder of the results.
        data: where to look for data first, or None: the `root` of `data.CIFAR10`.
        seed: of everything random that the course does not fix.
        data_settings: what distinguishes the images from the official ones: nothing, or a checksum. Goes into the
            settings of whatever is stored.
    Raises:
        OSError: the folder cannot be written, or there is no folder `data`.
    """

    def __init__(
        self,
        recipe: Recipe,
        out: str | os.PathLike[str],
        *,
        quick: bool = False,
        data: str | os.PathLike[str] | None = None,
        seed: int = 0,
        options: dict[str, Any] | None = None,
        say: Callable[[str], Any] | None = None,
    ) -> None:
        if data is not None and not expanded(data).is_dir():
            raise _data.DataNotFoundError(f"there is no folder {os.fspath(data)}: {_NAME_THE_DATA}")
        self.recipe, self.quick, self.seed = recipe, quick, seed
        self.out = Path(out)
        self.data = None if data is None else os.fspath(data)
        self.data_settings: dict[str, Any] = {}
        self._options = dict(options or {})
        self._say = say
        for folder in (self.out, self.out / "stages"):
            _make_writable(folder, self.out)
        self.report = Report(recipe.title, self.out, course=recipe.course, about=recipe.about, quick=quick)
        self._stages: set[str] = set()
        self._seconds = 0.0  # of all stages, also of those that an earlier run has done
        self._total_work, self._unit = 0.0, ""
        self._done = 0.0  # work, also that of stored stages
        self._measured_work, self._measured_seconds = 0.0, 0.0
        self._announced = False

    # ---- settings ----------------------------------------------------------------------------------------------------
    def option(self, name: str, default: _T) -> _T:
        """The value that the user gave for an option of the recipe, or `default`.

        Raises:
            ValueError: the recipe was not registered with this option.
        """
        if name not in self.recipe.options:
            raise ValueError(f"{self.recipe.name} was registered without the option {name!r}")
        return self._options.get(name, default)

    def find(self, name: str) -> Path:
        """The file or folder `name` of the courses' data, for example 'pku-mnist-subset/0.png'.

        Raises:
            DataNotFoundError: it is nowhere; the message says where it was looked for.
        """
        for place in places(self.data):
            if (place / name).exists():
                return place / name
        raise self._not_found(name)

    def _not_found(self, what: str) -> _data.DataNotFoundError:
        return _data.DataNotFoundError(
            f"{what} was not found in {', '.join(map(str, places(self.data)))}: {_NAME_THE_DATA}"
        )

    def cifar10(self) -> tuple[_data.Dataset, _data.Dataset]:
        """The training and the test images of CIFAR-10.

        A recipe asks for both before its first stage on them: whatever is missing is told then, and stages that were
        computed from other images are not used.

        Raises:
            DataNotFoundError: they are nowhere; the message says where they were looked for.
            DataError: a file is damaged or missing.
        """
        try:
            train, test = _data.CIFAR10(self.data), _data.CIFAR10(self.data, train=False)
        except _data.DataNotFoundError:
            raise self._not_found("CIFAR-10, a folder cifar-10-batches-py or cifar-10-batches-bin,") from None
        checksum = _checksum(train, test)
        # The official images add nothing: what is stored of them stays valid.
        self.data_settings = {} if checksum == _OFFICIAL_CIFAR10 else {"cifar10": checksum}
        return train, test

    # ---- stages ------------------------------------------------------------------------------------------------------
    def stage(self, key: str, compute: Callable[[], Any]) -> Any:
        """The result of `compute()`, from the folder if an earlier run with the same settings has stored it there.

        A stage draws from a generator of its own, seeded by `seed` and `key`, so that what comes out does not depend
        on which stages were computed and which were read. For the same reason the result is what was stored: numbers
        of NumPy are those of Python.

        Args:
            key: name of the stage, each of which runs once.
            compute: returns dicts, lists, tuples, numbers, texts and arrays.
        """
        if key in self._stages:
            raise ValueError(f"there are two stages {key!r}")
        self._stages.add(key)
        path = self.out / "stages" / f"{_file_name(key)}.safetensors"
        stored = self._stored(key, path)
        if stored is None:
            self._compute(key, path, compute)
            stored = load_state(path, kind="stage")
        else:
            self._done += stored["work"]
            self.say(f"{key}: done before, {duration(stored['seconds'])}")
        shutil.rmtree(self._unfinished(key), ignore_errors=True)  # the stage has its result
        self._seconds += stored["seconds"]
        return stored["result"]

    def _stored(self, key: str, path: Path) -> dict[str, Any] | None:
        try:
            stored = load_state(path, kind="stage")
        except FileNotFoundError:
            return None
        except training.CheckpointError as error:
            self.say(f"{key} is run again: {error}")
            return None
        if stored.get("settings") != self._settings(key):
            self.say(f"{key} is run again: {path} is of other settings")
            return None
        numbers = all(isinstance(stored.get(name), int | float) for name in ("seconds", "work"))
        if not numbers or "result" not in stored:
            self.say(f"{key} is run again: {path} is damaged")
            return None
        return stored

    def _compute(self, key: str, path: Path, compute: Callable[[], Any]) -> None:
        state, start, done = random_state(), time.perf_counter(), self._done
        manual_seed(zlib.crc32(f"{self.seed} {key}".encode()))
        try:
            result = compute()
        finally:
            set_random_state(state)
        seconds, work = time.perf_counter() - start, self._done - done
        save_state(
            path, {"settings": self._settings(key), "seconds": seconds, "work": work, "result": result}, kind="stage"
        )

    def _settings(self, key: str) -> dict[str, Any]:
        """What a stored stage must have in common with this run to be used by it."""
        computing = sorted(self._options.keys() - set(self.recipe.drawing_options))
        return {
            "recipe": self.recipe.name,
            "version": self.recipe.version,
            "fastnn": fastnn.__version__,
            "stage": key,
            "quick": self.quick,
            "seed": self.seed,
            "options": {name: str(self._options[name]) for name in computing},
            **self.data_settings,
        }

    # ---- trainings ---------------------------------------------------------------------------------------------------
    def train(
        self,
        key: str,
        trainer: training.Trainer,
        loader: Any,
        epochs: float,
        val_loader: Any = None,
        *,
        work: float | Callable[[int], float] = 1.0,
    ) -> training.History:
        """Fit with a bar, and with a checkpoint each epoch, from which the training goes on if it was interrupted.

        Args:
            key: name of the stage that this is the training of. The checkpoint lasts until the stage is stored.
            trainer: made without a bar. Its `config` becomes the settings of the stage: a checkpoint of others is not
                used.
            loader, epochs, val_loader: see `Trainer.fit`.
            work: of each step in the units of `forecast`, or a function that tells it of step 1, 2, ...
        Raises:
            NonFiniteLoss: the training diverges.
        """
        folder = self._unfinished(key)
        folder.mkdir(parents=True, exist_ok=True)
        checkpoints = training.Checkpoints(folder)
        trainer.config = self._settings(key)
        trainer.callbacks += [checkpoints, _Bar(self, key, work if callable(work) else lambda step: work)]
        if checkpoints.last.is_file():
            try:
                trainer.load(checkpoints.last, loader)
            except training.CheckpointError as error:
                self.say(f"{key} begins anew: {error}")
            else:
                self.say(f"{key} continues after step {trainer.step}")
        return trainer.fit(loader, epochs, val_loader)

    def _unfinished(self, key: str) -> Path:
        """Where the checkpoint of a stage's training is until the stage is stored."""
        return self.out / "stages" / f"{_file_name(key)}-unfinished"

    # ---- words -------------------------------------------------------------------------------------------------------
    def say(self, text: str) -> None:
        """Tell the user, without tearing a progress bar."""
        if self._say is not None:
            self._say(text)
            return
        if is_terminal(sys.stderr):
            from tqdm import tqdm

            tqdm.write(text, file=sys.stderr)
        else:
            say(text)

    def forecast(self, total_work: float, unit: str = "steps") -> None:
        """Announce how much there is to do in the whole recipe, so that the first steps can tell how long it takes.

        Args:
            total_work: of all loops over `progress`, also those in stages that may be stored already.
            unit: what is counted, a plural.
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
        """Go through `iterable` with a bar that shows the time left, if standard error is a terminal.

        Args:
            iterable: what to go through.
            label: what the bar says.
            total: how many there are, if `iterable` has no length.
            work: what each counts in the units of `forecast`, or a function that tells it of the first, second, ...
                (0, 1, ...). In nested loops only the innermost count.
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
        """Count work as done that is not to be done: its results are kept elsewhere, or a loop has ended early."""
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
                f"{self.recipe.name} takes about {duration(left / speed)} more: "
                f"{left:,.0f} {self._unit} at {speed:,.3g} a second"
            )

    def finish(self) -> None:
        """Write the report."""
        info = fastnn.build_info()
        settings = {"seed": self.seed, **self._options}
        self.report.facts = {
            "Recipe": f"{self.recipe.name}{' --quick' if self.quick else ''}",
            "Settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
            "Ran on": f"fastnn {info['version']}, {info['isa']} kernels, {info['threads']} threads",
            "Time": duration(self._seconds) if self._stages else "",
        }
        self.report.metric("seconds", self._seconds)
        self.report.write()


class _Bar(training.Callback):
    """Shows the steps of a training, and counts their work for the forecast.

    Args:
        context: of the recipe.
        label: what the bar says.
        work: of step 1, 2, ...
    """

    def __init__(self, context: Context, label: str, work: Callable[[int], float]) -> None:
        self._context, self._label, self._work = context, label, work
        self._steps: Generator[int, None, None] | None = None

    def on_fit_begin(self, trainer: training.Trainer) -> None:
        done = trainer.step
        self._context.skip(sum(map(self._work, range(1, done + 1))))
        # One more than there are to do: the first is taken now, before a step.
        steps = range(done, trainer.total_steps + 1)
        self._steps = self._context.progress(steps, self._label, work=lambda index: self._work(done + index + 1))
        next(self._steps)

    def on_step_end(self, trainer: training.Trainer) -> None:
        assert self._steps is not None  # since on_fit_begin
        next(self._steps)

    def on_exit(self, trainer: training.Trainer) -> None:
        if self._steps is not None:
            self._steps.close()


def _file_name(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9._=+-]", "_", key)


def duration(seconds: float) -> str:
    """For people.

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


def _checksum(*parts: _data.Dataset) -> int:
    """Of all pixels and labels: CIFAR-10 takes a tenth of a second."""
    value = 0
    for part in parts:
        value = zlib.crc32(np.ascontiguousarray(part.images).data, value)
        value = zlib.crc32(np.asarray(part.labels, "<i8").tobytes(), value)
    return value


def _make_writable(folder: Path, named: Path) -> None:
    """Make the folder and try to write a file there; an error is about `named`, the folder that the user knows."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, path = tempfile.mkstemp(dir=folder)
        os.close(descriptor)
        os.unlink(path)
    except OSError as error:
        words = f"no results can be written there ({error.strerror}): name another folder with --out"
        raise type(error)(error.errno, words, str(named)) from None
