"""The two-layer network that two of the courses build: its loss with an L2 penalty, its gradients, its training loop.

Both courses write a sample as a row and a layer as `x @ W1 + b1`, so W1 has shape (inputs, hidden). `nn.Linear` keeps
the transpose of that; `TwoLayerNet.values` and `gradients` speak the course's language.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import functional as F
from fastnn import nn, optim

__all__ = ["Rows", "TrainingLog", "TwoLayerNet", "numeric_gradients", "relative_error", "train"]

_ROWS_AT_ONCE = 1000  # when all of a data set is classified


class Rows(Protocol):
    """Samples: an array (N, inputs), or anything that gives the rows of one for indices or a slice."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> NDArray: ...


class TwoLayerNet:
    """Linear, ReLU, Linear, with the mean cross-entropy of its softmax and a penalty on large weights.

    scores = max(0, x @ W1 + b1) @ W2 + b2;  loss = mean cross-entropy + reg * (sum of W1^2 + sum of W2^2)

    There is no factor 1/2 before the penalty, so its gradient is 2 * reg * W. Biases are not penalised.

    Args:
        w1, b1, w2, b2: initial values; they are copied.
        penalty_factor: the gradient of the penalty is taken to be penalty_factor * reg * W. Anything but 2 is wrong;
            1 is the error of one published solution, kept to show what it does.
        dtype: of parameters and arithmetic.
    Shape:
        - w1: (inputs, hidden); b1: (hidden,); w2: (hidden, classes); b2: (classes,)
    """

    def __init__(
        self,
        w1: NDArray,
        b1: NDArray,
        w2: NDArray,
        b2: NDArray,
        penalty_factor: float = 2.0,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.penalty_factor = penalty_factor
        self.dtype = np.dtype(dtype)
        self.first = nn.Linear(*w1.shape)
        self.second = nn.Linear(*w2.shape)
        self.network = nn.Sequential(self.first, nn.ReLU(), self.second)
        self.network.input_grad = False  # nothing lies below the first layer
        self.criterion = nn.CrossEntropyLoss()
        self._parameters: dict[str, nn.Parameter] = {}
        for number, layer, weight, bias in ((1, self.first, w1, b1), (2, self.second, w2, b2)):
            layer.weight.data = np.array(weight, self.dtype, order="C").T
            layer.bias = nn.Parameter(np.array(bias, self.dtype))
            self._parameters |= {f"W{number}": layer.weight, f"b{number}": layer.bias}

    @classmethod
    def random(
        cls,
        n_inputs: int,
        n_hidden: int,
        n_classes: int,
        std: float,
        randn: Callable[..., NDArray],
        penalty_factor: float = 2.0,
        dtype: DTypeLike = np.float64,
    ) -> "TwoLayerNet":
        """Weights std * randn(rows, columns), W1 drawn before W2, and biases 0."""
        w1 = std * randn(n_inputs, n_hidden)
        w2 = std * randn(n_hidden, n_classes)
        return cls(w1, np.zeros(n_hidden), w2, np.zeros(n_classes), penalty_factor, dtype)

    # ---- values ------------------------------------------------------------------------------------------------------
    def parameters(self) -> dict[str, nn.Parameter]:
        """The parameters by the course's names; weights have `nn.Linear`'s shape, the transpose of the course's."""
        return dict(self._parameters)

    def values(self) -> dict[str, NDArray]:
        """Views of W1, b1, W2, b2 in the course's shapes: what is written into them changes the network."""
        return {name: parameter.data.T for name, parameter in self.parameters().items()}

    # ---- forward -----------------------------------------------------------------------------------------------------
    def scores(self, x: NDArray) -> NDArray:
        """(N, classes), before softmax."""
        return self.network(x)

    def probabilities(self, x: NDArray) -> NDArray:
        """(N, classes), the softmax of the scores."""
        return F.softmax(self.scores(x), dim=1)

    def predict(self, x: Rows) -> NDArray[np.int64]:
        """The class of the highest score of each row."""
        starts = range(0, len(x), _ROWS_AT_ONCE)
        parts = [self.scores(x[start : start + _ROWS_AT_ONCE]).argmax(axis=1) for start in starts]
        return np.concatenate(parts)

    def accuracy(self, x: Rows, y: NDArray) -> float:
        """The part of the rows that is classified correctly, in [0, 1]."""
        return float((self.predict(x) == y).mean())

    def penalty(self, reg: float) -> float:
        """reg * (sum of W1^2 + sum of W2^2)."""
        weights = self.first.weight.data, self.second.weight.data
        return reg * sum(float(np.einsum("ij,ij->", weight, weight)) for weight in weights)

    def loss(self, x: NDArray, y: NDArray, reg: float) -> float:
        """Mean cross-entropy and penalty."""
        return float(self.criterion(self.scores(x), y)) + self.penalty(reg)

    # ---- backward ----------------------------------------------------------------------------------------------------
    def backward(self) -> None:
        """Set `.grad` of all parameters to the gradient of the cross-entropy of the last `loss`, without the penalty.

        `train` leaves the penalty to the weight decay of the optimiser, which adds it to the gradient in passing.
        """
        self.network.zero_grad()
        self.network.backward(self.criterion.backward())

    def gradients(self, x: NDArray, y: NDArray, reg: float) -> dict[str, NDArray]:
        """Gradients of `loss` by the course's names and in its shapes."""
        self.loss(x, y, reg)
        self.backward()
        result = {name: np.array(parameter.grad.T) for name, parameter in self.parameters().items()}
        values = self.values()
        for name in ("W1", "W2"):
            result[name] += self.penalty_factor * reg * values[name]
        return result


# ---- the check of the gradients --------------------------------------------------------------------------------------
def numeric_gradients(net: TwoLayerNet, x: NDArray, y: NDArray, reg: float, h: float = 1e-5) -> dict[str, NDArray]:
    """Central differences (loss(w + h) - loss(w - h)) / (2 h) for each element of each parameter."""
    result = {}
    for name, value in net.values().items():
        gradient = np.empty_like(value)
        for index in np.ndindex(*value.shape):
            kept = value[index]
            losses = []
            for shifted in (kept + h, kept - h):
                value[index] = shifted
                losses.append(net.loss(x, y, reg))
            value[index] = kept
            gradient[index] = (losses[0] - losses[1]) / (2 * h)
        result[name] = gradient
    return result


def relative_error(a: NDArray, b: NDArray, floor: float = 1e-8) -> float:
    """The largest |a - b| / max(floor, |a| + |b|), element by element."""
    return float((np.abs(a - b) / np.maximum(floor, np.abs(a) + np.abs(b))).max())


# ---- training --------------------------------------------------------------------------------------------------------
@dataclass
class TrainingLog:
    """What `train` saw.

    Attributes:
        losses: of the batch of each step, before its update, penalty included.
        epochs: a row for each epoch begun: step, batch_accuracy (of the last batch, after its update), val_accuracy,
            lr (of that update).
    """

    losses: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)


def _all_steps(steps: range) -> Iterable[int]:
    return steps


def train(
    net: TwoLayerNet,
    x: Rows,
    y: NDArray,
    *,
    draw: Callable[[int, int], NDArray] | None,
    n_steps: int,
    lr: float,
    decay: float,
    reg: float,
    batch_size: int,
    validation: tuple[Rows, NDArray] | None = None,
    progress: Callable[[range], Iterable[int]] = _all_steps,
    after_step: Callable[[int, float], None] | None = None,
) -> TrainingLog:
    """The courses' loop: gradient descent on random batches, and at the beginning of each epoch a smaller step.

    An epoch has max(N // batch_size, 1) steps. The learning rate is multiplied by `decay` **after** step 0 and after
    each step whose number is a multiple of an epoch's steps: the first step alone has the learning rate that was asked
    for, and with fewer samples than batch_size the learning rate falls at every step.

    Args:
        net: is trained in place.
        x, y: samples and labels.
        draw: draw(N, batch_size) gives the indices of a batch, with replacement as the courses sample:
            `np.random.RandomState(seed).choice`. None takes all samples in every step.
        n_steps, lr, decay, reg, batch_size: as above.
        validation: samples and labels whose accuracy is measured once in an epoch.
        progress: wraps the range of steps, to show a bar.
        after_step: called with the number of each step and its loss.
    """
    parameters = net.parameters()
    groups: list[dict[str, Any]] = [
        {"params": [parameters["W1"], parameters["W2"]], "weight_decay": net.penalty_factor * reg},
        {"params": [parameters["b1"], parameters["b2"]]},
    ]
    optimizer = optim.SGD(groups, lr=lr)
    epoch = max(len(x) // batch_size, 1)
    log = TrainingLog()
    for step in progress(range(n_steps)):
        batch: Any = slice(None) if draw is None else draw(len(x), batch_size)
        x_batch, y_batch = x[batch], y[batch]
        log.losses.append(net.loss(x_batch, y_batch, reg))
        net.backward()
        optimizer.step()
        if after_step is not None:
            after_step(step, log.losses[-1])
        if step % epoch == 0:
            row = {"step": step, "lr": lr, "batch_accuracy": net.accuracy(x_batch, y_batch)}
            if validation is not None:
                row["val_accuracy"] = net.accuracy(*validation)
            log.epochs.append(row)
            lr *= decay
            for group in optimizer.param_groups:
                group["lr"] = lr
    return log
