"""From pictures to the names of classes."""

import os
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from fastnn import _arguments, _check, nn
from fastnn import functional as F
from fastnn.training.evaluate import check_tta, eval_mode, predict

__all__ = ["predict_classes"]

_BATCH = 128


@overload
def predict_classes(model: nn.Module, images: Any, tta: int = 0) -> list[Any]: ...
@overload
def predict_classes(
    model: nn.Module, images: Any, tta: int = 0, *, return_probabilities: bool
) -> tuple[list[Any], NDArray]: ...
def predict_classes(
    model: nn.Module, images: Any, tta: int = 0, *, return_probabilities: bool = False
) -> list[Any] | tuple[list[Any], NDArray]:
    """What is on pictures: the class of the largest output for each, in eval mode.

    The pictures are prepared as those were that the network was trained on: `model.preprocessing`, which `training.fit`
    sets and `fastnn.save` and `fastnn.load` keep with the weights.

    Args:
        model: a network that gives a score for each class.
        images: a file, or a picture as an array of bytes or of floats in 0..1, as `data.Preprocessing` takes them; or
            many: a list of these, or an array (N, C, H, W).
        tta: averaging over flips and shifts, see `predict`.
        return_probabilities: also return the softmax of the scores.
    Returns:
        A list with the name of a class for each picture, or its number if classes have no names; and with
        `return_probabilities` an array (N, classes).

    Raises:
        ValueError: the model does not say how pictures are prepared, or gives no scores of its classes.
        FileError: a file is no picture; the message has its name.
        FileNotFoundError: it is not there.

    Example:
        >>> from fastnn import data, training
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
        >>> model.preprocessing = data.Preprocessing(mean=0.5, std=0.25, size=(2, 2), classes=("cat", "dog"))
        >>> training.predict_classes(model, np.zeros((5, 3, 2, 2), np.uint8))[0] in ("cat", "dog")
        True
    """
    _arguments.model("predict_classes", "model", model)
    check_tta("predict_classes", tta)
    preprocessing = model.preprocessing
    if preprocessing is None:
        raise ValueError(
            "predict_classes: the model does not say how pictures are prepared. Train it with training.fit on a "
            "data.Loader, load weights that were saved after that, or set model.preprocessing = data.Preprocessing(...)"
        )
    many = images if _is_many(images) else [images]
    dtype = next((parameter.dtype for parameter in model.parameters()), np.dtype(np.float32))
    outputs = []
    with eval_mode(model):
        for begin in range(0, len(many), _BATCH):
            x = preprocessing(many[begin : begin + _BATCH]).astype(dtype, copy=False)
            outputs.append(np.array(predict(model, x, tta)))
    classes = preprocessing.classes
    scores = np.concatenate(outputs) if outputs else np.empty((0, max(len(classes), 1)), dtype)
    if scores.ndim != 2 or (classes and scores.shape[1] != len(classes)):
        wanted = f"the model must give {len(classes) or 'C'} scores for each picture"
        raise _check.fail("predict_classes", wanted, scores=scores)
    best = scores.argmax(axis=1)
    names = [classes[index] if classes else int(index) for index in best]
    return (names, F.softmax(scores, 1) if scores.size else scores) if return_probabilities else names


def _is_many(images: Any) -> bool:
    """Whether these are pictures, rather than one."""
    if isinstance(images, str | os.PathLike):
        return False
    return isinstance(images, list | tuple) or (isinstance(images, np.ndarray) and images.ndim == 4)
