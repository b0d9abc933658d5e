"""What every public function of fastnn.functional owes its callers, from one table: a function missing in it fails.

It has a NumPy twin and a docstring that says what it needs; arrays that make no sense are refused with the function's
name, before anything is written; arrays that do are not written to, unless they are outputs.
"""

import inspect

import numpy as np
import pytest

import fastnn
from fastnn import functional as F
from fastnn import reference

RNG = np.random.default_rng(5)
IMAGES = RNG.standard_normal((3, 4, 6, 5))
ROWS = RNG.standard_normal((3, 4))
POOLED, TAPS = F.max_pool2d_taps(IMAGES, 2)
PARTS, PART_TAPS = F.adaptive_max_pool2d_taps(IMAGES, (2, 2))
CHANNELS = RNG.uniform(0.5, 1.5, 4)
LABELS, CHANCES = np.array([0, 3, 1]), RNG.uniform(0.1, 0.9, (3, 4))
WEIGHT, FILTERS = RNG.standard_normal((2, 4)), RNG.standard_normal((2, 4, 3, 3))
SPREAD, LARGER = RNG.standard_normal((4, 2, 3, 3)), RNG.standard_normal((3, 4, 12, 10))
NORM = F.batch_norm(IMAGES, None, None, CHANNELS, training=True)
GROUPED = F.group_norm(IMAGES, 2, CHANNELS)
LAYERED = F.layer_norm(ROWS, 4, CHANNELS)
BYTES = RNG.integers(0, 256, (3, 4, 6, 5), dtype=np.uint8)

SEQUENCE, STATE = RNG.standard_normal((3, 2, 5)), RNG.standard_normal((2, 4))
OF_X, OF_STATE = RNG.standard_normal((16, 5)), RNG.standard_normal((16, 4))

POINTWISE = ["elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh"]
BETWEEN = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "huber_loss", "l1_loss", "mse_loss"]
BETWEEN += ["smooth_l1_loss"]
CLASSES = ["cross_entropy", "focal_loss", "multi_margin_loss", "nll_loss"]

# name: the arguments of a call; arrays are tried one by one.
CALLS = {
    **dict.fromkeys(POINTWISE, (IMAGES,)),
    **dict.fromkeys(["hardsigmoid", "hardswish", "hardtanh", "mish", "relu6"], (IMAGES,)),
    **{f"{name}_backward": (IMAGES, IMAGES) for name in POINTWISE},
    **dict.fromkeys(BETWEEN, (CHANCES, CHANCES)),
    **{f"{name}_backward": (1.0, CHANCES, CHANCES) for name in BETWEEN},
    **dict.fromkeys(CLASSES, (ROWS, LABELS)),
    **{f"{name}_backward": (1.0, ROWS, LABELS) for name in CLASSES},
    "adadelta_step": (ROWS, CHANCES, CHANCES + 1, CHANCES + 2, 0.1),
    "adagrad_step": (ROWS, CHANCES, CHANCES + 1, 0.1),
    "adam_step": (ROWS, CHANCES, CHANCES + 1, CHANCES + 2, CHANCES + 3, 1, 0.1),
    "adaptive_avg_pool2d": (IMAGES, 2),
    "adaptive_avg_pool2d_backward": (PARTS, IMAGES.shape),
    "adaptive_max_pool2d": (IMAGES, 2),
    "adaptive_max_pool2d_backward": (PARTS, PART_TAPS, IMAGES.shape),
    "adaptive_max_pool2d_indices": (PART_TAPS, IMAGES.shape),
    "adaptive_max_pool2d_taps": (IMAGES, 2),
    "add": (ROWS, CHANCES),
    "augment_batch": (BYTES, np.array([2, 0])),
    "average_step": (ROWS, CHANCES, 0.5),
    "avg_pool2d": (IMAGES, 2),
    "avg_pool2d_backward": (POOLED, IMAGES.shape, 2),
    "batch_norm": (IMAGES, CHANNELS, CHANNELS, CHANNELS, CHANNELS, True),
    "batch_norm_backward": (IMAGES, IMAGES, NORM.mean, NORM.invstd, CHANNELS),
    "batch_norm_activation": (IMAGES, CHANNELS, CHANNELS, CHANNELS, CHANNELS, True),
    "batch_norm_activation_backward": (IMAGES, IMAGES, NORM.mean, NORM.invstd, CHANNELS, CHANNELS),
    "col2im": (F.im2col(IMAGES, 2), (6, 5), 2),
    "conv2d": (IMAGES, FILTERS, CHANNELS[:2]),
    "conv2d_backward": (F.conv2d(IMAGES, FILTERS), IMAGES, FILTERS),
    "conv_transpose2d": (IMAGES, SPREAD, CHANNELS[:2], 2),
    "conv_transpose2d_backward": (F.conv_transpose2d(IMAGES, SPREAD, None, 2), IMAGES, SPREAD, 2),
    "cross_entropy_and_gradient": (ROWS, LABELS, CHANNELS),
    "dropout": (IMAGES, 0.5),
    "dropout2d": (IMAGES, 0.5),
    "dropout2d_backward": (IMAGES, 0.5, 7),
    "dropout_backward": (IMAGES, 0.5, 7),
    "embedding": (LABELS, WEIGHT.T),
    "group_norm": (IMAGES, 2, CHANNELS, CHANNELS),
    "group_norm_backward": (IMAGES, IMAGES, GROUPED.mean, GROUPED.invstd, CHANNELS),
    "gru": (SEQUENCE, STATE, OF_X[:12], OF_STATE[:12], OF_X[:12, 0], OF_STATE[:12, 0]),
    "im2col": (IMAGES, 2),
    "instance_norm": (IMAGES, CHANNELS, CHANNELS, CHANNELS, CHANNELS),
    "interpolate": (IMAGES, (7, 3), None, "bilinear"),
    "interpolate_backward": (LARGER, IMAGES.shape, (12, 10)),
    "layer_norm": (ROWS, 4, CHANNELS, CHANNELS),
    "layer_norm_backward": (ROWS, ROWS, 4, LAYERED.mean, LAYERED.invstd, CHANNELS),
    "lion_step": (ROWS, CHANCES, CHANCES + 1, 0.1),
    "linear": (ROWS, WEIGHT, WEIGHT[:, 0]),
    "linear_backward": (F.linear(ROWS, WEIGHT), ROWS, WEIGHT),
    "local_response_norm": (IMAGES, 3),
    "local_response_norm_backward": (IMAGES, IMAGES, 3),
    "log_softmax": (ROWS, 1),
    "log_softmax_backward": (ROWS, CHANCES, 1),
    "lstm": (SEQUENCE, STATE, STATE, OF_X, OF_STATE, OF_X[:, 0], OF_STATE[:, 0]),
    "max_pool2d": (IMAGES, 2),
    "max_pool2d_backward": (POOLED, TAPS, IMAGES.shape, 2),
    "max_pool2d_indices": (TAPS, IMAGES.shape, 2),
    "max_pool2d_taps": (IMAGES, 2),
    "nadam_step": (ROWS, CHANCES, CHANCES + 1, CHANCES + 2, 2, 0.5, 0.1),
    "newton_schulz": (ROWS,),
    "pad": (IMAGES, (1, 2, 0, 1)),
    "pad_backward": (IMAGES, (1, 2, 0, 1), "replicate"),
    "pixel_shuffle": (IMAGES, 2),
    "pixel_shuffle_backward": (LARGER, 2),
    "pixel_unshuffle": (LARGER, 2),
    "pixel_unshuffle_backward": (IMAGES, 2),
    "prelu": (IMAGES, CHANNELS),
    "prelu_backward": (IMAGES, IMAGES, CHANNELS),
    "rms_norm": (ROWS, 4, CHANNELS),
    "rmsprop_step": (ROWS, CHANCES, CHANCES + 1, CHANCES + 2, CHANCES + 3, 0.1),
    "rnn": (SEQUENCE, STATE, OF_X[:4], OF_STATE[:4], OF_X[:4, 0], OF_STATE[:4, 0]),
    "scaled_dot_product_attention": (SEQUENCE, SEQUENCE[:, :1], SEQUENCE[:, :1], OF_X[:2, :1]),
    "sgd_step": (ROWS, CHANCES, CHANCES + 1, 0.1),
    "softmax": (ROWS, 1),
    "softmax_backward": (ROWS, CHANCES, 1),
    "sum_of_squares": (ROWS,),
    "warp_batch": (IMAGES, np.tile(np.eye(2, 3), (3, 1, 1))),
}
# Parameters that a call changes in place, by name.
OUTPUTS = {"parameter", "average", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "total", "square_avg"}
OUTPUTS |= {"acc_delta", "grad_avg"}
# What has no twin of its own name, and why.
NO_TWIN = {
    "adaptive_max_pool2d_indices": "arithmetic of indices, the same on both backends",
    "max_pool2d_indices": "arithmetic of indices, the same on both backends",
    "dropout_backward": "dropout itself, with the key of the forward pass",
    "dropout2d_backward": "dropout2d itself, with the key of the forward pass",
}


def bound(name):
    """The arguments of the call by parameter name; the arrays are copies."""
    names = inspect.signature(getattr(F, name)).parameters
    values = (value.copy() if isinstance(value, np.ndarray) else value for value in CALLS[name])
    return dict(zip(names, values, strict=False))


def call(name, arguments):
    """Call a function with these arguments, each the way its signature wants it."""
    function = getattr(F, name)
    kinds = {p.name: p.kind for p in inspect.signature(function).parameters.values()}
    by_name = {key: value for key, value in arguments.items() if kinds[key] is inspect.Parameter.KEYWORD_ONLY}
    return function(*(value for key, value in arguments.items() if key not in by_name), **by_name)


def arrays_of(name):
    return [key for key, value in bound(name).items() if isinstance(value, np.ndarray)]


EVERY_ARRAY = [(name, key) for name in CALLS for key in arrays_of(name)]
# Another rank makes no sense beside other arrays, but for ...
ANY_RANK = {
    ("layer_norm", "x"),
    ("linear", "x"),
}  # ... the axes in front of normalized_shape, of which there may be any number
ANY_RANK |= {("rms_norm", "x"), ("embedding", "x"), ("scaled_dot_product_attention", "attn_mask")}
OF_SEVERAL = [(name, key) for name, key in EVERY_ARRAY if len(arrays_of(name)) > 1 and (name, key) not in ANY_RANK]


def public():
    return {name for name, value in vars(F).items() if inspect.isfunction(value) and not name.startswith("_")}


# ---- the table is whole, and so is the documentation -----------------------------------------------------------------
def test_functional_table_holds_every_public_function():
    assert set(CALLS) == public()


def test_functional_twins_are_there():
    assert {name for name in public() if not hasattr(reference, name)} == set(NO_TWIN)
    for name in public() - set(NO_TWIN):
        assert inspect.getdoc(getattr(reference, name)), name


@pytest.mark.parametrize("name", sorted(CALLS))
def test_functional_docstring_says_what_a_caller_needs(name):
    text = inspect.getdoc(getattr(F, name))
    assert text
    if not name.endswith("_backward"):  # these refer to their function
        for section in ("Shape:", "Raises:", "Example:"):
            assert section in text, section


# ---- arguments -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CALLS)
def test_functional_call_writes_to_outputs_only(name):
    arguments = bound(name)
    arrays = {key: value for key, value in arguments.items() if isinstance(value, np.ndarray)}
    before = {key: value.tobytes() for key, value in arrays.items()}
    for key, value in arrays.items():
        value.flags.writeable = key in OUTPUTS
    result = call(name, arguments)
    changed = {key for key, value in arrays.items() if value.tobytes() != before[key]}
    assert changed <= OUTPUTS
    results = [r for r in (result if isinstance(result, tuple) else (result,)) if isinstance(r, np.ndarray)]
    assert not any(np.shares_memory(r, value) for r in results for value in arrays.values())


@pytest.mark.parametrize("name", CALLS)
def test_functional_call_is_the_same_on_the_reference(name):
    actual, expected = bound(name), bound(name)
    if name in ("dropout", "dropout2d"):  # with the same mask
        actual |= {"training": True, "key": 7}
        expected |= {"training": True, "key": 7}
    results = []
    for backend, arguments in (("native", actual), ("reference", expected)):
        with fastnn.backend(backend):
            result = call(name, arguments)
        changed = [arguments[key] for key in arguments if key in OUTPUTS]
        results.append([*(result if isinstance(result, tuple) else (result,)), *changed])
    for a, b in zip(*results, strict=True):
        if a is not None or b is not None:
            assert np.asarray(a).dtype == np.asarray(b).dtype
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def refused(name, arguments, errors):
    """The call raises one of `errors`, which names the function, and changes no array."""
    before = {key: value.copy() for key, value in arguments.items() if isinstance(value, np.ndarray)}
    with pytest.raises(errors) as caught:
        call(name, arguments)
    assert name.startswith(str(caught.value).partition(":")[0])  # a variant may go by the name of its function
    for key, value in before.items():
        np.testing.assert_array_equal(arguments[key], value)


@pytest.mark.parametrize("dtype", [object, np.complex128, "S3"])
@pytest.mark.parametrize(("name", "key"), EVERY_ARRAY)
def test_functional_array_that_holds_no_numbers_is_refused(name, key, dtype):
    arguments = bound(name)
    arguments[key] = arguments[key].astype(dtype)
    refused(name, arguments, (TypeError, ValueError))


@pytest.mark.parametrize(("name", "key"), OF_SEVERAL)
def test_functional_array_of_another_rank_is_refused(name, key):
    arguments = bound(name)
    arguments[key] = arguments[key][None]
    refused(name, arguments, ValueError)
