"""The toy problem of the Saarland exercise: four inputs, ten hidden units, three classes, five samples.

Everything here is determined to the last digit by NumPy's legacy generator, so it is checked to that digit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.courses.drawing import BLUE, ORANGE, finish, new_figure
from fastnn.courses.report import Report
from fastnn.courses.two_layer_network import TwoLayerNet
from fastnn.courses.two_layer_training import TrainingLog, train

__all__ = ["check_toy", "relative_error", "toy_data", "toy_net", "train_toy"]

# The loss of the toy network with the penalty 0.05, and without one.
LOSS, DATA_LOSS, REG = 1.30378789133, 1.2658570521180532, 0.05

# The handout's own numbers have 8 digits; it asks for a sum of differences below 1e-7.
PROBABILITIES = np.array(
    [
        [0.36446210, 0.22911264, 0.40642526],
        [0.47590629, 0.17217039, 0.35192332],
        [0.43035767, 0.26164229, 0.30800004],
        [0.41583127, 0.29832280, 0.28584593],
        [0.36328815, 0.32279939, 0.31391246],
    ]
)
# The same network's scores before softmax, as the older Stanford version of the task prints them.
SCORES = np.array(
    [
        [-0.81233741, -1.27654624, -0.70335995],
        [-0.17129677, -1.18803311, -0.47310444],
        [-0.51590475, -1.01354314, -0.8504215],
        [-0.15419291, -0.48629638, -0.52901952],
        [-0.00618733, -0.12435261, -0.15226949],
    ]
)
# Gradients of the loss at the penalty 0.05, rounded to 10 digits.
GRADIENTS = {
    "W1": np.array(
        [
            [-0.0968499043, 0.0040015721, -0.2055178279, 0.1879863519, 0.1605316451,
             -0.0097727788, 0.0095008842, 0.0026888434, -0.0301022811, -0.005678028],
            [0.0445595008, 0.0145427351, 0.6955155022, -0.2886163271, -0.2669869888,
             0.0033367433, 0.0149407907, 0.0193435586, -0.0654700997, -0.5329286507],
            [0.0116977821, 0.006536186, -0.2316235505, -0.0626390355, -0.0014163897,
             -0.0145436567, 0.0004575852, -0.0029006708, 0.535668029, 0.3697319982],
            [0.0771766403, 0.0037816252, -0.3137783227, 0.2268685679, 0.2066787091,
             0.0015634897, 0.0123029068, -0.0021805579, -0.6789430401, 0.0985573015],
        ]
    ),
    "b1": np.array(
        [-0.0070484043, 0, 0.0031049353, -0.0072398986, -0.0057337739, 0, 0, -0.0024371972, 0.0412160456, 0.0223617638]
    ),
    "W2": np.array(
        [
            [-0.5137646909, 0.1672329296, 0.3047833504],
            [0.019507754, -0.0050965218, -0.004380743],
            [0.2922291736, 0.1188968936, -0.4320180957],
            [-0.2331210748, 0.1862882001, 0.0396198312],
            [0.7781747962, -0.3542330266, -0.441137965],
            [0.0042833187, 0.0006651722, 0.003024719],
            [-0.0063432209, -0.0036274117, -0.0067246045],
            [0.0617281609, -0.1299004892, 0.0391825079],
            [0.6320539455, -0.0844023525, -0.5661971245],
            [0.8893349948, -0.6047093485, -0.2885513534],
        ]
    ),
    "b2": np.array([0.2099690981, -0.1431904992, -0.0667785988]),
}  # fmt: skip

# Losses of 100 steps by step, 9 digits: with batches drawn with replacement, and with all five samples in each step.
FINAL_LOSS = 0.017149607938732
LOSSES = {
    0: 1.241993802, 1: 0.911191368, 2: 0.727969892, 3: 0.587932153, 4: 0.443400062, 5: 0.321233371, 9: 0.122730900,
    19: 0.036126831, 49: 0.018014560,
}  # fmt: skip
FULL_BATCH_FINAL_LOSS = 0.015634987611856756
FULL_BATCH_LOSSES = {
    0: 1.265860845, 1: 0.892763270, 2: 0.714595796, 3: 0.562345470, 4: 0.426658930, 5: 0.313847878, 9: 0.112957275,
    19: 0.036577027, 49: 0.017856220,
}  # fmt: skip
NO_DECAY_FINAL_LOSS = 0.00177


def toy_net() -> tuple[TwoLayerNet, np.random.RandomState]:
    """The network, and the generator as its 70 draws leave it."""
    random = np.random.RandomState(0)
    return TwoLayerNet.random(4, 10, 3, 1e-1, random.randn), random


def toy_data() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Five samples and their classes."""
    return 10 * np.random.RandomState(1).randn(5, 4), np.array([0, 1, 2, 2, 1])


def train_toy(decay: float = 0.95, full_batch: bool = False) -> tuple[TrainingLog, np.random.RandomState]:
    """The exercise's 100 steps, and the generator as they leave it: the run on CIFAR-10 goes on from there."""
    net, random = toy_net()
    x, y = toy_data()
    draw = None if full_batch else random.choice
    log = train(net, x, y, draw=draw, n_steps=100, lr=1e-1, reg=5e-6, decay=decay)
    return log, random


def relative_error(a: NDArray, b: NDArray, floor: float = 1e-8) -> float:
    """The exercise's measure: the largest |a - b| / max(floor, |a| + |b|), element by element."""
    return float((np.abs(a - b) / np.maximum(floor, np.abs(a) + np.abs(b))).max())


def check_toy(report: Report) -> np.random.RandomState:
    """Write the rows of the toy problem; returns the generator for the run on CIFAR-10."""
    net, _ = toy_net()
    x, y = toy_data()

    report.task(
        "Scores of the toy network",
        "Implement the forward pass and compare its scores with the given ones: the differences must sum to less "
        "than 1e-7.",
        "`fastnn.nn.Linear`, `ReLU`, `Linear` in float64 with the exercise's initial values. The exercise prints "
        "probabilities; an older version of the same task prints the scores before softmax. Both are checked.",
    )
    probabilities, scores = net.probabilities(x), net.scores(x)
    for what, expected, ours in (("probabilities", PROBABILITIES, probabilities), ("scores", SCORES, scores)):
        report.check(f"sum of differences of the {what}", 0.0, float(np.abs(ours - expected).sum()), tolerance=1e-7)
    rows = [[i, *(f"{p:.8f}" for p in probabilities[i]), *(f"{s:.8f}" for s in scores[i])] for i in range(len(x))]
    columns = ["sample", *(f"probability {c}" for c in range(3)), *(f"score {c}" for c in range(3))]
    report.table("Probabilities and scores of the five samples, as computed here", columns, rows)

    report.task(
        "Loss of the toy network",
        "Compute softmax, cross-entropy and the L2 penalty with strength 0.05; the loss must be 1.30378789133.",
        "`nn.CrossEntropyLoss` plus reg * (sum W1^2 + sum W2^2), without a factor 1/2.",
    )
    report.check("loss, penalty 0.05", LOSS, net.loss(x, y, REG), tolerance=1e-11)
    report.check("loss without penalty", DATA_LOSS, net.loss(x, y, 0.0), tolerance=1e-11)

    report.task(
        "Gradients of the toy network",
        "Implement the backward pass and compare it with central differences (h = 1e-5): relative error below 1e-8.",
        "`backward` of the three layers, plus 2 * reg * W. Compared with central differences of the loss, element by "
        "element, and with a table of exact values.",
    )
    gradients = net.gradients(x, y, REG)
    numeric = net.numeric_gradients(x, y, REG)
    for name, gradient in gradients.items():
        error = relative_error(gradient, numeric[name])
        report.check(f"{name}: relative error to central differences", 1e-8, error, at_most=True)
        error = float(np.abs(gradient - GRADIENTS[name]).max())
        report.check(f"{name}: largest difference to the table", 0.0, error, tolerance=1e-10)

    report.task(
        "Training the toy network",
        "Train with batches of 200 drawn from the five samples, learning rate 0.1, penalty 5e-6, 100 steps; the final "
        "loss must be at most 0.02.",
        "The exercise's loop, with NumPy's legacy generator, which makes every digit comparable. An epoch has one step "
        "here, so the learning rate falls by 5 % after every step, the first included.",
    )
    log, random = train_toy()
    for step, loss in LOSSES.items():
        report.check(f"loss at step {step}", loss, log.losses[step], tolerance=1e-9)
    report.check("loss at step 99", FINAL_LOSS, log.losses[99], tolerance=1e-9)
    full, _ = train_toy(full_batch=True)
    for step, loss in FULL_BATCH_LOSSES.items():
        report.check(f"all samples in each step: loss at step {step}", loss, full.losses[step], tolerance=1e-9)
    report.check("all samples in each step: loss at step 99", FULL_BATCH_FINAL_LOSS, full.losses[99], tolerance=1e-9)
    constant, _ = train_toy(decay=1.0)
    report.check(
        "learning rate never lowered: loss at step 99",
        NO_DECAY_FINAL_LOSS,
        constant.losses[99],
        tolerance=5e-6,
        note="what a loop without the decay ends with",
    )
    report.figure("toy-loss", _loss_figure(log, full), "Loss of the toy network over the steps")
    return random


def _loss_figure(sampled: TrainingLog, full: TrainingLog) -> Any:
    """Both toy trainings in one picture."""
    figure = new_figure(6, 4)
    ax = figure.add_subplot()
    ax.plot(sampled.losses, color=BLUE, label="200 samples drawn with replacement")
    ax.plot(full.losses, color=ORANGE, linestyle="--", label="the five samples")
    ax.set_yscale("log")
    ax.set_ylabel("loss")
    finish(ax, x="step", which="both")
    return figure
