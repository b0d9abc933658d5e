"""Activations: units that are never above zero, and sigmoids that are flat."""

from fastnn.doctor._steps import Activations
from fastnn.doctor.findings import Finding

__all__ = ["dead_shares", "examine_activations"]

# A unit that is 0 for every image has no gradient and stays so. He initialisation and inputs of mean 0 make none; some
# are usual in trained networks, and wide layers learn with a fifth of their units. With less than a tenth left, a layer
# has lost more than dropout ever takes.
MOST_DEAD, NOTED_DEAD = 0.9, 0.5
# Fewer images say little about whether a unit is ever above 0. One that is active for 2 % of the images is never seen
# active in 256 of them with probability 0.6 %.
LEAST_IMAGES = 256
# Where more results than this lie on the flat parts, a layer passes on less than a fifth of its gradient.
MOST_FLAT = 0.75


def dead_shares(seen: Activations) -> dict[str, float]:
    """Path of a layer -> the share of its units that were never above 0."""
    return {path: 1 - float(alive.mean()) for path, alive in seen.alive.items()}


def examine_activations(seen: Activations) -> list[Finding]:
    """Findings about rectifiers and sigmoids."""
    found = []
    dead = {path: share for path, share in dead_shares(seen).items() if seen.images[path] >= LEAST_IMAGES}
    worst = [path for path, share in dead.items() if share > MOST_DEAD]
    noted = [path for path, share in dead.items() if MOST_DEAD >= share > NOTED_DEAD]
    for severity, paths in (("warning", worst), ("note", noted)):
        if not paths:
            continue
        path = max(paths, key=dead.__getitem__)
        units, layers = len(seen.alive[path]), f" ({len(paths)} layers)" if len(paths) > 1 else ""
        found.append(
            Finding(
                "dead_relu",
                severity,
                f"{dead[path]:.0%} of the {units} units of {path or 'the network'} are 0 for all of "
                f"{seen.images[path]} images{layers}",
                "a learning rate that was too high for a step, biases far below 0, or inputs far from mean 0",
                "a lower learning rate, batch norm before the activation, nn.LeakyReLU, biases that begin at 0",
                path,
            )
        )
    flat = {p: part / n for p, (part, n) in seen.flat.items() if n and p != seen.last and part / n > MOST_FLAT}
    if flat:
        path = max(flat, key=flat.__getitem__)
        found.append(
            Finding(
                "saturated_activation",
                "warning",
                f"{flat[path]:.0%} of the results of {path or 'the network'} lie where the slope is below a twentieth "
                "of its maximum",
                "weights or inputs that are too large for a sigmoid or tanh",
                "nn.init.xavier_uniform_ for the weights, inputs of variance 1, batch norm before the activation",
                path,
            )
        )
    return found
