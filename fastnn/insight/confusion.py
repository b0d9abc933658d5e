"""The confusion matrix: which classes a network mistakes for which."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check

__all__ = ["confusion_matrix", "per_class_accuracy"]

_SUMS = {"true": 1, "pred": 0, "all": None}  # the axes that sum to one


def confusion_matrix(
    targets: ArrayLike, predictions: ArrayLike, num_classes: int | None = None, normalize: str | None = None
) -> NDArray:
    """The confusion matrix: entry (i, j) is the number of examples of class i that were predicted as class j.

    Args:
        targets: the true labels.
        predictions: the predicted labels; or scores, of which the largest of each row is the prediction.
        num_classes: the number of classes C. None (default): as many as occur.
        normalize: None (default) returns counts. 'true' divides each row by its sum: the diagonal is then the accuracy
            of each class (recall). 'pred' divides each column by its sum (precision). 'all' divides by the number of
            examples.
    Shape:
        - targets: (N,), integers
        - predictions: (N,), integers, or (N, C) scores
        - Output: (C, C), int64, or float64 if normalised. A class without examples has zeros.
    Raises:
        ValueError: lengths differ, a label lies outside [0, C), or `normalize` is another word.
        TypeError: labels are not integers.
    Example:
        >>> from fastnn import insight
        >>> insight.confusion_matrix([0, 0, 1, 2], [0, 1, 1, 2])
        array([[1, 1, 0],
               [0, 1, 0],
               [0, 0, 1]])
    """
    right = _check.array("confusion_matrix", "targets", targets)
    given = _check.array("confusion_matrix", "predictions", predictions)
    scored = None
    if num_classes is not None:
        num_classes = _check.integer("confusion_matrix", "num_classes", num_classes, 1, 2**15)
    if given.ndim == 2 and given.shape[1]:
        given = _check.reals("confusion_matrix", "predictions", given)
        scored, given = given.shape[1], given.argmax(axis=1)
    if right.ndim != 1 or right.shape != given.shape:
        raise ValueError(
            f"confusion_matrix: one prediction for each target is needed. "
            f"Received: targets.shape={right.shape}, predictions.shape={np.shape(predictions)}"
        )
    _check.one_of("confusion_matrix", "normalize", normalize, (*_SUMS, None))
    for name, labels in (("targets", right), ("predictions", given)):
        if labels.size and labels.dtype.kind not in "iu":
            raise TypeError(f"confusion_matrix: {name} must be integers. Received: dtype={labels.dtype}")
    if num_classes is None:
        highest = max((int(labels.max()) for labels in (right, given) if labels.size), default=-1)
        num_classes = max(highest + 1, scored or 0)
    for name, labels in (("targets", right), ("predictions", given)):
        outside = (labels < 0) | (labels >= num_classes)
        if outside.any():
            raise ValueError(f"confusion_matrix: {name} holds {labels[outside][0]}, outside [0, {num_classes})")
    _check.fits_memory("confusion_matrix", "a matrix", (num_classes, num_classes))
    cells = right.astype(np.int64) * num_classes + given.astype(np.int64)
    counts = np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    if normalize is None:
        return counts
    return counts / np.maximum(counts.sum(axis=_SUMS[normalize], keepdims=True), 1)


def per_class_accuracy(matrix: ArrayLike) -> NDArray[np.float64]:
    """The accuracy of each class: the fraction of its examples that was recognised.

    Args:
        matrix: the counts of `confusion_matrix`.
    Shape:
        - matrix: (C, C)
        - Output: (C,), float64; NaN for a class without examples
    Raises:
        ValueError: the matrix is not square.
    Example:
        >>> from fastnn import insight
        >>> insight.per_class_accuracy([[3, 1], [0, 2]])
        array([0.75, 1.  ])
    """
    counts = _check.numbers("per_class_accuracy", "matrix", matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"per_class_accuracy: a square matrix is needed. Received: matrix.shape={counts.shape}")
    images = counts.sum(axis=1)
    return np.divide(counts.diagonal(), images, out=np.full(len(counts), np.nan), where=images > 0)
