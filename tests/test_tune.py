"""Grid, random and TPE search: all points, the same points after an interruption, clear errors."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest

from fastnn import tune

GRID = {"lr": [0.1, 1.0], "hidden": [8, 16, 32], "name": ["a", None]}
SPACE = {"lr": (1e-4, 1.0, "log"), "units": (4, 64), "drop": (0.0, 0.5), "kind": ["relu", "gelu"]}


def score(settings):
    return settings["lr"] * settings["hidden"] + (settings["name"] == "a")


def smooth(settings):
    return -((math.log10(settings["lr"]) + 2) ** 2) - settings["drop"]


def points(rows):
    return [{key: value for key, value in row.items() if key not in ("value", "seconds")} for row in rows]


class StopAfter:
    """An objective that is interrupted in its n-th evaluation."""

    def __init__(self, objective, evaluations, error=KeyboardInterrupt):
        self.objective, self.left, self.error = objective, evaluations, error

    def __call__(self, settings):
        if not self.left:
            raise self.error
        self.left -= 1
        return self.objective(settings)


# ---- the grid --------------------------------------------------------------------------------------------------------
def test_tune_grid_search_evaluates_every_point_once():
    rows = tune.grid_search(score, GRID)
    expected = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    assert sorted(points(rows), key=str) == sorted(expected, key=str)
    assert [row["value"] for row in rows] == [score(point) for point in points(rows)]
    assert all(row["seconds"] >= 0 for row in rows)
    assert tune.best(rows)["value"] == 33
    assert tune.best(rows, maximize=False)["value"] == pytest.approx(0.8)


def test_tune_grid_search_order_is_the_same_every_time():
    assert points(tune.grid_search(score, GRID)) == points(tune.grid_search(score, GRID))


def test_tune_grid_search_continues_after_interruptions(tmp_path):
    path = tmp_path / "new folder" / "grid.sqlite3"
    grid = {**GRID, "hidden": [8, 16]}
    for evaluations, error in ((3, KeyboardInterrupt), (2, RuntimeError)):
        with pytest.raises(error):
            tune.grid_search(StopAfter(score, evaluations, error), grid, storage=path)
    stored, told = [], []
    rows = tune.grid_search(
        StopAfter(score, 3), grid, storage=path, on_start=stored.extend,
        on_result=lambda row, done, total: told.append((done, total)),
    )  # fmt: skip
    assert stored == rows[:5]
    assert told == [(6, 8), (7, 8), (8, 8)]
    assert sorted(points(rows), key=str) == sorted(points(tune.grid_search(score, grid)), key=str)
    assert tune.grid_search(StopAfter(score, 0), grid, storage=path) == rows  # nothing is evaluated again


def test_tune_grid_search_counts_nan_as_the_worst():
    rows = tune.grid_search(lambda p: math.nan if p["x"] == 2 else p["x"], {"x": [1, 2, 3]})
    assert tune.best(rows)["x"] == 3
    assert tune.best(rows, maximize=False)["value"] == -math.inf
    rows = tune.grid_search(lambda p: math.nan if p["x"] == 2 else p["x"], {"x": [1, 2, 3]}, maximize=False)
    assert tune.best(rows, maximize=False)["x"] == 1


def test_tune_grid_search_keeps_infinite_values_in_a_file(tmp_path):
    rows = tune.grid_search(lambda p: math.nan, {"x": [1]}, storage=tmp_path / "grid.sqlite3")
    assert rows[0]["value"] == -math.inf


def test_tune_grid_search_takes_numpy_values():
    rows = tune.grid_search(lambda p: p["x"], {"x": np.array([0.5, 1.5]), "n": np.arange(2)})
    assert {type(row["x"]) for row in rows} == {float}
    assert {type(row["n"]) for row in rows} == {int}


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({}, "empty"),
        ({"x": []}, "at least one value"),
        ({"x": [1, 1]}, "none twice"),
        ({"x": [math.nan]}, "numbers, texts"),
        ({"x": [[1]]}, "numbers, texts"),
        ({"value": [1]}, "may not be called 'value'"),
    ],
)
def test_tune_grid_search_rejects_bad_grids(grid, message):
    with pytest.raises(ValueError, match=message):
        tune.grid_search(score, grid)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tune.grid_search(None, {"x": [1]}), "grid_search: objective must be a function"),
        (lambda: tune.grid_search(len, None), "grid_search: grid must be a dict"),
        (lambda: tune.grid_search(len, {"x": "abc"}), "grid_search: x must be a list of values. Received: 'abc'"),
        (lambda: tune.grid_search(len, {"x": 3}), "grid_search: x must be a list of values"),
        (lambda: tune.grid_search(len, {3: [1]}), "grid_search: a setting is called by a text"),
        (lambda: tune.grid_search(len, {"x": [1]}, storage=3), "grid_search: storage must be the path of a file"),
        (lambda: tune.grid_search(len, {"x": [1]}, storage=""), "grid_search: storage must be the path of a file"),
        (lambda: tune.grid_search(len, {"x": [1]}, maximize="yes"), "grid_search: maximize must be True or False"),
        (lambda: tune.grid_search(len, {"x": [1]}, on_start=3), "grid_search: on_start must be a function"),
        (lambda: tune.grid_search(len, {"x": [1]}, on_result=3), "grid_search: on_result must be a function"),
        (lambda: tune.grid_search(lambda p: "1.5", {"x": [1]}), "grid_search: the value of objective must be a number"),
        (lambda: tune.search(lambda p: None, {"x": [1]}, 1), "search: the value of objective must be a number"),
        (lambda: tune.search(None, {"x": [1]}, 1), "search: objective must be a function"),
        (lambda: tune.search(len, [1], 1), "search: space must be a dict"),
        (lambda: tune.search(len, {"x": [1]}, "a"), "search: n_trials must be an integer"),
        (lambda: tune.search(len, {"x": [1]}, 1, seed=1.5), "search: seed must be an integer"),
        (lambda: tune.search(len, {"x": [1]}, 1, sampler=["tpe"]), "search: sampler must be 'tpe' or 'random'"),
        (lambda: tune.best(3), "best: rows must be a list"),
        (lambda: tune.best([3]), "best: rows must be dicts with a value"),
    ],
)
def test_tune_nonsense_is_refused_in_words(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_tune_best_of_equal_rows_is_the_first():
    rows = [{"x": 1, "value": 2.0}, {"x": 2, "value": 3.0}, {"x": 3, "value": 3.0}, {"x": 4, "value": 2.0}]
    assert (tune.best(rows)["x"], tune.best(rows, maximize=False)["x"]) == (2, 1)
    with pytest.raises(TypeError, match="best: rows must be dicts with a value"):
        tune.best([{"x": 1}])


def test_tune_value_that_is_no_number_leaves_the_point_to_be_done_again(tmp_path):
    path = tmp_path / "grid.sqlite3"
    with pytest.raises(TypeError, match="the value of objective"):
        tune.grid_search(lambda p: "a", {"x": [1, 2]}, storage=path)
    rows = tune.grid_search(lambda p: np.float32(p["x"]), {"x": [1, 2]}, storage=path)
    assert sorted(row["value"] for row in rows) == [1.0, 2.0]


def test_tune_search_of_integers_reaches_both_ends_and_of_logarithms_all_magnitudes():
    rows = tune.search(lambda p: 0, {"n": (1, 3), "lr": (1e-8, 1.0, "log")}, 60, sampler="random")
    assert {row["n"] for row in rows} == {1, 2, 3}
    below = sum(row["lr"] < 1e-4 for row in rows)
    assert 15 < below < 45  # half of them; drawn uniformly, none would be


def test_tune_reports_are_told_after_each_evaluation():
    told = []
    rows = tune.search(lambda p: p["x"], {"x": [1, 2]}, 3, on_result=lambda *one: told.append(one))
    assert told == [(rows[i], i + 1, 3) for i in range(3)]
    assert tune.search(lambda p: p["x"], {"x": [1, 2]}, 0) == []


# ---- the storage -----------------------------------------------------------------------------------------------------
def test_tune_storage_of_another_search_is_refused(tmp_path):
    path = tmp_path / "grid.sqlite3"
    rows = tune.grid_search(lambda p: p["x"], {"x": [1, 2]}, storage=path)
    with pytest.raises(ValueError, match="holds another search"):
        tune.grid_search(lambda p: p["x"], {"x": [1, 2, 3]}, storage=path)
    assert tune.grid_search(lambda p: p["x"], {"x": [1, 2]}, storage=path) == rows


def test_tune_storage_that_is_no_database_is_an_os_error(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100)
    with pytest.raises(OSError, match=r"notes\.txt cannot be opened"):
        tune.grid_search(lambda p: p["x"], {"x": [1, 2]}, storage=path)
    assert path.read_text() == "not a database\n" * 100


# ---- random points and TPE -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_tune_search_is_reproducible_and_inside_the_space(sampler):
    rows = tune.search(smooth, SPACE, 14, sampler=sampler, seed=3)
    assert len(rows) == 14
    for row in rows:
        assert 1e-4 <= row["lr"] <= 1
        assert 4 <= row["units"] <= 64
        assert isinstance(row["units"], int)
        assert 0 <= row["drop"] <= 0.5
        assert row["kind"] in ("relu", "gelu")
    assert len({row["lr"] for row in rows}) == 14
    assert points(rows) == points(tune.search(smooth, SPACE, 14, sampler=sampler, seed=3))
    assert points(rows) != points(tune.search(smooth, SPACE, 14, sampler=sampler, seed=4))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_tune_search_interrupted_gives_the_points_of_an_uninterrupted_one(tmp_path, sampler):
    path = tmp_path / "search.sqlite3"
    with pytest.raises(KeyboardInterrupt):
        tune.search(StopAfter(smooth, 4), SPACE, 12, sampler=sampler, storage=path)
    with pytest.raises(KeyboardInterrupt):
        tune.search(StopAfter(smooth, 7), SPACE, 12, sampler=sampler, storage=path)
    rows = tune.search(smooth, SPACE, 12, sampler=sampler, storage=path)
    assert points(rows) == points(tune.search(smooth, SPACE, 12, sampler=sampler))
    assert tune.search(smooth, SPACE, 5, sampler=sampler, storage=path) == rows[:5]


def test_tune_search_tpe_comes_closer_than_its_random_start():
    rows = tune.search(smooth, {"lr": (1e-6, 1e3, "log"), "drop": (0.0, 0.5)}, 40, sampler="tpe")
    first, last = (np.mean([row["value"] for row in part]) for part in (rows[:10], rows[-10:]))
    assert last > first / 4  # both are negative


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "empty"),
        ({"x": (1, 0)}, "low < high"),
        ({"x": (0.0, 1.0, "log")}, "0 < low"),
        ({"x": (0.0, math.inf)}, "low < high"),
        ({"x": (0.1, 1.0, "ln")}, "must be a list"),
        ({"x": (0.1,)}, "must be a list"),
        ({"x": (0.1, 1.0, "log", 3)}, "must be a list"),
        ({"x": ("a", "b")}, "must be a list"),
        ({"seconds": (0, 1)}, "may not be called"),
    ],
)
def test_tune_search_rejects_bad_spaces(space, message):
    with pytest.raises(ValueError, match=message):
        tune.search(smooth, space, 1)


def test_tune_search_rejects_unknown_samplers():
    with pytest.raises(ValueError, match="sampler must be 'tpe' or 'random'"):
        tune.search(smooth, SPACE, 1, sampler="grid")


def test_tune_best_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no rows"):
        tune.best([])


# ---- Optuna ----------------------------------------------------------------------------------------------------------
def test_tune_import_does_not_load_optuna():
    code = "import sys, fastnn.tune; print('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_tune_without_optuna_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install fastnn\[tune\]"):
        tune.grid_search(score, GRID)


def test_tune_leaves_optuna_as_talkative_as_it_was(capfd):
    optuna = pytest.importorskip("optuna")
    before = optuna.logging.get_verbosity()
    tune.grid_search(lambda p: p["x"], {"x": [1, 2]})
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")
