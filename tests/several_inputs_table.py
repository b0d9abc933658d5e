"""Layers whose input is not one array of floats, or whose result is not one array.

SEVERAL holds for each class (what makes a layer, what makes its arguments from a generator) for each way it can work.
"""

from typing import Any

from fastnn import nn


def normal(*shapes: tuple[int, ...]) -> Any:
    """Makes arrays of these shapes."""
    return lambda rng: tuple(rng.standard_normal(shape) for shape in shapes)


def with_two_states(x: tuple[int, ...], state: tuple[int, ...]) -> Any:
    return lambda rng: (rng.standard_normal(x), (rng.standard_normal(state), rng.standard_normal(state)))


def indices(rng: Any) -> tuple[Any, ...]:
    """Some rows twice, and the padding."""
    return (rng.integers(0, 4, (3, 4)),)


def masked(rng: Any) -> tuple[Any, ...]:
    """With keys that are padding, and numbers to add to the scores."""
    padding = rng.random((2, 3)) < 0.4
    padding[:, 0] = False
    return (*normal((2, 2, 4), (3, 2, 4), (3, 2, 4))(rng), padding, True, rng.standard_normal((2, 3)))


def causal(rng: Any) -> tuple[Any, ...]:
    return (*normal((3, 2, 4), (3, 2, 4), (3, 2, 4))(rng), None, True, None, False, True)


STACK = {"num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.5, "bidirectional": True}
SEVERAL: dict[Any, list[tuple[Any, Any]]] = {
    nn.Embedding: [(lambda: nn.Embedding(5, 3), indices), (lambda: nn.Embedding(5, 3, padding_idx=-5), indices)],
    nn.GRU: [
        (lambda: nn.GRU(4, 3), normal((3, 2, 4), (1, 2, 3))),
        (lambda: nn.GRU(3, 2, **STACK), normal((2, 3, 3))),
    ],
    nn.GRUCell: [
        (lambda: nn.GRUCell(4, 3), normal((2, 4), (2, 3))),
        (lambda: nn.GRUCell(4, 3, bias=False), normal((2, 4))),
    ],
    nn.LSTM: [
        (lambda: nn.LSTM(4, 3), with_two_states((3, 2, 4), (1, 2, 3))),
        (lambda: nn.LSTM(3, 2, **STACK), normal((2, 3, 3))),
    ],
    nn.LSTMCell: [
        (lambda: nn.LSTMCell(4, 3), with_two_states((2, 4), (2, 3))),
        (lambda: nn.LSTMCell(4, 3, bias=False), normal((2, 4))),
    ],
    nn.MultiheadAttention: [
        (lambda: nn.MultiheadAttention(4, 2), normal((2, 2, 4), (3, 2, 4), (3, 2, 4))),
        (lambda: nn.MultiheadAttention(4, 4, bias=False), masked),
        (lambda: nn.MultiheadAttention(4, 1), causal),
        (
            lambda: nn.MultiheadAttention(4, 2, dropout=0.3, kdim=3, vdim=2, batch_first=True),
            normal((2, 2, 4), (2, 3, 3), (2, 3, 2)),
        ),
    ],
    nn.RNN: [
        (lambda: nn.RNN(4, 3), normal((3, 2, 4), (1, 2, 3))),
        (lambda: nn.RNN(4, 3, bidirectional=True), normal((3, 2, 4), (2, 2, 3))),
    ],
    nn.RNNCell: [(lambda: nn.RNNCell(4, 3), normal((2, 4), (2, 3)))],
}
