"""PKU, assignment 2, part 1: backpropagation through a network of two layers.

The assignment asks to fill in forward, backward and update of 784 - 16 - 1 sigmoid units, without Python loops over
the data, and prints 50 losses to compare with. Here these are layers, and the 50 losses come out the same.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import nn, optim
from fastnn.courses.context import Context
from fastnn.courses.drawing import BLUE, ORANGE, finish, new_figure
from fastnn.courses.pku import COURSE, digits
from fastnn.courses.recipe import recipe
from fastnn.courses.report import Report
from fastnn.training import save_weights


def make_network() -> nn.Sequential:
    """784 - 16 - 1 with sigmoids and no biases, in float64, with the assignment's initial weights.

    A `Linear` holds its weight as (out, in), the assignment as (in, out).

    Example:
        >>> make_network()(np.zeros((2, 784))).shape
        (2, 1)
    """
    values = digits.initial_values()
    model = nn.Sequential(
        nn.Linear(digits.PIXELS, digits.HIDDEN, bias=False),
        nn.Sigmoid(),
        nn.Linear(digits.HIDDEN, 1, bias=False),
        nn.Sigmoid(),
    ).astype(np.float64)
    model.load_state_dict({"0.weight": values["W1"].T, "2.weight": values["W2"].T})
    return model


def train(
    model: nn.Module, x: NDArray, y: NDArray, iterations: int = digits.ITERATIONS, lr: float = digits.LR
) -> list[float]:
    """The loss before each update: binary cross-entropy, summed over all samples, of which each step sees every one."""
    criterion = nn.BCELoss(reduction="sum")
    optimizer = optim.SGD(model.parameters(), lr=lr)
    losses = []
    for _ in range(iterations):
        losses.append(float(criterion(model(x), y)))
        optimizer.zero_grad()
        model.backward(criterion.backward())
        optimizer.step()
    return losses


def first_gradients(x: NDArray, y: NDArray) -> dict[str, NDArray]:
    """dW1 and dW2 of the initial weights, in the assignment's shapes."""
    model, criterion = make_network(), nn.BCELoss(reduction="sum")
    criterion(model(x), y)
    model.backward(criterion.backward())
    return {"dW1": model[0].weight.grad.T, "dW2": model[2].weight.grad.T}


def check_losses(report: Report, expected: tuple[float, ...], losses: list[float]) -> None:
    """A row for each printed loss."""
    for number, (wanted, loss) in enumerate(zip(expected, losses, strict=True)):
        report.check(f"loss, iteration {number}", wanted, loss, tolerance=1e-6)


@recipe(
    "pku-mlp",
    course=COURSE,
    title="Backpropagation through a 784-16-1 network",
    about="Trains the 784-16-1 network on ten digits and compares all 50 printed losses to 1e-6.",
)
def pku_mlp(context: Context) -> None:
    """The whole part: it takes less than a second, so `quick` changes nothing."""
    report = context.report
    x, y = digits.read_digits(context.data), digits.labels(10)
    model = make_network()
    first_weights = model[0].weight.data.copy()
    losses = train(model, x, y)

    report.task(
        "Forward, backward and update of the network",
        "Complete BP.py: a network 784-16-1 with sigmoids and no biases, trained for 50 iterations of gradient descent "
        "(rate 0.1) on ten digits, to tell 0 from the rest; vectorised, without loops over samples or pixels.",
        "`Linear`, `Sigmoid`, `BCELoss(reduction='sum')` and `SGD` of fastnn in float64; the weights are drawn as the "
        "assignment draws them, seed 14. Each of its 50 printed losses is a row.",
    )
    check_losses(report, digits.MLP_LOSSES, losses)
    _check_arrays(context, model, x, y)

    p = model(x)[:, 0]
    report.check("digits told apart from 0 correctly", 10, int(((p > 0.5) == (y[:, 0] > 0.5)).sum()))
    report.table(
        "What the trained network says about each digit",
        ["digit", "label", "probability of being 0"],
        [[i, int(y[i, 0]), f"{p[i]:.4f}"] for i in range(10)],
    )
    report.figure("loss", plot_losses(losses, digits.MLP_LOSSES), "Loss before each update, ours and the printed ones.")
    report.figure(
        "weights",
        _plot_weights(first_weights, model[0].weight.data),
        "Weights of the 16 hidden units as pictures: at the start, and what training added to them. Only pixels where "
        "some digit has ink are changed.",
    )
    report.curves({"iteration": range(len(losses)), "loss": losses})
    save_weights(model, context.out / "weights.safetensors", {"recipe": "pku-mlp"})


def _check_arrays(context: Context, model: nn.Sequential, x: NDArray, y: NDArray) -> None:
    first = first_gradients(x, y)
    ours = {
        "bp_dW1_first": first["dW1"],
        "bp_dW2_first": first["dW2"],
        "bp_W1_final": model[0].weight.data.T,
        "bp_W2_final": model[2].weight.data.T,
    }
    check_arrays(context, ours, without="The gradients and final weights were not compared")


def check_arrays(context: Context, ours: dict[str, NDArray], without: str) -> None:
    """A row for each array, against a run in plain NumPy; if the data folder lacks its file, the text `without`."""
    expected = digits.expected_arrays(context.data)
    if expected is None:
        context.report.text(
            f"{without}: courses/pku_mlp_bn_expected.npz, with the values of a run in plain NumPy, is not in the data "
            "folder."
        )
        return
    for name, array in ours.items():
        context.report.check(name, expected[name], array, tolerance=1e-9)


# ---- figures ---------------------------------------------------------------------------------------------------------
def plot_losses(losses: list[float], expected: tuple[float, ...]) -> Any:
    """Our losses as a line, the course's as circles around it."""
    figure = new_figure(6, 3.6)
    ax = figure.add_subplot()
    ax.plot(losses, color=BLUE, label="fastnn")
    style: dict[str, Any] = {"marker": "o", "markersize": 5, "markerfacecolor": "none", "linestyle": "none"}
    ax.plot(expected, color=ORANGE, label="course", **style)
    ax.set_yscale("log")
    ax.set_ylabel("loss (sum over the samples)")
    finish(ax, x="iteration", which="both")
    return figure


def _plot_weights(before: NDArray, after: NDArray) -> Any:
    figure = new_figure(8, 4.4)
    parts = (before, "at the start", "weight"), (after - before, "what training added", "change of the weight")
    for ax, (rows, name, label) in zip(figure.subplots(2), parts, strict=True):
        limit = float(np.abs(rows).max())
        shown = ax.imshow(_tiles(rows), cmap="PuOr", vmin=-limit, vmax=limit)
        ax.set_title(f"weights of the 16 hidden units, {name}", fontsize=9)
        ax.set_axis_off()
        figure.colorbar(shown, ax=ax, label=label)
    return figure


def _tiles(rows: NDArray) -> NDArray:
    """16 rows of 784 numbers as one picture of 2 by 8 pictures, with gaps."""
    pictures = np.pad(rows.reshape(2, 8, 28, 28), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    return pictures.transpose(0, 2, 1, 3).reshape(2 * 30, 8 * 30)
