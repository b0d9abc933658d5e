"""Saarland University, High-Level Computer Vision 2020, exercise 2, last question: deeper networks from a library.

Networks of two to five linear layers, trained with Adam as the exercise sets it. With its initial values, N(0, 1e-3),
those of four and five layers learn nothing; what happens to them is measured, and cured in two ways.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import data, nn, optim
from fastnn.courses.context import Context
from fastnn.courses.hlcv import BLUE, COURSE, GREEN, N_TEST_OF_COURSE, N_TRAIN, ORANGE
from fastnn.courses.recipe import recipe
from fastnn.training.plots import count_epochs

__all__ = ["build", "hlcv_mlp", "signal_and_gradient"]

DEPTHS = (2, 3, 4, 5)  # linear layers
N_HIDDEN = 50
BATCH_SIZE = 200
LR, LR_DECAY, WEIGHT_DECAY = 1e-3, 0.95, 1e-3  # the exercise's

COURSE_INIT, KAIMING, BATCH_NORM = "N(0, 1e-3)", "Kaiming", "N(0, 1e-3) and batch norm"
VARIANTS = (COURSE_INIT, KAIMING, BATCH_NORM)
_KEYS = {COURSE_INIT: "normal", KAIMING: "kaiming", BATCH_NORM: "batchnorm"}  # of stages

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


# ---- networks --------------------------------------------------------------------------------------------------------
def build(hidden: list[int], variant: str, dropout: float = 0.0) -> nn.Sequential:
    """Linear and ReLU for each number of hidden units, and a last Linear to ten classes.

    Args:
        hidden: units of each hidden layer.
        variant: one of `VARIANTS`: how weights begin, and whether batch norm precedes each ReLU.
        dropout: part of the hidden units that is dropped.
    """
    model = nn.Sequential()
    n_in = 3072
    for n_out in hidden:
        model.append(nn.Linear(n_in, n_out))
        if variant == BATCH_NORM:
            model.append(nn.BatchNorm1d(n_out))
        model.append(nn.ReLU())
        if dropout:
            model.append(nn.Dropout(dropout))
        n_in = n_out
    model.append(nn.Linear(n_in, 10))
    for layer in model:
        if isinstance(layer, nn.Linear):
            if variant == KAIMING:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.normal_(layer.weight, std=1e-3)
            assert layer.bias is not None  # Linear's default
            nn.init.zeros_(layer.bias)
    model.input_grad = False
    return model


def signal_and_gradient(model: nn.Sequential, x: NDArray, y: NDArray) -> list[dict[str, float]]:
    """What arrives at each linear layer of a network, forwards and backwards.

    Returns:
        For each linear layer: `signal`, the standard deviation over the images of its outputs, averaged over its units,
        which is the part that tells images apart; `gradient`, the root mean square of the loss's gradient with respect
        to its weights; `decay`, the same of WEIGHT_DECAY * weights, which Adam adds to it.
    """
    criterion = nn.CrossEntropyLoss()
    signals = []
    scores = x
    for layer in model:
        scores = layer(scores)
        if isinstance(layer, nn.Linear):
            signals.append(float(scores.std(axis=0).mean()))
    criterion(scores, y)
    model.zero_grad()
    model.backward(criterion.backward())
    rows = []
    for signal, layer in zip(signals, (layer for layer in model if isinstance(layer, nn.Linear)), strict=True):
        gradient, weight = (np.asarray(array, np.float64) for array in (layer.weight.grad, layer.weight.data))
        decay = WEIGHT_DECAY * float(np.sqrt(np.mean(weight**2)))
        rows.append({"signal": signal, "gradient": float(np.sqrt(np.mean(gradient**2))), "decay": decay})
    return rows


# ---- training --------------------------------------------------------------------------------------------------------
def _normalised(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bytes to [-1, 1], as the exercise does."""
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def _predict(model: nn.Sequential, pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Classes, in eval mode."""
    model.eval()
    starts = range(0, len(pixels), 1000)
    parts = [model(_normalised(pixels[start : start + 1000])).argmax(axis=1) for start in starts]
    model.train()
    return np.concatenate(parts)


def _accuracy(model: nn.Sequential, part: Part) -> float:
    return float((_predict(model, part[0]) == part[1]).mean())


def _fit(
    context: Context,
    model: nn.Sequential,
    train: Part,
    validation: Part,
    epochs: int,
    label: str,
    *,
    weight_decay: float = WEIGHT_DECAY,
    lr_decay: float = LR_DECAY,
    augment: bool = False,
    work: float = 1.0,
) -> dict[str, Any]:
    """The exercise's training: Adam, batches of 200 in a new order each epoch, a smaller learning rate each epoch.

    With `augment`, half of the images of each epoch are mirrored.
    """
    images = train[0].reshape(-1, 3, 32, 32)  # as the data set has them: one colour after the other
    loader = data.Loader(
        images, train[1], BATCH_SIZE, shuffle=True, augment=data.RandomHorizontalFlip() if augment else None,
        mean=0.5, std=0.5, seed=context.seed,
    )  # fmt: skip
    flatten = nn.Flatten()
    optimizer = optim.Adam(model.parameters(), lr=LR, weight_decay=weight_decay)
    scheduler = optim.ExponentialLR(optimizer, lr_decay)
    criterion = nn.CrossEntropyLoss()
    rows: dict[str, list[float]] = {"loss": [], "train_accuracy": [], "val_accuracy": []}
    watched = train[0][:5000], train[1][:5000]
    for epoch in range(epochs):
        losses = []
        for x, y in context.progress(loader, f"{label}, epoch {epoch + 1} of {epochs}", len(loader), work=work):
            losses.append(criterion(model(flatten(x)), y))
            optimizer.zero_grad()
            model.backward(criterion.backward())
            optimizer.step()
        scheduler.step()
        rows["loss"].append(float(np.mean(losses)))
        rows["train_accuracy"].append(_accuracy(model, watched))
        rows["val_accuracy"].append(_accuracy(model, validation))
    return {name: np.array(values) for name, values in rows.items()}


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
    rows = images.images.reshape(len(images), -1)
    train = rows[:n_train], images.labels[:n_train]
    validation = rows[N_TRAIN:], images.labels[N_TRAIN:]
    results = _depths(context, train, validation, epochs)
    _explain(context, train, results[COURSE_INIT, max(DEPTHS)])
    best_small = max(float(result["val_accuracy"][-1]) for result in results.values())
    _best(context, train, validation, test, best_epochs, best_small)


def _depths(context: Context, train: Part, validation: Part, epochs: int) -> dict[tuple[str, int], dict[str, Any]]:
    """Every depth with every kind of initial values; returns what became of each."""
    report = context.report
    report.task(
        "Accuracy by depth",
        "Build the two-layer network with a library, and deeper ones; train them with Adam and report training and "
        "validation accuracy.",
        f"`nn.Linear` and `nn.ReLU` with {N_HIDDEN} units in each hidden layer; Adam, learning rate {LR:g} times "
        f"{LR_DECAY} per epoch, weight decay {WEIGHT_DECAY:g}, batches of {BATCH_SIZE}; epochs: {epochs}, of "
        f"{len(train[0]):,} images in [-1, 1]. Weights begin as the exercise says, N(0, 1e-3), and in two other ways. "
        "Training accuracy is that of the first 5,000 images.",
    )

    def compute(depth: int, variant: str) -> dict[str, Any]:
        model = build([N_HIDDEN] * (depth - 1), variant)
        result = _fit(context, model, train, validation, epochs, f"{depth} layers, {variant}")
        result["classes_predicted"] = len(np.unique(_predict(model, validation[0])))
        return result

    results = {}
    for variant in VARIANTS:
        for depth in DEPTHS:
            stage = context.stage(f"{_KEYS[variant]}-{depth}", partial(compute, depth, variant))
            results[variant, depth] = stage
            report.history(_history(f"{depth} layers, {variant}", stage))
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
    report.figure("depths", _depth_curves(results), "Validation accuracy by epoch, for each kind of initial values")
    return results


def _explain(context: Context, train: Part, failed: dict[str, Any]) -> None:
    """Signal and gradient in every layer of the deepest network before training, and how it ended."""
    report = context.report
    report.task(
        "Why deep networks fail with these initial values",
        "Explain the failure.",
        "The deepest network before its first step, with 1,000 training images: how much the outputs of each layer "
        "differ from image to image, and how large the gradient of its weights is beside the weight decay.",
    )
    x, y = _normalised(train[0][:1000]), train[1][:1000]

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
    report.figure("signal", _signal_figure(stage), "The network of five layers before training, layer by layer")


def _best(context: Context, train: Part, validation: Part, test: data.Dataset, epochs: int, best_small: float) -> None:
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
        result = _fit(
            context, model, train, validation, epochs, "the best network",
            weight_decay=1e-5, lr_decay=0.9, augment=True, work=_BEST_WORK,
        )  # fmt: skip
        correct = _predict(model, test.images.reshape(len(test), -1)) == test.labels
        result["test_accuracy"] = float(correct.mean())
        result["test_accuracy_of_course"] = float(correct[:N_TEST_OF_COURSE].mean())
        return {**result, "weights": dict(model.state_dict())}

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
    report.history(_history("best", stage))
    report.figure("best", _best_curves(stage), "Loss and accuracy of the best network")


def _pair(stage: dict[str, Any]) -> str:
    return f"{stage['train_accuracy'][-1]:.1%} / {stage['val_accuracy'][-1]:.1%}"


def _history(run: str, stage: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each epoch of a run."""
    names = ("loss", "train_accuracy", "val_accuracy")
    values = zip(*(stage[name].tolist() for name in names), strict=True)
    return [{"run": run, "epoch": i, **dict(zip(names, row, strict=True))} for i, row in enumerate(values, 1)]


# ---- figures ---------------------------------------------------------------------------------------------------------
_LINES = {2: (BLUE, "-", "o"), 3: (ORANGE, "--", "s"), 4: (GREEN, "-.", "^"), 5: ("#CC79A7", ":", "D")}  # by depth
_VARIANT_LINES = {COURSE_INIT: (BLUE, "-", "o"), KAIMING: (ORANGE, "--", "s"), BATCH_NORM: (GREEN, "-.", "^")}


def _depth_curves(results: dict[tuple[str, int], dict[str, Any]]) -> Any:
    """One panel for each kind of initial values, one line for each depth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), dpi=120, layout="constrained")
    for ax, variant in zip(figure.subplots(1, len(VARIANTS), sharey=True), VARIANTS, strict=True):
        for depth, (colour, line, marker) in _LINES.items():
            accuracy = 100 * results[variant, depth]["val_accuracy"]
            epochs = np.arange(1, len(accuracy) + 1)
            ax.plot(
                epochs, accuracy, color=colour, linestyle=line, marker=marker, markersize=4, label=f"{depth} layers"
            )
        ax.set_title(variant)
        count_epochs(ax)
        ax.grid(alpha=0.3)
        ax.legend()
    figure.axes[0].set_ylabel("validation accuracy (%)")
    return figure


def _signal_figure(stage: dict[str, Any]) -> Any:
    """Signal and gradient of each layer, on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    labels = {"signal": "standard deviation of outputs", "gradient": "root mean square of the weights' gradient"}
    for ax, (name, label) in zip(figure.subplots(1, 2), labels.items(), strict=True):
        for variant, (colour, line, marker) in _VARIANT_LINES.items():
            values = [layer[name] for layer in stage[_KEYS[variant]]]
            layers = range(1, len(values) + 1)
            ax.plot(layers, values, color=colour, linestyle=line, marker=marker, label=variant)
        ax.set_yscale("log")
        ax.set_xticks(layers)
        ax.set_xlabel("linear layer")
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
        ax.legend()
    return figure


def _best_curves(stage: dict[str, Any]) -> Any:
    """Loss and accuracy by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, len(stage["loss"]) + 1)
    left.plot(epochs, stage["loss"], color=BLUE, marker="o", markersize=4, label="training")
    left.set_ylabel("loss")
    right.plot(epochs, 100 * stage["train_accuracy"], color=BLUE, marker="o", markersize=4, label="training")
    right.plot(
        epochs, 100 * stage["val_accuracy"], color=ORANGE, linestyle="--", marker="s", markersize=4, label="validation"
    )
    right.set_ylabel("accuracy (%)")
    for ax in (left, right):
        count_epochs(ax)
        ax.grid(alpha=0.3)
        ax.legend()
    return figure
