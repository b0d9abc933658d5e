"""relu after a batch norm, written by hand: its backward is that of the batch norm with relu, in one pass."""

import numpy as np
import pytest

import fastnn
from fastnn import functional as F
from fastnn import nn
from fastnn.autograd import Observer, observing
from fastnn.functional._joined_relu import NormRelu


class Block(nn.Module):
    """What a residual block looks like when its author writes the forward."""

    def __init__(self, form):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.shortcut, self.other = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.form = form

    def forward(self, x):
        y = self.norm(self.conv(x))
        if self.form == "alone":
            return F.relu(y)
        if self.form == "sum":
            return F.relu(y + self.shortcut(x))
        if self.form == "norms":
            return F.relu(self.other(self.shortcut(x)) + y)
        if self.form == "constant":
            return F.relu(y + 0.5)
        if self.form == "broadcast":
            return F.relu(y + self.shortcut(x).mean((2, 3), keepdims=True))
        return F.relu(y) * y


def block(form, dtype=np.float32):
    net = Block(form).astype(dtype)
    for number, parameter in enumerate(net.parameters()):
        values = np.cos(np.arange(parameter.size) + number).reshape(parameter.shape)
        parameter.data = values.astype(dtype)
    return net


def images(dtype=np.float32):
    return fastnn.tensor(np.sin(np.arange(3 * 3 * 6 * 5)).reshape(3, 3, 6, 5).astype(dtype), requires_grad=True)


def gradients(net, x, joins):
    net.zero_grad()
    with fastnn.joined_layers(joins):
        y = net(x)
        (y * np.cos(np.arange(y.size)).reshape(y.shape).astype(x.dtype)).sum().backward()
    found = [x.grad, *[p.grad for p in net.parameters() if p.grad is not None]]
    x.grad = None
    return y, found


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", ["alone", "sum", "norms", "constant"])
def test_relu_after_a_batch_norm_is_joined_and_has_the_same_bits(form, training):
    net, x = block(form).train(training), images()
    y, found = gradients(net, x, True)
    apart, expected = gradients(net, x, False)
    np.testing.assert_array_equal(y.data, apart.data)
    for dx, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(dx, right)
    assert type(net(x)._op) is NormRelu
    with fastnn.joined_layers(False):
        assert type(net(x)._op) is not NormRelu


def test_relu_whose_argument_is_used_elsewhere_has_the_same_gradients():
    net, x = block("twice", np.float64), images(np.float64)
    _, found = gradients(net, x, True)
    _, expected = gradients(net, x, False)
    for dx, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(dx, right, rtol=1e-10, atol=1e-12)


def test_relu_of_a_sum_that_is_broadcast_is_not_joined():
    assert type(block("broadcast")(images())._op) is not NormRelu


def test_relu_is_not_joined_where_nothing_is_recorded():
    net, x = block("alone"), images()
    with fastnn.no_grad():
        assert net(x)._op is None


@pytest.mark.parametrize("adds", [False, True])
def test_gradients_of_results_in_between_are_found(adds):
    norm, x = nn.BatchNorm2d(3).astype(np.float64), images(np.float64)
    shortcut = fastnn.tensor(np.cos(np.arange(x.size)).reshape(x.shape), requires_grad=True)
    asked = []
    for joins in (True, False):
        with fastnn.joined_layers(joins):
            y = norm(x)
            argument = y + shortcut if adds else y
            z = F.relu(argument)
            wanted = [x, y, shortcut, argument] if adds else [x, y]
            asked.append(fastnn.grad((z * z).sum(), wanted))
    for found, expected in zip(*asked, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    assert np.any(asked[0][1])


def test_observers_see_relu_by_itself():
    seen = []

    class Names(Observer):
        def operation(self, op, phase, inputs, results, seconds):
            seen.append((type(op).__name__, phase))

    net, x = block("alone"), images()
    with observing(Names()):
        net(x).sum().backward()
    assert ("FromResult", "backward") in seen


def test_a_second_backward_is_refused():
    y = block("sum")(images()).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="released"):
        y.backward()


def test_a_first_backward_that_retains_leaves_a_second():
    net, x = block("sum"), images()
    y = net(x).sum()
    y.backward(retain_graph=True)
    first = x.grad.copy()
    y.backward()
    np.testing.assert_allclose(x.grad, 2 * first, rtol=1e-5, atol=1e-6)


def test_writing_into_a_weight_before_going_back_is_told():
    norm, x = nn.BatchNorm2d(3), images()
    y = F.relu(norm(x)).sum()
    with fastnn.no_grad():
        norm.weight *= 2
    with pytest.raises(RuntimeError, match="written into"):
        y.backward()
