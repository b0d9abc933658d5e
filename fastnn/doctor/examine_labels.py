"""Labels: out of range, off by one, classes that never occur, imbalance, and the order in which they come."""

import math

import numpy as np
from numpy.typing import NDArray

from fastnn.doctor._samples import Sample
from fastnn.doctor.findings import Finding

__all__ = ["entropy", "examine_labels", "examine_order"]

# A class of which so many images were to be expected, and none came: by chance once in exp(20) = 5e8.
EXPECTED = 20.0
# Buda et al., 2018, "A systematic study of the class imbalance problem": accuracy suffers from a ratio of about 10.
LARGEST_RATIO = 10.0
# Neighbours in the order have the same label this much of the way from what chance gives to always.
SORTED = 0.5
# With fewer labels, an order says nothing.
LEAST_LABELS = 64


def entropy(labels: NDArray, classes: int) -> float:
    """The loss of a network that knows how often each class occurs, and nothing else; ln C if all are as frequent.

    Example:
        >>> round(entropy(np.array([0, 1, 0, 1]), 2), 4)
        0.6931
    """
    shares = np.bincount(labels[(labels >= 0) & (labels < classes)], minlength=classes) / max(len(labels), 1)
    return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())


def examine_labels(sample: Sample, classes: int, ignore_index: int = -100) -> list[Finding]:
    """Findings about the labels of one loader, for a network of `classes` outputs."""
    if sample.labels is None:
        return []
    labels = sample.labels[sample.labels != ignore_index]
    if not len(labels):
        return []
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        return [_out_of_range(sample, low, high, classes)]
    counts = np.bincount(labels, minlength=classes)
    is_sorted = _sortedness(sample) > SORTED and not sample.complete
    missing = np.flatnonzero(counts == 0)
    found = []
    if len(missing) and not is_sorted:
        found += _missing(sample, missing, counts, classes)
    if not is_sorted:
        found += _imbalance(sample, counts)
    return found


def _out_of_range(sample: Sample, low: int, high: int, classes: int) -> Finding:
    evidence = f"labels lie in {low}..{high}, and the network has {classes} outputs, for 0..{classes - 1}"
    if low >= 1 and high == classes:
        return Finding(
            "labels_off_by_one",
            "error",
            evidence,
            "classes are counted from 1",
            "subtract 1 from all labels",
            sample.name,
        )
    return Finding(
        "output_width",
        "error",
        evidence,
        "the last layer does not have one output for each class"
        if low >= 0
        else "labels that stand for 'none' as negative numbers",
        f"let the last layer have {high + 1} outputs"
        if low >= 0
        else "give the loss their number as ignore_index, or leave them out",
        sample.name,
    )


def _missing(sample: Sample, missing: NDArray, counts: NDArray, classes: int) -> list[Finding]:
    n = int(counts.sum())
    present = classes - len(missing)
    if n < EXPECTED * classes:
        return []
    if len(missing) == 1 and missing[0] == 0 and present >= 2:
        return [
            Finding(
                "labels_off_by_one",
                "warning",
                f"class 0 never occurs in {n} labels, and every class of 1..{classes - 1} does",
                f"classes are counted from 1, and the network has an output too many, {classes}",
                f"subtract 1 from all labels, and let the last layer have {classes - 1} outputs",
                sample.name,
            )
        ]
    top = int(np.flatnonzero(counts).max())
    if len(missing) == classes - 1 - top:
        return [
            Finding(
                "output_width",
                "warning",
                f"labels lie in 0..{top} ({n} of them), and the network has {classes} outputs",
                "the last layer has outputs for classes that do not exist",
                f"let the last layer have {top + 1} outputs",
                sample.name,
            )
        ]
    shown = ", ".join(map(str, missing[:8].tolist()))
    return [
        Finding(
            "class_never_occurs",
            "warning",
            f"of {classes} classes {len(missing)} never occur in {n} labels: {shown}",
            "a part of the data set is missing, or labels are not numbered from 0 without gaps",
            "count the labels with np.bincount, and number the classes anew",
            sample.name,
        )
    ]


def _imbalance(sample: Sample, counts: NDArray) -> list[Finding]:
    present = counts[counts > 0]
    if len(present) < 2 or present.sum() < EXPECTED * len(present):
        return []
    ratio = present.max() / present.min()
    if ratio < LARGEST_RATIO:
        return []
    share = present.max() / present.sum()
    return [
        Finding(
            "class_imbalance",
            "warning",
            f"class {int(counts.argmax())} has {counts.max()} images ({share:.0%}), and the rarest {present.min()}, "
            f"1 to {ratio:.0f}",
            "the data set has few images of some classes",
            "look at insight.per_class_accuracy beside the accuracy; weigh classes with "
            "nn.CrossEntropyLoss(weight=...), or draw rare ones more often",
            sample.name,
        )
    ]


def _sortedness(sample: Sample) -> float:
    """How much more often neighbours have one label than chance has it, from 0 (as often) to 1 (always)."""
    order = sample.order
    if order is None or len(order) < LEAST_LABELS:
        return 0.0
    everything = order if sample.labels is None else sample.labels
    shares = np.bincount(everything - everything.min()) / len(everything)
    chance = float(np.square(shares).sum())
    if chance > 0.9:
        return 0.0
    same = float((order[1:] == order[:-1]).mean())
    margin = 4 * math.sqrt(chance * (1 - chance) / len(order))
    return max(0.0, (same - chance - margin) / (1 - chance))


def examine_order(sample: Sample) -> list[Finding]:
    """Findings about the order in which the labels of the training come."""
    order = sample.order
    sortedness = _sortedness(sample)
    if order is None or sortedness <= SORTED:
        return []
    same = float((order[1:] == order[:-1]).mean())
    return [
        Finding(
            "labels_in_order",
            "warning",
            f"{same:.0%} of the images have the label of the image before them",
            "the data set is sorted by class, and the loader does not shuffle",
            "data.Loader(..., shuffle=True)",
            sample.name,
        )
    ]
