"""Loss and other numbers over many batches."""

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _several, nn
from fastnn.training._arguments import check_criterion, name_of, scalar

__all__ = [
    "Meter",
    "Metric",
    "accuracy",
    "binary_accuracy",
    "mean_absolute_error",
    "named_metrics",
    "targets_are_classes",
    "top5_accuracy",
    "top_k_hits",
]

# metric(outputs, targets): the mean over a batch, or a pair (total, count) whose quotient over all batches counts.
Metric = Callable[[Any, Any], Any]

_IGNORED = -100  # the label that PyTorch's losses leave out, if nothing else is said


# ---- metrics ---------------------------------------------------------------------------------------------------------
def _counted_labels(name: str, logits: NDArray, labels: NDArray, ignore_index: int) -> tuple[NDArray, NDArray]:
    """Rows (M, classes) of the logits that have a label, and these labels (M,): a row for each place."""
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim < 2 or logits.shape[1] < 1 or logits.dtype.kind not in "fiu":
        raise _check.fail(name, "logits must be numbers of shape (N, classes, ...)", logits=logits, labels=labels)
    if labels.shape == logits.shape and labels.dtype.kind == "f":
        labels = labels.argmax(axis=1)
    if labels.shape != logits.shape[:1] + logits.shape[2:] or labels.dtype.kind not in "iu":
        raise _check.fail(
            name, "labels must be integers, one for each row of the logits, or probabilities like these",
            logits=logits, labels=labels,
        )  # fmt: skip
    classes = logits.shape[1]
    rows, labels = np.moveaxis(logits, 1, -1).reshape(-1, classes), labels.reshape(-1)
    counted = (labels != ignore_index) & (labels >= 0)
    if not counted.all():
        rows, labels = rows[counted], labels[counted]
    if labels.size and labels.max() >= classes:
        raise ValueError(f"{name}: labels must lie in [0, {classes}). Received: {labels.max()}")
    return rows, labels


def top_k_hits(logits: NDArray, labels: NDArray, k: int = 1, ignore_index: int = _IGNORED) -> int:
    """How many labels are among the k classes of largest logit; among equals the first class counts as the larger.

    Args:
        logits: scores of the classes.
        labels: classes, or probabilities of classes, whose first largest one is taken. Negative labels and
            `ignore_index` are no class and left out.
        k: at least 1.
        ignore_index: a label that is left out.
    Shape:
        - logits: (N, classes), or (N, classes, d1, ...) with a label at each place
        - labels: (N,) or (N, d1, ...) integers, or floats like the logits
    Raises:
        ValueError: shapes do not fit, or a label is too large.
    Example:
        >>> from fastnn.training import top_k_hits
        >>> logits = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])
        >>> top_k_hits(logits, np.array([1, 1])), top_k_hits(logits, np.array([1, 1]), k=2)
        (1, 2)
    """
    k = _check.integer("top_k_hits", "k", k, 1)
    ignore_index = _check.integer("top_k_hits", "ignore_index", ignore_index, -(2**63))
    return _hits(*_counted_labels("top_k_hits", logits, labels, ignore_index), k)


def _hits(rows: NDArray, labels: NDArray, k: int) -> int:
    own = np.take_along_axis(rows, labels[:, None], axis=1)
    # `not <=` rather than `>`: a NaN counts as larger, so a network of NaNs is right about nothing.
    ahead = ~(rows <= own) | ((rows == own) & (np.arange(rows.shape[1]) < labels[:, None]))
    return int((ahead.sum(axis=1) < k).sum())


def accuracy(logits: NDArray, labels: NDArray, ignore_index: int = _IGNORED) -> tuple[int, int]:
    """How many labels have the largest logit, and of how many; labels that are ignored count in neither.

    Example:
        >>> from fastnn import training
        >>> training.accuracy(np.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]]), np.array([1, 1, -100]))
        (1, 2)
    """
    rows, labels = _counted_labels("accuracy", logits, labels, ignore_index)
    return _hits(rows, labels, 1), len(rows)


def top5_accuracy(logits: NDArray, labels: NDArray, ignore_index: int = _IGNORED) -> tuple[int, int]:
    """How many labels are among the five largest logits, and of how many; see `accuracy`."""
    rows, labels = _counted_labels("top5_accuracy", logits, labels, ignore_index)
    return _hits(rows, labels, 5), len(rows)


def binary_accuracy(outputs: NDArray, targets: NDArray, threshold: float = 0.0) -> tuple[int, int]:
    """How many outputs lie on the right side of `threshold`, and of how many: of a yes-or-no question or several.

    Args:
        outputs: scores as for `nn.BCEWithLogitsLoss`; with probabilities as for `nn.BCELoss`, threshold=0.5.
        targets: 0 or 1; above 0.5 counts as 1.
        threshold: outputs above it say yes.
    Shape:
        - outputs, targets: the same
    Example:
        >>> from fastnn import training
        >>> training.binary_accuracy(np.array([[2.0], [-1.0]]), np.array([[1.0], [1.0]]))
        (1, 2)
    """
    outputs, targets = np.asarray(outputs), np.asarray(targets)
    _check.same_shape("binary_accuracy", outputs=outputs, targets=targets)
    return int(((outputs > threshold) == (targets > 0.5)).sum()), outputs.size


def mean_absolute_error(outputs: NDArray, targets: NDArray) -> tuple[float, int]:
    """The sum of |outputs - targets|, and of how many.

    Shape:
        - outputs, targets: the same
    Example:
        >>> from fastnn import training
        >>> training.mean_absolute_error(np.array([1.0, 3.0]), np.array([1.5, 2.0]))
        (1.5, 2)
    """
    outputs, targets = np.asarray(outputs), np.asarray(targets)
    _check.same_shape("mean_absolute_error", outputs=outputs, targets=targets)
    return float(np.abs(outputs - targets).sum(dtype=np.float64)), outputs.size


# ---- what is measured ------------------------------------------------------------------------------------------------
def named_metrics(owner: str, metrics: Mapping[str, Metric] | Iterable[Metric] | None) -> dict[str, Metric]:
    """Metrics by name: as they are given, or under the names of the functions.

    Raises:
        TypeError: one is no function, or has no name.
        ValueError: a name is given twice or is taken.
    """
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping | list | tuple):
        raise TypeError(f"{owner}: metrics must be a dict of functions or a list of them. Received: {metrics!r}")
    pairs = metrics.items() if isinstance(metrics, Mapping) else [(getattr(m, "__name__", None), m) for m in metrics]
    named: dict[str, Metric] = {}
    for name, metric in pairs:
        if not callable(metric) or not isinstance(name, str) or not name.isidentifier():
            raise TypeError(f"{owner}: a metric is a name and a function of outputs and targets. Received: {metric!r}")
        if name in named or name == "loss":
            raise ValueError(f"{owner}: there are two metrics named {name!r}")
        named[name] = metric
    return named


def targets_are_classes(criterion: Any, outputs: Any, targets: Any) -> bool:
    """Whether the targets say which class is right, so that accuracy has a meaning.

    fastnn's own losses know (`Loss.targets_are_classes`). With any other one, integers of the right shape are taken as
    classes. Of several outputs or targets nobody knows which belong together.
    """
    if _several.is_several(outputs) or _several.is_several(targets):
        return False
    known = getattr(criterion, "targets_are_classes", None)
    if known is not None:
        return bool(known)
    outputs, targets = np.asarray(outputs), np.asarray(targets)
    fits = outputs.ndim >= 2 and outputs.shape[1] > 1 and targets.shape == outputs.shape[:1] + outputs.shape[2:]
    return fits and targets.dtype.kind in "iu"


def _measured(metric: Metric, name: str, outputs: Any, targets: Any, n: int) -> tuple[float, float]:
    """Total and count of a batch of n images."""
    value = metric(outputs, targets)
    if isinstance(value, tuple) and len(value) == 2:
        return float(value[0]), float(value[1])
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool) or not isinstance(value, numbers.Real | np.bool_):
        raise TypeError(
            f"metric {name}: a number, or a pair (total, count), is needed. Received: {type(value).__name__}"
        )
    return float(value) * n, n


class Meter:
    """Means over batches: the loss, accuracy and top-5 where targets are classes, and metrics of one's own.

    The loss is weighted with what the criterion averages over (`Loss.averaged_over`), so that it is the criterion's
    value on all batches as one; with reduction='sum', and for a criterion that cannot tell, it is the mean over images.

    Args:
        metrics: by name.
        criterion: whose losses are added; None for cross-entropy.
    Attributes:
        images: how many there were.
    """

    def __init__(self, metrics: Mapping[str, Metric] | None = None, criterion: Any = None) -> None:
        self._own = named_metrics("Meter", metrics)
        check_criterion("Meter", criterion)
        self._criterion = nn.CrossEntropyLoss() if criterion is None else criterion
        self._ignore_index = int(getattr(self._criterion, "ignore_index", _IGNORED))
        self.images = 0
        self._loss_sum = 0.0
        self._loss_weight = 0.0
        self._sums: dict[str, list[float]] = {}

    def update(self, loss: float, outputs: Any, targets: Any, n: int | None = None) -> dict[str, float]:
        """Add a batch.

        Args:
            loss: a number.
            outputs, targets: arrays, or tuples or dicts of arrays.
            n: images of the batch if there are several outputs; None for the length of the first that has one. Of one
                output, its length counts.
        Returns:
            Its own metrics.
        """
        return self.add([self.measure(loss, outputs, targets, n)])

    def measure(self, loss: float, outputs: Any, targets: Any, n: int | None = None) -> dict[str, Any]:
        """What `update` adds of a batch, for `add`: numbers, and for each metric a pair (total, count)."""
        loss = scalar("Meter.update", self._criterion, loss)
        outputs, targets = _checked("outputs", outputs), _checked("targets", targets)
        check_scores(self._criterion, outputs)
        if _several.is_several(outputs):
            n = _several.first_length(outputs) if n is None else n
            if n is None:
                raise ValueError("Meter.update: none of the outputs has an axis of images")
        else:
            n = len(outputs)
        weight = loss_weight(self._criterion, outputs, targets, n)
        return {"images": n, "loss": loss, "weight": weight, "metrics": self._measure(outputs, targets, n)}

    def add(self, records: Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """Add what `measure` gave, of one batch or of its parts, in order.

        Returns:
            The metrics of these records alone.
        """
        batch: dict[str, list[float]] = {}
        # The sum over a batch is its images' already; a mean stands for as much as it was taken over.
        is_sum = getattr(self._criterion, "reduction", "mean") == "sum"
        for record in records:
            self.images += record["images"]
            weight = record["weight"]
            if weight:
                self._loss_sum += record["loss"] if is_sum else record["loss"] * weight
                self._loss_weight += weight
            for name, (part, count) in record["metrics"].items():
                for sums in (self._sums.setdefault(name, [0.0, 0.0]), batch.setdefault(name, [0.0, 0.0])):
                    sums[0] += part
                    sums[1] += count
        return {name: _quotient(*sums) for name, sums in batch.items()}

    def _measure(self, outputs: Any, targets: Any, n: int) -> dict[str, tuple[float, float]]:
        found: dict[str, tuple[float, float]] = {}
        if targets_are_classes(self._criterion, outputs, targets):
            rows, labels = _counted_labels("accuracy", outputs, targets, self._ignore_index)
            found = {"accuracy": (_hits(rows, labels, 1), len(rows)), "top5": (_hits(rows, labels, 5), len(rows))}
        for name, metric in self._own.items():
            found[name] = _measured(metric, name, outputs, targets, n)
        return found

    @property
    def loss(self) -> float:
        return _quotient(self._loss_sum, self._loss_weight)

    @property
    def accuracy(self) -> float:
        """NaN where targets are not classes."""
        return self.values().get("accuracy", math.nan)

    @property
    def top5(self) -> float:
        """NaN where targets are not classes."""
        return self.values().get("top5", math.nan)

    def values(self) -> dict[str, float]:
        """All metrics by name, without the loss."""
        return {name: _quotient(*sums) for name, sums in self._sums.items()}

    def __repr__(self) -> str:
        means = {"loss": self.loss, **self.values()} if self.images else dict.fromkeys(self._own)
        words = [f"{name}={'?' if value is None else format(value, '.4g')}" for name, value in means.items()]
        return f"Meter({', '.join([name_of(self._criterion), f'{self.images} images', *words])})"

    def state_dict(self) -> dict[str, Any]:
        """All that was added."""
        sums = {name: list(values) for name, values in self._sums.items()}
        return {"images": self.images, "loss": [self._loss_sum, self._loss_weight], "sums": sums}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.images, (self._loss_sum, self._loss_weight) = state["images"], state["loss"]
        self._sums = {name: list(values) for name, values in state["sums"].items()}


def _checked(name: str, value: Any) -> Any:
    """Outputs or targets of a batch: several as they are, or an array with an axis."""
    if _several.is_several(value):
        return value
    array = _check.array("Meter.update", name, value)
    if not array.ndim:
        raise _check.fail("Meter.update", "outputs and targets need an axis of images", **{name: array})
    return array


def check_scores(criterion: Any, outputs: Any) -> None:
    """Raise ValueError if classes are to be told apart by one score: that loss is 0, whatever the network says."""
    if not getattr(criterion, "targets_are_classes", None) or _several.is_several(outputs):
        return
    if np.ndim(outputs) > 1 and np.shape(outputs)[1] == 1:
        raise ValueError(
            f"{type(criterion).__name__} needs scores of two classes or more, and the model gives one number: for a "
            "yes-or-no question take nn.BCEWithLogitsLoss, for numbers nn.MSELoss, or let the model give more scores"
        )


def loss_weight(criterion: Any, outputs: Any, targets: Any, n: int) -> float:
    """What the loss of a batch of n counts for in the mean over many: nothing if every label is ignored."""
    averaged_over = getattr(criterion, "averaged_over", None)
    if averaged_over is None or getattr(criterion, "reduction", "mean") == "sum":
        return float(n)
    if _several.is_several(outputs) and getattr(averaged_over, "__func__", None) is nn.Loss.averaged_over:
        return float(n)  # a loss of one's own that did not say anything else
    return float(averaged_over(outputs, targets))


def _quotient(total: float, count: float) -> float:
    return total / count if count else math.nan
