"""A convolution layer checks its arguments once for inputs that lie alike; it must notice all that changes."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import _layout, nn
from fastnn import functional as F
from fastnn.nn import _joining


def images(rng, n=3, c=5, size=7, dtype=np.float32):
    return _layout.pixel_major(rng.standard_normal((n, c, size, size)).astype(dtype))


def expected(conv, x):
    bias = None if conv.bias is None else conv.bias.data
    settings = conv.stride, conv.padding, conv.dilation, conv.groups, conv.algorithm
    return F.conv2d(x, conv.weight.data, bias, *settings)


def block(activation=nn.ReLU):
    """A convolution, a norm with statistics and an activation, in eval mode; as a list and as what joins them."""
    fastnn.manual_seed(0)
    layers = [nn.Conv2d(5, 6, 3, padding=1), nn.BatchNorm2d(6), activation()]
    norm = layers[1]
    for array in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
        array[...] = np.random.default_rng(1).uniform(0.5, 2, 6)
    return layers, nn.Sequential(*layers).eval()


def apart(layers, x):
    for layer in layers:
        x = layer(x)
    return x


CHANGES = {
    "weight in place": lambda conv: conv.weight.data.__imul__(2),
    "another weight": lambda conv: setattr(conv.weight, "data", conv.weight.data * 2),
    "a weight that lies otherwise": lambda conv: setattr(
        conv.weight, "data", np.ascontiguousarray(conv.weight.data * 2)
    ),
    "bias in place": lambda conv: conv.bias.data.__iadd__(1),
    "another bias": lambda conv: setattr(conv.bias, "data", conv.bias.data + 1),
    "a bias with gaps": lambda conv: setattr(conv.bias, "data", np.repeat(conv.bias.data + 1, 2)[::2]),
    "no bias": lambda conv: setattr(conv, "bias", None),
    "another parameter": lambda conv: setattr(conv, "weight", nn.Parameter(conv.weight.data * 2)),
    "stride": lambda conv: setattr(conv, "stride", (2, 1)),
    "padding": lambda conv: setattr(conv, "padding", (0, 1)),
    "dilation": lambda conv: setattr(conv, "dilation", (2, 2)),
    "algorithm": lambda conv: setattr(conv, "algorithm", "winograd4"),
    "dtype": lambda conv: conv.astype(np.float64),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_prepared_convolution_notices_what_changes_in_the_layer(change, rng):
    conv = nn.Conv2d(5, 6, 3, padding=1)
    x = images(rng)
    before = [conv(x) for _ in range(3)][-1]
    np.testing.assert_array_equal(before, expected(conv, x))
    change(conv)
    x = x.astype(conv.weight.data.dtype)
    for _ in range(3):
        np.testing.assert_array_equal(conv(x), expected(conv, x))
    conv.weight.data[...] *= 3  # what was prepared for the new weight reads it, not a copy
    np.testing.assert_array_equal(conv(x), expected(conv, x))
    assert conv(x).shape != before.shape or (conv(x) != before).any()


def test_prepared_convolution_notices_another_input(rng):
    conv = nn.Conv2d(5, 6, 3, padding=1)
    x = images(rng)
    unaligned = (
        np.frombuffer(b"0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(7, 7, 3, 5).transpose(2, 3, 0, 1)
    )
    others = [x, images(rng, n=2), np.ascontiguousarray(x), x[:, :, ::-1], images(rng, size=8), unaligned, x[:0]]
    for _ in range(2):
        for other in others:
            for _ in range(2):
                np.testing.assert_array_equal(conv(other), expected(conv, other))
    with pytest.raises(TypeError, match="dtypes differ"):
        conv(images(rng, dtype=np.float64))
    with pytest.raises(ValueError, match="x has 4 channels"):
        conv(images(rng, c=4))


def test_prepared_convolution_notices_threads_algorithms_and_backend(rng):
    conv = nn.Conv2d(40, 40, 3, padding=1)
    x = images(rng, n=33, c=40, size=9)
    results = {}
    for _ in range(2):
        for name in ("direct", "winograd", "winograd24", "winograd4", "im2col"):
            with fastnn.conv2d_algorithm(name):
                np.testing.assert_array_equal(conv(x), F.conv2d(x, conv.weight.data, conv.bias.data, 1, 1))
                results[name] = conv(x)
        with fastnn.backend("reference"):
            results["reference"] = conv(x)
            np.testing.assert_array_equal(results["reference"], expected(conv, x))
    for a, b in (
        ("direct", "winograd"),
        ("winograd", "winograd24"),
        ("winograd24", "winograd4"),
        ("direct", "reference"),
    ):
        assert (results[a] != results[b]).any()
    before = fastnn.num_threads()
    try:
        for threads in (1, 3, 2, 1):  # the workspace depends on them
            fastnn.set_num_threads(threads)
            np.testing.assert_array_equal(conv(x), expected(conv, x))
    finally:
        fastnn.set_num_threads(before)


def test_prepared_convolution_is_not_that_of_an_array_that_is_gone(rng):
    """New arrays often lie where old ones did, so that their identity is no proof."""
    conv = nn.Conv2d(5, 6, 3, padding=1)
    x = images(rng)
    for i in range(200):
        conv.weight.data = np.full((3, 3, 5, 6), i, np.float32).transpose(3, 2, 0, 1)
        conv.bias.data = np.full(6, i, np.float32)
        np.testing.assert_array_equal(conv(x), expected(conv, x))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_prepared_convolution_stays_behind_when_a_layer_is_copied(copied, rng):
    _, joined = block()
    x = images(rng)
    before = joined(x)
    other = copied(joined)
    np.testing.assert_array_equal(other(x), before)
    other[0].weight.data = other[0].weight.data * 2
    other[1].bias.data = other[1].bias.data + 1
    np.testing.assert_array_equal(other(x), apart(list(other), x))
    np.testing.assert_array_equal(joined(x), apart(list(joined), x))
    assert (other(x) != before).any()


NORM_CHANGES = {
    "mean in place": lambda norm: norm.running_mean.__iadd__(1),
    "another mean": lambda norm: setattr(norm, "running_mean", norm.running_mean + 1),
    "another variance": lambda norm: setattr(norm, "running_var", norm.running_var * 2),
    "a variance with gaps": lambda norm: setattr(norm, "running_var", np.repeat(norm.running_var * 2, 2)[::2]),
    "weight in place": lambda norm: norm.weight.data.__imul__(2),
    "another weight": lambda norm: setattr(norm.weight, "data", norm.weight.data * 2),
    "another bias": lambda norm: setattr(norm.bias, "data", norm.bias.data + 1),
    "no weight": lambda norm: setattr(norm, "weight", None),
    "eps": lambda norm: setattr(norm, "eps", 0.5),
    "training": lambda norm: norm.train(),
}


@pytest.mark.parametrize("change", NORM_CHANGES.values(), ids=NORM_CHANGES)
def test_prepared_norm_notices_what_changes_in_the_layer(change, rng):
    layers, joined = block()
    x = images(rng)
    before = [joined(x) for _ in range(3)][-1]
    np.testing.assert_array_equal(before, apart(layers, x))
    change(layers[1])
    for _ in range(3):
        np.testing.assert_array_equal(joined(x), apart(layers, x))
    assert (joined(x) != before).any()


def test_prepared_norm_notices_another_activation_and_neighbour(rng):
    layers, joined = block(nn.GELU)
    x = images(rng)
    joined(x)
    layers[2].approximate = "tanh"
    np.testing.assert_array_equal(joined(x), apart(layers, x))
    layers[2].approximate = "none"
    joined(x)
    joined[2] = nn.ReLU()
    np.testing.assert_array_equal(joined(x), apart(list(joined), x))
    layers[0].forward = lambda x: np.ones_like(x[:, :1]) + np.zeros((6, 1, 1), np.float32)
    np.testing.assert_array_equal(joined(x), apart(list(joined), x))
    del layers[0].forward
    np.testing.assert_array_equal(joined(x), apart(list(joined), x))


def test_prepared_norm_takes_any_residual_and_refuses_one_that_does_not_fit(rng):
    layers, _ = block()
    conv, norm = layers[:2]
    conv.eval()
    norm.eval()
    x, residual = images(rng), images(rng, c=6)
    relu = nn.ReLU()

    @fastnn.no_grad
    def after(residual):
        return _joining.conv_norm(fastnn.tensor(x), conv, norm, relu, residual).data

    @fastnn.no_grad
    def then(residual):
        return norm.normalize(fastnn.tensor(conv(x)), "relu", residual).data

    for other in (residual, np.ascontiguousarray(residual), residual, residual[:, ::-1], None):
        for _ in range(2):
            np.testing.assert_array_equal(after(other), then(other))
    for _ in range(2):
        with pytest.raises(ValueError, match="the residual must have the shape of the result"):
            after(residual[:2])
        with pytest.raises(TypeError, match="dtypes differ"):
            after(residual.astype(np.float64))


def test_prepared_convolution_goes_back_as_before(rng):
    _, joined = block()
    x = images(rng)
    gradients = []
    for _ in range(3):
        y = joined(x)
        gradients.append(joined.backward(np.ones_like(y)))
    np.testing.assert_array_equal(gradients[0], gradients[2])
    with pytest.raises(RuntimeError, match="backward needs a forward before it"):
        joined.backward(np.ones_like(y))


# ---- what cannot be prepared, and what does not fit ------------------------------------------------------------------
def gradients(conv, x, dy, addend=None):
    conv.zero_grad()
    conv(x)
    dx = conv.backward(dy)
    if addend is not None:
        dx = F.conv2d_backward(dy, x, conv.weight.data, *conv.settings(), addend=addend)[0]
    return dx, conv.weight.grad, conv.bias.grad


def read_only(array):
    array = array.copy("K")
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "changed",
    [np.ascontiguousarray, read_only, lambda a: a[:, :, ::-1][:, :, ::-1], lambda a: a.astype(a.dtype.newbyteorder())],
    ids=["NCHW", "read-only", "twice reversed", "foreign byte order"],
)
def test_prepared_convolution_and_the_checked_one_have_the_same_bits(changed, rng):
    conv = nn.Conv2d(5, 6, 3, padding=1)
    x, dy, addend = images(rng), images(rng, c=6), images(rng)
    expected_y, expected_gradients = conv(x), gradients(conv, x, dy, addend)
    np.testing.assert_array_equal(conv(changed(x)), expected_y)
    for arrays in ((changed(x), dy, addend), (x, changed(dy), addend), (x, dy, changed(addend))):
        for a, e in zip(gradients(conv, *arrays), expected_gradients, strict=True):
            np.testing.assert_array_equal(a, e)


def test_prepared_convolution_leaves_lists_to_the_checks(rng):
    conv, other = (nn.Conv2d(5, 6, 3, stride=(2, 1), padding=(1, 0)) for _ in range(2))
    other.load_state_dict(conv.state_dict())
    other.stride, other.padding = [2, 1], [1, 0]
    x = images(rng)
    y = conv(x)
    np.testing.assert_array_equal(other(x), y)
    for a, e in zip(gradients(other, x, y), gradients(conv, x, y), strict=True):
        np.testing.assert_array_equal(a, e)


def test_prepared_convolution_refuses_gradients_that_do_not_fit(rng):
    conv = nn.Conv2d(5, 6, 3, padding=1)
    x, dy = images(rng), images(rng, c=6)
    gradients(conv, x, dy)
    for bad, error, words in (
        (dy[:2], ValueError, "dy must have shape"),
        (images(rng, c=5), ValueError, "dy must have shape"),
        (dy.astype(np.float64), TypeError, "dtypes differ"),
        (dy[0], ValueError, "dy must have shape"),
    ):
        conv(x)
        with pytest.raises(error, match=words):
            conv.backward(bad)
    with pytest.raises(ValueError, match="addend and x must have the same shape"):
        gradients(conv, x, dy, x[:2])
    conv.stride = (0, 1)
    with pytest.raises(ValueError, match="stride must be one or two integers >= 1"):
        conv(x)


def test_prepared_convolution_computes_only_what_is_needed(rng):
    conv = nn.Conv2d(5, 6, 3, padding=1)
    x, dy = images(rng), images(rng, c=6)
    dx, _, dbias = gradients(conv, x, dy)
    conv.input_grad = False
    assert gradients(conv, x, dy)[0] is None
    conv.weight.requires_grad = False
    _, no_dweight, other_dbias = gradients(conv, x, dy)
    assert no_dweight is None
    np.testing.assert_array_equal(other_dbias, dbias)
    conv.bias.requires_grad, conv.input_grad = False, True
    only_dx, *nothing = gradients(conv, x, dy)
    np.testing.assert_array_equal(only_dx, dx)
    assert nothing == [None, None]
