"""Every layer and function against PyTorch on random configurations: results, gradients, statistics, state keys.

Losses, initialisers and optimisers have files of their own. `make test-torch` installs PyTorch and runs them all.
"""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import seeds
from torch import nn as tnn
from torch.nn import functional as TF

import fastnn
from fastnn import functional as F
from fastnn import nn

pytestmark = [
    pytest.mark.torch,
    # PyTorch says so where padding="same" costs it a copy.
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning"),
]

dtypes = st.sampled_from([np.float32, np.float64])
# Both sides round; the longest sums here have some thousand terms, and both add them in some tree-like order.
TOLERANCE = {np.float32: 3e-5, np.float64: 1e-12}


def assert_near(actual, expected, what, growth=1.0):
    """Equal up to rounding, relative to the largest element."""
    actual, expected = np.asarray(actual), expected.detach().numpy()
    assert actual.shape == expected.shape, what
    assert actual.dtype == expected.dtype, what
    scale = max(1.0, np.abs(expected).max(initial=0))
    tolerance = growth * TOLERANCE.get(expected.dtype.type, 0) * scale
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance, err_msg=what)


# ---- layers ----------------------------------------------------------------------------------------------------------
small = st.integers(1, 4)
sizes = st.integers(3, 12)


@st.composite
def conv2d(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    depthwise = draw(st.booleans())
    c_in = groups * draw(st.integers(1, 20))
    c_out = groups * draw(st.integers(1, 40))
    if depthwise:
        groups, c_out = c_in, c_in
    kernel = draw(st.tuples(small, small))
    kwargs = {
        "in_channels": c_in,
        "out_channels": c_out,
        "kernel_size": draw(st.sampled_from([kernel, kernel[0]])),
        "dilation": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    if draw(st.booleans()):
        kwargs["padding"] = draw(st.sampled_from(["same", "valid"]))
    else:
        kwargs["padding"] = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
        kwargs["stride"] = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    return kwargs, (draw(small), c_in, draw(st.integers(8, 14)), draw(st.integers(8, 14)))


@st.composite
def conv_transpose2d(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    stride, dilation = draw(st.tuples(small, small)), draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    kwargs = {
        "in_channels": groups * draw(st.integers(1, 20)),
        "out_channels": groups * draw(st.integers(1, 30)),
        "kernel_size": draw(st.tuples(small, small)),
        "stride": stride,
        "padding": draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
        "output_padding": tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)),
        "groups": groups,
        "bias": draw(st.booleans()),
        "dilation": dilation,
    }
    return kwargs, (draw(small), kwargs["in_channels"], draw(st.integers(5, 9)), draw(st.integers(5, 9)))


@st.composite
def upsample(draw):
    h, w = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    kwargs = {"mode": draw(st.sampled_from(["nearest", "bilinear"]))}
    if kwargs["mode"] == "bilinear":
        kwargs["align_corners"] = draw(st.sampled_from([None, False, True]))
    if draw(st.booleans()):
        kwargs["size"] = draw(st.one_of(st.integers(1, 20), st.tuples(st.integers(1, 20), st.integers(1, 20))))
    else:
        factors = st.sampled_from([1.0, 2, 3.0, 1.5, 2.7, 1.1, 4])
        kwargs["scale_factor"] = draw(
            st.one_of(factors, st.tuples(factors, factors).map(lambda f: (f[0], float(f[1]))))
        )
    return kwargs, (draw(small), draw(st.integers(1, 20)), h, w)


@st.composite
def pad2d(draw):
    size = st.integers(0, 4)
    kwargs = {"padding": draw(st.one_of(size, st.tuples(size, size, size, size)))}
    return kwargs, (draw(small), draw(st.integers(1, 20)), draw(st.integers(5, 9)), draw(st.integers(5, 9)))


@st.composite
def pixel_shuffle(draw, *, up):
    r, (n, c, h, w) = draw(st.integers(1, 3)), draw(st.tuples(small, small, small, small))
    if up:
        return {"upscale_factor": r}, (n, c * r**2, h, w)
    return {"downscale_factor": r}, (n, c, h * r, w * r)


@st.composite
def linear(draw):
    kwargs = {
        "in_features": draw(st.integers(1, 70)),
        "out_features": draw(st.integers(1, 70)),
        "bias": draw(st.booleans()),
    }
    return kwargs, (draw(st.integers(1, 40)), kwargs["in_features"])


@st.composite
def max_pool(draw):
    kernel = draw(st.tuples(small, small))
    kwargs = {
        "kernel_size": draw(st.sampled_from([kernel, kernel[0]])),
        "stride": draw(st.one_of(st.none(), small, st.tuples(small, small))),
        "padding": min(kernel) // 2 if draw(st.booleans()) else 0,
        "dilation": draw(st.integers(1, 2)),
        "ceil_mode": draw(st.booleans()),
    }
    return kwargs, (draw(small), draw(st.integers(1, 20)), draw(st.integers(7, 12)), draw(st.integers(7, 12)))


@st.composite
def avg_pool(draw):
    kernel = draw(st.tuples(small, small))
    kwargs = {
        "kernel_size": kernel,
        "stride": draw(st.one_of(st.none(), small, st.tuples(small, small))),
        "padding": min(kernel) // 2 if draw(st.booleans()) else 0,
        "ceil_mode": draw(st.booleans()),
        "count_include_pad": draw(st.booleans()),
    }
    return kwargs, (draw(small), draw(st.integers(1, 20)), draw(st.integers(4, 12)), draw(st.integers(4, 12)))


@st.composite
def adaptive_pool(draw):
    output = st.one_of(st.none(), st.integers(1, 6))
    kwargs = {"output_size": draw(st.one_of(st.integers(1, 6), st.tuples(output, output)))}
    return kwargs, (draw(small), draw(st.integers(1, 20)), draw(sizes), draw(sizes))


@st.composite
def batch_norm(draw, pixels):
    kwargs = {
        "num_features": draw(st.integers(1, 40)),
        "eps": draw(st.sampled_from([1e-5, 1e-3])),
        "momentum": draw(st.sampled_from([0.1, 0.4, None])),
        "affine": draw(st.booleans()),
        "track_running_stats": draw(st.booleans()),
    }
    return kwargs, (draw(st.integers(2, 8)), kwargs["num_features"], *draw(pixels))


@st.composite
def layer_norm(draw):
    shape = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple))
    normalized = draw(st.integers(1, len(shape) - 1))
    assume(np.prod(shape[-normalized:]) > 1)
    kwargs = {
        "normalized_shape": shape[-normalized:],
        "eps": draw(st.sampled_from([1e-5, 1e-3])),
        "elementwise_affine": draw(st.booleans()),
        "bias": draw(st.booleans()),
    }
    return kwargs, shape


@st.composite
def group_norm(draw):
    groups, per_group = draw(small), draw(st.integers(2, 9))
    kwargs = {"num_groups": groups, "num_channels": groups * per_group, "affine": draw(st.booleans())}
    return kwargs, (draw(small), groups * per_group, *draw(st.lists(st.integers(1, 6), max_size=2)))


@st.composite
def rms_norm(draw):
    shape = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple))
    kwargs = {
        "normalized_shape": shape[-draw(st.integers(1, len(shape) - 1)) :],
        "eps": draw(st.sampled_from([None, 1e-3])),
        "elementwise_affine": draw(st.booleans()),
    }
    return kwargs, shape


@st.composite
def instance_norm(draw, pixels):
    kwargs = {
        "num_features": draw(st.integers(1, 40)),
        "eps": draw(st.sampled_from([1e-5, 1e-3])),
        "momentum": draw(st.sampled_from([0.1, 0.4])),
        "affine": draw(st.booleans()),
        "track_running_stats": draw(st.booleans()),
    }
    return kwargs, (draw(st.integers(1, 8)), kwargs["num_features"], *draw(pixels))


@st.composite
def local_response_norm(draw):
    kwargs = {
        "size": draw(st.integers(1, 6)),
        "alpha": draw(st.sampled_from([1e-4, 0.5])),
        "beta": draw(st.sampled_from([0.75, 0.5])),
        "k": draw(st.sampled_from([1.0, 2.0])),
    }
    return kwargs, (draw(small), draw(st.integers(1, 20)), draw(sizes), draw(sizes))


@st.composite
def pointwise(draw, **choices):
    kwargs = {name: draw(st.sampled_from(values)) for name, values in choices.items()}
    return kwargs, draw(st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple))


@st.composite
def softmax(draw):
    shape = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple))
    return {"dim": draw(st.integers(-len(shape), len(shape) - 1))}, shape


@st.composite
def prelu(draw):
    channels = draw(st.integers(1, 20))
    kwargs = {"num_parameters": draw(st.sampled_from([1, channels])), "init": draw(st.sampled_from([0.25, 0.1]))}
    return kwargs, (draw(small), channels, *draw(st.sampled_from([(), (5, 4)])))


@st.composite
def flatten(draw):
    shape = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple))
    return draw(st.sampled_from([{}, {"start_dim": 0}, {"end_dim": 1}])), shape


IMAGE = st.tuples(sizes, sizes)
LAYERS = {
    "Conv2d": conv2d(),
    "ConvTranspose2d": conv_transpose2d(),
    "Upsample": upsample(),
    "ZeroPad2d": pad2d(),
    "ReflectionPad2d": pad2d(),
    "ReplicationPad2d": pad2d(),
    "PixelShuffle": pixel_shuffle(up=True),
    "PixelUnshuffle": pixel_shuffle(up=False),
    "Linear": linear(),
    "MaxPool2d": max_pool(),
    "AvgPool2d": avg_pool(),
    "AdaptiveAvgPool2d": adaptive_pool(),
    "AdaptiveMaxPool2d": adaptive_pool(),
    "BatchNorm1d": batch_norm(st.one_of(st.just(()), st.tuples(sizes))),
    "BatchNorm2d": batch_norm(IMAGE),
    "LayerNorm": layer_norm(),
    "GroupNorm": group_norm(),
    "InstanceNorm1d": instance_norm(st.tuples(sizes)),
    "InstanceNorm2d": instance_norm(IMAGE),
    "RMSNorm": rms_norm(),
    "LocalResponseNorm": local_response_norm(),
    "ReLU": pointwise(),
    "LeakyReLU": pointwise(negative_slope=[0.01, 0.2]),
    "PReLU": prelu(),
    "ELU": pointwise(alpha=[1.0, 0.5]),
    "GELU": pointwise(approximate=["none", "tanh"]),
    "SiLU": pointwise(),
    "Sigmoid": pointwise(),
    "Tanh": pointwise(),
    "Softplus": pointwise(beta=[1.0, 2.0], threshold=[20.0, 1.0]),
    "Softmax": softmax(),
    "LogSoftmax": softmax(),
    "Flatten": flatten(),
    "Identity": pointwise(),
}
# A variance that is small beside the mean amplifies rounding errors.
GROWTH = {"BatchNorm1d": 50, "BatchNorm2d": 50, "LayerNorm": 50, "GroupNorm": 50, "RMSNorm": 50}
GROWTH |= {"InstanceNorm1d": 50, "InstanceNorm2d": 50}


def pair(name, kwargs, dtype, rng):
    """Our layer and PyTorch's with the same random parameters."""
    ours, theirs = getattr(nn, name)(**kwargs), getattr(tnn, name)(**kwargs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    ours.astype(dtype)
    theirs.to(torch.float32 if dtype == np.float32 else torch.float64)
    for parameter in ours.parameters():
        parameter.data[...] = rng.standard_normal(parameter.shape)
    theirs.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in ours.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data(), dtype=dtypes, seed=seeds)
def test_torch_layer(name, data, dtype, seed):
    kwargs, shape = data.draw(LAYERS[name])
    rng = np.random.default_rng(seed)
    ours, theirs = pair(name, kwargs, dtype, rng)
    growth = GROWTH.get(name, 1.0)
    for step in range(2):  # the second step sees running statistics, and adds to the gradients
        x = rng.standard_normal(shape).astype(dtype)
        x_torch = torch.from_numpy(x.copy()).requires_grad_()
        y, y_torch = ours(x), theirs(x_torch)
        assert_near(y, y_torch, f"result of step {step}", growth)
        dy = rng.standard_normal(y.shape).astype(dtype)
        dx = ours.backward(dy)
        y_torch.backward(torch.from_numpy(dy.copy()))
        assert_near(dx, x_torch.grad, f"dx of step {step}", growth)
    for (key, parameter), (_, expected) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert_near(parameter.grad, expected.grad, f"gradient of {key}", growth)
    for (key, buffer), (_, expected) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
        assert_near(buffer, expected, key, growth)
    ours.eval()
    theirs.eval()
    assert_near(ours(x), theirs(torch.from_numpy(x.copy())), "result in evaluation", growth)


# Rarely used, and not offered.
LEFT_OUT = {
    "AvgPool2d": {"divisor_override"},
    "BatchNorm1d": {"bias"},
    "BatchNorm2d": {"bias"},
    "Embedding": {"norm_type", "scale_grad_by_freq", "sparse", "_weight", "_freeze"},
    "GroupNorm": {"bias"},
    "InstanceNorm1d": {"bias"},
    "InstanceNorm2d": {"bias"},
    "Upsample": {"recompute_scale_factor"},
}


@pytest.mark.parametrize("name", [*LAYERS, "Embedding", "MultiheadAttention", "LSTMCell", "GRUCell", "RNNCell"])
def test_torch_layer_has_the_same_signature(name):
    ours = inspect.signature(getattr(nn, name).__init__).parameters
    theirs = inspect.signature(getattr(tnn, name).__init__).parameters
    special = {"self", "device", "dtype", "args", "kwargs", *LEFT_OUT.get(name, ())}
    for parameter, theirs_is in theirs.items():
        if parameter not in special:
            assert parameter in ours, f"{name} lacks {parameter}"
            assert ours[parameter].default == theirs_is.default, f"{name}: the default of {parameter}"


@pytest.mark.parametrize("name", ["Dropout", "Dropout2d"])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.9, 1.0])
def test_torch_dropout_statistics(name, p):
    """Masks differ, their distribution must not: values, and shares within five standard deviations."""
    fastnn.manual_seed(1)
    torch.manual_seed(1)
    shape = (40, 50, 6, 6)
    x = np.ones(shape, np.float32)
    ours, theirs = getattr(nn, name)(p), getattr(tnn, name)(p)
    y, y_torch = ours(x), theirs(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(np.unique(y), np.unique(y_torch), rtol=1e-6)
    draws = np.prod(shape[:2]) if name == "Dropout2d" else y.size
    deviation = np.sqrt(p * (1 - p) / draws)
    assert abs((y == 0).mean() - p) <= 5 * deviation
    assert abs((y_torch == 0).mean() - p) <= 5 * deviation
    if name == "Dropout2d":
        whole = y.reshape(*shape[:2], -1)
        assert (whole == whole[..., :1]).all()
    dy = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(ours.backward(dy), dy * y, rtol=1e-6)
    np.testing.assert_array_equal(ours.eval()(x), theirs.eval()(torch.from_numpy(x)).numpy())


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d", "Linear"])
def test_torch_initial_weights_have_the_same_distribution(name):
    kwargs = {"in_features": 200, "out_features": 100} if name == "Linear" else {
        "in_channels": 16, "out_channels": 64, "kernel_size": 3
    }  # fmt: skip
    fastnn.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = getattr(nn, name)(**kwargs).state_dict(), getattr(tnn, name)(**kwargs).state_dict()
    for key, value in ours.items():
        expected = theirs[key].numpy()
        # both uniform on the same interval: the maximum of n draws is within a few 1 / n of its end
        assert abs(np.abs(value).max() / np.abs(expected).max() - 1) < 20 / value.size + 1e-3
        assert abs(value.std() / expected.std() - 1) < 5 / np.sqrt(value.size)


# ---- functions -------------------------------------------------------------------------------------------------------
FUNCTIONS = {
    "relu": [{}],
    "leaky_relu": [{}, {"negative_slope": 0.3}],
    "elu": [{}, {"alpha": 0.5}],
    "gelu": [{}, {"approximate": "tanh"}],
    "silu": [{}],
    "sigmoid": [{}],
    "mish": [{}],
    "hardswish": [{}],
    "hardsigmoid": [{}],
    "hardtanh": [{}, {"min_val": -0.5, "max_val": 2.0}],
    "relu6": [{}],
    "tanh": [{}],
    "softplus": [{}, {"beta": 3.0, "threshold": 2.0}],
    "softmax": [{"dim": 1}, {"dim": -1}],
    "log_softmax": [{"dim": 1}, {"dim": -1}],
    "max_pool2d": [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}],
    "avg_pool2d": [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}],
    "adaptive_avg_pool2d": [{"output_size": 1}, {"output_size": (3, 5)}],
    "adaptive_max_pool2d": [{"output_size": 1}, {"output_size": (3, 5)}],
    "interpolate": [
        {"scale_factor": 2},
        {"size": (4, 11)},
        {"scale_factor": (0.7, 0.4)},
        {"scale_factor": 0.6, "mode": "bilinear"},
        {"size": (4, 11), "mode": "bilinear", "align_corners": True},
    ],
    "pad": [
        {"pad": (1, 2)},
        {"pad": (0, 1, 2, 3), "value": -1.5},
        {"pad": (1, 0, 0, 2, 5, 1), "value": 2.0},
        {"pad": (0, 0, 1, 0, 0, 1, 2, 0)},
        {"pad": (6, 0, 1, 8), "mode": "reflect"},
        {"pad": (9, 1, 0, 12), "mode": "replicate"},
    ],
    "pixel_shuffle": [{"upscale_factor": 2}],
    "pixel_unshuffle": [{"downscale_factor": 1}],
    "local_response_norm": [{"size": 5}, {"size": 2, "alpha": 0.3, "beta": 0.6, "k": 2.0}],
}
CASES = [(name, kwargs) for name, variants in FUNCTIONS.items() for kwargs in variants]


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=lambda value: value if isinstance(value, str) else str(value))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_function(name, kwargs, dtype, rng):
    x = (5 * rng.standard_normal((3, 20, 9, 7))).astype(dtype)
    assert_near(getattr(F, name)(x, **kwargs), getattr(TF, name)(torch.from_numpy(x), **kwargs), name)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "softplus"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_function_of_extreme_values(name, dtype):
    x = np.array([-1e30, -100, -20, -1e-3, -0.0, 0.0, 1e-3, 20, 100, 1e30, np.nan, -np.inf, np.inf], dtype)
    if name == "gelu":
        x = x[:-2]  # PyTorch's vectorised float32 gives NaN for infinity
    actual, expected = getattr(F, name)(x), getattr(TF, name)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(actual, expected, rtol=10 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)


def test_torch_max_pool_indices_and_ties(rng):
    x = rng.integers(0, 3, (2, 3, 8, 8)).astype(np.float32)  # full of ties
    y, indices = F.max_pool2d(x, 3, 2, 1, return_indices=True)
    y_torch, indices_torch = TF.max_pool2d(torch.from_numpy(x), 3, 2, 1, return_indices=True)
    assert_near(y, y_torch, "result")
    np.testing.assert_array_equal(indices, indices_torch.numpy())
