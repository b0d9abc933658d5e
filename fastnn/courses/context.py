"""What a recipe is given: its settings, its data, its folder, and stages that survive an interruption."""

import os
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import fastnn
from fastnn import data as _data
from fastnn import training
from fastnn._random import manual_seed, random_state, set_random_state
from fastnn.courses.progress import Progress, StepBar, duration
from fastnn.courses.recipe import Recipe
from fastnn.courses.report import Report
from fastnn.data._files import expanded, places
from fastnn.training.checkpoint import load_state, save_state

__all__ = ["Context", "MissingExtraError"]

_T = TypeVar("_T")

_NAME_THE_DATA = "let --data or the environment variable FASTNN_DATA name the folder that has the data"

# `_checksum` of the CIFAR-10 that everybody has. The SHA-256 of a download is verified, but a folder of batches is read
# whatever its pixels and labels are, as long as there are enough of them.
_OFFICIAL_CIFAR10 = 2743666080


class MissingExtraError(ImportError):
    """A recipe needs a package that is not installed. The message names it."""


class Context(Progress):
    """The settings, data and folder of one run of a recipe.

    Args:
        recipe: the recipe that runs.
        out: the folder for the results. It is created; if it cannot be written, that is an error at once.
        quick, data, seed, options: as for `courses.run`.
        say: a function that is called with messages. None (default) prints them to standard error.
    Attributes:
        report: the report, which the recipe fills.
        quick: whether to use less data, so that all takes at most a minute.
        out: the folder for the results.
        data: the first folder to look for data in, or None; the `root` of `data.CIFAR10`.
        seed: the seed of everything random that the course does not fix.
        data_settings: what distinguishes the images from the official ones: empty, or a checksum. It becomes part of
            the settings of all stored stages.
    Raises:
        OSError: the folder `out` cannot be written, or there is no folder `data`.
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
        super().__init__(recipe.name, say)
        self.recipe, self.quick, self.seed = recipe, quick, seed
        self.out = Path(out)
        self.data = None if data is None else os.fspath(data)
        self.data_settings: dict[str, Any] = {}
        self._options = dict(options or {})
        for folder in (self.out, self.out / "stages"):
            _make_writable(folder, self.out)
        self.report = Report(recipe.title, self.out, course=recipe.course, about=recipe.about, quick=quick)
        self._stages: set[str] = set()
        self._seconds = 0.0  # of all stages, also of those that an earlier run has done

    # ---- settings ----------------------------------------------------------------------------------------------------
    def option(self, name: str, default: _T) -> _T:
        """The value that the user gave for an option of the recipe, or else `default`.

        Raises:
            ValueError: the recipe was not registered with this option.
        """
        if name not in self.recipe.options:
            raise ValueError(f"{self.recipe.name} was registered without the option {name!r}")
        return self._options.get(name, default)

    def find(self, name: str) -> Path:
        """The path of a file or folder of the courses' data, for example 'pku-mnist-subset/0.png'.

        Raises:
            DataNotFoundError: it is not found. The message lists the folders searched.
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

        A recipe asks for both before its first stage that uses them. Missing data is then reported at once, and stages
        that were computed from other images are not used.

        Raises:
            DataNotFoundError: they are not found. The message lists the folders searched.
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
        """The result of `compute()`; or, if an earlier run with the same settings stored it in the folder, that result.

        A stage draws from its own random generator, seeded by `seed` and `key`. Its result does therefore not depend on
        which other stages were computed and which were read. For the same reason the stored form is returned, in which
        NumPy numbers are Python numbers.

        Args:
            key: the name of the stage. Each name is used once.
            compute: a function that returns dicts, lists, tuples, numbers, strings and arrays.
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
        """Train with a progress bar, and with a checkpoint after each epoch. An interrupted training continues from it.

        Args:
            key: the name of the stage that this training belongs to. The checkpoint is kept until the stage is stored.
            trainer: the trainer, made without a bar. Its `config` becomes part of the stage's settings: a checkpoint
                with other settings is not used.
            loader, epochs, val_loader: as for `Trainer.fit`.
            work: the work of each step in the units of `forecast`, or a function that returns it for step 1, 2, ...
        Raises:
            NonFiniteLoss: the training diverges.
        """
        folder = self._unfinished(key)
        folder.mkdir(parents=True, exist_ok=True)
        checkpoints = training.Checkpoints(folder)
        trainer.config = self._settings(key)
        trainer.callbacks += [checkpoints, StepBar(self, key, work if callable(work) else lambda step: work)]
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

    # ---- the end -----------------------------------------------------------------------------------------------------
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


def _file_name(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9._=+-]", "_", key)


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
