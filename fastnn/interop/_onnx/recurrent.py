"""Recurrent layers, whose parts of the weights ONNX has in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.interop._onnx.program import Call, Value
from fastnn.interop._onnx.registry import converts


def _in_order(call: Call, values: Value, order: Sequence[int]) -> str:
    """The parts of a weight or bias in another order."""
    if list(order) == list(range(len(order))):
        return values.name
    parts = call.add("Split", values, axis=0, num_outputs=len(order), outputs=len(order))
    return call.add("Concat", *(parts[place] for place in order), axis=0)


def _recurrent(call: Call, kind: str, n_states: int, order: Sequence[int], **settings: Any) -> Any:
    x, weight_ih, weight_hh = (call.given(index) for index in (0, n_states + 1, n_states + 2))
    states, biases = call.inputs[1 : n_states + 1], call.inputs[n_states + 3 :]
    reverse = call.same(lambda op: op.reverse, "the direction")
    first = call.whole(0)
    weights = [call.add("Unsqueeze", _in_order(call, w, order), first) for w in (weight_ih, weight_hh)]
    bias = None
    if all(b is not None for b in biases):
        ordered = [_in_order(call, b, order) for b in biases if b is not None]
        bias = call.add("Unsqueeze", call.add("Concat", *ordered, axis=0), first)
    elif any(b is not None for b in biases):
        raise call.fail("one bias without the other has no form in ONNX: give both or none")
    before = [call.add("Unsqueeze", state, first) for state in states]
    given = _turned(call, x) if reverse else x
    output, *after = call.add(
        kind, given, *weights, bias, None, *before, outputs=1 + n_states,
        hidden_size=call.raw(n_states + 2).shape[1], **settings,
    )  # fmt: skip
    output = call.add("Squeeze", output, call.whole(1))
    if reverse:
        output = _turned(call, output)
    return (output, *(call.add("Squeeze", state, first) for state in after))


def _turned(call: Call, x: Any) -> str:
    """The steps from the last to the first."""
    return call.add("Slice", x, call.whole(-1), call.whole(-(2**63) + 1), call.whole(0), call.whole(-1))


@converts("recurrent.LSTM")
def _lstm(call: Call) -> Any:
    return _recurrent(call, "LSTM", 2, (0, 3, 1, 2))


@converts("recurrent.GRU")
def _gru(call: Call) -> Any:
    return _recurrent(call, "GRU", 1, (1, 0, 2), linear_before_reset=1)


@converts("recurrent.RNN")
def _rnn(call: Call) -> Any:
    kind = call.same(lambda op: op.nonlinearity, "the nonlinearity")
    return _recurrent(call, "RNN", 1, (0,), activations=[{"tanh": "Tanh", "relu": "Relu"}[kind]])
