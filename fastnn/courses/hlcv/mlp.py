"""Saarland University, High-Level Computer Vision 2020, exercise 2, last question: deeper networks from a library.

Networks of two to five linear layers, trained with Adam as the exercise sets it. With its initial values, N(0, 1e-3),
those of four and five layers learn nothing; what happens to them is measured, and cured in two ways.
"""

from functools import partial
from typing import Any

import numpy as np

from fastnn import data
from fastnn.courses.context import Context
from fastnn.courses.hlcv import COURSE
from fastnn.courses.hlcv import mlp_figures as figures
from fastnn.courses.hlcv.images import N_TRAIN, test_accuracies
from fastnn.courses.hlcv.mlp_network import BATCH_NORM, COURSE_INIT, KAIMING, VARIANTS, build, signal_and_gradient
from fastnn.courses.hlcv.mlp_training import BATCH_SIZE, COLUMNS, LR, LR_DECAY, WEIGHT_DECAY, fit, normalised, predict
from fastnn.courses.recipe import recipe

DEPTHS = (2, 3, 4, 5)  # linear layers
N_HIDDEN = 50

_KEYS = {COURSE_INIT: "normal", KAIMING: "kaiming", BATCH_NORM: "batchnorm"}  # of stages


# ---- the recipe ------------------------------------------------------------------------------------------------------
# The best network: hidden units, and what a step of it costs beside one of the small networks.
_BEST_HIDDEN, _BEST_WORK = [1024, 512], 8.0


@recipe(
    "hlcv-mlp",
    course=COURSE,
    title="Networks of two to five layers",
    about="Measures accuracy by depth, explains why deep networks fail with initial weights from N(0, 1e-3), and shows "
    "two cures.",
    options=("epochs",),
)
def hlcv_mlp(context: Context) -> None:
    """Depths and initial values, the reason of the failure, and the best network."""
    n_train = 5_000 if context.quick else N_TRAIN
    epochs = int(context.option("epochs", 2 if context.quick else 10))
    best_epochs = int(context.option("epochs", 1 if context.quick else 30))
    steps = -(-n_train // BATCH_SIZE)
    small = len(DEPTHS) * len(VARIANTS) * epochs * steps
    context.forecast(small + best_epochs * steps * _BEST_WORK, "steps of a network with 50 hidden units")

    images, test = context.cifar10()
    train, validation = images.subset(slice(0, n_train)), images.subset(slice(N_TRAIN, None))
    results = _depths(context, train, validation, epochs)
    _explain(context, train, results[COURSE_INIT, max(DEPTHS)])
    best_small = max(float(result["val_accuracy"][-1]) for result in results.values())
    _best(context, train, validation, test, best_epochs, best_small)


def _depths(
    context: Context, train: data.Dataset, validation: data.Dataset, epochs: int
) -> dict[tuple[str, int], dict[str, Any]]:
    """Every depth with every kind of initial values; returns what became of each."""
    report = context.report
    report.task(
        "Accuracy by depth",
        "Build the two-layer network with a library, and deeper ones; train them with Adam and report training and "
        "validation accuracy.",
        f"`nn.Linear` and `nn.ReLU` with {N_HIDDEN} units in each hidden layer; Adam, learning rate {LR:g} times "
        f"{LR_DECAY} per epoch, weight decay {WEIGHT_DECAY:g}, batches of {BATCH_SIZE}; epochs: {epochs}, of "
        f"{len(train):,} images in [-1, 1]. Weights begin as the exercise says, N(0, 1e-3), and in two other ways. "
        "Training accuracy is that of the first 5,000 images.",
    )

    def compute(key: str, depth: int, variant: str) -> dict[str, Any]:
        model = build([N_HIDDEN] * (depth - 1), variant)
        result = fit(context, key, model, train, validation, epochs)
        return {**result, "classes_predicted": len(np.unique(predict(model, validation.images)))}

    results = {}
    for variant in VARIANTS:
        for depth in DEPTHS:
            key = f"{_KEYS[variant]}-{depth}"
            results[variant, depth] = context.stage(key, partial(compute, key, depth, variant))
            _add_history(context, f"{depth} layers, {variant}", results[variant, depth])
    report.table(
        "Training / validation accuracy after the last epoch",
        ["linear layers", *VARIANTS],
        [[depth, *(_pair(results[variant, depth]) for variant in VARIANTS)] for depth in DEPTHS],
    )
    last = {key: float(stage["val_accuracy"][-1]) for key, stage in results.items()}
    for depth in (2, 3):
        what = f"{depth} layers, {COURSE_INIT}: validation accuracy"
        report.check(what, 0.48, last[COURSE_INIT, depth], at_least=True, full_only=True, note="students: 50 to 51 %")
    for depth in (4, 5):
        what = f"{depth} layers, {COURSE_INIT}: validation accuracy"
        report.check(what, 0.13, last[COURSE_INIT, depth], at_most=True, note="guessing; students: 7.8 to 11.3 %")
    for variant in (KAIMING, BATCH_NORM):
        for depth in DEPTHS:
            what = f"{depth} layers, {variant}: validation accuracy"
            report.check(what, 0.45, last[variant, depth], at_least=True, full_only=True)
    accuracies = {variant: {depth: results[variant, depth]["val_accuracy"] for depth in DEPTHS} for variant in VARIANTS}
    report.figure("depths", figures.depths(accuracies), "Validation accuracy by epoch, for each kind of initial values")
    return results


def _explain(context: Context, train: data.Dataset, failed: dict[str, Any]) -> None:
    """Signal and gradient in every layer of the deepest network before training, and how it ended."""
    report = context.report
    report.task(
        "Why deep networks fail with these initial values",
        "Explain the failure.",
        "The deepest network before its first step, with 1,000 training images: how much the outputs of each layer "
        "differ from image to image, and how large the gradient of its weights is beside the weight decay.",
    )
    x, y = normalised(train.images[:1000]), train.labels[:1000]

    def compute() -> dict[str, Any]:
        return {
            _KEYS[variant]: signal_and_gradient(build([N_HIDDEN] * (max(DEPTHS) - 1), variant), x, y)
            for variant in VARIANTS
        }

    stage = context.stage("explain", compute)
    columns = ["layer"]
    for variant in VARIANTS:
        columns += [f"{variant}: signal", "gradient", "gradient / weight decay"]
    rows: list[list[Any]] = []
    for i in range(max(DEPTHS)):
        cells: list[Any] = [i + 1]
        for variant in VARIANTS:
            layer = stage[_KEYS[variant]][i]
            ratio = layer["gradient"] / layer["decay"]
            cells += [f"{layer['signal']:.1e}", f"{layer['gradient']:.1e}", f"{ratio:.1e}"]
        rows.append(cells)
    report.table(f"The network of {max(DEPTHS)} layers before training", columns, rows)
    course, kaiming, batch_norm = (stage[_KEYS[variant]] for variant in VARIANTS)
    report.text(
        "A unit of a layer adds n products of inputs and weights; with independent weights of standard deviation s its "
        f"output is about s * sqrt(n) times its input. For s = 1e-3 and n = {N_HIDDEN} that is 0.007, and ReLU removes "
        f"half of it: what tells two images apart shrinks from {course[0]['signal']:.0e} after the first layer to "
        f"{course[-1]['signal']:.0e} after the last. The gradient shrinks by the same factors on its way back, and a "
        "weight's gradient is a product of both, so it is tiny in **every** layer. Adam would still stretch it to "
        "steps of full size, since it divides by the gradient's own size, but what it divides is the sum of gradient "
        f"and weight decay: in the first layer the gradient is {course[0]['gradient'] / course[0]['decay']:.0e} of the "
        "decay. So Adam follows the decay, which knows nothing of the images. What the network answers is left to the "
        f"last layer's bias: after training it names {failed['classes_predicted']} of the ten classes for all 1,000 "
        "validation images.\n\n"
        "**Kaiming's initial values** have s = sqrt(2 / n), which keeps the signal's size from layer to layer "
        f"(after the last layer {kaiming[-1]['signal']:.1g}). **Batch norm** keeps the small weights, but divides the "
        f"outputs of every hidden layer by their own standard deviation (after the last layer "
        f"{batch_norm[-1]['signal']:.0e}), and in backward the gradient by the same number, which makes it large. "
        "Either makes five layers learn like two."
    )
    report.check(
        f"{COURSE_INIT}: gradient / weight decay, first layer", 0.1, course[0]["gradient"] / course[0]["decay"],
        at_most=True, note="Adam follows the weight decay",
    )  # fmt: skip
    report.check(f"{COURSE_INIT}: classes named after training", 1, failed["classes_predicted"])
    for variant, layers in ((KAIMING, kaiming), (BATCH_NORM, batch_norm)):
        ratio = layers[0]["gradient"] / layers[0]["decay"]
        report.check(
            f"{variant}: gradient / weight decay, first layer", 1.0, ratio, at_least=True, note="Adam follows the loss"
        )
    layers = {variant: stage[_KEYS[variant]] for variant in VARIANTS}
    report.figure("signal", figures.signal(layers), "The network of five layers before training, layer by layer")


def _best(
    context: Context, train: data.Dataset, validation: data.Dataset, test: data.Dataset, epochs: int, best_small: float
) -> None:
    """A wide network with all that helps, and the only look at the test images.

    `best_small` is the validation accuracy of the best network so far.
    """
    report = context.report
    report.task(
        "The best network",
        "Find the best network by validation accuracy and test it.",
        f"Three layers with {' and '.join(map(str, _BEST_HIDDEN))} hidden units, batch norm, dropout 0.3, half of the "
        f"images mirrored, weight decay 1e-5, learning rate times 0.9 per epoch; epochs: {epochs}.",
    )

    def compute() -> dict[str, Any]:
        model = build(_BEST_HIDDEN, BATCH_NORM, dropout=0.3)
        result = fit(
            context, "best", model, train, validation, epochs,
            weight_decay=1e-5, lr_decay=0.9, augment=True, work=_BEST_WORK,
        )  # fmt: skip
        tested = test_accuracies(predict(model, test.images) == test.labels)
        return {**result, **tested, "weights": dict(model.state_dict())}

    stage = context.stage("best", compute)
    val_accuracy = float(stage["val_accuracy"][-1])
    report.check("best network: validation accuracy", 0.55, val_accuracy, at_least=True, full_only=True)
    report.metric("best_test_accuracy", stage["test_accuracy"])
    report.metric("best_test_accuracy_of_course", stage["test_accuracy_of_course"])
    report.text(
        f"Training {stage['train_accuracy'][-1]:.1%}, validation {val_accuracy:.1%}, where the best of the networks "
        f"with {N_HIDDEN} units has {best_small:.1%}. Tested once: "
        f"{stage['test_accuracy']:.1%} of the 10,000 test images, {stage['test_accuracy_of_course']:.1%} of the first "
        "1,000, which are all that the exercise looks at."
    )
    _add_history(context, "best", stage)
    report.figure("best", figures.best_curves(stage), "Loss and accuracy of the best network")


def _pair(stage: dict[str, Any]) -> str:
    return f"{stage['train_accuracy'][-1]:.1%} / {stage['val_accuracy'][-1]:.1%}"


def _add_history(context: Context, run: str, stage: dict[str, Any]) -> None:
    """A line for each epoch of a run."""
    epochs = range(1, len(stage["loss"]) + 1)
    context.report.curves({"epoch": epochs, **{name: stage[name] for name in COLUMNS}}, run=run)
