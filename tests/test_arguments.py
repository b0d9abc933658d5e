"""Bad arguments of what is built on the layers: one sentence that names the function, the argument, what came."""

import numpy as np
import pytest

import fastnn
from fastnn import courses, insight, models, nn, tune

X, Y = np.ones((2, 3), np.float32), np.array([0, 1])
LOSS = nn.CrossEntropyLoss()

CASES = {
    "summarize a class": (lambda: models.summarize(nn.ReLU, (1, 3)), r"summarize: model must be .* ReLU\(...\)"),
    "observe": (lambda: models.observe(None, print).__enter__(), "observe: model must be an nn.Module. Received: None"),
    "create": (lambda: models.create(["resnet20"]), r"create: there is no model \['resnet20'\]; choose from"),
    "classes": (lambda: models.vgg_a(num_classes="a"), "vgg_a: num_classes must be an integer. Received: 'a'"),
    "widths": (lambda: models.resnet20(widths=()), "resnet20: widths must be one or more positive integers"),
    "stages": (lambda: models.vgg_a_bn(stages=3), "vgg_a_bn: stages must be a list of lists of channels. Received: 3"),
    "factor": (lambda: models.Scale("a"), "Scale: factor must be a number. Received: 'a'"),
    "momentum": (lambda: models.Airbench(bn_momentum=2), "Airbench: bn_momentum must be >= 0 and <= 1. Received: 2"),
    "whiten": (lambda: models.airbench94().whiten(np.ones(3)), "whiten: images .* Received: images.shape"),
    "profile loss": (
        lambda: fastnn.profile(nn.ReLU(), X, Y, loss=nn.MSELoss),
        r"profile: loss must be callable; make an instance: MSELoss\(...\)",
    ),
    "profile optimizer": (
        lambda: fastnn.profile(nn.ReLU(), X, Y, optimizer=0.1),
        "profile: optimizer .* 0.1",
    ),
    "landscape": (
        lambda: insight.loss_landscape(nn.ReLU(), LOSS, [X]),
        r"loss_landscape: batches must hold pairs \(x, y\)",
    ),
    "criterion": (
        lambda: insight.loss_landscape(nn.ReLU(), nn.MSELoss, [(X, Y)]),
        "loss_landscape: criterion must be callable; make an instance",
    ),
    "probe": (lambda: insight.probe_gradient(1, LOSS, X, Y, [1.0]), "probe_gradient: model must be an nn.Module"),
    "saliency": (lambda: insight.saliency("a", X), "saliency: model must be an nn.Module. Received: 'a'"),
    "confusion": (lambda: insight.confusion_matrix(Y, Y, "a"), "confusion_matrix: num_classes must be an integer"),
    "ragged": (lambda: insight.per_class_accuracy([[1], [1, 2]]), "per_class_accuracy: matrix cannot be made an array"),
    "ax": (lambda: insight.plot_bars({"a": 1}, 3), "plot_bars: ax must be axes of matplotlib. Received: 3"),
    "number": (lambda: insight.plot_bars({"a": 1}, number="{:q}"), "plot_bars: number must be a format"),
    "curves": (lambda: insight.plot_curves([1, 2]), r"plot_curves: curves must be a dict. Received: \[1, 2\]"),
    "band": (
        lambda: insight.plot_lr_band({"a": ([1], [1, 2])}),
        "plot_lr_band: bands: 'a' has 1 smallest and 2",
    ),
    "series": (
        lambda: insight.plot_beta_smoothness({"a": 3}),
        "plot_beta_smoothness: series must hold two",
    ),
    "levels": (
        lambda: insight.plot_loss_landscape(insight.LossLandscape(np.ones(1), None, np.ones(1)), levels=0),
        "plot_loss_landscape: levels must be >= 2. Received: 0",
    ),
    "limit": (lambda: insight.plot_filters(np.ones((2, 3, 3, 3)), limit=-1), "plot_filters: limit must be >= 1"),
    "compare": (lambda: insight.compare_gradients(None, {}, {}), "compare_gradients: function must be callable"),
    "gradients": (
        lambda: insight.compare_gradients(lambda: 0.0, {"w": np.ones(1)}, {"w": None}),
        r"compare_gradients: gradients\['w'\] must hold numbers",
    ),
    "grid": (lambda: tune.grid_search(print, [1]), r"grid_search: grid must be a dict. Received: \[1\]"),
    "best": (lambda: tune.best([{"lr": 1}]), "best: rows must be dicts with a value. Received: .'lr': 1."),
    "recipe": (lambda: courses.get(None), "get: name must be a text. Received: None"),
    "out": (lambda: courses.Report("a", None), "Report: out must be the name of a file or folder. Received: None"),
    "quick": (lambda: courses.default_folder("a", "no"), "default_folder: quick must be True or False. Received: 'no'"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_argument_is_named(case):
    call, words = CASES[case]
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def test_report_refuses_what_it_could_not_write(tmp_path):
    report = courses.Report("title", tmp_path)
    for call, words in (
        (lambda: report.check("a", 1, 1, tolerance="b"), "check 'a': tolerance must be a number. Received: 'b'"),
        (lambda: report.check("a", [[1], [1, 2]], 1), "check: expected cannot be made an array"),
        (lambda: report.table("t", 3, []), "table: columns must be a list. Received: 3"),
        (lambda: report.table("t", ["a"], [3]), "table: each of rows must be a list. Received: 3"),
        (lambda: report.metric([1], 2), r"metric: name must be a text. Received: \[1\]"),
        (lambda: report.history([1]), "history: each of rows must be a dict. Received: 1"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            call()
    assert report.tasks == []
