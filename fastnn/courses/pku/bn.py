"""PKU, assignment 2, part 2: batch normalisation, forward, backward and for inference."""

import numpy as np
from numpy.typing import NDArray

from fastnn import functional as F
from fastnn import nn
from fastnn.courses.central_differences import central_differences
from fastnn.courses.context import Context
from fastnn.courses.pku import COURSE, digits
from fastnn.courses.pku.bn_inference import cumulative_statistics, statistics_rules, validation_loss
from fastnn.courses.pku.bn_network import EPS, FAULTS, ObservedBatchNorm1d, make_network
from fastnn.courses.pku.mlp import check_arrays, check_losses, plot_losses, train
from fastnn.courses.recipe import recipe
from fastnn.courses.report import Report
from fastnn.training import save_weights

TRAIN_IMAGES = 9  # the digits 0 to 8; the 9 is for validation


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
