"""The parts of `itu-two-layer` that need no data set, and the whole recipe on a small one."""

import math

import numpy as np
import pytest

from fastnn import courses, data
from fastnn.courses.itu import figures, grid, sweeps, toy, two_layer
from fastnn.courses.itu.torch_random import CudaNormals, philox4x32, torch_choice
from fastnn.courses.itu.training import train_point, work_of
from fastnn.courses.pixel_rows import PixelRows, Splits

# Values that a GPU drew for torch.manual_seed(0).
W1 = [-0.924662381, -0.425343933, -2.64384580, 0.145183858, -0.120866562, -0.579725711, -0.622851512, -0.328387032]
X = [25.4409714, -7.16348934, -4.93368816, 1.26710558, 1.01356602, -4.03532505, 9.02258778, 8.09929848]


# ---- random numbers --------------------------------------------------------------------------------------------------
def test_courses_itu_philox_gives_the_words_of_its_authors():
    """The known answers that come with the authors' own code (Random123)."""
    ones, pi = 0xFFFFFFFF, [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    known = [
        ([0] * 4, 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([ones] * 4, 2**64 - 1, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (pi, 0x299F31D0A4093822, [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
    ]
    for counter, seed, words in known:
        assert philox4x32(np.array([counter], np.uint64), seed).tolist() == [words]


def test_courses_itu_cuda_normals_are_those_of_the_course():
    normals = CudaNormals(0)
    w1 = normals.randn(4, 10)
    normals.randn(10, 3)
    x = 10 * normals.randn(5, 4)
    assert w1.dtype == np.float32
    np.testing.assert_allclose(w1.ravel()[:8], W1, rtol=1e-6)
    np.testing.assert_allclose(x.ravel()[:8], X, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_courses_itu_cuda_normals_are_normal(dtype):
    sample = CudaNormals(1, max_blocks=2).randn(100, 300, dtype=dtype)
    assert sample.shape == (100, 300)
    assert len(np.unique(sample)) > 29_900  # the words are not used twice
    assert abs(sample.mean()) < 5 / math.sqrt(30_000)
    assert abs(sample.std() - 1) < 5 / math.sqrt(60_000)


def test_courses_itu_torch_choice_is_a_mersenne_twister():
    draw = torch_choice(0)
    first, second = draw(5, 200), draw(5, 200)
    # The first 32-bit words of the generator seeded with 0.
    assert first[:3].tolist() == [word % 5 for word in (2357136044, 2546248239, 3071714933)]
    assert first.dtype == np.int64
    assert 0 <= first.min() <= first.max() == 4
    assert (first != second).any()


# ---- toy data --------------------------------------------------------------------------------------------------------
def test_courses_itu_toy_scores_and_loss_are_those_of_the_course():
    net, x = toy.toy(np.float32)
    assert np.abs(net.scores(x) - toy.TOY_SCORES).sum() < 1e-10
    assert net.loss(x, toy.TOY_LABELS, 0.05) == pytest.approx(toy.TOY_LOSS, abs=2.4e-7)


def test_courses_itu_halved_gradient_explains_the_report():
    correct, halved = toy.gradient_errors(2.0), toy.gradient_errors(1.0)
    assert max(correct.values()) < 1e-4
    for name in ("W1", "W2"):
        assert halved[name] == pytest.approx(toy.REPORTED_ERRORS[name], abs=2e-6)
    assert halved["b1"] == correct["b1"]


def test_courses_itu_toy_training_tells_the_gradients_apart():
    assert toy.toy_training(2.0).losses[-1] == pytest.approx(0.5211756301, abs=1e-7)
    assert toy.toy_training(1.0).losses[-1] == pytest.approx(0.5211753202, abs=1e-7)


def test_courses_itu_grid_has_the_points_of_the_report():
    assert math.prod(len(values) for values in grid.GRID.values()) == 1512
    assert math.prod(len(values) for values in grid.PART_OF_GRID.values()) == 24
    for name, values in grid.PART_OF_GRID.items():
        assert set(values) <= set(grid.GRID[name])
    assert set(grid.BEST_OF_SIZE) == set(grid.GRID["hidden"])
    assert set(grid.BEST_OF_LR) == set(grid.GRID["lr"])


def test_courses_itu_rows_are_the_normalised_pixels(rng):
    images = rng.integers(0, 256, (5, 3, 32, 32), np.uint8)
    rows = PixelRows(images, np.array([0.1, 0.2, 0.3])[:, None, None], divisor=255)
    expected = (images / 255 - np.array([0.1, 0.2, 0.3])[:, None, None]).reshape(5, -1)
    np.testing.assert_allclose(rows[:], expected, atol=1e-15)
    np.testing.assert_allclose(rows[np.array([3, 1])], expected[[3, 1]], atol=1e-15)
    assert len(rows) == 5


# ---- the recipe ------------------------------------------------------------------------------------------------------
def test_courses_itu_recipe_runs_and_continues(tmp_path, monkeypatch, rng):
    """On random images, with a grid and steps that take a second."""

    class Images(data.Dataset):
        def __init__(self, root=None, train=True, download=False):
            n = 42_000 if train else 2_000
            labels = np.arange(n) % 10
            images = np.random.default_rng(0).integers(0, 120, (n, 3, 1, 1), np.uint8) + labels[:, None, None, None]
            super().__init__(np.broadcast_to(images.astype(np.uint8), (n, 3, 32, 32)), labels)

    monkeypatch.setattr(data, "CIFAR10", Images)
    monkeypatch.setattr(two_layer, "QUICK_GRID", {"lr": [0.05, 1.0], "hidden": [16], "reg": [1e-5], "decay": [0.92]})
    for module in (sweeps, two_layer):
        monkeypatch.setattr(module, "SWEEPS", {"hidden": ({"lr": 0.1, "reg": 1e-3}, [2, 128])})
    work = []  # forecast and done, at the end of each run
    finish = courses.Context.finish
    monkeypatch.setattr(
        courses.Context, "finish", lambda self: (work.append((self._total_work, self._done)), finish(self))
    )
    said = []
    report = courses.run("itu-two-layer", quick=True, out=tmp_path, say=said.append)
    # These images are not those of the course: only the losses on them may differ.
    assert set(report.failed) <= {"loss at step 0", "loss at step 100"}
    for name in ("toy-training", "sweep-hidden", "grid", "tuned-training", "weights-before", "weights-after"):
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
    assert (tmp_path / "weights.safetensors").exists()
    assert any(text.startswith("grid 2/2") for text in said)

    said.clear()
    again = courses.run("itu-two-layer", quick=True, out=tmp_path, say=said.append)
    assert not any(text.startswith("grid") for text in said)  # every result was kept
    assert [row.ours for row in again.rows] == [row.ours for row in report.rows]
    assert len(work) == 2
    assert all(done == pytest.approx(total) for total, done in work)  # what was stored is not work to do


def test_courses_itu_training_that_diverges_stops(tmp_path, rng):
    recipe = courses.get("itu-two-layer")
    context = courses.Context(recipe, tmp_path, say=lambda text: None)
    images = rng.integers(0, 256, (40, 3, 32, 32), np.uint8)
    rows, labels = PixelRows(images, np.zeros((3, 1, 1)), np.float32, divisor=255), np.arange(40) % 10
    splits = Splits(train=(rows, labels), val=(rows, labels), test=(rows, labels))
    settings = {"lr": 1e6, "hidden": 8, "reg": 1.0}
    _, log, finished = train_point(splits, settings, 500, 20, context, "test")
    assert not finished
    assert not math.isfinite(log.losses[-1])
    assert len(log.losses) < 500
    assert context._done == pytest.approx(500 * work_of(8, 20))  # the rest is not work to do


def test_courses_itu_figure_of_a_grid_shows_what_diverged():
    rows = [{"lr": 0.1, "hidden": 8, "value": 0.3}, {"lr": 1.0, "hidden": 8, "value": -math.inf}]
    figure = figures.grid(rows, {"lr": [0.1, 1.0], "hidden": [8]})
    assert [text.get_text() for text in figure.axes[0].texts] == ["30.0", "diverged"]
