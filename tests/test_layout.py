"""The pixel-major layout: shapes and values stay, only memory moves, and only when it must."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import dtypes, layouts, seeds

import fastnn
from fastnn import _layout, _native
from fastnn.autograd import Observer, observing

sizes = st.integers(0, 5)
shapes4 = st.tuples(sizes, sizes, sizes, sizes)
big_shapes4 = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))


def filled(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@given(shape=st.one_of(shapes4, big_shapes4), dtype=dtypes, seed=seeds)
def test_layout_pixels_holds_the_same_values_for_any_layout(isa, shape, dtype, seed):
    x = filled(shape, dtype, seed)
    for name, given_x in {**layouts(x), "channels_last": x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)}.items():
        pixels = _layout.pixels(given_x)
        assert pixels.flags.c_contiguous, name
        assert pixels.flags.aligned, name
        assert pixels.dtype == dtype, name
        np.testing.assert_array_equal(pixels, x.transpose(2, 3, 0, 1), err_msg=name)
        np.testing.assert_array_equal(_layout.images(pixels), x, err_msg=name)


@given(shape=st.one_of(shapes4, big_shapes4), dtype=dtypes, seed=seeds)
def test_layout_to_nchw_holds_the_same_values_for_any_layout(isa, shape, dtype, seed):
    x = filled(shape, dtype, seed)
    for name, given_x in {**layouts(x), "pixel_major": _layout.images(_layout.pixels(x))}.items():
        nchw = _layout.to_nchw(given_x)
        assert nchw.flags.c_contiguous, name
        assert nchw.flags.aligned, name
        assert nchw.dtype == dtype, name
        np.testing.assert_array_equal(nchw, x, err_msg=name)


def test_layout_pixel_major_is_taken_as_it_is_and_anything_else_is_counted():
    x = _layout.empty_images((4, 3, 5, 5), np.float32)
    before = fastnn.conversions()
    assert np.shares_memory(_layout.pixels(x), x)
    assert fastnn.conversions() == before
    nchw = np.ascontiguousarray(x)
    assert not np.shares_memory(_layout.pixels(nchw), nchw)
    assert fastnn.conversions() == before + 1


class Copies(Observer):
    """Hands every copy to a function."""

    def __init__(self, function):
        self.copied = function


def test_layout_copies_can_be_watched():
    nchw = filled((4, 3, 5, 5), np.float32)
    pixel_major = _layout.pixel_major(nchw)
    like, every_other = np.asfortranarray(nchw[0]), filled((8, 6), np.float64)[:, ::2]
    seen = []
    with observing(Copies(lambda purpose, copy: seen.append((purpose, copy.nbytes)))):
        _layout.pixels(nchw)
        _layout.pixels(nchw.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2))
        _layout.pixels(nchw[:, :, ::-1])
        _layout.to_nchw(pixel_major)
        _layout.dense(every_other)
        _layout.as_ordered(nchw[0], like)
        _layout.ordered(every_other, (1, 0))
        _layout.contiguous(every_other)
    assert [purpose for purpose, _ in seen] == [
        "pixel-major",
        "pixel-major",
        "pixel-major",
        "NCHW",
        "dense",
        "in the memory order of its partner",
        "in the order of the kernel",
        "C-contiguous",
    ]
    assert [n_bytes for _, n_bytes in seen] == [nchw.nbytes] * 4 + [192, nchw[0].nbytes, 192, 192]
    _layout.pixels(nchw)  # nobody watches any more
    assert len(seen) == 8


def test_layout_what_is_not_copied_is_not_told():
    nchw = filled((4, 3, 5, 5), np.float32)
    pixel_major = _layout.pixel_major(nchw)
    with observing(Copies(lambda purpose, copy: pytest.fail(purpose))):
        for x in (nchw, pixel_major):
            _layout.dense(x)
            _layout.as_ordered(x, x)
        _layout.pixels(pixel_major)
        _layout.to_nchw(nchw)
        _layout.contiguous(nchw)
        _layout.ordered(pixel_major, (2, 3, 0, 1))


def test_layout_one_pixel_images_need_no_copy_whatever_the_strides_of_their_single_axes():
    x = np.ones((6, 4, 1, 1), np.float32)
    assert np.shares_memory(_layout.pixels(x), x)


def test_layout_read_only_input_is_viewed_not_copied():
    x = _layout.empty_images((2, 3, 4, 5), np.float32)
    x.flags.writeable = False
    pixels = _layout.pixels(x)
    assert np.shares_memory(pixels, x)
    assert not pixels.flags.writeable


@given(shape=st.lists(st.integers(0, 4), max_size=5).map(tuple), order=st.randoms(), dtype=dtypes)
def test_layout_flat_is_a_view_in_memory_order(shape, order, dtype):
    axes = list(range(len(shape)))
    order.shuffle(axes)
    x = filled([shape[a] for a in axes], dtype).transpose(np.argsort(axes).astype(int))
    assert x.shape == shape
    flat = _layout.flat(x)
    assert flat.flags.c_contiguous
    assert np.shares_memory(flat, x) or x.size == 0
    np.testing.assert_array_equal(flat, x.ravel(order="K"))


@given(shape=st.lists(st.integers(0, 4), max_size=5).map(tuple), order=st.randoms(), dtype=dtypes)
def test_layout_empty_like_has_the_same_flat_order(shape, order, dtype):
    """What is done to the flat views of x and of empty_like(x), element by element, is right for x."""
    axes = list(range(len(shape)))
    order.shuffle(axes)
    x = filled([shape[a] for a in axes], dtype).transpose(np.argsort(axes).astype(int))
    y = _layout.empty_like(x)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    _layout.flat(y)[...] = _layout.flat(x)
    np.testing.assert_array_equal(y, x)


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple), dtype=dtypes)
def test_layout_dense_takes_what_is_dense_and_copies_the_rest(shape, dtype):
    x = filled(shape, dtype)
    for name, given_x in layouts(x).items():
        result = _layout.dense(given_x)
        assert result.dtype == dtype, name
        assert result.flags.aligned, name
        assert np.shares_memory(_layout.flat(result), result), name
        np.testing.assert_array_equal(result, x, err_msg=name)
        if name in ("c_contiguous", "fortran", "read_only"):
            assert result is given_x, name


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple), order=st.randoms(), dtype=dtypes)
def test_layout_as_ordered_matches_the_flat_order_of_its_model(shape, order, dtype):
    axes = list(range(len(shape)))
    order.shuffle(axes)
    like = filled([shape[a] for a in axes], dtype).transpose(np.argsort(axes))
    x = filled(shape, dtype, 1)
    for name, given_x in layouts(x).items():
        ordered = _layout.as_ordered(given_x, like)
        np.testing.assert_array_equal(ordered, x, err_msg=name)
        assert ordered.dtype == dtype, name
        expected = _layout.empty_like(like)
        expected[...] = x
        np.testing.assert_array_equal(_layout.flat(ordered), _layout.flat(expected), err_msg=name)


def test_layout_as_ordered_ignores_the_strides_of_single_axes():
    like = np.ones((6, 4, 1, 1), np.float32)
    x = _layout.empty_images((6, 4, 1, 1), np.float32)
    assert x.strides != like.strides
    assert _layout.as_ordered(x, like) is x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layout_transposes_matrices_around_blocks_of_vectors_and_nothing_beside_them(isa, dtype):
    """Blocks are of 4, 8 or 16 rows and columns (2, 4 or 8 in float64); tasks have 32 rows."""
    lengths = [1, 2, 3, 4, 5, 7, 8, 9, 11, 15, 16, 17, 19, 31, 32, 33, 47, 65]
    for rows in lengths:
        for columns in lengths:
            x = filled((rows, columns, 1), dtype, rows)
            room = np.full(rows * columns + 32, 7, dtype)
            _native.layout_transpose(x, room[16:-16].reshape(columns, rows, 1), 1)
            np.testing.assert_array_equal(room[16:-16].reshape(columns, rows), x[..., 0].T)
            assert (room[:16] == 7).all()
            assert (room[-16:] == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layout_transposition_moves_bits_and_computes_nothing(isa, dtype):
    bits = np.random.default_rng(3).integers(0, 256, (37, 21 * np.dtype(dtype).itemsize), np.uint8)  # some are NaN
    x = bits.view(dtype)
    out = np.zeros((21, 37, 1), dtype)
    _native.layout_transpose(x[..., None], out, 1)
    assert out[..., 0].tobytes() == x.T.tobytes()


@pytest.mark.parametrize("layout", ["nchw", "channels_last"])
def test_layout_conversion_has_the_same_bits_on_any_number_of_threads(layout, threads, isa):
    x = filled((64, 24, 20, 20), np.float32)  # large enough to be shared out
    if layout == "channels_last":
        x = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(_layout.pixels(x), x.transpose(2, 3, 0, 1))


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (130, 67), (1000, 40)])
@pytest.mark.parametrize("of", [np.float32, np.float64, np.int64, np.float16, ">f4"])
def test_layout_copies_of_transposed_matrices(shape, of, threads, rng):
    x = (100 * rng.standard_normal(shape)).astype(of)
    copy = _layout.contiguous(x.T)
    np.testing.assert_array_equal(copy, x.T)
    assert copy.flags.c_contiguous
    assert copy.dtype == x.dtype
    like = _layout.as_ordered(x, np.empty(shape[::-1], of).T)
    np.testing.assert_array_equal(like, x)
    assert like.T.flags.c_contiguous
