"""Inputs: numbers that are not finite, scale, centre, duplicates, and whether two loaders treat them alike."""

import numpy as np

from fastnn.doctor._samples import Sample
from fastnn.doctor.findings import Finding

__all__ = ["examine_inputs", "examine_pair"]

# Inputs should have variance 1 (LeCun et al., 1998, "Efficient backprop", 4.3): initialisations are made for it. The
# root mean square of the first layer's results grows in proportion, and the curvature of the loss with its square:
# beyond 10, a learning rate for inputs of variance 1 is 100 times too large.
LARGEST_SCALE = 10.0
# A mean of 3 standard deviations: then nearly all inputs (99.9 % of normal ones) have one sign, and so have the
# gradients of all weights of a unit of the first layer, which can then only grow or shrink together (the same, 4.3).
FARTHEST_MEAN = 3.0
# Worth a note: images in 0..1 have about twice their standard deviation as their mean, and train.
NOTED_MEAN = 1.0
# Where most inputs are copies of others, an epoch has less than half of the images that it seems to have.
MOST_DUPLICATES, NOTED_DUPLICATES = 0.5, 0.01
# With fewer numbers in an input, equal ones may well happen: 16 bits tell 65536 of them apart.
LEAST_FEATURES = 16
# Two loaders of the same images: a network whose first layer sees the mean shifted by half a standard deviation, or
# the contrast changed by half, sees other images. Those of one data set, and augmentation, differ by far less.
FARTHEST_SHIFT, LARGEST_STRETCH = 0.5, 1.5
# Standard errors that a difference must exceed: by chance once in 16,000.
SIGMAS = 4.0
# Of validation images that are also trained on. Benchmarks have some exact duplicates, a few in 10,000.
MOST_OVERLAP = 0.01


def examine_inputs(sample: Sample, normalises: bool = False) -> list[Finding]:
    """Findings about the inputs of one loader.

    Args:
        sample: of the loader.
        normalises: whether the network itself begins with a normalisation, for which scale and centre do not matter.
    """
    if sample.not_finite:
        return [
            Finding(
                "non_finite_inputs",
                "error",
                f"{sample.not_finite} of {sample.images} inputs hold NaN or infinity",
                "a division by a standard deviation of 0, a missing value, or a damaged file",
                "find them with np.isfinite, and repair or leave them out",
                sample.name,
            )
        ]
    if sample.mean is None or sample.std is None:
        return []
    return [*_scale(sample, normalises), *_copies(sample)]


def _scale(sample: Sample, normalises: bool) -> list[Finding]:
    assert sample.mean is not None
    assert sample.std is not None
    severity = "note" if normalises else "warning"
    rms = float(np.sqrt((sample.mean**2 + sample.std**2).mean()))
    mean, std = float(sample.mean.mean()), float(np.sqrt((sample.std**2).mean()))
    found = []
    if rms > LARGEST_SCALE:
        bytes_like = sample.low >= 0 and 100 < sample.high <= 255
        found.append(
            Finding(
                "input_range",
                severity,
                f"inputs lie in {sample.low:.4g}..{sample.high:.4g}, their root mean square is {rms:.4g}",
                "bytes, 0..255, that were not divided by 255" if bytes_like else "inputs that were not normalised",
                "give data.Loader the images as uint8 with mean and std, or x = (x / 255 - mean) / std"
                if bytes_like
                else "x = (x - mean) / std, with the training data's mean and std of each feature",
                sample.name,
            )
        )
    elif std > 0 and abs(mean) > NOTED_MEAN * std:
        is_far = abs(mean) > FARTHEST_MEAN * std
        found.append(
            Finding(
                "inputs_not_centred",
                severity if is_far else "note",
                f"the mean of the inputs is {mean:.4g}, {abs(mean) / std:.1f} times their standard deviation",
                "the mean was not subtracted",
                "subtract the mean of the training data: data.Loader(..., mean=..., std=...)",
                sample.name,
            )
        )
    return found


def _copies(sample: Sample) -> list[Finding]:
    found = []
    share = sample.constant / sample.images
    if share > NOTED_DUPLICATES and sample.features >= LEAST_FEATURES:
        found.append(
            Finding(
                "constant_inputs",
                "warning" if share > MOST_DUPLICATES else "note",
                f"{sample.constant} of {sample.images} inputs have one value everywhere",
                "images that were not read, or were divided as integers",
                "draw some: insight.plot_images(x[:16])",
                sample.name,
            )
        )
    n = len(sample.digests)
    distinct = len(set(sample.digests))
    share = (n - distinct) / n if n else 0.0
    if share > NOTED_DUPLICATES and sample.features >= LEAST_FEATURES:
        found.append(
            Finding(
                "duplicate_inputs",
                "warning" if share > MOST_DUPLICATES else "note",
                f"{n} inputs, of which {distinct} differ ({share:.0%} are copies of others)",
                "a loader that gives the same image again, or that writes into the array it has given",
                "draw a batch, and let every batch be a new array",
                sample.name,
            )
        )
    return found


def examine_pair(train: Sample, val: Sample) -> list[Finding]:
    """Findings about the training and the validation inputs together."""
    return [*_normalisation(train, val), *_overlap(train, val)]


def _normalisation(train: Sample, val: Sample) -> list[Finding]:
    if train.mean is None or val.mean is None or train.std is None or val.std is None:
        return []
    if train.mean.shape != val.mean.shape or not train.images or not val.images:
        return []
    error = SIGMAS * float(np.hypot(train.spread / np.sqrt(train.images), val.spread / np.sqrt(val.images)))
    scale = float(np.sqrt((train.std**2).mean()))
    shift = float(np.abs(train.mean - val.mean).max())
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = val.std / train.std
    # Statistics of a few images say little about contrast.
    is_sure = min(train.images, val.images) >= SIGMAS**2 * 2
    known = ratios[np.isfinite(ratios) & (ratios > 0)]
    stretch = float(np.exp(np.abs(np.log(known)).max())) if len(known) and is_sure else 1.0
    if shift <= FARTHEST_SHIFT * scale + error and stretch <= LARGEST_STRETCH:
        return []
    words = [
        f"{s.name} has mean {_numbers(s.mean)} and standard deviation {_numbers(s.std)}"
        for s in (train, val)
        if s.mean is not None and s.std is not None
    ]
    return [
        Finding(
            "normalised_differently",
            "warning",
            "; ".join(words),
            "training and validation inputs were not normalised with the same numbers, or come from different sources",
            "use the mean and std of the training data for both loaders",
            val.name,
        )
    ]


def _numbers(values: np.ndarray) -> str:
    shown = ", ".join(f"{value:.3g}" for value in values[:4])
    return f"{shown}, ..." if len(values) > 4 else shown


def _overlap(train: Sample, val: Sample) -> list[Finding]:
    if not val.digests or train.raw != val.raw or train.features < LEAST_FEATURES:
        return []
    known = set(train.digests)
    n = sum(digest in known for digest in val.digests)
    if n <= MOST_OVERLAP * len(val.digests):
        return []
    return [
        Finding(
            "validation_overlaps_training",
            "warning",
            f"{n} of {len(val.digests)} validation inputs are also among the training inputs",
            "the split was made after copying or augmenting, or one data set was used for both",
            "split the data set first, by index, and use each image in one part only",
            val.name,
        )
    ]
