"""Hyper-parameter search: all points of a grid, or points drawn at random or by TPE. A thin layer over Optuna.

An objective is a function that takes a dict of settings and returns a number. With `storage`, each result is saved to a
file as soon as it is known. The same call with the same file then continues where it was interrupted, and returns what
it would have returned without the interruption. Optuna is installed with `pip install fastnn[tune]`; it is imported by
the first search.
"""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import _check

__all__ = ["best", "grid_search", "search"]

Objective = Callable[[dict[str, Any]], float]
OnStart = Callable[[list[dict[str, Any]]], None]
OnResult = Callable[[dict[str, Any], int, int], None]

_OWN_COLUMNS = ("value", "seconds")
_SAMPLERS = ("tpe", "random")


def grid_search(
    objective: Objective,
    grid: Mapping[str, Sequence[Any]],
    *,
    storage: str | os.PathLike[str] | None = None,
    maximize: bool = True,
    on_start: OnStart | None = None,
    on_result: OnResult | None = None,
) -> list[dict[str, Any]]:
    """Evaluate every combination of the given values, in an order that is shuffled but always the same.

    Several processes may share a storage: each takes points that no other has begun.

    Args:
        objective: the function to evaluate: it takes a dict of settings and returns a number. NaN, the result of a
            training that diverged, counts as the worst possible value.
        grid: the values of each setting, by name: str, int, float, bool or None.
        storage: an SQLite file that keeps the results; it is created if it does not exist. None (default) keeps them in
            memory.
        maximize: whether a larger value is better. Default True.
        on_start: called before the first evaluation, with the rows that the storage already holds.
        on_result: called after each evaluation, with its row, the number of points done and the number of all points.
    Returns:
        A list of dicts in the order of evaluation, one for each point: its settings, `value`, and `seconds`, the time
        of the evaluation.
    Raises:
        ImportError: Optuna is not installed.
        ValueError: a list of values is empty or has a value twice, or the storage holds another search.
        OSError: the storage cannot be opened.
    Example:
        >>> from fastnn import tune
        >>> rows = tune.grid_search(lambda p: -(p["x"] - 2) ** 2 + p["y"], {"x": [1, 2, 3], "y": [0, 1]})
        >>> len(rows), tune.best(rows)["x"], tune.best(rows)["value"]
        (6, 2, 1.0)

    Source: Akiba et al., 2019, "Optuna: A next-generation hyperparameter optimization framework" (its GridSampler).
    """
    _check_calls("grid_search", objective, on_start=on_start, on_result=on_result)
    maximize = _check.boolean("grid_search", "maximize", maximize)
    file = _path("grid_search", storage)
    grid = _check.mapping("grid_search", "grid", grid)
    choices = {name: _choices("grid_search", name, values) for name, values in grid.items()}
    if not choices:
        raise ValueError("grid_search: the grid is empty")
    optuna = _optuna()
    total = math.prod(len(values) for values in choices.values())
    distributions = {name: optuna.distributions.CategoricalDistribution(values) for name, values in choices.items()}
    description = {"kind": "grid", "space": choices, "maximize": maximize}
    with _study(optuna, file, description, maximize) as study:
        # The seed numbers the points, so it must be the same whenever the storage is opened. A point whose evaluation
        # was cut short is still marked as running, and the sampler gives such points again when no other is left.
        study.sampler = optuna.samplers.GridSampler(choices, seed=0)
        study.sampler.after_trial = lambda *_: None  # it would stop Optuna's own loop; the one below counts
        if on_start is not None:
            on_start(_rows(optuna, study, list(choices)))
        while len(rows := _rows(optuna, study, list(choices))) < total:
            _evaluate("grid_search", objective, study, study.ask(distributions), maximize)
            if on_result is not None:
                rows = _rows(optuna, study, list(choices))
                on_result(rows[-1], len(rows), total)
    return rows


def search(
    objective: Objective,
    space: Mapping[str, Sequence[Any]],
    n_trials: int,
    *,
    sampler: str = "tpe",
    seed: int = 0,
    storage: str | os.PathLike[str] | None = None,
    maximize: bool = True,
    on_result: OnResult | None = None,
) -> list[dict[str, Any]]:
    """Evaluate `n_trials` points of a search space, drawn at random or by TPE.

    Args:
        objective: the function to evaluate: it takes a dict of settings and returns a number. NaN, the result of a
            training that diverged, counts as the worst possible value.
        space: for each setting, by name, a list of values or a range. A range is a tuple (low, high), both included; or
            (low, high, 'log') to draw the logarithm uniformly. A range of two integers gives integers.
        n_trials: the total number of points, including those that the storage already holds.
        sampler: 'tpe' (default): ten random points, then points that resemble the better ones so far; or 'random'.
        seed: the seed of the points. The same seed gives the same points, interrupted or not. Default 0.
        storage: an SQLite file that keeps the results; it is created if it does not exist. None (default) keeps them in
            memory.
        maximize: whether a larger value is better. Default True.
        on_result: called after each evaluation, with its row, the number of points done and the number of all points.
    Returns:
        A list of dicts in the order of evaluation, one for each point: its settings, `value`, and `seconds`, the time
        of the evaluation.
    Raises:
        ImportError: Optuna is not installed.
        ValueError: the space is not as described, or the storage holds another search.
        OSError: the storage cannot be opened.
    Example:
        >>> from fastnn import tune
        >>> space = {"lr": (1e-4, 1.0, "log"), "hidden": [32, 64]}
        >>> rows = tune.search(lambda p: -abs(np.log10(p["lr"]) + 2), space, 12, sampler="random")
        >>> len(rows), list(rows[0])
        (12, ['lr', 'hidden', 'value', 'seconds'])

    Source: Bergstra et al., 2011, "Algorithms for hyper-parameter optimization" (TPE); Bergstra and Bengio, 2012,
    "Random search for hyper-parameter optimization".
    """
    _check_calls("search", objective, on_result=on_result)
    n_trials = _check.integer("search", "n_trials", n_trials, 0)
    seed = _check.integer("search", "seed", seed, 0)
    maximize = _check.boolean("search", "maximize", maximize)
    _check.one_of("search", "sampler", sampler, _SAMPLERS)
    file = _path("search", storage)
    space = _check.mapping("search", "space", space)
    if not space:
        raise ValueError("search: the space is empty")
    plain = {name: _plain_range(name, given) for name, given in space.items()}
    optuna = _optuna()
    distributions = {name: _distribution(optuna, given) for name, given in plain.items()}
    description = {"kind": sampler, "space": plain, "seed": seed, "maximize": maximize}
    with _study(optuna, file, description, maximize) as study:
        while len(rows := _rows(optuna, study, list(space))) < n_trials:
            # A fresh sampler for each point, seeded by the number of results: no hidden state is lost between runs.
            state = int(np.random.SeedSequence((seed, len(rows))).generate_state(1)[0])
            if sampler == "tpe":
                # It must not look at points that have no result: an interrupted run leaves one behind.
                study.sampler = optuna.samplers.TPESampler(seed=state, constant_liar=False)
            else:
                study.sampler = optuna.samplers.RandomSampler(seed=state)
            _evaluate("search", objective, study, study.ask(distributions), maximize)
            if on_result is not None:
                rows = _rows(optuna, study, list(space))
                on_result(rows[-1], len(rows), n_trials)
    return rows[:n_trials]


def best(rows: Sequence[dict[str, Any]], maximize: bool = True) -> dict[str, Any]:
    """The row with the best value; if several are equal, the first.

    Args:
        rows: the result of `grid_search` or `search`.
        maximize: whether a larger value is better. Default True.
    Raises:
        ValueError: there are no rows.
        TypeError: the rows are not the result of a search.
    Example:
        >>> from fastnn import tune
        >>> tune.best([{"lr": 0.1, "value": 0.91}, {"lr": 0.01, "value": 0.88}])["lr"]
        0.1
    """
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise TypeError(f"best: rows must be a list, the result of a search. Received: {_check.shown(rows)}")
    if not rows:
        raise ValueError("best: there are no rows")
    for row in rows:
        if not isinstance(row, Mapping) or "value" not in row:
            raise TypeError(f"best: rows must be dicts with a value. Received: {_check.shown(row)}")
    maximize = _check.boolean("best", "maximize", maximize)
    return max(rows, key=lambda row: row["value"]) if maximize else min(rows, key=lambda row: row["value"])


# ---- checks ----------------------------------------------------------------------------------------------------------
def _check_calls(operation: str, objective: Any, **reports: Any) -> None:
    if not callable(objective):
        raise TypeError(f"{operation}: objective must be a function of settings. Received: {_check.shown(objective)}")
    for name, report in reports.items():
        if report is not None and not callable(report):
            raise TypeError(f"{operation}: {name} must be a function or None. Received: {_check.shown(report)}")


def _path(operation: str, storage: Any) -> Path | None:
    if storage is None:
        return None
    if not isinstance(storage, str | os.PathLike) or not os.fspath(storage):
        raise TypeError(f"{operation}: storage must be the path of a file or None. Received: {_check.shown(storage)}")
    return Path(storage)


# ---- what may be searched --------------------------------------------------------------------------------------------
def _name(operation: str, name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{operation}: a setting is called by a text. Received: {_check.shown(name)}")
    if name in _OWN_COLUMNS:
        raise ValueError(f"{operation}: a setting may not be called {name!r}, which is a column of the result")


def _choices(operation: str, name: str, values: Sequence[Any]) -> list[Any]:
    """The values as plain Python objects, which a file can keep."""
    _name(operation, name)
    if (
        isinstance(values, str | bytes)
        or not isinstance(values, Sequence | np.ndarray)
        or (isinstance(values, np.ndarray) and not values.ndim)
    ):
        raise TypeError(f"{operation}: {name} must be a list of values. Received: {_check.shown(values)}")
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    for value in plain:
        if not (value is None or isinstance(value, str | int | float)) or value != value:
            raise ValueError(f"{operation}: {name} must hold numbers, texts, booleans or None. Received: {value!r}")
    if not plain or any(value in plain[:position] for position, value in enumerate(plain)):
        raise ValueError(f"{operation}: {name} needs at least one value, and none twice. Received: {plain}")
    return plain


def _plain_range(name: str, given: Sequence[Any]) -> list[Any] | tuple[Any, ...]:
    if not isinstance(given, tuple):
        return _choices("search", name, given)
    _name("search", name)
    low, high, *scale = (value.item() if isinstance(value, np.generic) else value for value in (*given, None, None)[:4])
    is_log = scale[0] == "log"
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if len(given) not in (2, 3) or not numbers or (len(given) == 3 and not is_log):
        raise ValueError(f"search: {name} must be a list, (low, high) or (low, high, 'log'). Received: {given}")
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or (is_log and low <= 0):
        raise ValueError(f"search: {name} needs low < high, and 0 < low for 'log'. Received: {given}")
    return (low, high, "log") if is_log else (low, high)


def _distribution(optuna: Any, given: list[Any] | tuple[Any, ...]) -> Any:
    if isinstance(given, list):
        return optuna.distributions.CategoricalDistribution(given)
    low, high, is_log = given[0], given[1], len(given) == 3
    if isinstance(low, int) and isinstance(high, int):
        return optuna.distributions.IntDistribution(low, high, log=is_log)
    return optuna.distributions.FloatDistribution(float(low), float(high), log=is_log)


# ---- Optuna ----------------------------------------------------------------------------------------------------------
def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ModuleNotFoundError("fastnn.tune needs Optuna: pip install fastnn[tune]", name="optuna") from error
    return optuna


@contextlib.contextmanager
def _study(optuna: Any, storage: Path | None, description: dict[str, Any], maximize: bool) -> Iterator[Any]:
    """A study in memory or in a file; a file must hold a search of the same description."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # Optuna announces each study on standard error
    database = None
    try:
        database = None if storage is None else _open(optuna, storage)
        study = optuna.create_study(
            storage=database,
            study_name="fastnn",
            load_if_exists=True,
            direction="maximize" if maximize else "minimize",
        )
        mine = json.dumps(description)
        kept = study.user_attrs.get("search", mine)
        if kept != mine:
            raise ValueError(f"{storage} holds another search: {kept}. Give a new file for {mine}")
        study.set_user_attr("search", mine)
        yield study
    finally:
        if database is not None:
            database.remove_session()
            database.engine.dispose()
        optuna.logging.set_verbosity(verbosity)


def _open(optuna: Any, path: Path) -> Any:
    # SQLite rather than Optuna's journal file: a transaction that a kill cuts short leaves the file as it was, while a
    # line that was half written makes a journal unreadable.
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import DatabaseError

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        url = URL.create("sqlite", database=str(path.absolute())).render_as_string(hide_password=False)
        return optuna.storages.RDBStorage(url)
    except DatabaseError as error:
        raise OSError(f"{path} cannot be opened as the SQLite file of a search ({error.orig})") from error


def _evaluate(operation: str, objective: Objective, study: Any, trial: Any, maximize: bool) -> None:
    """An exception of the objective passes through and leaves the trial unfinished, so that it is done again."""
    value: Any = objective(dict(trial.params))
    is_nan = isinstance(value, float | np.floating) and math.isnan(value)
    value = math.nan if is_nan else _check.number(operation, "the value of objective", value)
    if math.isnan(value):
        value = -math.inf if maximize else math.inf
    study.tell(trial, value)


def _rows(optuna: Any, study: Any, names: list[str]) -> list[dict[str, Any]]:
    """The finished trials; of a point that two processes did, the first."""
    rows: dict[Any, dict[str, Any]] = {}
    is_grid = isinstance(study.sampler, optuna.samplers.GridSampler)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)):
        settings = {name: trial.params[name] for name in names}
        key = tuple(settings.values()) if is_grid else trial.number
        seconds = (trial.datetime_complete - trial.datetime_start).total_seconds()
        rows.setdefault(key, {**settings, "value": trial.value, "seconds": seconds})
    return list(rows.values())
