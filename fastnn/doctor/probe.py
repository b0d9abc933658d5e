"""Whether labels have to do with images: a linear classifier on random features, trained in closed form."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Probe", "probe_labels"]

# Images: enough that an accuracy of a third of them is known to 1 % (sqrt(0.1 * 0.9 / 1000)).
IMAGES = 3000
# Filters, cut out of the images at random: Coates, Lee, Ng, 2011, "An analysis of single-layer networks in unsupervised
# feature learning", finds random patches nearly as good as learned ones.
FILTERS, PATCH, STRIDE = 96, 6, 2
# Features of inputs that are no images: random, rectified sums of them, beside the inputs themselves.
RANDOM_FEATURES = 512
MOST_INPUTS = 1024
# Of the trace of the features' covariance; small against what tells classes apart, large against rounding.
RIDGE = 1e-2
LEAST_TESTED = 300


class Probe(NamedTuple):
    """What a probe found on images that it was not trained on.

    Attributes:
        accuracy: with the labels as they are.
        shifted: with each image given the label of the image before it, and of the one after it.
        chance: the share of the most frequent class.
        error: the standard error of an accuracy at chance.
        tested: images.
    """

    accuracy: float
    shifted: tuple[float, float]
    chance: float
    error: float
    tested: int


def probe_labels(images: NDArray, labels: NDArray) -> Probe | None:
    """Train the probe on two thirds of the images, and test it on the others; None if there are too few.

    It is deterministic, and looks at the first images of a random order that is always the same.

    Args:
        images: (M, C, H, W) or (M, ...), of any real dtype, in the order in which the labels belong to them.
        labels: (M,), integers.
    Example:
        >>> from fastnn import data
        >>> shapes = data.Shapes32(3000)
        >>> probe = probe_labels(shapes.images, shapes.labels)
        >>> probe.accuracy > probe.chance + 6 * probe.error > max(probe.shifted)
        True
    """
    n = min(len(images), len(labels))
    if n // 3 < LEAST_TESTED:
        return None
    rng = np.random.default_rng(0)
    chosen = rng.permutation(n)[:IMAGES]
    features = _features(np.asarray(images)[chosen], rng)
    if features is None:
        return None
    cut = len(chosen) * 2 // 3
    train, test = features[:cut], features[cut:]
    mean = train.mean(axis=0)
    train, test = train - mean, test - mean
    # One decomposition for all labellings.
    gram = train.T @ train
    gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram) + 1e-12
    try:
        fit = np.linalg.solve(gram, train.T)
    except np.linalg.LinAlgError:
        return None

    def accuracy(shift: int) -> float:
        own = np.unique(labels, return_inverse=True)[1].reshape(-1)[(chosen + shift) % n]
        hot = np.eye(own.max() + 1)[own[:cut]]
        scores = test @ (fit @ (hot - hot.mean(axis=0))) + hot.mean(axis=0)
        return float((scores.argmax(axis=1) == own[cut:]).mean())

    tested = len(chosen) - cut
    shares = np.bincount(labels - labels.min()) / len(labels)
    chance = float(shares.max())
    error = float(np.sqrt(max(chance * (1 - chance), 1e-6) / tested))
    return Probe(accuracy(0), (accuracy(-1), accuracy(1)), chance, error, tested)


def _features(images: NDArray, rng: np.random.Generator) -> NDArray | None:
    x = _as_images(images.astype(np.float32))
    if not np.isfinite(x).all():
        return None
    if x.ndim == 4 and min(x.shape[2:]) >= 2 * PATCH:
        return _of_patches(x, rng)
    x = x.reshape(len(x), -1)
    if x.shape[1] > MOST_INPUTS:
        x = x[:, rng.permutation(x.shape[1])[:MOST_INPUTS]]
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)
    weights = rng.standard_normal((x.shape[1], RANDOM_FEATURES), np.float32) * np.float32(np.sqrt(2 / x.shape[1]))
    hidden = np.maximum(x @ weights + rng.standard_normal(RANDOM_FEATURES, np.float32), 0)
    return np.concatenate([x, hidden], axis=1).astype(np.float64)


def _as_images(x: NDArray) -> NDArray:
    """Flattened square images of one or three channels as images; anything else as it is."""
    if x.ndim == 4:
        return x
    for channels in (3, 1):
        side = math.isqrt(x[0].size // channels)
        if channels * side * side == x[0].size and side >= 2 * PATCH:
            return x.reshape(len(x), channels, side, side)
    return x


def _of_patches(x: NDArray, rng: np.random.Generator) -> NDArray:
    """Responses to random patches, rectified and averaged over a grid of 3 x 3."""
    step = max(1, min(x.shape[2:]) // 32)  # larger images are thinned out first
    x = x[:, :, ::step, ::step]
    windows = np.lib.stride_tricks.sliding_window_view(x, (PATCH, PATCH), axis=(2, 3))[:, :, ::STRIDE, ::STRIDE]
    n, channels, rows, columns = windows.shape[:4]
    size = channels * PATCH * PATCH
    places = (rng.integers(0, n, FILTERS), rng.integers(0, rows, FILTERS), rng.integers(0, columns, FILTERS))
    filters = _normalised(windows[places[0], :, places[1], places[2]].reshape(FILTERS, size))
    pooled = np.empty((n, 9, 2 * FILTERS), np.float32)
    for begin in range(0, n, 250):
        part = windows[begin : begin + 250].transpose(0, 2, 3, 1, 4, 5).reshape(-1, size)
        responses = _normalised(part) @ filters.T / np.float32(size)
        both = np.concatenate([np.maximum(responses - 0.2, 0), np.maximum(-responses - 0.2, 0)], axis=1)
        both = both.reshape(-1, rows, columns, 2 * FILTERS)
        for index in range(9):
            i, j = divmod(index, 3)
            block = both[:, rows * i // 3 : rows * (i + 1) // 3, columns * j // 3 : columns * (j + 1) // 3]
            pooled[begin : begin + 250, index] = block.mean(axis=(1, 2))
    features = pooled.reshape(n, -1)
    features = features.astype(np.float64)
    return (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)


def _normalised(patches: NDArray) -> NDArray:
    patches = patches - patches.mean(axis=1, keepdims=True)
    return patches / (patches.std(axis=1, keepdims=True) + np.float32(1e-3))
