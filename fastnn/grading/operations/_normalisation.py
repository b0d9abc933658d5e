"""Normalisation with mistakes: of the columns of a matrix (batch norm) and of its rows (layer norm)."""

import numpy as np
from numpy.typing import NDArray

from fastnn.grading.operation import Inputs, Results, Wrong

__all__ = [
    "AFFINE_MISTAKES",
    "EPS_MISTAKES",
    "affine",
    "backward_mistakes",
    "backward_terms",
    "backward_with",
    "inverse_with",
    "statistics_mistakes",
    "statistics_with",
]


def statistics_with(i: Inputs, wrong: Wrong, along: int = 0) -> tuple[NDArray, NDArray]:
    x = i["x"]
    axis: int | None = along
    if "normalised along the wrong axis" in wrong:
        axis = 1 - along
    if "normalised over the whole array" in wrong:
        axis = None
    mean = x.mean(axis, keepdims=True)
    squares = np.square(x - mean)
    if "mean of the squares for the variance" in wrong:
        squares = np.square(x)
    if "mean absolute deviation for the standard deviation" in wrong:
        var = np.square(np.abs(x - mean).mean(axis, keepdims=True))
    else:
        var = squares.mean(axis, keepdims=True)
    n = x.size // var.size
    if "unbiased variance" in wrong:
        var = var * n / np.float64(n - 1)
    if "variance is a sum, not a mean" in wrong:
        var = var * n
    if "the mean is not subtracted" in wrong:
        mean = np.zeros_like(mean)
    return mean, var


def inverse_with(var: NDArray, eps: float, wrong: Wrong) -> NDArray:
    if "eps missing" in wrong:
        eps = 0.0
    if "eps squared" in wrong:
        eps = eps * eps
    root = np.sqrt(var + eps)
    if "eps outside the root" in wrong:
        root = np.sqrt(var) + eps
    if "eps subtracted" in wrong:
        root = np.sqrt(var - eps)
    if "eps as the smallest variance" in wrong:
        root = np.sqrt(np.maximum(var, eps))
    if "divided by the variance, not by its root" in wrong:
        root = np.square(root)
    if "divided by the variance, with eps missing" in wrong:
        root = var
    if "not divided by the standard deviation" in wrong:
        root = np.ones_like(root)
    if "multiplied by the standard deviation instead of divided" in wrong:
        root = 1 / root
    return 1 / root


def affine(x_hat: NDArray, i: Inputs, wrong: Wrong) -> NDArray:
    weight, bias = i["weight"], i["bias"]
    if "weight and bias exchanged" in wrong:
        weight, bias = bias, weight
    if "the weight (gamma) is not applied" in wrong:
        weight = np.ones_like(weight)
    if "the bias (beta) is not added" in wrong:
        bias = np.zeros_like(bias)
    if "the bias (beta) is subtracted" in wrong:
        bias = -bias
    if "the bias (beta) is multiplied by the weight" in wrong:
        bias = bias * weight
    return x_hat / weight + bias if "divided by the weight (gamma)" in wrong else x_hat * weight + bias


EPS_MISTAKES = {
    "eps missing": "the variance must have eps added before the root: 1 / sqrt(var + eps)",
    "eps outside the root": "eps is added to the standard deviation; it belongs to the variance: sqrt(var + eps)",
    "eps subtracted": "eps is added to the variance, not subtracted",
    "eps squared": "eps itself is added to the variance, not its square",
    "eps as the smallest variance": "eps is added to every variance, it is not a lower limit",
    "divided by the variance, not by its root": "divide by the standard deviation sqrt(var + eps); the root is missing",
    "divided by the variance, with eps missing": "divide by the standard deviation sqrt(var + eps)",
    "not divided by the standard deviation": "x - mean must be divided by sqrt(var + eps)",
    "multiplied by the standard deviation instead of divided": "divide by sqrt(var + eps)",
}


def statistics_mistakes(axis: int) -> dict[str, str]:
    """Mistakes of mean and variance along this axis: 0 for batch norm, 1 for layer norm."""
    group, name, letter = (("column", "batch", "N"), ("row", "layer", "D"))[axis]
    return {
        "unbiased variance": f"the squares are divided by {letter} - 1; normalisation divides by {letter} (np.var "
        "with ddof=0)",
        "normalised along the wrong axis": f"{name} normalisation takes mean and variance of each {group}: axis {axis}",
        "normalised over the whole array": f"each {group} has a mean and a variance of its own: axis={axis} is missing",
        "variance is a sum, not a mean": f"not divided by {letter}: the variance is the mean of the squares",
        "mean of the squares for the variance": "the variance is the mean of (x - mean)**2, not of x**2",
        "mean absolute deviation for the standard deviation": "the standard deviation is the root of the mean of "
        "(x - mean)**2",
    }


AFFINE_MISTAKES = {
    "the weight (gamma) is not applied": "y = weight * x_hat + bias",
    "the bias (beta) is not added": "y = weight * x_hat + bias",
    "the bias (beta) is subtracted": "y = weight * x_hat + bias",
    "the bias (beta) is multiplied by the weight": "the bias is added after the multiplication: weight * x_hat + bias",
    "weight and bias exchanged": "y = weight * x_hat + bias",
    "divided by the weight (gamma)": "y = weight * x_hat + bias",
}


def backward_terms(i: Inputs, wrong: Wrong, axis: int = 0) -> tuple[dict[str, NDArray], NDArray]:
    x, dy, weight, n = i["x"], i["dy"], i["weight"], i["x"].shape[axis]
    mean, var = statistics_with(i, wrong, axis)
    inverse = inverse_with(var, i["eps"], wrong)
    x_hat = (x - mean) * inverse
    g = dy if "not multiplied by the weight (gamma)" in wrong else dy * weight
    if "divided by the weight (gamma)" in wrong:
        g = dy / weight
    along = 1 - axis if "the means of the gradient are taken along the wrong axis" in wrong else axis
    mean_of_g = g.mean(along, keepdims=True)
    mean_of_product = (g * x_hat).mean(along, keepdims=True)
    if "the mean and variance terms are sums, not means" in wrong:
        mean_of_g, mean_of_product = mean_of_g * n, mean_of_product * n
    if "the mean and variance terms are not multiplied by the weight (gamma)" in wrong:
        mean_of_g, mean_of_product = dy.mean(along, keepdims=True), (dy * x_hat).mean(along, keepdims=True)
    factor = inverse
    if "not divided by the standard deviation in dx" in wrong:
        factor = np.ones_like(inverse)
    if "divided by the variance in dx, not by its root" in wrong:
        factor = inverse**2
    if "multiplied by the standard deviation in dx instead of divided" in wrong:
        factor = 1 / inverse
    variance_term = -factor * x_hat * mean_of_product
    if "x - mean for x_hat in the variance term" in wrong:
        variance_term = -factor * (x - mean) * mean_of_product
    if "x for x - mean in the variance term" in wrong:
        variance_term = -factor * x * inverse * (g * x_hat).mean(along, keepdims=True)
    if "wrong power in the gradient of the variance: -1/2 for -3/2" in wrong:
        variance_term = variance_term / inverse**2
    if "wrong power in the gradient of the variance: -1 for -3/2" in wrong:
        variance_term = variance_term / inverse
    if "wrong power in the gradient of the variance: -2 for -3/2" in wrong:
        variance_term = variance_term * inverse
    terms = {"through x - mean": factor * g, "of the mean": -factor * mean_of_g, "of the variance": variance_term}
    terms["of the mean"] = np.broadcast_to(terms["of the mean"], g.shape)
    return terms, x_hat


def backward_with(i: Inputs, wrong: Wrong, axis: int = 0) -> Results:
    """dx, dweight, dbias, with mistakes."""
    terms, x_hat = backward_terms(i, wrong, axis)
    for name in list(terms):
        if f"the term {name} is missing" in wrong:
            terms[name] = 0 * terms[name]
        if f"the term {name} has the wrong sign" in wrong:
            terms[name] = -terms[name]
    dy, x = i["dy"], i["x"]
    along = 1 if "dweight and dbias summed along the wrong axis" in wrong else 0
    seen = x_hat
    if "dweight uses x instead of x_hat" in wrong:
        seen = x
    if "dweight uses x - mean instead of x_hat" in wrong:
        seen = x - x.mean(axis, keepdims=True)
    if "dweight uses y instead of x_hat" in wrong:
        seen = x_hat * i["weight"] + i["bias"]
    if "dweight is multiplied by the weight (gamma)" in wrong:
        seen = x_hat * i["weight"]
    dweight, dbias = (dy * seen).sum(along), dy.sum(along)
    if "dweight without dy" in wrong:
        dweight = seen.sum(along)
    if "dweight and dbias averaged instead of summed" in wrong:
        dweight, dbias = dweight / len(x), dbias / len(x)
    if "dweight not summed over the batch" in wrong:
        dweight = dy * seen
    if "dbias not summed over the batch" in wrong:
        dbias = dy
    if "dweight and dbias exchanged" in wrong:
        dweight, dbias = dbias, dweight
    return {
        "dx": terms["through x - mean"] + terms["of the mean"] + terms["of the variance"],
        "dweight": dweight,
        "dbias": dbias,
    }


def backward_mistakes(axis: int) -> dict[str, str]:
    """Mistakes of the gradients; axis as in `statistics_mistakes`."""
    group = ("column", "row")[axis]
    return {
        "the term of the mean is missing": f"the mean depends on every x of the {group}: dx needs - mean of the "
        "gradient",
        "the term of the variance is missing": f"the variance depends on every x of the {group}: dx needs "
        "- x_hat * mean(dy * weight * x_hat) / std",
        "the term through x - mean is missing": "the direct path dy * weight / std is missing",
        "the term of the mean has the wrong sign": "the mean is subtracted, so its term has a minus",
        "the term of the variance has the wrong sign": "1 / std falls when the variance grows: the term has a minus",
        "the mean and variance terms are sums, not means": "not divided by the number of values that are normalised "
        "together",
        "not multiplied by the weight (gamma)": "dx_hat = dy * weight",
        "the mean and variance terms are not multiplied by the weight (gamma)": "all three terms have the factor "
        "weight",
        "divided by the weight (gamma)": "dx_hat = dy * weight",
        "multiplied by the standard deviation in dx instead of divided": "all terms of dx are divided by sqrt(var + "
        "eps)",
        "not divided by the standard deviation in dx": "all terms of dx are divided by sqrt(var + eps)",
        "divided by the variance in dx, not by its root": "all terms of dx are divided by sqrt(var + eps) once",
        **EPS_MISTAKES,
        **statistics_mistakes(axis),
        "the mean is not subtracted": "x_hat = (x - mean) / sqrt(var + eps)",
        "the means of the gradient are taken along the wrong axis": f"along each {group}: axis {axis}",
        "x - mean for x_hat in the variance term": "d(1/std) leaves (x - mean) / std in this term",
        "x for x - mean in the variance term": "the derivative of the variance is 2 * (x - mean) / N",
        "wrong power in the gradient of the variance: -1/2 for -3/2": "d/dv (v + eps)**-0.5 = -0.5 * (v + eps)**-1.5",
        "wrong power in the gradient of the variance: -1 for -3/2": "d/dv (v + eps)**-0.5 = -0.5 * (v + eps)**-1.5",
        "wrong power in the gradient of the variance: -2 for -3/2": "d/dv (v + eps)**-0.5 = -0.5 * (v + eps)**-1.5",
        "dweight uses x instead of x_hat": "dweight = sum of dy * x_hat",
        "dweight uses x - mean instead of x_hat": "dweight = sum of dy * x_hat; divide by the standard deviation",
        "dweight uses y instead of x_hat": "dweight = sum of dy * x_hat",
        "dweight is multiplied by the weight (gamma)": "dweight = sum of dy * x_hat",
        "dweight without dy": "dweight = sum of dy * x_hat",
        "dweight and dbias averaged instead of summed": "parameters act on every sample: sum over axis 0",
        "dweight not summed over the batch": "dweight = sum over axis 0 of dy * x_hat, of shape (D,)",
        "dbias not summed over the batch": "dbias = sum over axis 0 of dy, of shape (D,)",
        "dweight and dbias summed along the wrong axis": "sum over the samples: axis 0",
        "dweight and dbias exchanged": "return dx, dweight, dbias in this order",
    }
