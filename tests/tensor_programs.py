"""Random programs of tensors: graphs with reuse, broadcasting, pieces and several losses.

A program is data, so that NumPy (for differences), fastnn and PyTorch can run the same one.
"""

import numpy as np
from hypothesis import strategies as st

SHAPES = ((2, 3), (3,), (2, 1), (1, 3), (), (2, 2, 3))
_MOST = 40  # elements of a result; more are cut


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _last(x):
    return x.reshape(-1) if x.ndim == 0 else x


# name: with NumPy's functions; with PyTorch's. Those of one input take any shape, in which the last axis has elements.
UNARY = {
    "tanh": (np.tanh, lambda t, x: t.tanh(x)),
    "sin": (lambda x: np.sin(x), lambda t, x: t.sin(x)),
    "exp": (lambda x: np.exp(np.tanh(x)), lambda t, x: t.exp(t.tanh(x))),
    "log1p": (lambda x: np.log1p(x * x), lambda t, x: t.log1p(x * x)),
    "sqrt": (lambda x: np.sqrt(1 + np.square(x)), lambda t, x: t.sqrt(1 + t.square(x))),
    "abs": (abs, lambda t, x: abs(x)),
    "power": (lambda x: np.tanh(x) ** 3, lambda t, x: t.tanh(x) ** 3),
    "reciprocal": (lambda x: 1 / (2 + np.cos(x)), lambda t, x: 1 / (2 + t.cos(x))),
    "clip": (lambda x: np.clip(x, -0.5, 0.7), lambda t, x: t.clamp(x, -0.5, 0.7)),
    "where": (lambda x: np.where(x > 0.1, x, 0.5 * x), lambda t, x: t.where(x > 0.1, x, 0.5 * x)),
    "sum": (lambda x: np.tanh(x).sum(), lambda t, x: t.tanh(x).sum()),
    "mean": (lambda x: _last(x).mean(0, keepdims=True), lambda t, x: _last(x).mean(0, keepdim=True)),
    "var": (lambda x: x.var(), lambda t, x: x.var(correction=0)),
    "max": (lambda x: _last(x).max(-1), lambda t, x: _last(x).amax(-1)),
    "min": (lambda x: np.min(x), lambda t, x: x.amin()),
    "cumsum": (lambda x: np.cumsum(np.tanh(_last(x)), -1), lambda t, x: t.cumsum(t.tanh(_last(x)), -1)),
    "cumprod": (lambda x: np.cumprod(np.sin(_last(x)), -1), lambda t, x: t.cumprod(t.sin(_last(x)), -1)),
    "prod": (lambda x: np.prod(np.tanh(_last(x)), -1), lambda t, x: t.prod(t.tanh(_last(x)), -1)),
    "softmax": (lambda x: _softmax(_last(x)), lambda t, x: t.softmax(_last(x), -1)),
    "norm": (
        lambda x: np.linalg.norm(_last(x), axis=-1, keepdims=True),
        lambda t, x: t.linalg.vector_norm(_last(x), dim=-1, keepdim=True),
    ),
    "sort": (lambda x: np.sort(_last(x), -1), lambda t, x: t.sort(_last(x), dim=-1, stable=True)[0]),
    "flip": (lambda x: np.flip(_last(x), -1), lambda t, x: t.flip(_last(x), (-1,))),
    "transpose": (lambda x: x.T, lambda t, x: x.permute(tuple(range(x.ndim))[::-1])),
    "flat": (lambda x: x.reshape(-1), lambda t, x: x.reshape(-1)),
    "first": (lambda x: _last(x)[0], lambda t, x: _last(x)[0]),
    "slice": (lambda x: _last(x)[..., ::2], lambda t, x: _last(x)[..., ::2]),
    "rows": (lambda x: _last(x)[[0, -1, 0]], lambda t, x: _last(x)[[0, -1, 0]]),
    "mask": (lambda x: x[x > x.min() - 1], lambda t, x: x[x > x.min() - 1]),
    "pad": (lambda x: np.pad(_last(x)[None, None, ..., :1], 1), lambda t, x: t.nn.functional.pad(
        _last(x)[None, None, ..., :1], (1, 1) * (_last(x).ndim + 2))),
    "repeat": (lambda x: np.repeat(_last(x), 2, -1), lambda t, x: t.repeat_interleave(_last(x), 2, -1)),
    "tile": (lambda x: np.tile(x.reshape(-1), 2), lambda t, x: t.tile(x.reshape(-1), (2,))),
    "roll": (lambda x: np.roll(x, 1), lambda t, x: t.roll(x, 1)),
    "double": (lambda x: np.concatenate([_last(x), _last(x)]), lambda t, x: t.cat([_last(x), _last(x)])),
    "gram": (
        lambda x: np.tanh(x).reshape(-1, 1) @ np.sin(x).reshape(1, -1),
        lambda t, x: t.tanh(x).reshape(-1, 1) @ t.sin(x).reshape(1, -1),
    ),
    "squares": (
        lambda x: np.einsum("...i,...i->...", _last(x), np.tanh(_last(x))),
        lambda t, x: t.einsum("...i,...i->...", _last(x), t.tanh(_last(x))),
    ),
}  # fmt: skip
BINARY = {
    "add": (lambda a, b: a + b, lambda t, a, b: a + b),
    "subtract": (lambda a, b: a - b, lambda t, a, b: a - b),
    "multiply": (lambda a, b: np.tanh(a) * b, lambda t, a, b: t.tanh(a) * b),
    "divide": (lambda a, b: a / (1 + b * b), lambda t, a, b: a / (1 + b * b)),
    "maximum": (np.maximum, lambda t, a, b: t.maximum(a, b)),
    "minimum": (np.minimum, lambda t, a, b: t.minimum(a, b)),
    "power": (lambda a, b: (1.5 + np.tanh(a)) ** np.tanh(b), lambda t, a, b: (1.5 + t.tanh(a)) ** t.tanh(b)),
    "logaddexp": (np.logaddexp, lambda t, a, b: t.logaddexp(a, b)),
    "arctan2": (lambda a, b: np.arctan2(a, 1 + b * b), lambda t, a, b: t.atan2(a, 1 + b * b)),
    "where": (lambda a, b: np.where(a > b, np.sin(a), b), lambda t, a, b: t.where(a > b, t.sin(a), b)),
    "join": (
        lambda a, b: np.concatenate([a.reshape(-1), b.reshape(-1)]),
        lambda t, a, b: t.cat([a.reshape(-1), b.reshape(-1)]),
    ),
    "outer": (
        lambda a, b: np.outer(np.tanh(a).reshape(-1)[:5], b),
        lambda t, a, b: t.outer(t.tanh(a).reshape(-1)[:5], b.reshape(-1)),
    ),
}

steps = st.one_of(
    st.tuples(st.sampled_from(sorted(UNARY)), st.integers(0, 30)),
    st.tuples(st.sampled_from(sorted(BINARY)), st.integers(0, 30), st.integers(0, 30)),
)
programs = st.fixed_dictionaries({
    "shapes": st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3),
    "steps": st.lists(steps, min_size=1, max_size=12),
    "losses": st.lists(st.integers(0, 30), min_size=1, max_size=3),
    "seed": st.integers(0, 10_000),
})  # fmt: skip


def inputs_of(program):
    rng = np.random.default_rng(program["seed"])
    return [np.asarray(rng.standard_normal(shape)) for shape in program["shapes"]]


def run(program, inputs, torch=None):
    """The losses; with PyTorch if that is given."""
    values = list(inputs)
    for name, *places in program["steps"]:
        operands = [values[-1 - place % len(values)] for place in places]
        table = UNARY if len(operands) == 1 else BINARY
        if len(operands) == 2:
            a, b = operands
            try:
                np.broadcast_shapes(tuple(a.shape), tuple(b.shape))
            except ValueError:
                operands = [a, b.mean()]
        ours, theirs = table[name]
        y = ours(*operands) if torch is None else theirs(torch, *operands)
        if int(np.prod(y.shape, dtype=int)) > _MOST:
            y = y.reshape(-1)[:_MOST]
        values.append(y)
    losses = []
    for number, place in enumerate(program["losses"]):
        y = values[-1 - place % len(values)]
        losses.append((y * y).sum() * (1 + number) if number % 2 else y.sum())
    return losses
