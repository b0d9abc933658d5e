"""The two-layer network that two of the courses build: its loss with an L2 penalty, and its gradients.

Both courses write a sample as a row and a layer as `x @ W1 + b1`, so W1 has shape (inputs, hidden). `nn.Linear` keeps
the transpose of that; `TwoLayerNet.values` and `gradients` speak the course's language.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import functional as F
from fastnn import nn
from fastnn.courses.central_differences import central_differences
from fastnn.courses.pixel_rows import Rows

__all__ = ["TwoLayerNet"]

_ROWS_AT_ONCE = 1000  # when all of a data set is classified


class TwoLayerNet:
    """Linear, ReLU, Linear, with the mean cross-entropy of the softmax and an L2 penalty on the weights.

    scores = max(0, x @ W1 + b1) @ W2 + b2;  loss = mean cross-entropy + reg * (sum of W1^2 + sum of W2^2)

    The penalty has no factor 1/2, so its gradient is 2 * reg * W. Biases are not penalised.

    Args:
        w1, b1, w2, b2: the initial values, which are copied.
        penalty_factor: the gradient of the penalty is taken as penalty_factor * reg * W. Default 2, the right value. 1
            is the mistake of a published solution, which a recipe reproduces.
        dtype: the dtype of parameters and arithmetic. Default float64.
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
        """A network with weights std * randn(rows, columns), W1 drawn before W2, and zero biases."""
        w1 = std * randn(n_inputs, n_hidden)
        w2 = std * randn(n_hidden, n_classes)
        return cls(w1, np.zeros(n_hidden), w2, np.zeros(n_classes), penalty_factor, dtype)

    # ---- values ------------------------------------------------------------------------------------------------------
    def parameters(self) -> dict[str, nn.Parameter]:
        """The parameters by the course's names. Weights have `nn.Linear`'s shape, the transpose of the course's."""
        return dict(self._parameters)

    def values(self) -> dict[str, NDArray]:
        """Views of W1, b1, W2, b2 in the course's shapes. Writing to them changes the network."""
        return {name: parameter.data.T for name, parameter in self.parameters().items()}

    # ---- forward -----------------------------------------------------------------------------------------------------
    def scores(self, x: NDArray) -> NDArray:
        """The scores, (N, classes), before the softmax."""
        return self.network(x)

    def probabilities(self, x: NDArray) -> NDArray:
        """The softmax of the scores, (N, classes)."""
        return F.softmax(self.scores(x), dim=1)

    def predict(self, x: Rows) -> NDArray[np.int64]:
        """The class with the highest score for each row."""
        starts = range(0, len(x), _ROWS_AT_ONCE)
        parts = [self.scores(x[start : start + _ROWS_AT_ONCE]).argmax(axis=1) for start in starts]
        return np.concatenate(parts)

    def accuracy(self, x: Rows, y: NDArray) -> float:
        """The fraction of the rows that is classified correctly."""
        return float((self.predict(x) == y).mean())

    def penalty(self, reg: float) -> float:
        """The penalty, reg * (sum of W1^2 + sum of W2^2)."""
        weights = self.first.weight.data, self.second.weight.data
        return reg * sum(float(np.einsum("ij,ij->", weight, weight)) for weight in weights)

    def loss(self, x: NDArray, y: NDArray, reg: float) -> float:
        """The mean cross-entropy plus the penalty."""
        return float(self.criterion(self.scores(x), y)) + self.penalty(reg)

    # ---- backward ----------------------------------------------------------------------------------------------------
    def backward(self) -> None:
        """Set `.grad` of all parameters to the gradient of the cross-entropy of the last `loss`, without the penalty.

        `train` leaves the penalty to the weight decay of the optimiser.
        """
        self.network.zero_grad()
        self.network.backward(self.criterion.backward())

    def gradients(self, x: NDArray, y: NDArray, reg: float) -> dict[str, NDArray]:
        """The gradients of `loss`, by the course's names and in its shapes."""
        self.loss(x, y, reg)
        self.backward()
        result = {name: np.array(parameter.grad.T) for name, parameter in self.parameters().items()}
        values = self.values()
        for name in ("W1", "W2"):
            result[name] += self.penalty_factor * reg * values[name]
        return result

    def numeric_gradients(self, x: NDArray, y: NDArray, reg: float, h: float = 1e-5) -> dict[str, NDArray]:
        """The same gradients by central differences of `loss` with step h."""
        return central_differences(self.values(), lambda: self.loss(x, y, reg), h)
