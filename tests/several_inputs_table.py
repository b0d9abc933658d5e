"""Layers whose input is not one array of floats, or whose result is not one array.

SEVERAL holds for each class (what makes a layer, what makes its arguments from a generator) for each way it can work.
"""

from typing import Any

from fastnn import nn

SEQUENCE = (3, 2, 5)


def indices(rng: Any) -> tuple[Any, ...]:
    """Some rows twice, and the padding."""
    return (rng.integers(0, 4, (3, 4)),)


def sequence(rng: Any, *shape: int) -> tuple[Any, ...]:
    return (rng.standard_normal(shape or SEQUENCE),)


def with_state(rng: Any, *state: int) -> tuple[Any, ...]:
    return rng.standard_normal(SEQUENCE), rng.standard_normal(state)


def with_states(rng: Any, *state: int) -> tuple[Any, ...]:
    return rng.standard_normal(SEQUENCE), (rng.standard_normal(state), rng.standard_normal(state))


def step(rng: Any) -> tuple[Any, ...]:
    return rng.standard_normal((3, 5)), rng.standard_normal((3, 4))


def step_of_lstm(rng: Any) -> tuple[Any, ...]:
    return rng.standard_normal((3, 5)), (rng.standard_normal((3, 4)), rng.standard_normal((3, 4)))


def three(rng: Any, *shapes: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(rng.standard_normal(shape) for shape in shapes)


def masked(rng: Any) -> tuple[Any, ...]:
    """Queries that see all, some and one of the keys, in two of three sequences less."""
    padding = rng.random((3, 5)) < 0.3
    padding[:, 0] = False
    return (*three(rng, (2, 3, 6), (5, 3, 6), (5, 3, 6)), padding, True, rng.standard_normal((2, 5)))


def causal(rng: Any) -> tuple[Any, ...]:
    return (*three(rng, *((4, 2, 6),) * 3), None, True, None, False, True)


SEVERAL: dict[Any, list[tuple[Any, Any]]] = {
    nn.Embedding: [(lambda: nn.Embedding(5, 3), indices), (lambda: nn.Embedding(5, 3, padding_idx=-5), indices)],
    nn.GRU: [
        (lambda: nn.GRU(5, 4), lambda rng: with_state(rng, 1, 2, 4)),
        (lambda: nn.GRU(5, 2, 2, bias=False, batch_first=True, dropout=0.5, bidirectional=True), sequence),
    ],
    nn.GRUCell: [(lambda: nn.GRUCell(5, 4), step), (lambda: nn.GRUCell(5, 4, bias=False), lambda rng: step(rng)[:1])],
    nn.LSTM: [
        (lambda: nn.LSTM(5, 4), lambda rng: with_states(rng, 1, 2, 4)),
        (lambda: nn.LSTM(5, 2, 2, bias=False, batch_first=True, dropout=0.5, bidirectional=True), sequence),
    ],
    nn.LSTMCell: [(lambda: nn.LSTMCell(5, 4), step_of_lstm), (lambda: nn.LSTMCell(5, 4, bias=False), step_of_lstm)],
    nn.MultiheadAttention: [
        (lambda: nn.MultiheadAttention(6, 2), lambda rng: three(rng, (2, 3, 6), (4, 3, 6), (4, 3, 6))),
        (lambda: nn.MultiheadAttention(6, 3, bias=False), masked),
        (lambda: nn.MultiheadAttention(6, 1), causal),
        (
            lambda: nn.MultiheadAttention(6, 2, dropout=0.3, kdim=5, vdim=4, batch_first=True),
            lambda rng: three(rng, (3, 2, 6), (3, 4, 5), (3, 4, 4)),
        ),
    ],
    nn.RNN: [
        (lambda: nn.RNN(5, 4), lambda rng: with_state(rng, 1, 2, 4)),
        (lambda: nn.RNN(5, 4, bidirectional=True), lambda rng: with_state(rng, 2, 2, 4)),
    ],
    nn.RNNCell: [(lambda: nn.RNNCell(5, 4), step)],
}
