"""PKU, assignment 2, part 2: batch normalisation, forward, backward and for inference."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import functional as F
from fastnn import nn
from fastnn.courses.central_differences import central_differences
from fastnn.courses.context import Context
from fastnn.courses.pku import COURSE, digits
from fastnn.courses.pku.mlp import check_arrays, check_losses, plot_losses, train
from fastnn.courses.recipe import recipe
from fastnn.courses.report import Report
from fastnn.training import save_weights

EPS = 1e-5
TRAIN_IMAGES = 9  # the digits 0 to 8; the 9 is for validation


# ---- the network -----------------------------------------------------------------------------------------------------
class ObservedBatchNorm1d(nn.BatchNorm1d):
    """Batch norm that remembers the statistics of every batch and the tensors of its first step.

    With momentum None its running statistics are plain means over all batches.

    Args:
        num_features: as of `BatchNorm1d`.
        fault: a wrong formula to use for dx, see `FAULTS`; None for the right one.
    """

    def __init__(self, num_features: int, fault: "Fault | None" = None) -> None:
        super().__init__(num_features, eps=EPS, momentum=None)
        self.fault = fault
        self.means: list[NDArray] = []
        self.variances: list[NDArray] = []
        self.first_step: dict[str, NDArray] = {}

    def forward(self, x: NDArray) -> NDArray:
        if self.training:
            self.means.append(x.mean(axis=0))
            self.variances.append(x.var(axis=0))  # the biased one: divided by the number of samples
            self._inputs = x
        return super().forward(x)

    def backward(self, dy: NDArray) -> NDArray | None:
        dx = super().backward(dy)
        assert self.weight is not None  # it is affine
        assert self.bias is not None
        if self.fault is not None:
            x, std = self._inputs, np.sqrt(self.variances[-1] + EPS)
            dx = self.fault.dx(dy * self.weight.data, (x - self.means[-1]) / std, std)
        if not self.first_step and dx is not None:
            self.first_step = {
                "x": self._inputs,
                "dout": dy,
                "dx": dx,
                "dgamma": self.weight.grad,
                "dbeta": self.bias.grad,
            }
        return dx


class Fault(NamedTuple):
    """A mistake in the backward pass.

    Attributes:
        done: what was done wrong, after "you".
        loss: the last of the 50 losses, by which it is recognised.
        dx: the wrong gradient of the layer's input, from the gradient of the normalised input, the normalised input
            and the standard deviation. The right one is (g - mean of g - x_hat * mean of (g * x_hat)) / std.
    """

    done: str
    loss: float
    dx: Callable[[NDArray, NDArray, NDArray], NDArray]


def _mean_term(g: NDArray) -> NDArray:
    """What dx gets through the batch's mean."""
    return g.mean(axis=0)


def _variance_term(g: NDArray, x_hat: NDArray) -> NDArray:
    """What dx gets through the batch's variance."""
    return x_hat * (g * x_hat).mean(axis=0)


FAULTS = (
    Fault("dropped the mean and the variance terms of dx", 0.84335, lambda g, x_hat, std: g / std),
    Fault("dropped the variance term of dx", 0.83233, lambda g, x_hat, std: (g - _mean_term(g)) / std),
    Fault("dropped the mean term of dx", 0.82820, lambda g, x_hat, std: (g - _variance_term(g, x_hat)) / std),
    Fault(
        "dropped both terms and multiplied by sqrt(var + eps) instead of dividing by it",
        0.23577,
        lambda g, x_hat, std: g * std,
    ),
)


def make_network(fault: Fault | None = None) -> nn.Sequential:
    """784 - 16 - batch norm - sigmoid - 1 - sigmoid, in float64, with the assignment's initial weights.

    Example:
        >>> make_network()(np.eye(2, 784)).shape
        (2, 1)
    """
    values = digits.initial_values()
    norm = ObservedBatchNorm1d(digits.HIDDEN, fault)
    model = nn.Sequential(
        nn.Linear(digits.PIXELS, digits.HIDDEN, bias=False),
        norm,
        nn.Sigmoid(),
        nn.Linear(digits.HIDDEN, 1, bias=False),
        nn.Sigmoid(),
    ).astype(np.float64)
    arrays = {
        "0.weight": values["W1"].T,
        "1.weight": values["gamma"],
        "1.bias": values["beta"],
        "3.weight": values["W2"].T,
    }
    model.load_state_dict(arrays, strict=False)  # the running statistics keep their start
    return model


# ---- inference -------------------------------------------------------------------------------------------------------
def cumulative_statistics(norm: nn.BatchNorm1d, samples: int) -> tuple[NDArray, NDArray]:
    """Means over all batches, of `samples` each, of the batch's mean and of its biased variance.

    The layer keeps the unbiased variance, as PyTorch does, which is n / (n - 1) times the biased one.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("the layer has no running statistics")
    return norm.running_mean, norm.running_var * ((samples - 1) / samples)


def validation_loss(model: nn.Sequential, mean: NDArray, variance: NDArray, x: NDArray, y: NDArray) -> float:
    """The loss of images in eval mode, with these statistics; the network stays as it is."""
    norm: nn.BatchNorm1d = model[1]  # type: ignore[assignment]
    before = norm.running_mean, norm.running_var
    norm.running_mean, norm.running_var = mean, variance
    model.eval()
    try:
        return float(nn.BCELoss(reduction="sum")(model(x), y))
    finally:
        model.train()
        norm.running_mean, norm.running_var = before


def _moving_average(values: list[NDArray], decay: float, start: NDArray) -> NDArray:
    average = start
    for value in values:
        average = decay * average + (1 - decay) * value
    return average


def statistics_rules(norm: ObservedBatchNorm1d, samples: int) -> list[tuple[str, float, NDArray, NDArray]]:
    """Ways to get statistics for inference from those of the batches: name, published loss, mean, variance."""
    means, variances = norm.means, norm.variances
    mean, variance = np.mean(means, axis=0), np.mean(variances, axis=0)
    zero = np.zeros_like(mean)

    def moving(decay: float) -> tuple[NDArray, NDArray]:
        return _moving_average(means, decay, zero), _moving_average(variances, decay, zero)

    late = [_moving_average(values, 0.99, values[0]) for values in (means, variances)]
    return [
        ("mean over all batches, biased variance", 0.028552, mean, variance),
        ("mean over all batches, unbiased variance", 0.029686, mean, variance * (samples / (samples - 1))),
        ("moving average, decay 0.9, from zeros", 0.027659, *moving(0.9)),
        ("moving average, decay 0.99, from zeros", 0.011864, *moving(0.99)),
        ("moving average, decay 0.99, from the first batch", 0.029620, late[0], late[1]),
        ("the last batch only", 0.027565, means[-1], variances[-1]),
    ]


# ---- gradients -------------------------------------------------------------------------------------------------------
def numeric_gradients(x: NDArray, dout: NDArray, step: float = 1e-6) -> dict[str, NDArray]:
    """Central differences of sum(dout * batch_norm(x)) for x, gamma and beta, at the assignment's gamma and beta."""
    values = digits.initial_values()
    arrays = {"dx": x.copy(), "dgamma": values["gamma"], "dbeta": values["beta"]}

    def loss() -> float:
        result = F.batch_norm(arrays["dx"], None, None, arrays["dgamma"], arrays["dbeta"], training=True, eps=EPS)
        return float((dout * result.y).sum())

    return central_differences(arrays, loss, step)


def _check_gradients(context: Context, model: nn.Sequential, norm: ObservedBatchNorm1d) -> None:
    report, first = context.report, norm.first_step
    for name, numeric in numeric_gradients(first["x"], first["dout"]).items():
        # The largest element sets the scale: differences of rounded losses say nothing about elements near 0.
        scale = float(np.abs(numeric).max())
        report.check(f"{name} against central differences", numeric, first[name], tolerance=1e-7 * scale)
    ours = {
        **{f"bn_{name}_first": array for name, array in first.items()},
        "bn_batch_means": np.stack(norm.means),
        "bn_batch_vars": np.stack(norm.variances),
        "bn_W1_final": model[0].weight.data.T,
        "bn_W2_final": model[3].weight.data.T,
        "bn_gamma_final": norm.get_parameter("weight").data,
        "bn_beta_final": norm.get_parameter("bias").data,
    }
    check_arrays(context, ours, without="The tensors were not compared with the assignment's")


# ---- the recipe ------------------------------------------------------------------------------------------------------
@recipe(
    "pku-bn",
    course=COURSE,
    title="Batch normalisation from scratch",
    about="Compares batch norm, forward, backward and for inference, with the 50 printed losses and the validation "
    "loss 0.028552, and shows what usual mistakes lead to.",
)
def pku_bn(context: Context) -> None:
    """The whole part: it takes a second, so `quick` changes nothing."""
    report = context.report
    images = digits.read_digits(context.data)
    x, y = images[:TRAIN_IMAGES], digits.labels(TRAIN_IMAGES)
    x_val, y_val = images[TRAIN_IMAGES:], np.zeros((1, 1))
    model = make_network()
    norm: ObservedBatchNorm1d = model[1]  # type: ignore[assignment]
    losses = train(model, x, y)

    report.task(
        "Forward and backward",
        "Complete bn.py: normalise the 16 hidden units over the batch before their sigmoid, learn gamma and beta, and "
        "train on the digits 0 to 8 for 50 iterations of gradient descent (rate 0.1).",
        "`BatchNorm1d` of fastnn in float64 (eps 1e-5 inside the square root, biased variance), initial values as the "
        "assignment draws them, seed 14. Each of its 50 printed losses is a row.",
    )
    check_losses(report, digits.BN_LOSSES, losses)
    report.figure("loss", plot_losses(losses, digits.BN_LOSSES), "Loss before each update, ours and the printed ones.")
    report.curves({"iteration": range(len(losses)), "loss": losses})
    save_weights(model, context.out / "weights.safetensors", {"recipe": "pku-bn"})

    report.task(
        "Gradients of x, gamma and beta",
        "Derive and write the backward pass of batch normalisation.",
        "dx, dgamma and dbeta of the first step against central differences and, with all statistics and the final "
        "parameters, against a run in plain NumPy.",
    )
    _check_gradients(context, model, norm)

    report.task(
        "Inference",
        "Keep a mean and a variance while training, and use them for the digit 9, which was not trained on.",
        "`BatchNorm1d(momentum=None)` takes the mean over all batches. The printed 0.028552 needs the biased variance; "
        "the layer keeps the unbiased one, as PyTorch does, and 8/9 of it is the biased one of nine samples. Other "
        "rules are common in students' solutions, and the loss tells which was used.",
    )
    loss = validation_loss(model, *cumulative_statistics(norm, TRAIN_IMAGES), x_val, y_val)
    report.check("validation loss, by the layer's statistics", 0.028552, loss, tolerance=1e-6)
    for name, wanted, mean, variance in statistics_rules(norm, TRAIN_IMAGES):
        loss = validation_loss(model, mean, variance, x_val, y_val)
        report.check(f"validation loss, {name}", wanted, loss, tolerance=1e-6)

    report.task(
        "If your losses differ",
        "(Not asked, but often needed.)",
        "The same network was trained with four wrong backward passes. All of them start with the right first loss, "
        "since the forward pass is right; the last loss tells the mistake.",
    )
    _fault_table(report, x, y, losses)


def _fault_table(report: Report, x: NDArray, y: NDArray, right: list[float]) -> None:
    rows = [["nothing: this is right", f"{right[1]:.5f}", f"{right[-1]:.5f}"]]
    for fault in FAULTS:
        losses = train(make_network(fault), x, y)
        rows.append([f"you {fault.done}", f"{losses[1]:.5f}", f"{losses[-1]:.5f}"])
        report.check(f"last loss if you {fault.done}", fault.loss, losses[-1], tolerance=1e-5)
        report.check(f"first loss if you {fault.done}", right[0], losses[0], tolerance=1e-12)
    report.table("Signs of mistakes", ["what happened", "second loss", "last loss"], rows)
