"""Mistakes of random functions and of running statistics, several at once, and general ones are named."""

import numpy as np
import pytest
import test_grading_right as right
from test_grading_mistakes import _ce, named


def _batchnorm_unbiased(x, gamma, beta, bn_param):
    out, cache = right.batchnorm_forward(x, gamma, beta, {**bn_param})
    kept = bn_param["momentum"]
    n = max(len(x) - 1, 1)
    bn_param["running_mean"] = kept * bn_param["running_mean"] + (1 - kept) * x.mean(0)
    bn_param["running_var"] = kept * bn_param["running_var"] + (1 - kept) * x.var(0) * len(x) / n
    return out, cache


def _batchnorm_other_momentum(x, gamma, beta, bn_param):
    param = {**bn_param, "momentum": 1 - bn_param["momentum"]}
    result = right.batchnorm_forward(x, gamma, beta, param)
    bn_param.update({name: param[name] for name in ("running_mean", "running_var")})
    return result


def test_mistakes_of_running_statistics():
    named("batch_norm", "unbiased running variance", forward=_batchnorm_unbiased)
    named("batch_norm", "other convention", forward=_batchnorm_other_momentum)
    named(
        "batch_norm",
        "biased running variance",
        running=lambda x, running_mean, running_var, momentum=0.1: (
            (1 - momentum) * running_mean + momentum * x.mean(0),
            (1 - momentum) * running_var + momentum * x.var(0),
        ),
    )
    named(
        "batch_norm",
        "training statistics used at inference",
        inference=lambda x, weight, bias, running_mean, running_var, eps=1e-5: right.batch_norm(x, weight, bias, eps),
    )


def _drop(x, p):
    return np.random.rand(*x.shape) >= p  # noqa: NPY002


DROPOUT = [
    ("not scaled", {"forward": lambda x, p: x * _drop(x, p)}),
    ("scaled by p rather than 1 - p", {"forward": lambda x, p: x * _drop(x, p) / p}),
    ("p is taken for the probability to keep", {"forward": lambda x, p: x * _drop(x, 1 - p) / (1 - p)}),
    ("multiplied by the probability to keep", {"forward": lambda x, p: x * _drop(x, p) * (1 - p)}),
    ("randn for rand", {"forward": lambda x, p: x * (np.random.randn(*x.shape) >= p) / (1 - p)}),  # noqa: NPY002
    ("one mask for all samples", {"forward": lambda x, p: x * _drop(x[0], p) / (1 - p)}),
    (
        "the same mask in every call",
        {"forward": lambda x, p: x * (np.random.default_rng(0).random(x.shape) >= p) / (1 - p)},
    ),
    ("nothing is dropped", {"forward": lambda x, p: x}),
    ("everything is dropped", {"forward": lambda x, p: 0 * x}),
    ("half of the entries", {"forward": lambda x, p: x * _drop(x, 0.5) / (1 - p)}),
    (
        "another mask is drawn",
        {
            "forward": right.dropout_forward,
            "backward": lambda dout, cache: dout * _drop(dout, 1 - cache[0]["p"]) / cache[0]["p"],
        },
    ),
    ("mask is ignored", {"forward": right.dropout, "backward": lambda dy, mask: dy}),
    ("not scaled", {"forward": right.dropout, "backward": lambda dy, mask: dy * (mask > 0)}),
    ("active at inference", {"inference": lambda x, p: x * _drop(x, p) / (1 - p)}),
    ("scaled at inference", {"inference": lambda x, p: x * (1 - p)}),
]


@pytest.mark.parametrize(("phrase", "functions"), DROPOUT)
def test_mistakes_of_dropout(phrase, functions):
    np.random.seed(0)  # noqa: NPY002
    named("dropout", phrase, **functions)


def test_mistakes_of_the_penalty():
    named("l2_penalty", "factor 1/2", penalty=lambda weight, reg: reg * np.sum(weight**2) / 2)
    named("l2_penalty", "the factor 2 of the gradient is missing", gradient=lambda weight, reg: reg * weight)
    named("l2_penalty", "the root is too many", penalty=lambda weight, reg: reg * np.linalg.norm(weight))
    named("l2_penalty", "L1", gradient=lambda weight, reg: reg * np.sign(weight))


# ---- two mistakes at once, and others that are found by what is general ----------------------------------------------
def _both_terms_and_gamma(dy, x, weight, eps=1e-5):
    invstd = 1 / np.sqrt(x.var(0) + eps)
    return dy * invstd, (dy * (x - x.mean(0)) * invstd).sum(0), dy.sum(0)


def _unbiased_without_eps(x, weight, bias, eps=1e-5):
    return (x - x.mean(0)) / x.std(0, ddof=1) * weight + bias


def test_several_mistakes_at_once_are_named():
    for phrase in ("not multiplied by the weight", "term of the mean is missing", "term of the variance is missing"):
        named("batch_norm", phrase, backward=_both_terms_and_gamma)
    named("batch_norm", "eps missing", forward=_unbiased_without_eps)
    named("batch_norm", "unbiased variance", forward=_unbiased_without_eps)
    flipped = {"loss_and_gradient": _ce(gradient_factor=-1.0)}
    named("softmax_cross_entropy", "the sign of the gradient is flipped", **flipped)


def test_general_mistakes_are_named():
    named("linear", "only the last sample", backward=lambda dy, x, weight: (dy @ weight, dy.T @ x, dy[-1]))
    named("linear", "added to the old value", backward=lambda dy, x, weight: (x + dy @ weight, dy.T @ x, dy.sum(0)))
    named("linear", "rounded to integers", forward=lambda x, weight, bias: np.trunc(x @ weight.T + bias))
    named(
        "batch_norm",
        "eps is not used: 1e-08",
        forward=lambda x, weight, bias, eps=1e-5: right.batch_norm(x, weight, bias, 1e-8),
    )
    named("sigmoid", "shape", forward=lambda x: right.sigmoid(x).reshape(-1))


def test_where_nothing_fits_it_is_said_where_it_is_wrong():
    def forward(x):
        y = right.softmax(x)
        y[:, 0] += 0.1
        return y

    named("softmax", "no known mistake", forward=forward)
    named("softmax", "at index 0 of axis 1", forward=forward)

    def only_large(x):
        y = right.relu(x)
        return np.where(x > 100, y + 1, y)

    named("relu", "large numbers", forward=only_large)
