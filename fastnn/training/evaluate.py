"""Loss and metrics on images that were not trained on, with or without averaging over flips and shifts."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _arguments, _check, _layout, _several, data, nn
from fastnn.autograd.modes import no_grad
from fastnn.autograd.tensor import array_of
from fastnn.training._arguments import batches_of, check_criterion
from fastnn.training._passes import loss_of
from fastnn.training.metrics import Meter, Metric, named_metrics

__all__ = ["Evaluation", "evaluate", "predict"]

_LEVELS = (0, 1, 2)


class Evaluation(NamedTuple):
    """What `evaluate` measured: means over `images`.

    Attributes:
        loss: the criterion's value on all images.
        accuracy, top5: NaN where targets are not classes.
        images: how many there were.
        metrics: all by name, accuracy and top5 among them where they have a meaning.
    """

    loss: float
    accuracy: float
    top5: float
    images: int
    metrics: dict[str, float]


@contextlib.contextmanager
def eval_mode(model: Any) -> Iterator[None]:
    """Within the block a module is in eval mode; every module's own mode returns afterwards. Others have no mode."""
    if not isinstance(model, nn.Module):
        yield
        return
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            object.__setattr__(module, "training", training)


def predict(model: nn.Module, x: Any, tta: int = 0) -> Any:
    """The outputs for a batch, or for all batches of a loader, in the mode that the model is in (`model.eval()` first).

    Nothing is kept for a backward.

    Args:
        model: a network.
        x: a batch of inputs: an array, a tuple for a network that takes several (`model(*x)`), or a dict
            (`model(**x)`); or something that gives batches, x or (x, labels).
        tta: 0 runs the images as they are; 1 averages over them and their mirror images; 2 gives half of the weight to
            that mean and a quarter each to its like for images shifted by one pixel down-right and up-left.
    Shape:
        - x: (N, C, H, W), or with tta=0 (N, ...), or several of these
        - Output: (N, classes), or what the network gives: an array, or a tuple or dict of arrays

    Raises:
        TypeError: `x` is neither an array nor gives any.
        ValueError: `tta` is none of 0, 1, 2, or the loader gives no batches.

    Source: test-time augmentation of Jordan, 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU".
    """
    check_tta("predict", tta)
    _arguments.function("predict", "model", model, may_be_class=False)
    x = array_of(x)
    with no_grad():
        if isinstance(x, np.ndarray) or _several.is_several(x):
            return _predict_batch(model, _checked_input(x), tta)
        if not isinstance(x, Iterable) or isinstance(x, str | bytes):
            raise TypeError(f"predict: x must be an array, or a loader of batches. Received: {type(x).__name__}")
        # A copy of each, since a user's network may return an array that it uses again.
        outputs = [_several.mapped(np.array, _predict_batch(model, _input_of(batch), tta)) for batch in x]
    if not outputs:
        raise ValueError("predict: the loader gave no batches")
    return _joined(outputs)


def _input_of(batch: Any) -> Any:
    """What goes into the network, of a batch x or (x, labels)."""
    return _checked_input(array_of(batch[0] if isinstance(batch, tuple | list) and batch else batch))


def _checked_input(x: Any) -> Any:
    for label, part in _several.parts("", x):
        if not isinstance(part, np.ndarray) or part.ndim < 1:
            where = f" as part {label}" if label else ""
            raise TypeError(
                "predict: x must be an array, or a loader of batches, or a tuple or dict of arrays. "
                f"Received: {type(part).__name__} in a batch{where}"
            )
    _several.check_lengths("predict", "x", x)
    return x


def _joined(outputs: list[Any]) -> Any:
    """Outputs of batches as those of one."""
    first = outputs[0]
    if isinstance(first, dict):
        return {name: _joined([output[name] for output in outputs]) for name in first}
    if isinstance(first, tuple):
        made = map(_joined, (list(parts) for parts in zip(*outputs, strict=True)))
        return type(first)(*made) if hasattr(first, "_fields") else tuple(made)
    return np.concatenate(outputs)


def check_tta(owner: str, tta: Any) -> None:
    """Raise unless `tta` is one of the levels."""
    if isinstance(tta, bool) or not isinstance(tta, int) or tta not in _LEVELS:
        raise ValueError(f"{owner}: tta must be 0, 1 or 2. Received: {tta!r}")


def _predict_batch(model: nn.Module, x: Any, tta: int) -> Any:
    if tta == 0:
        return _several.call(model, x)
    if _several.is_several(x):
        raise ValueError(
            "predict: averaging over flips and shifts (tta) is for networks of one array of images; use tta=0, "
            f"and average yourself. Received: x is a {type(x).__name__}"
        )
    if x.ndim != 4:
        raise _check.fail("predict", "averaging over flips and shifts (tta) needs images (N, C, H, W)", x=x)
    mean = _mirrored_mean(model, x)
    if tta == 1:
        return mean
    half, quarter = np.asarray(0.5, mean.dtype), np.asarray(0.25, mean.dtype)
    shifted = _mirrored_mean(model, _shift(x, -1)) + _mirrored_mean(model, _shift(x, 1))
    return half * mean + quarter * shifted


def _mirrored_mean(model: nn.Module, x: NDArray) -> NDArray:
    pixels = _layout.pixels(x)
    mirrored = _layout.images(np.ascontiguousarray(pixels[:, ::-1]))
    logits = model(x)
    if _several.is_several(logits):
        raise ValueError(
            "predict: averaging over flips and shifts (tta) needs a network that gives one array; use tta=0, and "
            f"average yourself. Received: outputs that are a {type(logits).__name__}"
        )
    logits = np.array(logits)  # a copy, since a user's network may return an array that it uses again
    return (logits + model(mirrored)) * np.asarray(0.5, logits.dtype)


def _shift(x: NDArray, by: int) -> NDArray:
    """The window of the image that lies `by` pixels further down and right; what is missing is reflected."""
    pixels = _layout.pixels(x)
    for axis in (0, 1):
        size = pixels.shape[axis]
        source = np.abs(np.arange(size) + by)
        source = np.where(source >= size, 2 * (size - 1) - source, source)
        pixels = np.take(pixels, source, axis=axis)
    return _layout.images(pixels)


def evaluate(
    model: nn.Module,
    loader: Iterable[Any],
    criterion: Callable[[Any, Any], Any] | None = None,
    tta: int = 0,
    on_batch: Callable[[int], Any] | None = None,
    metrics: Mapping[str, Metric] | Iterable[Metric] | None = None,
    distributed: Any = None,
) -> Evaluation:
    """Loss and metrics of `model` over all batches of `loader`, in eval mode.

    Nothing is kept for a backward, and what a forward before has kept for its own stays. (A network whose author wrote
    its backward keeps what that author wants.)

    Accuracy and top-5 are measured where targets are classes: with fastnn's classification losses, and with any other
    criterion whose targets are integers, one for each row of scores. Ignored labels count in nothing.

    Args:
        model: a network. Its parameters, its buffers and the mode of its modules stay as they are.
        loader: gives (x, targets), where x is an array, a tuple of arrays for a network that takes several
            (`model(*x)`), or a dict of them (`model(**x)`).
        criterion: of the outputs and targets, as in a `Trainer`; cross-entropy if None. Batches are weighted with what
            it averages over.
        tta: averaging over flips and shifts, see `predict`.
        on_batch: called with the number of images of each batch, for a progress bar.
        metrics: functions of outputs and targets by name, or a list of them; each gives the mean over a batch, or a
            pair (total, count), as `training.accuracy` does.
        distributed: a `fastnn.distributed.World`, whose processes take turns at the batches; all of them get the same
            result as one process would.

    Raises:
        ValueError: `tta` is none of 0, 1, 2, or the loader gives no images.

    Example:
        >>> from fastnn.training import evaluate
        >>> batch = np.eye(3, dtype=np.float32), np.array([0, 1, 1])
        >>> round(evaluate(nn.Identity(), [batch]).accuracy, 3)
        0.667
        >>> batch = np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)
        >>> evaluate(nn.Identity(), [batch], nn.MSELoss(), metrics={"error": lambda y, t: abs(y - t).mean()}).metrics
        {'error': 1.0}
    """
    check_criterion("evaluate", criterion)
    check_tta("evaluate", tta)
    if on_batch is not None:
        _arguments.function("evaluate", "on_batch", on_batch)
    _arguments.model("evaluate", "model", model)
    criterion = nn.CrossEntropyLoss() if criterion is None else criterion
    meter = Meter(named_metrics("evaluate", metrics), criterion)
    rank, ranks = (0, 1) if distributed is None else (distributed.rank, distributed.size)
    records: dict[str, Any] = {}  # of the batches of this process, by their numbers
    with eval_mode(model), eval_mode(criterion), no_grad():
        # A data.Loader makes no batches of others.
        turns = loader.iterate_turns(rank, ranks) if ranks > 1 and isinstance(loader, data.Loader) else None
        for number, batch in enumerate(batches_of("evaluate", loader) if turns is None else turns):
            if batch is not None and number % ranks == rank:
                x, y = batch
                n = _several.first_length(x) or 0
                outputs = _predict_batch(model, x, tta)
                record = meter.measure(loss_of("evaluate", criterion, outputs, y), outputs, y, n)
                if distributed is None:
                    meter.add([record])
                else:
                    records[str(number)] = record
                if on_batch is not None:
                    on_batch(n)
                del x, y, outputs
            del batch  # its memory can serve the next one
    if distributed is not None:
        of_all = [pair for one in distributed.communicator.exchange("evaluation", records) for pair in one.items()]
        meter.add(record for _, record in sorted(of_all, key=lambda pair: int(pair[0])))
    if not meter.images:
        raise ValueError("evaluate: the loader gave no images")
    return Evaluation(meter.loss, meter.accuracy, meter.top5, meter.images, meter.values())
