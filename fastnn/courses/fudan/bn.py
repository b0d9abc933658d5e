"""Fudan, project 2, second part: VGG-A with and without batch norm, and why batch norm helps."""

from typing import Any

import numpy as np

from fastnn import data, models, training
from fastnn.courses.context import Context
from fastnn.courses.drawing import BLUE, ORANGE, finish, new_figure
from fastnn.courses.fudan import COURSE
from fastnn.courses.fudan.bn_landscape import report_landscape, report_published_band
from fastnn.courses.fudan.bn_published import NORMED, PLAIN, PUBLISHED_ACCURACY
from fastnn.courses.fudan.bn_smoothness import report_smoothness
from fastnn.courses.fudan.bn_training import ALL_IMAGES, BATCH_SIZE, Result, load, steps_of, train, work_of
from fastnn.courses.recipe import recipe

LEARNING_RATES = (1e-3, 2e-3, 1e-4, 5e-4)
MAIN_RATE = LEARNING_RATES[0]  # of the curves, and of the full run
COURSE_EPOCHS = 20

NETWORKS: dict[str, dict[str, Any]] = {
    "vgg_a": {PLAIN: models.vgg_a, NORMED: models.vgg_a_bn},
    "vgg_a_light": {PLAIN: models.vgg_a_light, NORMED: models.vgg_a_light_bn},
}


@recipe(
    "fudan-bn",
    course=COURSE,
    title="VGG-A with and without batch normalisation",
    about="Trains VGG-A with and without batch norm at four learning rates and compares their losses and how smooth "
    "their gradients are; --full adds the course's own 20 epochs on all images.",
    options=("epochs", "n_items", "model", "full"),
    version=2,
)
def fudan_bn(context: Context) -> None:
    """Train both networks at each learning rate, probe the gradient on the way, and compare."""
    model = context.option("model", "vgg_a_light" if context.quick else "vgg_a")
    if model not in NETWORKS:
        raise ValueError(f"fudan-bn: model must be one of {', '.join(NETWORKS)}. Received: {model!r}")
    n_items = context.option("n_items", 2560 if context.quick else 10_000)
    if not 1 <= n_items <= ALL_IMAGES:
        raise ValueError(f"fudan-bn: n_items must be in [1, {ALL_IMAGES}]. Received: {n_items!r}")
    epochs = context.option("epochs", 2 if context.quick else 5)
    full = context.option("full", False) and not context.quick
    images = load(context, n_items)

    total = work_of(context, steps_of(n_items, epochs)) * len(NETWORKS[model]) * len(LEARNING_RATES)
    if full:
        total += 2 * work_of(context, steps_of(ALL_IMAGES, COURSE_EPOCHS))
    context.forecast(total, "gradients of a batch")

    runs: dict[str, dict[float, Result]] = {name: {} for name in NETWORKS[model]}
    for rate in LEARNING_RATES:
        for name, build in NETWORKS[model].items():
            key = f"{name}, learning rate {rate:g}"
            runs[name][rate] = _stage(context, key, build, rate, epochs, *images)
            context.report.history([{"network": name, "lr": rate, **row} for row in runs[name][rate]["rows"]])

    setting = f"{model}, {n_items:,} training images, {epochs:g} epochs, {len(images[1]):,} validation images"
    is_course = model == "vgg_a" and n_items == ALL_IMAGES and epochs == COURSE_EPOCHS
    _report_networks(context, runs, setting)
    report_landscape(context, runs, is_vgg_a=model == "vgg_a")
    report_published_band(context)
    report_smoothness(context, runs, MAIN_RATE)
    if full and not is_course:
        images = load(context, ALL_IMAGES)
        course_runs = {
            name: _stage(context, f"{name}, all images", build, MAIN_RATE, COURSE_EPOCHS, *images)
            for name, build in NETWORKS["vgg_a"].items()
        }
        _report_full(context, course_runs)
    else:
        _report_full(context, {name: runs[name][MAIN_RATE] for name in runs} if is_course else {})


def _stage(
    context: Context, key: str, build: Any, rate: float, epochs: float, images: data.Dataset, validation: data.Dataset
) -> Result:
    """A training, whose result is stored, and at the main rate its weights too."""

    def compute() -> Result:
        model, result = train(context, key, build, rate, epochs, images, validation)
        if rate == MAIN_RATE:
            name = key.partition(",")[0].lower().replace(" ", "-") + ("-all-images" if "all images" in key else "")
            training.save_weights(model, context.out / f"{name}.safetensors")
        return result

    return context.stage(key, compute)


# ---- report ----------------------------------------------------------------------------------------------------------
def _report_networks(context: Context, runs: dict[str, dict[float, Result]], setting: str) -> None:
    report = context.report
    report.task(
        "VGG-A with and without batch norm",
        asked="Add batch norm to VGG-A, train both networks and compare their training.",
        done=f"Trained both with Adam at four learning rates, batches of {BATCH_SIZE}, pixels in [-1, 1], no "
        f"augmentation; all start from the same random seed. This run: {setting}.",
    )
    for name, expected, build in (
        (PLAIN, 9_750_922, models.vgg_a),
        (NORMED, 9_756_426, models.vgg_a_bn),
        ("the light VGG-A", 285_162, models.vgg_a_light),
    ):
        report.check(f"parameters of {name}", expected, sum(parameter.size for parameter in build().parameters()))
    report.figure(
        "training_curves",
        _draw_curves({name: results[MAIN_RATE] for name, results in runs.items()}),
        f"Training loss and validation accuracy of both networks at learning rate {MAIN_RATE:g}.",
    )
    report.table(
        "Best validation accuracy in % at each learning rate. The published numbers are those of VGG-A after "
        f"{COURSE_EPOCHS} epochs on all images, where batch norm loses at 1e-4.",
        ["network", "learning rate", "this run", "published, 20 epochs, all images", "last training loss of this run"],
        [
            [
                name,
                f"{rate:g}",
                f"{result['val_accuracy'].max():.2f}",
                f"{PUBLISHED_ACCURACY[name][rate]:.2f}",
                f"{result['train_loss'][-1]:.3f}",
            ]
            for name, results in runs.items()
            for rate, result in sorted(results.items())
        ],
    )
    for name, results in runs.items():
        for rate, result in results.items():
            report.metric(f"best validation accuracy of {name} at {rate:g}", float(result["val_accuracy"].max()))


def _draw_curves(results: dict[str, Result]) -> Any:
    figure = new_figure(10, 4)
    loss_ax, accuracy_ax = figure.subplots(1, 2)
    styles = ({"color": BLUE, "linestyle": "-"}, {"color": ORANGE, "linestyle": "--"})
    for style, (name, result) in zip(styles, results.items(), strict=True):
        losses = result["losses"]
        every = max(1, len(losses) // 100)
        means = losses[: len(losses) // every * every].reshape(-1, every).mean(axis=1)
        epochs_per_step = len(result["val_accuracy"]) / len(losses)
        loss_ax.plot(
            (np.arange(len(means)) + 1) * every * epochs_per_step, means, label=name, linewidth=1.3,
            marker="o" if len(means) == 1 else None, **style,
        )  # fmt: skip
        accuracy = result["val_accuracy"]
        accuracy_ax.plot(np.arange(len(accuracy)) + 1, accuracy, marker="o", markersize=4, label=name, **style)
    loss_ax.set_ylabel("training loss")
    accuracy_ax.set_ylabel("validation accuracy (%)")
    finish(loss_ax, accuracy_ax)
    return figure


def _report_full(context: Context, results: dict[str, Result]) -> None:
    """Against the published accuracies, if the course's setting was run: `results` at the main rate, or nothing."""
    report = context.report
    report.task(
        "The course's setting in full",
        asked=f"VGG-A with and without batch norm, all images, {COURSE_EPOCHS} epochs.",
        done=f"Learning rate {MAIN_RATE:g}, best validation accuracy against the published one.",
    )
    if not results and not context.quick:
        report.text("Not run: it takes hours. `fastnn reproduce fudan-bn --full` does it.")
        return
    for name, published in PUBLISHED_ACCURACY.items():
        ours = float(results[name]["val_accuracy"].max()) if results else None
        report.check(f"validation accuracy in %, {name}", published[MAIN_RATE], ours, tolerance=1.5, full_only=True)
    if results:
        report.figure(
            "training_curves_full",
            _draw_curves(results),
            f"Training loss and validation accuracy on all images at learning rate {MAIN_RATE:g}.",
        )
