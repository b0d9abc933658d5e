"""Which algorithm a convolution takes, and why."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import from_reference

import fastnn
from fastnn import _native
from fastnn import functional as F
from fastnn.functional._conv2d_algorithm import WINOGRAD_OUTPUTS
from fastnn.functional._conv2d_plan import DIRECTIONS, explain
from fastnn.reference import winograd


def chosen(n, c_in, c_out, size, direction="forward", kernel=3, padding=1, **settings):
    weight_shape = (c_out, c_in // settings.get("groups", 1), kernel, kernel)
    return explain((n, c_in, size, size), weight_shape, padding=padding, direction=direction, **settings)[:2]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_winograd_is_chosen_where_it_pays(direction):
    assert chosen(128, 64, 64, 32, direction)[0] == "winograd24"
    assert chosen(128, 256, 256, 8, direction)[0] == "winograd24"
    assert chosen(128, 64, 64, 6, direction)[0] == "winograd24"  # 12 products across as with tiles of two, fewer rows
    assert explain((128, 64, 32, 2), (64, 64, 3, 3), padding=1, direction=direction)[0] == "winograd"  # 5 instead of 4
    assert chosen(128, 512, 512, 2, direction)[0] == "direct"  # of 36 taps of a tile 20 fall on padding
    assert chosen(128, 3, 64, 32, direction)[0] == "direct"  # more transforms than products
    assert chosen(2, 512, 512, 4, direction)[0] == "direct"  # more filters than tiles
    assert chosen(128, 64, 64, 32, direction, stride=2)[0] == "direct"
    assert chosen(128, 64, 64, 32, direction, kernel=1, padding=0)[0] == "direct"
    assert chosen(128, 64, 64, 32, direction, kernel=5, padding=2)[0] == "direct"
    assert chosen(128, 64, 64, 32, direction, groups=2)[0] == "direct"
    assert chosen(128, 64, 64, 32, direction, dilation=2)[0] == "direct"
    assert chosen(128, 64, 64, 32, direction, padding=3)[0] == "direct"
    assert chosen(0, 64, 64, 32, direction) == ("direct", "direct: no images")


TILES = {"winograd": (2, 2), "winograd24": (2, 4)}


def transform_cost(algorithm):
    avx2 = fastnn.isa() == "avx2"
    return {"winograd": 150 if avx2 else 100, "winograd24": 300 if avx2 else 180}[algorithm]


def test_winograd_choice_depends_on_the_instruction_set(isa):
    assert chosen(128, 12, 12, 32)[0] == ("direct" if isa == "avx2" else "winograd24")


def test_winograd_choice_may_differ_between_directions():
    assert [chosen(5, 256, 256, 8, d)[0] for d in DIRECTIONS] == ["winograd24", "winograd24", "direct"]


def test_winograd_choice_tells_its_reason():
    # tiles 4 * 4 * 2 times (24 * 32 * 48 + 180 * (32 + 48)), filters 25 * 24 * 32 * 48; direct 4 * 32 * 48 * 22 * 22
    share = (32 * (24 * 32 * 48 + transform_cost("winograd24") * 80) + 600 * 32 * 48) / (4 * 32 * 48 * 22 * 22)
    expected = "winograd24" if share < 0.95 else "direct"
    assert chosen(4, 32, 48, 8) == (expected, f"winograd24: {share:.2f} of the multiplications of direct")
    assert chosen(2, 32, 48, 8, kernel=1)[1].startswith("direct: winograd needs a 3 x 3 kernel")
    assert chosen(2, 32, 48, 8, algorithm="im2col") == ("im2col", "im2col: asked for")
    of_weights = chosen(2, 32, 48, 8, "backward_weight", algorithm="im2col")
    assert of_weights == ("direct", "direct: the gradient of the weights by im2col is the same sum, without copies")
    with fastnn.conv2d_algorithm("winograd"):
        assert chosen(2, 32, 48, 8) == ("winograd", "winograd: preferred")
        assert chosen(2, 32, 48, 8, algorithm="direct") == ("direct", "direct: asked for")
        assert chosen(2, 32, 48, 8, stride=2)[1].startswith("direct: winograd is preferred and needs")
    with pytest.raises(ValueError, match="direction must be one of forward, backward_data, backward_weight"):
        chosen(2, 32, 48, 8, "backward")


@st.composite
def convolutions(draw):
    """(shape of x, shape of weight, padding) that Winograd's algorithm can do."""
    pad = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    h, w = (draw(st.integers(max(1, 3 - 2 * p), 9)) for p in pad)
    n, c_in, c_out = draw(st.sampled_from([1, 2, 31, 32, 40])), draw(st.integers(1, 130)), draw(st.integers(1, 130))
    return (n, c_in, h, w), (c_out, c_in, 3, 3), pad


@given(case=convolutions(), direction=st.sampled_from(DIRECTIONS))
def test_winograd_share_counts_the_taps_on_the_image(case, direction):
    """The multiplications of the direct algorithm, counted one by one."""
    x_shape, weight_shape, pad = case
    (n, c_in, *size), c_out = x_shape, weight_shape[0]
    out = [s + 2 * p - 2 for s, p in zip(size, pad, strict=True)]
    pairs = [
        sum(0 <= i - p + tap < s for i in range(o) for tap in range(3))
        for s, o, p in zip(size, out, pad, strict=True)
    ]  # fmt: skip
    tiled = size if direction == "backward_data" else out
    read = out if direction == "backward_data" else size
    before = [2 - p for p in pad] if direction == "backward_data" else pad
    shares = {}
    for name, tile in TILES.items():
        tiles, products = n, n
        for s, o, p, size_of_tile in zip(read, tiled, before, tile, strict=True):
            tiles *= -(-o // size_of_tile)
            # A last tile that stands over the border does without its last product; if it has one output of two and the
            # third of its inputs is padding, without another.
            short = size_of_tile + 2 - (0 if n < 32 else 1)
            if n >= 32 and size_of_tile == 2 and not 0 <= o - 1 - p + 2 < s:
                short = 2
            starts = range(0, o, size_of_tile)
            products *= sum(size_of_tile + 2 if i + size_of_tile <= o else short for i in starts)
        positions = (tile[0] + 2) * (tile[1] + 2)
        per_filter = (94 if direction == "backward_weight" else 25) * positions
        cost = products * c_in * c_out + tiles * transform_cost(name) * (c_in + c_out) + per_filter * c_in * c_out
        shares[name] = cost / (n * c_in * c_out * pairs[0] * pairs[1])
    best = min(shares, key=shares.get)
    algorithm, reason, _ = explain(x_shape, weight_shape, padding=pad, direction=direction)
    assert reason == f"{best}: {shares[best]:.2f} of the multiplications of direct"
    assert algorithm == (best if shares[best] < 0.95 else "direct")


def spied(monkeypatch):
    """The algorithm of every native convolution from now on: a list of (function, algorithm)."""
    calls = []

    class Spy:
        def __getattr__(self, name):
            function = getattr(_native, name)
            if name not in ("conv2d_forward", "conv2d_backward_data", "conv2d_backward_weight"):
                return function
            return lambda plan, *args: (calls.append((name, plan.algorithm)), function(plan, *args))[1]

    monkeypatch.setattr(fastnn._runtime, "_native", Spy())
    return calls


def test_winograd_choice_is_what_runs_in_each_direction(monkeypatch, rng):
    calls = spied(monkeypatch)
    x, weight = rng.standard_normal((5, 256, 8, 8)), rng.standard_normal((256, 256, 3, 3))
    F.conv2d_backward(F.conv2d(x, weight, padding=1), x, weight, padding=1)
    names = ("conv2d_forward", "conv2d_backward_data", "conv2d_backward_weight")
    assert calls == list(zip(names, ["winograd24", "winograd24", "direct"], strict=True))
    calls.clear()
    with fastnn.conv2d_algorithm("direct"):
        F.conv2d_backward(F.conv2d(x, weight, padding=1), x, weight, padding=1)
        F.conv2d(x, weight, padding=1, algorithm="winograd")
    assert [algorithm for _, algorithm in calls] == ["direct", "direct", "direct", "winograd"]


@pytest.mark.parametrize("preferred", ["direct", "winograd", "winograd24", "winograd4", "im2col"])
@pytest.mark.parametrize("stride", [1, 2])
def test_winograd_preference_gives_the_bits_of_the_algorithm(preferred, stride, rng):
    x, weight = rng.standard_normal((3, 8, 9, 9)), rng.standard_normal((9, 8, 3, 3))
    named = "direct" if preferred in WINOGRAD_OUTPUTS and stride == 2 else preferred
    y = F.conv2d(x, weight, None, stride, 1, algorithm=named)
    expected = [y, *F.conv2d_backward(y, x, weight, stride, 1, algorithm=named)]
    with fastnn.conv2d_algorithm(preferred):
        actual = [F.conv2d(x, weight, None, stride, 1), *F.conv2d_backward(y, x, weight, stride, 1)]
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, e)


def test_winograd_preference_leaves_the_reference_alone(rng):
    """There, what leaves the algorithm open is the definition; what asks for Winograd's gets the twin."""
    x, weight = rng.standard_normal((3, 8, 9, 9)), rng.standard_normal((9, 8, 3, 3))
    definition = from_reference(F.conv2d, x, weight, padding=1, algorithm="direct")
    twin = from_reference(F.conv2d, x, weight, padding=1, algorithm="winograd")
    assert (twin != definition).any()
    np.testing.assert_array_equal(twin, winograd.conv2d_winograd(x, weight, None, (1, 1)))
    with fastnn.conv2d_algorithm("winograd"):
        np.testing.assert_array_equal(from_reference(F.conv2d, x, weight, padding=1), definition)


def test_winograd_choice_does_not_depend_on_threads(threads):
    assert [chosen(5, 256, 256, 8, d)[0] for d in DIRECTIONS] == ["winograd24", "winograd24", "direct"]
    assert [chosen(n, 256, 256, 8)[0] for n in (1, 2, 3, 4)] == ["direct", "direct", "winograd", "winograd24"]


def test_winograd_preference_is_of_its_thread_and_ends():
    seen = []
    with fastnn.conv2d_algorithm("winograd"):
        thread = threading.Thread(target=lambda: seen.append(fastnn.build_info()["conv2d_algorithm"]))
        thread.start()
        thread.join()
        with fastnn.conv2d_algorithm("auto"):
            assert fastnn.build_info()["conv2d_algorithm"] == "auto"
        assert fastnn.build_info()["conv2d_algorithm"] == "winograd"
    assert seen == [fastnn.build_info()["conv2d_algorithm"]]
    with pytest.raises(KeyError), fastnn.conv2d_algorithm("im2col"):
        raise KeyError
    assert seen == [fastnn.build_info()["conv2d_algorithm"]]
    with pytest.raises(
        ValueError, match="unknown algorithm 'fft': choose from auto, direct, winograd, winograd24, winograd4, im2col"
    ):
        fastnn.conv2d_algorithm("fft").__enter__()
