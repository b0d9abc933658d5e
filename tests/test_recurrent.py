"""LSTM, GRU and RNN against values by hand, their twins, and what they refuse."""

import numpy as np
import pytest
from oracle import relative_error

import fastnn
from fastnn import functional as F
from fastnn import nn, reference

LAYERS = pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
CELLS = pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def arguments(name, rng, steps=4, n=3, features=5, hidden=2, dtype=np.float64):
    """Of a function: x, states, weights and biases."""
    rows = {"lstm": 4, "gru": 3, "rnn": 1}[name] * hidden
    states = [(n, hidden)] * (2 if name == "lstm" else 1)
    shapes = [(steps, n, features), *states, (rows, features), (rows, hidden), (rows,), (rows,)]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


# ---- by hand ---------------------------------------------------------------------------------------------------------
def test_lstm_of_one_unit_is_the_formula():
    """One step, one feature: every gate has a number of its own."""
    w = np.array([[0.1], [0.2], [0.3], [0.4]])
    u = np.array([[0.5], [0.6], [0.7], [0.8]])
    b, d = np.array([0.01, 0.02, 0.03, 0.04]), np.array([0.05, 0.06, 0.07, 0.08])
    x, h, c = 2.0, -1.0, 0.5
    i, f, g, o = (w[:, 0] * x + b) + (u[:, 0] * h + d)
    expected_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    expected_h = sigmoid(o) * np.tanh(expected_c)
    output, h_n, c_n = F.lstm([[[x]]], [[h]], [[c]], w, u, b, d)
    np.testing.assert_allclose(c_n, [[expected_c]], rtol=1e-14)
    np.testing.assert_allclose(h_n, [[expected_h]], rtol=1e-14)
    np.testing.assert_array_equal(output[0], h_n)


def test_gru_of_one_unit_is_the_formula():
    w, u = np.array([[0.1], [0.2], [0.3]]), np.array([[0.5], [0.6], [0.7]])
    b, d = np.array([0.01, 0.02, 0.03]), np.array([0.05, 0.06, 0.07])
    x, h = 2.0, -1.0
    of_x, of_h = w[:, 0] * x + b, u[:, 0] * h + d
    r, z = sigmoid(of_x[0] + of_h[0]), sigmoid(of_x[1] + of_h[1])
    expected = (1 - z) * np.tanh(of_x[2] + r * of_h[2]) + z * h
    output, h_n = F.gru([[[x]]], [[h]], w, u, b, d)
    np.testing.assert_allclose(h_n, [[expected]], rtol=1e-14)
    np.testing.assert_array_equal(output[0], h_n)


def test_rnn_with_relu_adds_up_a_sequence():
    """With weights of 1, h is the running sum; backwards, that from the other end."""
    one, x = np.ones((1, 1)), np.arange(1.0, 5.0).reshape(4, 1, 1)
    output, h = F.rnn(x, 0 * one, one, one, nonlinearity="relu")
    assert output.ravel().tolist() == [1, 3, 6, 10]
    assert h.ravel().tolist() == [10]
    output, h = F.rnn(x, 0 * one, one, one, nonlinearity="relu", reverse=True)
    assert output.ravel().tolist() == [10, 9, 7, 4]
    assert h.ravel().tolist() == [10]


def test_rnn_gradient_of_a_running_sum_counts_the_steps_to_come():
    one = np.ones((1, 1))
    x = fastnn.tensor(np.ones((4, 1, 1)), requires_grad=True)
    output, h = F.rnn(x, 0 * one, one, one, nonlinearity="relu")
    (output.sum() + h.sum()).backward()
    assert x.grad.ravel().tolist() == [5, 4, 3, 2]


def test_lstm_that_forgets_nothing_keeps_its_state():
    """Gates wide open or shut by biases: c stays for a thousand steps, and so does its gradient."""
    bias = np.array([-1e3, 1e3, 0.0, 1e3])  # no input, all memory, all output
    c = fastnn.tensor([[0.7]], requires_grad=True)
    zero = np.zeros((1, 1))
    output, _, c_n = F.lstm(np.ones((1000, 1, 1)), zero, c, np.zeros((4, 1)), np.zeros((4, 1)), bias)
    assert c_n.item() == 0.7
    np.testing.assert_array_equal(output.data, np.full((1000, 1, 1), np.tanh(0.7)))
    c_n.backward(np.ones((1, 1)))
    assert c.grad.item() == 1


@LAYERS
def test_recurrent_layers_read_each_other(name, rng):
    """A stack is one layer after the other."""
    stack, first, second = (
        getattr(nn, name)(*sizes).astype(np.float64) for sizes in ((5, 3, 2), (5, 3), (3, 3))
    )  # fmt: skip
    state = stack.state_dict()
    first.load_state_dict({key: value for key, value in state.items() if key.endswith("l0")})
    second.load_state_dict({key.replace("l1", "l0"): value for key, value in state.items() if key.endswith("l1")})
    x = rng.standard_normal((4, 2, 5))
    middle, h_first = first(x)
    output, h_second = second(middle)
    actual, h = stack(x)
    np.testing.assert_array_equal(actual, output)
    for both, a, b in zip(*(v if name == "LSTM" else (v,) for v in (h, h_first, h_second)), strict=True):
        np.testing.assert_array_equal(both, np.concatenate([a, b]))


@LAYERS
def test_recurrent_layer_in_both_directions_is_two_layers(name, rng):
    both, one, other = (getattr(nn, name)(5, 3, bidirectional=two).astype(np.float64) for two in (True, False, False))
    state = both.state_dict()
    one.load_state_dict({key: value for key, value in state.items() if not key.endswith("reverse")})
    other.load_state_dict({k.removesuffix("_reverse"): v for k, v in state.items() if k.endswith("reverse")})
    x = rng.standard_normal((4, 2, 5))
    forwards, backwards = one(x)[0], other(x[::-1])[0][::-1]
    np.testing.assert_array_equal(both(x)[0], np.concatenate([forwards, backwards], axis=2))


@CELLS
def test_recurrent_cell_in_a_loop_is_the_layer(name, rng):
    layer, cell = getattr(nn, name)(5, 3).astype(np.float64), getattr(nn, f"{name}Cell")(5, 3).astype(np.float64)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x = rng.standard_normal((6, 2, 5))
    output, _ = layer(x)
    state = None
    for step, expected in zip(x, output, strict=True):
        state = cell(step, state)
        np.testing.assert_array_equal(state[0] if name == "LSTM" else state, expected)


@LAYERS
def test_recurrent_layer_batch_first_and_one_sequence_are_the_same(name, rng):
    layer, turned = getattr(nn, name)(5, 3).astype(np.float64), getattr(nn, name)(5, 3, batch_first=True)
    turned.astype(np.float64).load_state_dict(layer.state_dict())
    x = rng.standard_normal((4, 2, 5))
    expected = layer(x)[0]
    np.testing.assert_array_equal(turned(x.transpose(1, 0, 2))[0], expected.transpose(1, 0, 2))
    for which in range(2):
        one = layer(x[:, which])[0]
        assert one.shape == (4, 3)
        assert relative_error(one, expected[:, which]) < 1e-15


def test_recurrent_dropout_is_between_layers_and_in_training_only(rng):
    layer = nn.GRU(5, 64, num_layers=2, dropout=0.5)
    x = rng.standard_normal((3, 2, 5)).astype(np.float32)
    fastnn.manual_seed(1)
    first = layer(x)[0]
    fastnn.manual_seed(2)
    second = layer(x)[0]
    assert not np.array_equal(first, second)
    assert (first != 0).all()  # nothing is dropped from the last layer's output
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0], layer(x)[0])


@pytest.mark.parametrize("backend", ["native", "reference"])
@LAYERS
def test_recurrent_layer_of_an_empty_batch_gives_an_empty_result_and_no_gradient(name, backend):
    layer = getattr(nn, name)(5, 3, num_layers=2, bidirectional=True)
    with fastnn.backend(backend):
        output, _ = layer(np.zeros((4, 0, 5), np.float32))
        dx = layer.backward((output, None))
    assert (output.shape, dx.shape) == ((4, 0, 6), (4, 0, 5))
    assert not any(parameter.grad.any() for parameter in layer.parameters())


# ---- against the twins -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_recurrent_function_agrees_with_its_twin(isa, threads, name, with_bias, reverse, rng):
    values = arguments(name, rng)
    if not with_bias:
        values[-2:] = [None, None]
    more = ["tanh"] if name == "rnn" else []
    expected = getattr(reference, name)(*values, *more, reverse)
    for a, e in zip(getattr(F, name)(*values, *more, reverse), expected, strict=True):
        assert relative_error(a, e) < 1e-14


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_recurrent_function_with_numbers_of_any_size_gives_no_warning(name, rng):
    values = arguments(name, rng, dtype=np.float32)
    for factor in (1e3, 1e30):
        tensors = [fastnn.tensor(factor * value, requires_grad=True) for value in values[:1]]
        output, *_ = getattr(F, name)(*tensors, *values[1:])
        output.sum().backward()
        assert np.isfinite(output.data).all()
        assert np.isfinite(tensors[0].grad).all()


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_recurrent_function_passes_on_what_is_not_finite_without_a_warning(name, rng):
    values = arguments(name, rng, steps=3)
    values[0][1, 0, 0], values[0][1, 1, 1] = np.nan, np.inf
    x = fastnn.tensor(values[0], requires_grad=True)
    output, *_ = getattr(F, name)(x, *values[1:])
    output.sum().backward()
    assert np.isfinite(output.data[0]).all()
    assert np.isfinite(output.data[:, 2]).all()
    assert np.isnan(output.data[1:, 0]).all()


def test_recurrent_relu_that_explodes_gives_no_warning():
    one = fastnn.tensor(np.full((1, 1), 1e3, np.float32), requires_grad=True)
    output, h = F.rnn(np.ones((30, 1, 1), np.float32), one.data, one, one, nonlinearity="relu")
    output.backward(np.ones((30, 1, 1), np.float32))
    assert h.item() == np.inf


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_recurrent_gradients_are_the_same_bits_for_any_number_of_threads(name, rng):
    values = arguments(name, rng, steps=7, n=9, features=33, hidden=40, dtype=np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        tensors = [fastnn.tensor(value, requires_grad=True) for value in values]
        output, *states = getattr(F, name)(*tensors)
        (output * output).sum().backward()
        arrays = [*(tensor.data for tensor in (output, *states)), *(tensor.grad for tensor in tensors)]
        results.append([array.tobytes() for array in arrays])
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_recurrent_function_computes_only_the_gradients_that_are_wanted(name, rng):
    values = arguments(name, rng)
    everything = [fastnn.tensor(value, requires_grad=True) for value in values]
    getattr(F, name)(*everything)[0].sum().backward()
    for index, value in enumerate(values):
        one = fastnn.tensor(value, requires_grad=True)
        getattr(F, name)(*values[:index], one, *values[index + 1 :])[0].sum().backward()
        np.testing.assert_array_equal(one.grad, everything[index].grad)


def test_recurrent_function_refuses_to_go_back_with_weights_that_were_changed(rng):
    values = arguments("lstm", rng)
    weight = fastnn.tensor(values[4], requires_grad=True)
    output, *_ = F.lstm(*values[:4], weight, *values[5:])
    with fastnn.no_grad():
        weight[0] = 0
    with pytest.raises(RuntimeError, match="was written into after its forward"):
        output.sum().backward()


@LAYERS
def test_recurrent_layer_learns_to_add(name):
    """Which of two numbers of a sequence are to be added is marked: a task that needs a state."""
    fastnn.manual_seed(0)
    rng = np.random.default_rng(0)
    layer, head = getattr(nn, name)(2, 16), nn.Linear(16, 1)
    optimizer = fastnn.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.03)
    losses = []
    for _ in range(200):
        values, marks = rng.random((4, 32)), np.zeros((4, 32))
        np.put_along_axis(marks, rng.permuted(np.tile(np.arange(4)[:, None], 32), axis=0)[:2], 1, axis=0)
        x = np.stack([values, marks], axis=2).astype(np.float32)
        y = head(layer(fastnn.tensor(x))[0][-1])[:, 0]
        loss = ((y - (values * marks).sum(0).astype(np.float32)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.04 < 0.2 < np.mean(losses[:5])  # the variance of the sum is 1 / 6


# ---- what they refuse ------------------------------------------------------------------------------------------------
X = np.zeros((4, 3, 5), np.float32)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.LSTM(5, 2)(X[..., :4]), r"LSTM: x has 4 features, input_size is 5. Received: x.shape=\(4, 3, 4\)"),
        (lambda: nn.GRU(5, 2)(X[0, 0]), r"GRU: x has 1 dimensions, 2 or 3 are needed. Received: x.shape=\(5,\)"),
        (lambda: nn.RNN(5, 2)(X[:0]), r"RNN: x needs at least one step. Received: x.shape=\(0, 3, 5\)"),
        (lambda: nn.GRU(5, 2)(X, X[:1, :, :3]), r"GRU: h of hx must have shape \(1, 3, 2\). .* h.shape=\(1, 3, 3\)"),
        (
            lambda: nn.LSTM(5, 2, 2, bidirectional=True)(X, (X[:, :, :2], X[:3, :, :2])),
            r"LSTM: c of hx must have shape \(4, 3, 2\). .* c.shape=\(3, 3, 2\)",
        ),
        (lambda: nn.LSTM(5, 2)(X, X[:1, :, :2]), r"LSTM: hx must be the two states \(h, c\). Received: array"),
        (lambda: nn.LSTM(5, 2)(X.astype(int)), "LSTM: x has dtype int64, float32 or float64 is needed"),
        (lambda: nn.LSTM(5, 2)(X.astype(float)), "lstm: dtypes differ"),
        (lambda: nn.GRU(5, 2)(X, X[:1, :, :2].astype(float)), "gru: dtypes differ"),
        (lambda: nn.LSTM(5, 2, proj_size=1), "LSTM: proj_size must be 0: .* Received: 1"),
        (lambda: nn.RNN(5, 2, nonlinearity="gelu"), "RNN: nonlinearity must be 'tanh' or 'relu'. Received: 'gelu'"),
        (lambda: nn.GRU(5, 2, dropout=1.5), "GRU: dropout must be >= 0 and <= 1. Received: 1.5"),
        (lambda: nn.LSTM(5, 0), "LSTM: hidden_size must be >= 1. Received: 0"),
        (lambda: nn.LSTM(2**30, 2**30), "LSTM: no memory holds a weight of shape"),
        (lambda: nn.LSTMCell(5, 2)(X), r"LSTMCell: x has 3 dimensions, 1 or 2 are needed"),
        (lambda: nn.GRUCell(5, 2)(X[0], X[0]), r"GRUCell: h of hx must have shape \(3, 2\). .* h.shape=\(3, 5\)"),
        (lambda: F.lstm(X, X[0], X[0], X[0], X[0]), "lstm: weight_hh needs 4 rows for each of its columns. Received: "),
        (lambda: F.rnn(X, X[0], X[0], X[0]), r"rnn: weight_hh must be square. Received: weight_hh.shape=\(3, 5\)"),
        (lambda: F.rnn(X, None, X[0], X[0]), "rnn: h must be an array. Received: None"),
        (
            lambda: F.rnn(X, X[0, :, :3], X[0, :, :4], X[0, :, :3]),
            r"rnn: weight_ih must have shape \(3, 5\). .* weight_ih.shape=\(3, 4\)",
        ),
    ],
)
def test_recurrent_refuses_by_name(call, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        call()


def test_recurrent_backward_says_how_many_gradients_it_needs():
    layer = nn.LSTM(5, 2)
    output, _ = layer(X)
    with pytest.raises(ValueError, match=r"^LSTM.backward: dy must be 2 gradients, one for each result. Received"):
        layer.backward(np.zeros_like(output))
    layer.backward((np.ones_like(output), None))
    assert layer.weight_hh_l0.grad.shape == (8, 2)


def test_recurrent_repr_says_what_differs_from_the_defaults():
    assert repr(nn.LSTM(5, 2)) == "LSTM(5, 2)"
    layer = nn.GRU(5, 2, 3, dropout=0.5, bidirectional=True)
    assert repr(layer) == "GRU(5, 2, num_layers=3, dropout=0.5, bidirectional=True)"
    assert repr(nn.LSTMCell(5, 2, bias=False)) == "LSTMCell(5, 2, bias=False)"
