"""Texts of tensors."""

import numpy as np
import pytest

from fastnn.compat.torch._printing import printoptions, text_of
from fastnn.compat.torch._tensor import new


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([1.0, 2.5], np.float32), "tensor([1.0000, 2.5000])"),
        (np.array([1.0, -2.0], np.float32), "tensor([ 1., -2.])"),
        (np.array([1.0, 20000.0], np.float32), "tensor([1.0000e+00, 2.0000e+04])"),
        (np.array([np.nan, np.inf, 1.0], np.float32), "tensor([nan, inf, 1.])"),
        (np.array([[1, 20], [300, 4]]), "tensor([[  1,  20],\n        [300,   4]])"),
        (np.array([True, False]), "tensor([ True, False])"),
        (np.array(3.0), "tensor(3., dtype=torch.float64)"),
        (np.zeros((0, 3), np.float32), "tensor([], size=(0, 3))"),
        (np.zeros(0, np.int64), "tensor([], dtype=torch.int64)"),
        (np.zeros(2000, np.float32), "tensor([0., 0., 0.,  ..., 0., 0., 0.])"),
    ],
)
def test_numbers_are_printed_as_in_pytorch(array, text):
    assert text_of(new(array)) == text


def test_gradients_are_told_of():
    x = new(np.ones(2, np.float32)).requires_grad_()
    assert text_of(x) == "tensor([1., 1.], requires_grad=True)"
    assert text_of(x * 2) == "tensor([2., 2.], grad_fn=<MultiplyBackward0>)"
    assert repr(x) == str(x) == text_of(x)


def test_lines_break_and_settings_end_with_the_block():
    x = new(np.arange(12))
    with printoptions(linewidth=24, edgeitems=2):
        assert text_of(x) == "tensor([ 0,  1,  2,  3,\n         4,  5,  6,  7,\n         8,  9, 10, 11])"
    assert "\n" not in text_of(x)
