"""Gradients, updates and weights, layer by layer: vanishing, exploding, too large, too small, equal."""

import numpy as np

from fastnn import nn
from fastnn.doctor._steps import weights_of
from fastnn.doctor.findings import Finding, Record

__all__ = ["examine_gradients", "examine_updates", "examine_weights"]

# Between the layers of a network that is initialised well, gradients keep their size (Glorot and Bengio, 2010,
# "Understanding the difficulty of training deep feedforward neural networks"). One learning rate serves all layers
# while they differ by a few powers of ten; by 4, the slowest layer stands still while the fastest is at its limit.
VANISHED = 1e-4
# The gradient of cross-entropy with respect to scores is at most sqrt(2) per image. Norms over a layer of about 1 are
# usual, and clipping at 1 to 10 too (Pascanu et al., 2013, "On the difficulty of training recurrent neural networks").
# In units of the loss of a network that knows nothing.
EXPLODED = 100.0
# An update as large as the weight itself leaves nothing of what was learned. About 1e-3 is usual.
LARGEST_UPDATE, NOTED_UPDATE = 1.0, 0.1
# After a million such updates in one direction, a weight has moved by its own size; float32 rounds at 6e-8 of it.
SMALLEST_UPDATE = 1e-6
# Gain of a layer: standard deviation of its weights times sqrt(inputs). That of He et al. (2015) is sqrt(2); of 5 in
# each layer, three layers make results 100 times as large.
LARGEST_GAIN = 5.0
# The first loss, in units of that of a network that knows nothing. With scores of standard deviation s it is about
# ln C + s^2 / 2: for 10 classes, twice ln C means scores that differ by 2, chosen without any reason.
LARGEST_FIRST_LOSS = 2.0


def examine_gradients(model: nn.Module, record: Record, unit: float | None) -> list[Finding]:
    """Findings about gradient norms.

    Args:
        model: the network.
        record: has the norms.
        unit: the loss of a network that knows nothing: ln C, or the variance of the targets; None if it is unknown.
    """
    norms = record.median(record.gradient_norms)
    sizes = {path: parameter.size for path, parameter in weights_of(model)}
    norms = {path: value for path, value in norms.items() if path in sizes and np.isfinite(value)}
    found = _without_gradient(record, norms)
    rms = {path: value / np.sqrt(sizes[path]) for path, value in norms.items() if value > 0}
    if len(rms) >= 2:
        low, high = min(rms, key=rms.__getitem__), max(rms, key=rms.__getitem__)
        if rms[low] < VANISHED * rms[high]:
            order = list(rms)
            is_early = order.index(low) < order.index(high)
            found.append(
                Finding(
                    "vanishing_gradients" if is_early else "gradients_differ",
                    "warning" if is_early else "note",
                    f"the root mean square of the gradient is {rms[low]:.2g} in {low} and {rms[high]:.2g} in {high}, "
                    f"a factor of {rms[high] / rms[low]:.2g}",
                    "each layer on the way back makes gradients smaller: saturated sigmoids, weights that are too "
                    "small, or many layers without normalisation or shortcuts",
                    "ReLU instead of sigmoid or tanh, nn.init.kaiming_normal_, batch norm, or residual connections",
                    low.rpartition(".")[0],
                )
            )
    if unit and norms:
        high = max(norms, key=norms.__getitem__)
        if norms[high] > EXPLODED * unit:
            found.append(
                Finding(
                    "exploding_gradients",
                    "warning",
                    f"the gradient of {high} has norm {norms[high]:.3g}; a network that knows nothing has loss "
                    f"{unit:.3g}",
                    "weights or inputs that are too large, so that each layer makes results and gradients larger",
                    "nn.init.kaiming_normal_ for the weights, inputs of variance 1, batch norm, max_grad_norm=1",
                    high.rpartition(".")[0],
                )
            )
    return found


def _without_gradient(record: Record, norms: dict[str, float]) -> list[Finding]:
    if not norms:
        return []
    zero = [path for path in norms if max(record.gradient_norms[path]) == 0]
    if not zero:
        return []
    shown = ", ".join(zero[:4]) + (", ..." if len(zero) > 4 else "")
    return [
        Finding(
            "no_gradient",
            "warning",
            f"the gradients of {len(zero)} of {len(norms)} weights are exactly 0 in every step: {shown}",
            "the layers are not used in forward, lie behind dead units or weights of 0, or the result was detached",
            "follow the results from layer to layer with models.observe",
            zero[0].rpartition(".")[0],
        )
    ]


def examine_updates(record: Record, scheduled: bool) -> list[Finding]:
    """Findings about update-to-weight ratios; a small one may be meant where a schedule sets the learning rate."""
    ratios = {path: value for path, value in record.median(record.update_ratios).items() if np.isfinite(value)}
    moving = {path: value for path, value in ratios.items() if value > 0}
    found = []
    if moving:
        high, low = max(moving, key=moving.__getitem__), min(moving, key=moving.__getitem__)
        if moving[high] > NOTED_UPDATE:
            found.append(
                Finding(
                    "update_ratio_high",
                    "warning" if moving[high] > LARGEST_UPDATE else "note",
                    f"in a step {high} changes by {moving[high]:.2g} of its norm; about 0.001 is usual",
                    "the learning rate of this layer is too high, or its weights are too small",
                    "a lower learning rate, or max_grad_norm",
                    high.rpartition(".")[0],
                )
            )
        if moving[low] < SMALLEST_UPDATE:
            found.append(
                Finding(
                    "update_ratio_low",
                    "note" if scheduled else "warning",
                    f"in a step {low} changes by {moving[low]:.2g} of its norm; about 0.001 is usual",
                    "the learning rate of this layer is too low, or its gradients vanish",
                    "a higher learning rate; training.lr_range_test suggests one",
                    low.rpartition(".")[0],
                )
            )
    return found


def examine_weights(model: nn.Module, start: float | None, unit: float | None, after: bool) -> list[Finding]:
    """Findings about the weights themselves.

    Args:
        model: the network.
        start: its loss, or None.
        unit: the loss of a network that knows nothing, or None.
        after: whether this is after some steps, in which units that began equal should have become different.
    """
    found = []
    if after:
        equal = [path for path, p in weights_of(model) if len(p.data) > 1 and (p.data == p.data[:1]).all()]
        if equal:
            value = float(np.ravel(dict(weights_of(model))[equal[0]].data)[0])
            found.append(
                Finding(
                    "equal_units",
                    "warning",
                    f"all units of {equal[0]} have the same weights after the trial steps (the first is {value:.3g})",
                    "weights that begin at 0, or all at one value: equal units get equal gradients and stay equal",
                    "random weights: nn.init.kaiming_normal_(layer.weight)",
                    equal[0].rpartition(".")[0],
                )
            )
    if start is not None and unit and np.isfinite(start) and start > LARGEST_FIRST_LOSS * unit:
        gains = {path: float(p.data.std()) * np.sqrt(p.size / len(p.data)) for path, p in weights_of(model)}
        high = max(gains, key=gains.__getitem__, default="")
        is_large = bool(high) and gains[high] > LARGEST_GAIN
        evidence = f"the first loss is {start:.3g}; a network that knows nothing has {unit:.3g}"
        if is_large:
            evidence += (
                f"; the weights of {high} times the root of their number of inputs have standard deviation "
                f"{gains[high]:.3g}"
            )
        found.append(
            Finding(
                "weights_too_large" if is_large else "first_loss_too_large",
                "warning",
                evidence,
                "weights that begin too large" if is_large else "outputs that are too large for their targets",
                "nn.init.kaiming_normal_, whose standard deviation is sqrt(2 / inputs)"
                if is_large
                else "inputs of variance 1, a last layer with smaller weights, targets of variance 1",
                high.rpartition(".")[0] if is_large else "",
            )
        )
    return found
