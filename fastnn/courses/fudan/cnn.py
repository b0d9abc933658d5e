"""Fudan, project 2, first part: a network of one's own on CIFAR-10, studied variant by variant, and looked into."""

import inspect
import math
from typing import Any, NamedTuple

import numpy as np

from fastnn import models, nn, optim
from fastnn.courses.context import Context
from fastnn.courses.fudan import COURSE
from fastnn.courses.fudan import cnn_figures as figures
from fastnn.courses.fudan import cnn_final as final
from fastnn.courses.fudan.cnn_network import count_parameters, network
from fastnn.courses.fudan.cnn_plan import VALIDATION_IMAGES, Images, Plan, count, load, make_plan
from fastnn.courses.fudan.cnn_training import accuracy_of, cost, train_stage
from fastnn.courses.fudan.cnn_variants import BASELINE, BASELINE_NAMES, STUDIES, Lion, Variant
from fastnn.courses.recipe import recipe

__all__ = ["fudan_cnn", "used_optimizers"]

# Lion is what this recipe writes itself; the others are younger than the study, and too close to Adam and RMSprop to
# train everything once more.
LEFT_OUT = frozenset({optim.Adadelta, optim.Lion, optim.NAdam})

_KINDS = {
    "fully connected": nn.Linear,
    "convolution": nn.Conv2d,
    "pooling": nn.MaxPool2d,
    "activation": nn.ReLU,
    "batch norm": nn.BatchNorm2d,
    "dropout": nn.Dropout,
    "residual connection": nn.Residual,
}


class _Study(NamedTuple):
    """How a study is reported."""

    heading: str
    asked: str
    done: str


_REPORTED = {
    "filters": _Study(
        "Numbers of filters",
        "Try different numbers of neurons and filters.",
        "The first convolution has 8 to 32 filters, the later ones two and four times as many.",
    ),
    "losses": _Study(
        "Losses and regularisation",
        "Try different loss functions, with different regularisation.",
        "Other criteria, penalties on the weights, and more or less dropout. The validation loss is always the "
        "cross-entropy, so that the column can be compared; a loss that does not aim at probabilities is high there.",
    ),
    "activations": _Study(
        "Activations", "Try different activations.", "The same activation in all places, with the same learning rate."
    ),
    "optimizers": _Study(
        "Optimisers",
        "Try different optimisers, and write one.",
        "Optimisers of fastnn, each with one usual learning rate that was not searched for, and Lion, written for "
        "this recipe (its source is below).",
    ),
    "parts": _Study(
        "Batch norm and residual connections",
        "Show what the optional parts of the network bring.",
        "The baseline without one of them.",
    ),
}


@recipe(
    "fudan-cnn",
    course=COURSE,
    title="A convolutional network on CIFAR-10, studied and looked into",
    about="Studies filters, losses, activations and optimisers of a network, tests the best one and shows what it "
    "looks at.",
    options=("epochs", "n_items"),
)
def fudan_cnn(context: Context) -> None:
    plan = make_plan(context)
    images = load(context, plan)
    _announce(context, plan, images)
    _describe(context, plan)
    baseline = train_stage(context, "baseline", BASELINE, images.study, images.validation, plan.epochs)
    results = {study: _run_study(context, plan, images, study) for study in STUDIES}
    _report_seeds(context, baseline, results["seeds"])
    for study in _REPORTED:
        _report_study(context, study, baseline, results[study])
    model = final.train_final(context, plan, images, baseline, results)
    predictions = final.test(context, images, model)
    final.look(context, images, model, predictions)
    final.show_landscape(context, plan, images, model)


# ---- the network -----------------------------------------------------------------------------------------------------
def _announce(context: Context, plan: Plan, images: Images) -> None:
    variants = [BASELINE, *(variant for study in STUDIES.values() for variant in study)]
    work = len(images.study) * plan.epochs * sum(map(cost, variants))
    last = Variant("final", network={"filters": final.FINAL_FILTERS})
    work += len(images.final) * plan.final_epochs * cost(last)
    context.forecast(work, "million multiplications (of forward passes)")


def _describe(context: Context, plan: Plan) -> None:
    report = context.report
    model = network()
    report.task(
        "The network",
        "Build a network with fully connected, convolution, pooling and activation layers, and with batch norm, "
        "dropout or residual connections.",
        "All of them: three stages of convolution, batch norm, activation and pooling, residual blocks after the "
        "second and the third, then two fully connected layers with dropout between them.",
    )
    summary = models.summarize(model)
    report.table(
        "Layers of the baseline, with the shape for one image",
        ["layer", "kind", "output", "parameters", "multiplications"],
        [
            [one.path, one.kind, " x ".join(map(str, one.output_shape[1:])), one.parameters, one.multiplications]
            for one in summary.layers
        ],
    )
    for filters in (16, final.FINAL_FILTERS):
        ours = sum(parameter.size for parameter in network(filters).parameters())
        report.check(f"parameters with {filters} filters, counted by hand", count_parameters(filters), ours)
    found = sum(any(isinstance(module, kind) for module in model.modules()) for kind in _KINDS.values())
    report.check("kinds of layers", len(_KINDS), found, note=", ".join(_KINDS))
    report.text(
        f"Every variant of the studies sees the first {plan.n_items:,} training images for "
        f"{count(plan.epochs, 'epoch')} in batches of at most 128, without augmentation, and is judged by "
        f"{plan.n_validation:,} other training images. "
        "The test images are used once, at the end. Baseline: 16 filters, ReLU, dropout 0.25, cross-entropy, AdamW "
        "with learning rate 2e-3; the rate rises for a fifth of the steps and then falls to 0."
    )


# ---- studies ---------------------------------------------------------------------------------------------------------
def _run_study(context: Context, plan: Plan, images: Images, study: str) -> dict[str, dict[str, Any]]:
    """What was measured, by the variants' names."""
    return {
        variant.name: train_stage(
            context, f"{study}: {variant.name}", variant, images.study, images.validation, plan.epochs
        )
        for variant in STUDIES[study]
    }


def _add_runs(context: Context, runs: dict[str, dict[str, Any]], name: str, caption: str) -> None:
    """Table, figure and checks of some trainings, of which the first one is the baseline."""
    report = context.report
    reference = accuracy_of(next(iter(runs.values())))
    report.table(
        f"{caption}, after the last epoch",
        ["variant", "parameters", "training loss", "validation loss", "validation error, %", "minus baseline, points",
         "images/s"],
        [
            [
                label,
                result["parameters"],
                round(result["train_loss"][-1], 4),
                round(result["val_loss"][-1], 4),
                round(100 * (1 - accuracy_of(result)), 2),
                round(100 * (reference - accuracy_of(result)), 2),
                round(result["images_per_second"]),
            ]
            for label, result in runs.items()
        ],
    )  # fmt: skip
    report.figure(name, figures.compare(runs), f"{caption}: validation accuracy by epoch, and the error at the end")
    diverged = [label for label, run in runs.items() if not np.isfinite([run["train_loss"], run["val_loss"]]).all()]
    report.check(f"{caption}: trainings with a loss that is not finite", 0, len(diverged), note=", ".join(diverged))
    # Guessing is right in one of ten images, and 5 standard deviations of that more in less than one of a million runs.
    chance = 0.1 + 5 * math.sqrt(0.1 * 0.9 / VALIDATION_IMAGES)
    worst = min(runs, key=lambda label: np.nan_to_num(accuracy_of(runs[label])))
    report.check(
        f"{caption}: worst validation accuracy, better than guessing",
        chance,
        accuracy_of(runs[worst]),
        at_least=True,
        full_only=True,
        note=worst,
    )
    for label, result in runs.items():
        report.metric(f"{name}: {label}: validation accuracy", accuracy_of(result))


def _report_seeds(context: Context, baseline: dict[str, Any], others: dict[str, dict[str, Any]]) -> None:
    context.report.task(
        "What chance does", "", "The baseline was trained with three seeds of weights, order and dropout."
    )
    runs = {"baseline": baseline, **others}
    _add_runs(context, runs, "seeds", "Seeds")
    accuracies = [accuracy_of(result) for result in runs.values()]
    context.report.text(
        f"These three lie within {100 * (max(accuracies) - min(accuracies)):.2f} points, though nothing but chance "
        "distinguishes them. Every other variant was trained once: differences of this size say nothing about it."
    )
    falls = baseline["train_loss"][-1] / baseline["train_loss"][0]
    context.report.check(
        "baseline: last training loss over the first", 1.0, falls, at_most=True, full_only=True, note="it learns"
    )


def _report_study(context: Context, study: str, baseline: dict[str, Any], others: dict[str, dict[str, Any]]) -> None:
    reported = _REPORTED[study]
    context.report.task(reported.heading, reported.asked, reported.done)
    if study == "optimizers":
        left_out = {cls.__name__ for cls in LEFT_OUT}
        public = [name for name in optim.__all__ if _is_optimizer(getattr(optim, name)) and name not in left_out]
        context.report.check(
            "optimisers of fastnn that were tried", len(public), len(used_optimizers() - {Lion}), note=", ".join(public)
        )
        context.report.text(f"The optimiser of our own:\n\n```python\n{inspect.getsource(Lion).rstrip()}\n```")
    runs = {BASELINE_NAMES[study]: baseline, **others}
    _add_runs(context, runs, study, reported.heading)
    winner = max(runs, key=lambda label: np.nan_to_num(accuracy_of(runs[label])))
    context.report.text(f"Best here: {winner}, validation error {100 * (1 - accuracy_of(runs[winner])):.2f} %.")


def _is_optimizer(thing: Any) -> bool:
    """Whether it is a class that steps, not their base or what joins several."""
    others = (optim.Optimizer, optim.MultiOptimizer)
    return inspect.isclass(thing) and issubclass(thing, optim.Optimizer) and thing not in others


def used_optimizers() -> set[type]:
    """The classes of all optimisers in the studies."""
    model = network(8)
    made = [variant.optimizer(model) for variant in (BASELINE, *STUDIES["optimizers"])]
    return {type(part) for one in made for part in (one.optimizers if isinstance(one, optim.MultiOptimizer) else [one])}
