"""Random networks: graphs of layers and tensor operations, with shared layers, branches, reuse and several losses.

A program is data, so that fastnn and PyTorch can run the same one. All results are images of one shape, (N, C, H, W).
"""

from typing import Any

import numpy as np
from hypothesis import strategies as st

import fastnn
from fastnn import functional as F
from fastnn import nn

N, C, H, W = 3, 4, 6, 5
CLASSES = 3
LABELS = np.array([2, 0, 1])

# Layers that are made once and used by every step that names them.
LAYERS: dict[str, Any] = {
    "conv": (nn.Conv2d, (C, C, 3), {"padding": 1}),
    "conv without bias": (nn.Conv2d, (C, C, 1), {"bias": False}),
    "grouped conv": (nn.Conv2d, (C, C, 3), {"padding": 1, "groups": 2}),
    "depthwise conv": (nn.Conv2d, (C, C, 3), {"padding": 1, "groups": C}),
    "dilated conv": (nn.Conv2d, (C, C, 3), {"padding": 2, "dilation": 2}),
    "batch norm": (nn.BatchNorm2d, (C,), {}),
    "group norm": (nn.GroupNorm, (2, C), {}),
    "layer norm": (nn.LayerNorm, (W,), {}),
    "linear": (nn.Linear, (W, W), {}),
    "prelu": (nn.PReLU, (C,), {}),
    "relu": (nn.ReLU, (), {}),
    "gelu": (nn.GELU, (), {}),
    "silu": (nn.SiLU, (), {}),
    "tanh": (nn.Tanh, (), {}),
    "sigmoid": (nn.Sigmoid, (), {}),
    "softplus": (nn.Softplus, (), {}),
    "softmax": (nn.Softmax, (1,), {}),
    "max pool": (nn.MaxPool2d, (3,), {"stride": 1, "padding": 1}),
    "average pool": (nn.AvgPool2d, (3,), {"stride": 1, "padding": 1}),
    "response norm": (nn.LocalResponseNorm, (3,), {}),
}
# What tensors do between them: with NumPy's functions; with PyTorch's.
UNARY = {
    "halves": (
        lambda x: np.concatenate([x[:, 2:], x[:, :2]], axis=1),
        lambda t, x: t.cat([x[:, 2:], x[:, :2]], dim=1),
    ),
    "squeeze": (lambda x: x * x.mean(axis=(2, 3), keepdims=True), lambda t, x: x * x.mean((2, 3), keepdim=True)),
    "mirrored": (lambda x: x[:, :, :, ::-1], lambda t, x: x.flip(3)),
    "centred": (lambda x: x - x.mean(), lambda t, x: x - x.mean()),
    "bounded": (lambda x: np.clip(x, -1, 1), lambda t, x: t.clamp(x, -1, 1)),
}
BINARY = {
    "add": (lambda a, b: a + b, lambda t, a, b: a + b),
    "multiply": (lambda a, b: a * np.tanh(b), lambda t, a, b: a * t.tanh(b)),
    "maximum": (lambda a, b: np.maximum(a, b), lambda t, a, b: t.maximum(a, b)),
    "rows": (lambda a, b: a + b[:1], lambda t, a, b: a + b[:1]),
}
LOSSES = ("classes", "distance", "squares")

names = st.sampled_from([*LAYERS, *UNARY, *BINARY])
programs = st.fixed_dictionaries({
    "steps": st.lists(st.tuples(names, st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=10),
    "losses": st.lists(st.tuples(st.sampled_from(LOSSES), st.integers(0, 30)), min_size=1, max_size=3),
    "seed": st.integers(0, 10_000),
})  # fmt: skip


def made(program):
    """The input and the layers that the program names, in float64."""
    fastnn.manual_seed(program["seed"])
    used = {name for name, *_ in program["steps"] if name in LAYERS} | {"head"}
    layers = nn.ModuleDict()
    for name, (cls, arguments, keywords) in {**LAYERS, "head": (nn.Linear, (C * H * W, CLASSES), {})}.items():
        if name in used:
            layers[name] = cls(*arguments, **keywords)
    x = np.random.default_rng(program["seed"]).standard_normal((N, C, H, W))
    return x, layers.astype(np.float64)


def as_torch(torch, layers):
    """The same layers in PyTorch, with the same weights."""
    result = {}
    for name, layer in layers.items():
        cls, arguments, keywords = LAYERS.get(name, (nn.Linear, (C * H * W, CLASSES), {}))
        twin = getattr(torch.nn, cls.__name__)(*arguments, **keywords).double()
        twin.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in layer.state_dict().items()})
        result[name] = twin
    return result


def run(program, x, layers, torch=None):
    """The losses; with PyTorch if that is given."""
    values = [x]
    for name, *places in program["steps"]:
        a, b = (values[-1 - place % len(values)] for place in places)
        if name in LAYERS:
            y = layers[name](a)
        else:
            ours, theirs = {**UNARY, **BINARY}[name]
            operands = (a,) if name in UNARY else (a, b)
            y = ours(*operands) if torch is None else theirs(torch, *operands)
        values.append(y)
    losses = []
    for kind, place in program["losses"]:
        y = values[-1 - place % len(values)]
        if kind == "classes":
            scores = layers["head"](y.reshape(N, -1))
            labels = LABELS if torch is None else torch.from_numpy(LABELS)
            losses.append((F if torch is None else torch.nn.functional).cross_entropy(scores, labels))
        elif kind == "distance":
            target = np.random.default_rng(1).standard_normal((N, C, H, W))
            target = target if torch is None else torch.from_numpy(target)
            losses.append((F if torch is None else torch.nn.functional).mse_loss(y, target))
        else:
            losses.append((y * y).sum() / 50)
    return losses
