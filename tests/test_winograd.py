"""Winograd's convolution: C against its NumPy twin and the definition, its error against the direct one."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import _layout, _native, nn
from fastnn import functional as F
from fastnn.functional._conv2d_algorithm import WINOGRAD_OUTPUTS
from fastnn.functional._conv2d_plan import DIRECTIONS, explain
from fastnn.reference import winograd

both = pytest.mark.parametrize("algorithm", WINOGRAD_OUTPUTS)

# Around the widths of vectors and panels, and above the 128 channels of a block of weights.
channels = st.sampled_from([1, 2, 3, 5, 8, 9, 16, 17, 31, 33, 64, 65, 96, 130])


@st.composite
def problems(draw):
    """(shape of x, shape of weight, padding), dtype, seed; of up to 25 x 20 rows, which is more than one chunk, or of
    so many images that tiles over the border are computed apart.
    """
    pad = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    h, w = (draw(st.integers(max(1, 3 - 2 * p), 9)) for p in pad)
    n, c_in, c_out = draw(st.sampled_from([1, 1, 2, 3, 7, 20, 33])), draw(channels), draw(channels)
    return ((n, c_in, h, w), (c_out, c_in, 3, 3), pad), draw(dtypes), draw(seeds)


def arrays(case, dtype, seed):
    """x, weight, bias and dy."""
    x_shape, weight_shape, pad = case
    rng = np.random.default_rng(seed)
    y_shape = (x_shape[0], weight_shape[0], x_shape[2] + 2 * pad[0] - 2, x_shape[3] + 2 * pad[1] - 2)
    return [rng.standard_normal(shape).astype(dtype) for shape in (x_shape, weight_shape, weight_shape[:1], y_shape)]


def all_directions(x, weight, bias, dy, pad, algorithm):
    """y, dx, dweight, dbias."""
    y = F.conv2d(x, weight, bias, padding=pad, algorithm=algorithm)
    return y, *F.conv2d_backward(dy, x, weight, padding=pad, algorithm=algorithm)


def magnitudes(x, weight, bias, dy, pad, algorithm):
    """What the terms of each element of y, dx, dweight, dbias sum up to without their signs."""
    with mock.patch.dict(winograd.MATRICES, {size: tuple(map(abs, m)) for size, m in winograd.MATRICES.items()}):
        return from_reference(all_directions, *map(abs, (x, weight, bias, dy)), pad, algorithm)


# Roundings of a term of y and of dweight besides those of the sums over channels and tiles, for tiles of 4 x 4; those
# of 2 x 4 have less. In y: 12 in B^T d B (each axis of the twin multiplies once and adds 5 times; C has 4 roundings),
# 10 in G g G^T (C: 2 of the constant, a multiplication and 2 additions for each axis), a multiplication, 12 in A^T m
# A, the bias: 36, less the one that a sum of C terms does not have. In dweight: 12, 8 in A dy A^T (a multiplication
# and 3 additions), a multiplication, 14 in G^T u G (the constant, a multiplication, 5 additions), less one: 34.
ROUNDINGS_4 = 35


def counts(x, weight, dy, algorithm):
    """The roundings of each element of y, dx, dweight, dbias, the mean of Winograd's and of the definition's.

    Take M = |A^T| [(|G| |g| |G^T|) * (|B^T| |d| |B|)] |A|, the formula without its signs. A term of y passes through
    2 additions in B^T d B (one for the rows of a tile, one for its columns), 4 in G g G^T (its halves are exact), one
    multiplication, C - 1 additions over channels, 4 additions in A^T m A and the one of the bias: C + 11 roundings of
    at most u each, of terms that sum up to M, so that y is off by at most (C + 11) u M to first order. dx sums over
    the output channels instead. A term of dweight passes through 2 in B^T d B, 2 in A dy A^T, one multiplication,
    T - 1 over the T tiles of all images, 4 in G^T u G: T + 8.

    The definition sums 9 C products (9 C_out for dx, one for each output pixel P for dweight). M is no less than the
    sum of their magnitudes, for it is an upper bound of A^T [(G |g| G^T) * (B^T |d| B)] A, which is that sum.
    `tolerance` counts u for each of the two sides of a comparison, hence the mean. Larger tiles have more roundings:
    ROUNDINGS_4.
    """
    c_out, c_in = weight.shape[:2]
    n, _, h, w = dy.shape
    tiles, pixels = n * ((h + 1) // 2) * ((w + 1) // 2), n * h * w
    if algorithm != "winograd":
        return 5 * c_in + ROUNDINGS_4, 5 * c_out + ROUNDINGS_4, (tiles + pixels) // 2 + ROUNDINGS_4, pixels
    return (10 * c_in + 12) // 2, (10 * c_out + 12) // 2, (tiles + pixels + 8) // 2, pixels


# ---- right -----------------------------------------------------------------------------------------------------------
@both
@given(problem=problems())
def test_winograd_matches_definition_and_twin(isa, algorithm, problem):
    case, dtype, seed = problem
    x, weight, bias, dy = arrays(case, dtype, seed)
    actual = all_directions(x, weight, bias, dy, case[2], algorithm)
    scales, terms = magnitudes(x, weight, bias, dy, case[2], algorithm), counts(x, weight, dy, algorithm)
    for twin in ("direct", algorithm):
        expected = from_reference(all_directions, x, weight, bias, dy, case[2], twin)
        for a, e, n, m in zip(actual, expected, terms, scales, strict=True):
            assert_close(a, e, n, m)


@given(problem=problems())
def test_winograd_is_exact_for_small_integers(isa, problem):
    """The transforms add, subtract and halve twice: quarters of integers up to 2^22 are float32 numbers."""
    case, dtype, seed = problem
    given_arrays = [np.clip(np.rint(array), -2, 2) for array in arrays(case, dtype, seed)]
    actual = all_directions(*given_arrays, case[2], "winograd")
    for a, e in zip(actual, from_reference(all_directions, *given_arrays, case[2], "direct"), strict=True):
        np.testing.assert_array_equal(a, e)


# More than one block of weights in both directions; channels that fill no vector; many chunks; one pixel; one tile.
LARGE = [
    ((2, 130, 6, 5), (259, 130, 3, 3), (1, 1)),
    ((3, 257, 4, 4), (131, 257, 3, 3), (0, 2)),
    ((33, 16, 16, 15), (17, 16, 3, 3), (1, 1)),
    ((300, 5, 5, 3), (6, 5, 3, 3), (1, 0)),
    ((1, 7, 41, 40), (33, 7, 3, 3), (2, 1)),
    ((5, 4, 1, 1), (3, 4, 3, 3), (1, 1)),
    ((700, 3, 2, 2), (8, 3, 3, 3), (1, 1)),
    # Tiles over the border: on padding, on the image, one of each, and nothing else.
    ((40, 130, 7, 7), (131, 130, 3, 3), (1, 1)),
    ((100, 17, 5, 9), (33, 17, 3, 3), (0, 0)),
    ((64, 20, 7, 6), (9, 20, 3, 3), (0, 1)),
    ((33, 20, 1, 5), (9, 20, 3, 3), (1, 2)),
    ((200, 5, 1, 1), (6, 5, 3, 3), (1, 1)),
    # So many rows that blocks of outputs are wide.
    ((4100, 2, 2, 1), (258, 2, 3, 3), (1, 1)),
]


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", LARGE)
def test_winograd_of_many_blocks_and_chunks(isa, algorithm, case, dtype):
    x, weight, bias, dy = arrays(case, dtype, 1)
    actual = all_directions(x, weight, bias, dy, case[2], algorithm)
    expected = from_reference(all_directions, x, weight, bias, dy, case[2], "direct")
    scales, terms = magnitudes(x, weight, bias, dy, case[2], algorithm), counts(x, weight, dy, algorithm)
    for a, e, n, m in zip(actual, expected, terms, scales, strict=True):
        assert_close(a, e, n, m)


@both
@pytest.mark.parametrize("padding", [0, 1, (2, 0), "same", "valid"])
def test_winograd_gradients_match_finite_differences(isa, algorithm, padding, rng):
    x, weight, bias = rng.standard_normal((2, 4, 6, 5)), rng.standard_normal((5, 4, 3, 3)), rng.standard_normal(5)
    settings = (1, padding, 1, 1, algorithm)
    dy = rng.standard_normal(F.conv2d(x, weight, bias, *settings).shape)
    gradients = F.conv2d_backward(dy, x, weight, *settings)
    for array, gradient in zip((x, weight, bias), gradients, strict=True):
        # The function is linear in each argument, so that a large step has no error but rounding.
        numeric = numeric_gradient(lambda: F.conv2d(x, weight, bias, *settings), array, dy, step=1e-2)
        assert relative_error(gradient, numeric) < 1e-8


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "case", [((32, 16, 17, 16), (48, 16, 3, 3), (1, 1)), ((8, 140, 9, 9), (150, 140, 3, 3), (0, 2)), *LARGE[4:]]
)
def test_winograd_bits_do_not_depend_on_threads(isa, algorithm, case, dtype):
    given_arrays = arrays(case, dtype, 2)
    results = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        results.append(all_directions(*given_arrays, case[2], algorithm))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@both
def test_winograd_computes_only_what_is_needed(algorithm, rng):
    x, weight, dy = (
        rng.standard_normal((2, 3, 6, 6)),
        rng.standard_normal((4, 3, 3, 3)),
        rng.standard_normal((2, 4, 6, 6)),
    )
    everything = F.conv2d_backward(dy, x, weight, padding=1, algorithm=algorithm)
    names = ("need_dx", "need_dweight", "need_dbias")
    for wanted, name in enumerate(names):
        needs = {other: other == name for other in names}
        for i, gradient in enumerate(F.conv2d_backward(dy, x, weight, padding=1, algorithm=algorithm, **needs)):
            if i == wanted:
                np.testing.assert_array_equal(gradient, everything[i])
            else:
                assert gradient is None


@both
def test_winograd_empty_batch(algorithm):
    x, weight = np.zeros((0, 3, 8, 8), np.float32), np.ones((4, 3, 3, 3), np.float32)
    y = F.conv2d(x, weight, padding=1, algorithm=algorithm)
    assert y.shape == (0, 4, 8, 8)
    dx, dweight, dbias = F.conv2d_backward(y, x, weight, padding=1, algorithm=algorithm)
    assert dx.shape == x.shape
    assert not dweight.any()
    assert not dbias.any()


def _root_mean_square(array):
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))


@pytest.mark.parametrize(("algorithm", "most"), [("winograd", 4), ("winograd24", 4), ("winograd4", 6)])
@pytest.mark.parametrize(("c", "size", "n"), [(16, 32, 8), (64, 16, 8), (256, 8, 8)])
def test_winograd_error_is_of_the_size_of_the_direct_one(isa, algorithm, most, c, size, n):
    """Its transforms round too, but its sums have a ninth of the terms, for dweight a quarter; with tiles of 4 x 4 they
    multiply by up to 8 and back.
    """
    x, weight, bias, dy = arrays(((n, c, size, size), (c, c, 3, 3), (1, 1)), np.float32, 3)
    exact = all_directions(*(array.astype(np.float64) for array in (x, weight, bias, dy)), (1, 1), "direct")
    errors = {
        name: [_root_mean_square(a - e) for a, e in zip(results, exact, strict=True)]
        for name in ("direct", algorithm)
        for results in [all_directions(x, weight, bias, dy, (1, 1), name)]
    }
    for theirs, ours in list(zip(errors["direct"], errors[algorithm], strict=True))[:3]:
        assert 0 < ours <= most * theirs


# ---- numbers that are none -------------------------------------------------------------------------------------------
@both
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_winograd_what_is_not_finite_reaches_its_neighbours_and_no_other_image(isa, algorithm, value, dtype):
    n, bad, row, column = 7, 3, 4, 5
    x, weight, bias, dy = arrays(((n, 5, 13, 12), (6, 5, 3, 3), (1, 1)), dtype, 4)
    clean = all_directions(x, weight, bias, dy, (1, 1), algorithm)
    others = np.arange(n) != bad

    x_bad = x.copy()
    x_bad[bad, 2, row, column] = value
    y, _, dweight, _ = all_directions(x_bad, weight, bias, dy, (1, 1), algorithm)
    assert not np.isfinite(y[bad, :, row - 1 : row + 2, column - 1 : column + 2]).any()
    np.testing.assert_array_equal(y[others], clean[0][others])
    assert not np.isfinite(dweight[:, 2]).any()
    np.testing.assert_array_equal(np.delete(dweight, 2, axis=1), np.delete(clean[2], 2, axis=1))
    far = np.ones(y.shape[2:], bool)  # outside the tiles whose inputs hold the pixel
    reach_h, reach_w = WINOGRAD_OUTPUTS[algorithm]
    far[row - reach_h : row + reach_h + 1, column - reach_w : column + reach_w + 1] = False
    assert far.any()
    np.testing.assert_array_equal(y[bad][:, far], clean[0][bad][:, far])

    dy_bad = dy.copy()
    dy_bad[bad, 4, row, column] = value
    _, dx, dweight, dbias = all_directions(x, weight, bias, dy_bad, (1, 1), algorithm)
    assert not np.isfinite(dx[bad, :, row - 1 : row + 2, column - 1 : column + 2]).any()
    np.testing.assert_array_equal(dx[others], clean[1][others])
    assert not np.isfinite(dweight[4]).any()
    np.testing.assert_array_equal(np.delete(dweight, 4, axis=0), np.delete(clean[2], 4, axis=0))
    np.testing.assert_array_equal(np.isfinite(dbias), np.arange(6) != 4)


# ---- refused ---------------------------------------------------------------------------------------------------------
IMPOSSIBLE = {
    "a kernel of 5 x 5": ((5, 5), {}),
    "a kernel of 1 x 1": ((1, 1), {}),
    "a kernel of 3 x 1": ((3, 1), {}),
    "stride": ((3, 3), {"stride": 2}),
    "stride along one axis": ((3, 3), {"stride": (1, 2)}),
    "dilation": ((3, 3), {"dilation": 2}),
    "groups": ((3, 3), {"groups": 2}),
    "padding": ((3, 3), {"padding": 3}),
    "padding along one axis": ((3, 3), {"padding": (0, 3)}),
    "same for a kernel of 5 x 5": ((5, 5), {"padding": "same"}),
}
impossible = pytest.mark.parametrize(("kernel", "settings"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
NEEDS = " needs a 3 x 3 kernel, stride 1, dilation 1, groups 1 and padding 0 to 2. Received: kernel="


@impossible
@both
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_winograd_that_cannot_be_is_refused(kernel, settings, algorithm, backend):
    words = f"algorithm '{algorithm}'" + NEEDS
    x, weight = np.zeros((2, 4, 9, 9)), np.zeros((6, 4 // settings.get("groups", 1), *kernel))
    dy = F.conv2d(x, weight, **settings)
    with fastnn.backend(backend):
        with pytest.raises(ValueError, match="conv2d: " + words):
            F.conv2d(x, weight, **settings, algorithm=algorithm)
        with pytest.raises(ValueError, match="conv2d_backward: " + words):
            F.conv2d_backward(dy, x, weight, **settings, algorithm=algorithm)
    with pytest.raises(ValueError, match="conv2d: " + words):
        explain(x.shape, weight.shape, **settings, algorithm=algorithm)
    with pytest.raises(ValueError, match="Conv2d: " + words):
        nn.Conv2d(4, 6, kernel, **settings, algorithm=algorithm)


def test_winograd_error_shows_what_was_received():
    words = r"Received: kernel=\(3, 3\), stride=\(1, 2\), dilation=\(1, 1\), groups=1, padding=\(0, 3\)"
    with pytest.raises(ValueError, match=words):
        F.conv2d(np.zeros((2, 4, 9, 9)), np.zeros((6, 4, 3, 3)), None, (1, 2), (0, 3), algorithm="winograd")


@both
@pytest.mark.parametrize("padding", [0, 2, (0, 1), "same", "valid"])
def test_winograd_layer_computes_what_the_direct_one_does(algorithm, padding, rng):
    layer = nn.Conv2d(5, 6, 3, padding=padding, algorithm=algorithm).astype(np.float64)
    assert f"algorithm='{algorithm}'" in repr(layer)
    x = rng.standard_normal((2, 5, 7, 8))
    np.testing.assert_allclose(
        layer(x),
        F.conv2d(x, layer.weight.data, layer.bias.data, 1, padding, algorithm="direct"),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "dilation", "groups"),
    [
        ((5, 3), (1, 1), (1, 1), (1, 1), 1),
        ((3, 3), (2, 1), (1, 1), (1, 1), 1),
        ((3, 3), (1, 1), (1, 1), (1, 2), 1),
        ((3, 3), (1, 1), (1, 1), (1, 1), 2),
        ((3, 3), (1, 1), (3, 1), (1, 1), 1),
        ((3, 3), (1, 1), (1, -1), (1, 1), 1),
    ],
)
@both
def test_winograd_binding_refuses_what_would_crash(kernel, stride, pad, dilation, groups, algorithm):
    shapes = (6, 6, 2, 4), (*kernel, 4 // groups, 4), (6, 6, 2, 4)
    for direction in DIRECTIONS:
        with pytest.raises(ValueError, match="Winograd's algorithm cannot do this convolution"):
            _native.Conv2dPlan(direction, np.dtype("float32"), *shapes, stride, pad, dilation, groups, algorithm, 1)


@both
def test_winograd_binding_refuses_a_workspace_of_the_direct_algorithm(algorithm):
    x = _layout.pixels(np.zeros((2, 4, 6, 6), np.float32))
    weight, y = np.zeros((3, 3, 4, 4), np.float32), np.zeros_like(x)
    first = "forward", x.dtype, x.shape, weight.shape, y.shape, (1, 1), (1, 1), (1, 1), 1
    direct, plan = (_native.Conv2dPlan(*first, name, 1) for name in ("direct", algorithm))
    assert direct.workspace < plan.workspace
    with pytest.raises(ValueError, match="conv2d: no kernels for algorithm 'fft'"):
        _native.Conv2dPlan(*first, "fft", 1)
    with pytest.raises(ValueError, match="workspace of"):
        _native.conv2d_forward(plan, x, weight, None, y, np.zeros(direct.workspace, np.uint8))


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "case",
    [
        ((20, 16, 9, 8), (48, 16, 3, 3), (1, 1)),
        ((3, 131, 5, 4), (140, 131, 3, 3), (0, 2)),
        ((34, 16, 9, 7), (48, 16, 3, 3), (1, 1)),
    ],
)
def test_winograd_stays_in_the_workspace_that_it_asks_for(isa, threads, algorithm, case, dtype):
    """What follows the workspace keeps its bytes, and the result does not depend on what the workspace held."""
    x, weight, _, dy = arrays(case, dtype, 5)
    x, dy, weight = _layout.pixels(x), _layout.pixels(dy), np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
    last = x.dtype, x.shape, weight.shape, dy.shape, (1, 1), case[2], (1, 1), 1, algorithm, threads

    def run(plan, workspace):
        if plan.direction == "forward":
            out = np.zeros_like(dy)
            _native.conv2d_forward(plan, x, weight, None, out, workspace)
        elif plan.direction == "backward_data":
            out = np.zeros_like(x)
            _native.conv2d_backward_data(plan, dy, weight, None, out, workspace)
        else:
            out, dbias = np.zeros_like(weight), np.zeros(dy.shape[3], dtype)
            _native.conv2d_backward_weight(plan, x, dy, out, dbias, workspace)
        return out

    for direction in DIRECTIONS:
        plan = _native.Conv2dPlan(direction, *last)
        needed = plan.workspace
        results = []
        for filling in (0, 255):  # 255: NaN in both dtypes
            room = np.full(needed + 8192 + 64, filling, np.uint8)
            start = -room.ctypes.data % 64
            results.append(run(plan, room[start : start + needed + 4096]))
            assert (room[start + needed :] == filling).all(), direction
        np.testing.assert_array_equal(*results)
