"""How the loss moves: stuck at chance, learning rate too low or too high, labels without meaning, overfitting."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastnn.doctor.findings import Finding
from fastnn.doctor.probe import Probe
from fastnn.doctor.trial import Trial

__all__ = ["Gap", "examine_gap", "examine_probe", "examine_rate", "is_stuck", "stuck_at_chance"]

# The loss of a network that knows nothing but the shares of the classes, to 2 %: random scores give a little more.
NEAR_CHANCE = 0.02
# A trial in which the loss falls by less than a hundredth of what it was has moved nothing.
STANDS_STILL = 0.01
# A learning rate is too low if another one, at least 10 times as high, lets the loss fall by 20 times as much, and by
# more than twice of what counts as standing still. That of the range test is tried first, then these.
FACTORS_UP = (100.0, 1e4, 10.0, 1e3, 1e5)
FASTER = 20.0
# It is too high if it ends no better than a network that knows nothing, also after four times as many steps, since
# losses rise at first in many trainings that work, and a lower one ends clearly below that. Without such a measure: if
# it doubles the loss, and a lower one does not raise it. Where the loss becomes vast or NaN, it is enough that a lower
# one does not raise it.
LONGER = 4
FACTORS_DOWN = (0.1, 0.01, 0.001, 0.0001)
DOUBLED = 2.0
# An accuracy that is above chance by less than two standard errors may be chance: it is so in 1 of 44 cases.
AT_CHANCE = 2.0
# Six standard errors: by chance once in 1e9.
ABOVE_CHANCE = 6.0
# Training and validation accuracy of good networks of these sizes differ by some 5 points, without augmentation by 10
# to 20; by a quarter of all images, a network knows its training images by heart.
LARGEST_GAP = 0.25


@dataclass
class Gap:
    """Loss and accuracy on training and validation images in eval mode.

    Attributes:
        train_loss, val_loss: means.
        train_accuracy, val_accuracy: NaN without classes.
        images: the smaller number of images.
    """

    train_loss: float
    val_loss: float
    train_accuracy: float = math.nan
    val_accuracy: float = math.nan
    images: int = 0


def is_stuck(trial: Trial, unit: float | None) -> bool:
    """Whether the loss stands still at that of a network that knows nothing."""
    return unit is not None and abs(trial.end - unit) < NEAR_CHANCE * unit and abs(trial.decrease) < STANDS_STILL


def stuck_at_chance(trial: Trial, unit: float, classes: int, steps: int) -> Finding:
    """The finding that it does."""
    return Finding(
        "loss_stuck_at_chance",
        "warning",
        f"the loss went from {trial.start:.4g} to {trial.end:.4g} in {steps} steps; knowing nothing of the images "
        f"gives {unit:.4g} with {classes} classes (ln {classes} = {math.log(classes):.4g})",
        "the network gives the same answer for all images: see the other findings for why",
        "overfit one batch first: fit(model, [(x, y)], epochs=100) must bring its loss near 0",
    )


def examine_rate(
    trial: Trial,
    lr: float,
    unit: float | None,
    steps: int,
    scheduled: bool,
    again: Callable[[float, int], Trial],
    suggest: Callable[[], float | None],
) -> list[Finding]:
    """Whether the learning rate is too high or too low, confirmed by trials with others.

    Args:
        trial: with the learning rate as it is.
        lr: the learning rate.
        unit: the loss of a network that knows nothing, or None.
        steps: of each trial.
        scheduled: whether a schedule sets the learning rate, so that a low one may be its beginning or its end.
        again: makes a trial with the learning rate times a factor, of so many steps.
        suggest: makes a range test, and gives its suggestion.
    """
    if not lr > 0:
        return []
    if _fails(trial, unit) and (trial.diverged or _fails(again(1.0, LONGER * steps), unit)):
        whole = None  # the first factor with which the loss at least stays where it is
        for factor in FACTORS_DOWN:
            other = again(factor, steps)
            if _works(other, unit):
                return [_too_high(trial, other, lr, factor, steps, suggest())]
            if whole is None and other.decrease > -STANDS_STILL:
                whole = factor, other
        if trial.diverged and whole is not None:
            return [_too_high(trial, whole[1], lr, whole[0], steps, suggest())]
    is_untrained = unit is None or trial.start > unit / 2
    if not trial.diverged and is_untrained and abs(trial.decrease) < STANDS_STILL:
        suggestion = suggest()
        first = [] if suggestion is None or suggestion < 10 * lr else [suggestion / lr]
        for factor in [*first, *FACTORS_UP]:
            other = again(factor, steps)
            if other.decrease > max(2 * STANDS_STILL, FASTER * trial.decrease):
                return [_too_low(trial, other, lr, factor, steps, scheduled, suggestion)]
    return []


def _fails(trial: Trial, unit: float | None) -> bool:
    """Whether the network is no better after the trial than one that knows nothing."""
    if trial.diverged:
        return True
    if unit is None:
        return trial.end > DOUBLED * abs(trial.start)
    return trial.end > (1 - NEAR_CHANCE) * unit and trial.end > (1 - NEAR_CHANCE) * min(trial.start, 2 * unit)


def _works(trial: Trial, unit: float | None) -> bool:
    if trial.diverged:
        return False
    return trial.decrease > 0 if unit is None else trial.end < (1 - NEAR_CHANCE) * unit


def _suggested(lr: float | None) -> str:
    return "" if lr is None else f"; the range test suggests {lr:.2g}"


def _too_high(trial: Trial, other: Trial, lr: float, factor: float, steps: int, suggestion: float | None) -> Finding:
    end = "diverged" if trial.diverged else f"went from {trial.start:.4g} to {trial.end:.4g}"
    return Finding(
        "learning_rate_too_high",
        "warning",
        f"with lr {lr:.3g} the loss {end} in {steps} steps; with {lr * factor:.3g} it went from {other.start:.4g} to "
        f"{other.end:.4g}{_suggested(suggestion)}",
        "a learning rate that is too high for this network, batch size and optimiser",
        f"lr={suggestion if suggestion is not None and suggestion < lr else lr * factor:.2g}",
    )


def _too_low(
    trial: Trial, other: Trial, lr: float, factor: float, steps: int, scheduled: bool, suggestion: float | None
) -> Finding:
    return Finding(
        "learning_rate_too_low",
        "note" if scheduled else "warning",
        f"with lr {lr:.3g} the loss went from {trial.start:.4g} to {trial.end:.4g} in {steps} steps; with "
        f"{lr * factor:.3g} it went to {other.end:.4g}{_suggested(suggestion)}",
        "the beginning or the end of a schedule" if scheduled else "a learning rate that is too low",
        f"lr={suggestion if suggestion is not None and suggestion > lr else lr * factor:.2g}",
    )


def examine_probe(probe: Probe, learns: bool) -> list[Finding]:
    """Whether labels belong to their images.

    Args:
        probe: of the training images.
        learns: whether the network itself learned something, which labels without meaning do not let it.
    """
    shift = max((0, 1), key=lambda index: probe.shifted[index])
    at_chance = probe.accuracy < probe.chance + AT_CHANCE * probe.error
    evidence = (
        f"a linear classifier on random features gets {probe.accuracy:.1%} of {probe.tested} images right that it was "
        f"not trained on; always the most frequent class gets {probe.chance:.1%}"
    )
    if at_chance and probe.shifted[shift] > probe.chance + ABOVE_CHANCE * probe.error:
        side = ("before", "after")[shift]
        return [
            Finding(
                "labels_shifted",
                "error",
                f"{evidence}; with the label of the image {side} it, it gets {probe.shifted[shift]:.1%}",
                "images and labels are out of step by one: a header counted as data, or one of them cut at one end",
                "draw images with their labels, and count both again",
            )
        ]
    if at_chance and not learns:
        return [
            Finding(
                "labels_random",
                "warning",
                evidence,
                "labels do not belong to their images: one of both was shuffled or sorted alone",
                "permute images and labels with one and the same index, and draw images with their labels",
            )
        ]
    return []


def examine_gap(gap: Gap) -> list[Finding]:
    """Whether the network knows the training images by heart."""
    difference = gap.train_accuracy - gap.val_accuracy
    if not math.isfinite(difference) or not gap.images:
        return []
    error = math.sqrt(0.5 / gap.images)  # of a difference of two shares, at most
    if difference < LARGEST_GAP + AT_CHANCE * error or gap.val_loss <= gap.train_loss:
        return []
    return [overfitting(gap, "")]


def overfitting(gap: Gap, since: Any) -> Finding:
    """The finding that it does."""
    return Finding(
        "overfitting",
        "warning",
        f"accuracy is {gap.train_accuracy:.1%} on training and {gap.val_accuracy:.1%} on validation images, the loss "
        f"{gap.train_loss:.3g} and {gap.val_loss:.3g}{since}",
        "the network learns its training images by heart: too few images, or too many epochs",
        "augmentation (data.RandomCrop, data.RandomHorizontalFlip), weight decay, dropout, training.EarlyStopping, "
        "more images",
    )
