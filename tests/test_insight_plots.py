"""The confusion matrix and the pictures: what is drawn where, without a window and without pyplot."""

import io
import itertools
import sys

import numpy as np
import pytest
from oracle import output_of
from PIL import Image

from fastnn import insight, nn, training
from fastnn.training import History


# ---- confusion matrix ------------------------------------------------------------------------------------------------
def test_confusion_matrix_agrees_with_loop(rng):
    targets, predictions = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    expected = np.zeros((5, 5), int)
    for t, p in zip(targets, predictions, strict=True):
        expected[t, p] += 1
    np.testing.assert_array_equal(insight.confusion_matrix(targets, predictions), expected)
    scores = np.eye(5)[predictions]
    np.testing.assert_array_equal(insight.confusion_matrix(targets.astype(np.uint8), scores), expected)


def test_confusion_matrix_normalised_sums_to_one_along_the_right_axis():
    targets, predictions = [0, 0, 0, 1, 2], [0, 1, 1, 1, 1]
    by_true = insight.confusion_matrix(targets, predictions, 4, "true")
    np.testing.assert_allclose(by_true[0], [1 / 3, 2 / 3, 0, 0])
    np.testing.assert_array_equal(by_true.sum(axis=1), [1, 1, 1, 0])
    by_pred = insight.confusion_matrix(targets, predictions, 4, "pred")
    np.testing.assert_array_equal(by_pred[:, 1], [0.5, 0.25, 0.25, 0])
    assert insight.confusion_matrix(targets, predictions, 4, "all").sum() == pytest.approx(1)


def test_confusion_matrix_of_nothing_and_of_classes_that_do_not_occur():
    assert insight.confusion_matrix([], []).shape == (0, 0)
    np.testing.assert_array_equal(insight.confusion_matrix([], [], 2), np.zeros((2, 2)))
    assert insight.confusion_matrix([0], np.array([[0.1, 0.2, 0.7]])).shape == (3, 3)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([0, 1], [0]), ValueError, "one prediction for each target"),
        (([0, 3], [0, 1], 3), ValueError, "targets holds 3"),
        (([0, 1], [0, -1]), ValueError, "predictions holds -1"),
        (([0.0, 1.0], [0, 1]), TypeError, "targets must be integers"),
        (([0, 1], [0, 1], None, "rows"), ValueError, "normalize must be"),
    ],
)
def test_confusion_matrix_refuses_bad_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        insight.confusion_matrix(*arguments)


def test_per_class_accuracy_is_the_diagonal_and_nan_without_images():
    matrix = insight.confusion_matrix([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], 3)
    np.testing.assert_array_equal(insight.per_class_accuracy(matrix), [1 / 2, 2 / 3, np.nan])
    with pytest.raises(ValueError, match="square matrix"):
        insight.per_class_accuracy(np.zeros((2, 3)))


# ---- every plot ------------------------------------------------------------------------------------------------------
PLOTS = {
    "confusion_matrix": lambda ax: insight.plot_confusion_matrix([[3, 1], [0, 2]], ax=ax),
    "filters": lambda ax: insight.plot_filters(np.random.default_rng(0).standard_normal((5, 3, 4, 4)), ax=ax),
    "filters_table": lambda ax: insight.plot_filters(np.random.default_rng(0).standard_normal((5, 7, 3, 3)), ax=ax),
    "feature_maps": lambda ax: insight.plot_feature_maps(np.ones((5, 4, 4)), ax=ax, same_scale=True),
    "images": lambda ax: insight.plot_images(np.zeros((3, 3, 4, 4)), ["a", "b", "c"], ax=ax),
    "overlay": lambda ax: insight.plot_overlay(np.eye(4), np.eye(4), ax=ax),
    "curves": lambda ax: insight.plot_curves({"a": [1, 2], "b": [2, 3]}, ax=ax),
    "bars": lambda ax: insight.plot_bars({"a": 1.0, "b": -2.0}, ax=ax, reference=0.5),
}


@pytest.fixture(params=PLOTS)
def plot(request):
    return PLOTS[request.param]


def test_plot_draws_on_the_given_axes_or_on_new_ones_that_can_be_saved(plot, tmp_path):
    from matplotlib.figure import Figure

    left, right = Figure().subplots(1, 2)
    assert plot(left) is left
    assert left.has_data()
    assert not right.has_data()
    fresh = plot(None)
    assert fresh.figure is not plot(None).figure
    fresh.figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "plot",
    [
        lambda: insight.plot_images(np.zeros((2, 3, 4, 4))),
        lambda: insight.plot_curves({"a": [1, 2]}, ylabel="loss"),
        lambda: insight.plot_loss_landscape(insight.LossLandscape(np.arange(3.0), None, np.ones(3))),
        lambda: training.plot_history(History([{"epoch": 1, "train_loss": 1.0}])),
    ],
)
def test_plots_show_themselves_in_a_notebook(plot):
    picture = Image.open(io.BytesIO(plot()._repr_png_()))
    assert picture.format == "PNG"
    assert len(picture.getcolors(1 << 24)) > 1  # something is drawn


def test_plots_do_not_touch_pyplot():
    code = (
        "import sys; from fastnn import insight; assert 'matplotlib' not in sys.modules;"
        "insight.plot_bars({'a': 1.0}); print('matplotlib.pyplot' in sys.modules)"
    )
    assert output_of(code) == "False"
    assert "fastnn.insight" in sys.modules


# ---- what is drawn ---------------------------------------------------------------------------------------------------
def test_plot_confusion_matrix_writes_numbers_readably():
    ax = insight.plot_confusion_matrix(np.array([[30, 10], [0, 0]]), ["cat", "dog"], title="test")
    assert [text.get_text() for text in ax.texts] == ["30", "10", "0", "0"]
    assert ax.texts[0].get_color() == "white"  # on dark blue
    assert ax.texts[1].get_color() == "black"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("predicted class", "true class", "test")
    parts = insight.plot_confusion_matrix(np.array([[0.75, 0.25], [0.0, 1.0]]))
    assert parts.texts[0].get_text() == "0.75"


def test_plot_confusion_matrix_has_no_grid_in_any_style():
    import matplotlib

    with matplotlib.rc_context({"axes.grid": True}):
        ax = insight.plot_confusion_matrix([[3, 1], [0, 2]])
    lines = [*ax.get_xgridlines(), *ax.get_ygridlines()]
    assert lines
    assert not any(line.get_visible() for line in lines)


def test_plot_images_puts_each_image_in_its_place():
    batch = np.zeros((3, 1, 2, 2))
    batch[:, 0] = np.array([0.25, 0.5, 2.0])[:, None, None]
    tiles = np.asarray(insight.plot_images(batch, columns=2).images[0].get_array())
    assert tiles.shape == (5, 5, 3)
    assert (tiles[:2, :2] == 0.25).all()
    assert (tiles[:2, 3:] == 0.5).all()
    assert (tiles[3:, :2] == 1).all()  # cut off
    assert (tiles[2] == 1).all()  # the gap
    same = insight.plot_images((batch.clip(0, 1) * 255).astype(np.uint8)[:, 0], columns=2).images[0].get_array()
    np.testing.assert_allclose(np.asarray(same), tiles, atol=1 / 255)


@pytest.mark.parametrize("words", ["cat", "cat\n0.7", "cat\n0.7\ndog"])
def test_plot_images_titles_of_several_lines_cover_nothing(words):
    ax = insight.plot_images(np.zeros((4, 3, 32, 32)), [words] * 4, columns=2, title="animals")
    ax.figure.draw_without_rendering()
    texts = [text.get_window_extent() for text in (*ax.texts, ax.title)]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(texts, 2))
    lower = ax.texts[2].get_window_extent()  # of the second row; the first row of images ends above it

    end_of_first = ax.transData.transform((0, ax.texts[0].get_position()[1] + 1 + 31.5))[1]
    assert lower.y1 <= end_of_first


def test_plot_filters_stretches_each_filter_and_keeps_channel_order():
    weight = np.zeros((2, 3, 1, 2))
    weight[0, :, 0, 1] = [1, 2, 3]
    weight[1, :, 0, 1] = [10, 20, 30]
    tiles = np.asarray(insight.plot_filters(weight, columns=2).images[0].get_array())
    np.testing.assert_allclose(tiles[0, 1], [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(tiles[0, 4], [1 / 3, 2 / 3, 1])


def test_plot_filters_of_rows_undoes_either_way_to_flatten(rng):
    image = rng.random((3, 4, 4))
    image[0, 0, 0], image[1, 1, 1] = 0, 1  # stretching changes nothing
    planar = insight.plot_filters(image.reshape(1, -1))
    pixel_wise = insight.plot_filters(image.transpose(1, 2, 0).reshape(1, -1), channels_last=True)
    for ax in (planar, pixel_wise):
        np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), image.transpose(1, 2, 0))
    assert insight.plot_filters(np.ones((1, 784))).images[0].get_array().shape == (28, 28, 3)
    assert insight.plot_filters(np.ones((1, 10)), (1, 2, 5)).images[0].get_array().shape == (2, 5, 3)


def test_plot_filters_over_many_channels_is_a_table_in_one_scale():
    weight = np.zeros((2, 4, 3, 3))
    weight[1, 2] = -5
    ax = insight.plot_filters(weight)
    tiles = ax.images[0].get_array()
    assert tiles.shape == (7, 15)
    assert (tiles[4:, 8:11] == -5).all()
    assert ax.images[0].get_clim() == (-5, 5)
    assert insight.plot_filters(weight, limit=1).images[0].get_array().shape == (3, 3)


def test_plot_feature_maps_has_one_scale_or_one_for_each():
    maps = np.stack([np.eye(3), 10 * np.eye(3)])
    each = insight.plot_feature_maps(maps, columns=2).images[0].get_array()
    assert each[:, :3].max() == each[:, 4:].max() == 1
    same = insight.plot_feature_maps(maps, columns=2, same_scale=True).images[0].get_array()
    assert (same[:, :3].max(), same[:, 4:].max()) == (1, 10)


def test_plot_overlay_of_signed_map_has_zero_in_the_middle():
    heat = np.array([[1.0, -3.0], [0.0, 2.0]])
    assert insight.plot_overlay(np.zeros((3, 2, 2)), heat).images[1].get_clim() == (-3, 3)
    assert insight.plot_overlay(np.zeros((1, 2, 2)), abs(heat)).images[1].get_clim() == (0, 3)


def test_plot_overlay_in_a_grid_covers_no_neighbour():
    from matplotlib.figure import Figure

    heat = np.array([[1e4, -3e4], [0.0, 2e4]])

    def overlaps(figure):
        """Whether anything of one image, its bar included, lies over another one."""
        figure.draw_without_rendering()
        boxes = [ax.get_tightbbox() for ax in figure.axes]
        return any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))

    plain = Figure()
    for ax in plain.subplots(2, 3).flat:
        insight.plot_overlay(np.zeros((2, 2)), heat, ax)
    assert not overlaps(plain)
    assert len(plain.axes) == 6  # no bars
    roomy = Figure(figsize=(9, 5), layout="constrained")
    for ax in roomy.subplots(2, 3).flat:
        insight.plot_overlay(np.zeros((2, 2)), heat, ax, colorbar=True)
    assert not overlaps(roomy)
    assert len(roomy.axes) == 12
    assert len(insight.plot_overlay(np.zeros((2, 2)), heat).figure.axes) == 2  # alone it has one


def test_plot_curves_takes_numbers_pairs_and_histories():
    rows = [{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 2.0, "val_loss": 4.0}]
    curves = {"a": [5.0, 6.0], "b": ([0, 10], [1.0, 2.0]), "c": rows, "d": History(rows), "e": np.array([1.0])}
    ax = insight.plot_curves(curves, metric="loss", logarithmic=True)
    drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines}
    assert drawn["a"] == ([1, 2], [5, 6])
    assert drawn["b"] == ([0, 10], [1, 2])
    assert drawn["c"] == drawn["d"] == ([1, 2], [3, 2])
    assert drawn["e"] == ([1], [1])
    assert (ax.get_ylabel(), ax.get_yscale()) == ("loss", "log")
    only = insight.plot_curves({"c": rows}, metric="val_loss").lines[0]
    assert list(only.get_xdata()) == [2]
    assert only.get_marker() == "o"  # a single point shows
    assert all(tick == int(tick) for tick in only.axes.get_xticks())  # and no part of an epoch


def test_plot_curves_names_its_axes_also_for_plain_numbers():
    assert insight.plot_curves({"a": [5.0, 6.0]}).get_ylabel() == "value"
    assert insight.plot_curves({"a": [5.0, 6.0]}, ylabel="loss").get_ylabel() == "loss"
    assert insight.plot_curves({"a": [5.0, 6.0]}, ylabel="").get_ylabel() == ""  # if that is what is wanted


def test_plot_bars_writes_numbers_behind_bars():
    ax = insight.plot_bars({"a": 81.25, "b": 79.0}, errors={"a": 0.5}, number="{:.2f} %", reference=80)
    assert [text.get_text() for text in ax.texts] == ["81.25 %", "79.00 %"]
    assert ax.texts[0].xy == (81.75, 0)
    assert [patch.get_width() for patch in ax.patches] == [81.25, 79.0]
    assert ax.yaxis_inverted()


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: insight.plot_confusion_matrix(np.zeros((2, 3))), "square matrix"),
        (lambda: insight.plot_confusion_matrix(np.zeros((2, 2)), ["a"]), "2 class names"),
        (lambda: insight.plot_filters(np.zeros(3)), r"\(K, C, H, W\) or"),
        (lambda: insight.plot_filters(np.zeros((2, 7))), "image_shape"),
        (lambda: insight.plot_filters(np.zeros((2, 12)), (3, 2, 3)), "image_shape"),
        (lambda: insight.plot_feature_maps(np.zeros((2, 2))), r"\(C, H, W\) is needed"),
        (lambda: insight.plot_images(np.zeros((2, 2, 4, 4))), r"\(N, 1 or 3, H, W\)"),
        (lambda: insight.plot_images(np.zeros((2, 4, 4)), ["a"]), "2 titles"),
        (lambda: insight.plot_overlay(np.zeros((3, 4, 4)), np.zeros((3, 3))), r"heat\.shape=\(3, 3\)"),
        (lambda: insight.plot_curves({"a": [{"loss": 1.0}]}), "say which metric"),
        (lambda: insight.plot_curves({"a": [{"loss": 1.0}]}, metric="x"), "no column 'x'"),
        (lambda: insight.plot_curves({"a": ([1, 2], [1])}), "2 xs and 1 ys"),
        (lambda: insight.plot_bars({"a": 1}, errors={"b": 1}), "no bar for the errors of b"),
    ],
)
def test_plots_refuse_bad_arguments(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()


def test_plot_filters_draws_the_weights_of_layers():
    assert insight.plot_filters(nn.Conv2d(3, 8, 3).weight.data).images
    assert insight.plot_filters(nn.Linear(3072, 4).weight.data).images
