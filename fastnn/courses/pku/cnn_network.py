"""PKU, assignment 2, part 3: (a) the network of Figure 6 and (b) its loss, both compared with fastnn's own."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import nn
from fastnn.courses.context import Context

__all__ = ["CrossEntropy", "figure6_cnn", "network_and_loss_task"]


def figure6_cnn(num_classes: int = 10) -> nn.Sequential:
    """The network of the assignment's Figure 6: 890,410 parameters, no padding.

    Shape:
        - Input: (N, 3, 32, 32)
        - Output: (N, num_classes), scores before softmax
    Example:
        >>> sum(p.size for p in figure6_cnn().parameters())
        890410
    """
    return nn.Sequential(
        nn.Conv2d(3, 32, 3),  # 30 x 30
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),  # 28 x 28
        nn.ReLU(),
        nn.MaxPool2d(2),  # 14 x 14
        nn.Conv2d(32, 64, 3),  # 12 x 12
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),  # 10 x 10
        nn.ReLU(),
        nn.MaxPool2d(2),  # 5 x 5
        nn.Flatten(),
        nn.Linear(1600, 512),
        nn.ReLU(),
        nn.Linear(512, num_classes),
    )


class CrossEntropy(nn.Module):
    """The mean over a batch of -log softmax(scores)[label], as the assignment asks to write it.

    log softmax(s)[c] = s[c] - m - log(sum over k of exp(s[k] - m)), m = max s: without m, exp overflows at raw pixels,
    and the logarithm of a softmax that has become 0 is -infinity. The gradient is (softmax - one-hot) / N, so the
    network itself must not end with a softmax.

    Example:
        >>> loss = CrossEntropy()
        >>> round(loss(np.zeros((2, 10)), np.array([3, 7])), 6)  # ln 10
        2.302585
        >>> loss.backward()[0, :4].round(3)
        array([ 0.05,  0.05,  0.05, -0.45])
    """

    def forward(self, scores: NDArray, labels: NDArray) -> float:
        shifted = scores - scores.max(axis=1, keepdims=True)
        log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        self._probability, self._labels = np.exp(log_probability), labels
        return float(-log_probability[np.arange(len(labels)), labels].mean())

    def backward(self, dloss: ArrayLike | None = None) -> NDArray:
        gradient = self._probability.copy()
        gradient[np.arange(len(gradient)), self._labels] -= 1
        factor = (1.0 if dloss is None else float(np.asarray(dloss))) / len(gradient)
        return gradient * np.asarray(factor, gradient.dtype)


def network_and_loss_task(context: Context) -> None:
    """Parameters, shapes, and the loss beside fastnn's."""
    report = context.report
    report.task(
        "(a) The network and (b) its loss",
        "Build the convolutional network of Figure 6 in network.py, and write the cross-entropy loss.",
        "`figure6_cnn` of fastnn's layers. `CrossEntropy` is the loss in plain NumPy; it is compared with fastnn's, "
        "and (c) and (d) train with it.",
    )
    model = figure6_cnn()
    report.check("parameters", 890_410, sum(p.size for p in model.parameters()))
    shapes, x = [], np.zeros((1, 3, 32, 32), np.float32)
    for layer in model:
        x = layer(x)
        size = sum(p.size for p in layer.parameters())
        shapes.append([repr(layer), " x ".join(map(str, x.shape[1:])), f"{size:,}"])
    report.table("The network", ["layer", "output", "parameters"], shapes)

    rng = np.random.default_rng(0)
    scores, labels = rng.normal(0, 3, (20, 10)), rng.integers(0, 10, 20)
    own, library = CrossEntropy(), nn.CrossEntropyLoss()
    report.check("cross-entropy, against fastnn's", library(scores, labels), own(scores, labels), tolerance=1e-12)
    report.check("its gradient, against fastnn's", library.backward(), own.backward(), tolerance=1e-12)
    report.check("cross-entropy of equal scores, ln 10", float(np.log(10)), own(0 * scores, labels), tolerance=1e-12)
    large = own(np.array([[1e4, 0.0]]), np.array([1]))
    report.check("cross-entropy of scores 10,000 apart", 1e4, large, tolerance=1e-6)
