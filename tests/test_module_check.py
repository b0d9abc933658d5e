"""`model.check`: a trial before training, the table, the notes, and what it leaves as it was."""

import copy

import numpy as np
import pytest

import fastnn
from fastnn import cli, models, nn


def network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(128, 5)
    )


class Net(nn.Module):
    """With a fault for each note."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool, self.norm = nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(8)
        self.unused = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        self.scale = nn.Parameter(np.ones(3, np.float32))

    def forward(self, x):
        y = self.norm(self.pool(self.conv(x)))
        return y / np.abs(y)


def test_check_gives_the_table_of_summarize():
    model = network()
    model.eval()
    result = model.check((3, 4, 4))
    assert result == models.summarize(model, (2, 3, 4, 4))
    assert result.notes == ()
    assert model.check((7, 3, 4, 4)).batch_size == 7
    assert model.check((3, 4, 4), batch_size=6).layers[-1].output_shape == (6, 5)
    assert model.check((4, 3, 4, 4), batch_size=None).batch_size == 4


def test_check_names_what_would_go_wrong_in_training():
    assert Net().check((3, 8, 8)).notes == (
        "unused (Sequential) is registered, but the forward never calls it",
        "Net gives NaN or infinity for an input of zeros",
        "norm (BatchNorm2d) fails in training on a batch of one: leave out a last batch that is smaller, "
        "drop_last=True",
        "no gradient reaches the parameter scale: it will not be trained",
        "the output has the shape (2, 8, 1, 1); a loss of classes needs (N, classes), here (2, classes)",
    )
    lines = str(Net().check((3, 8, 8))).splitlines()
    assert lines[-5] == "note             unused (Sequential) is registered, but the forward never calls it"
    assert "<p>note: Net gives NaN" in Net().check((3, 8, 8))._repr_html_()


def test_check_leaves_everything_as_it_was():
    model = network()
    model[1].eval()
    model(np.ones((2, 3, 4, 4), np.float32))
    model[5].weight.grad = np.ones((5, 128), np.float32)
    fastnn.manual_seed(3)
    before, state, random = copy.deepcopy(model), dict(vars(model)), fastnn.random_state()
    call = state["_call"]
    legacy = np.random.get_state()[1].copy()  # noqa: NPY002
    model.check((3, 4, 4))
    assert fastnn.random_state() == random
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    assert vars(model)["_call"] is call
    for a, b in zip(model.modules(), before.modules(), strict=True):
        assert a.training == b.training
    for (name, a), (_, b) in zip(model.named_parameters(), before.named_parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        assert (a.grad is None) == (name != "5.weight")
    for (_, a), (_, b) in zip(model.named_buffers(), before.named_buffers(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model[5].weight.grad, 1)


def test_check_raises_the_error_of_the_layer_with_the_way():
    with pytest.raises(ValueError, match="linear: x has 512 features, weight expects 128") as caught:
        network().check((3, 8, 8))
    assert caught.value.__notes__ == [
        "in 5, Linear(in_features=128, out_features=5, bias=True)",
        "input (2, 3, 8, 8) -> 0 Conv2d (2, 8, 8, 8) -> 1 BatchNorm2d (2, 8, 8, 8) -> 2 ReLU (2, 8, 8, 8)"
        " -> 4 Flatten (2, 512)",  # dropout does nothing after eval()
        "512 = 8 * 8 * 8, the channels, height and width before 4 Flatten; write Linear(512, 5)",
    ]
    with pytest.raises(ValueError, match="more than one value per channel"):
        nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).check((4,), batch_size=1)
    with pytest.raises(TypeError, match="dtypes differ"):
        network().check((3, 4, 4), dtype=np.float64)


def test_check_of_several_inputs_and_of_indices():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(10, 4), nn.Linear(7, 2)

        def forward(self, words, features):
            return self.head(np.concatenate([self.table(words).mean(axis=1), features], axis=1))

    assert nn.Embedding(10, 4).check((5,), dtype=np.int64).layers[0].output_shape == (2, 5, 4)
    for shapes, dtypes in (
        (((5,), (3,)), (np.int64, np.float32)),
        ({"words": (5,), "features": (3,)}, {"words": np.int64, "features": np.float32}),
    ):
        assert [row.output_shape for row in Two().check(shapes, dtypes).layers] == [(2, 5, 4), (2, 2)]
    assert nn.GRU(4, 3).check((2, 5, 4), batch_size=None).layers[0].output_shape == ((2, 5, 3), (1, 5, 3))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((3,), TypeError, "check: input_shape must be several integers"),
        (((3, 0, 4),), ValueError, "check: input_shape must be one or more positive integers"),
        (((3, 4, 4), "nonsense"), TypeError, "check: dtype must be one of numbers, .* Received: 'nonsense'"),
        (((3, 4, 4), np.float32, 0), ValueError, "check: batch_size must be >= 1. Received: 0"),
        ((((3,), (4,)), (np.float32,)), ValueError, "check: dtype must be one, or one for each of 2 inputs"),
        (({"x": (3,)}, {"y": np.float32}), ValueError, "check: dtype must have the names of input_shape"),
    ],
    ids=str,
)
def test_check_refuses_what_makes_no_sense(arguments, error, words):
    with pytest.raises(error, match=words):
        network().check(*arguments)


NETS = """
from fastnn import nn
import numpy as np

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 2), nn.BatchNorm1d(2))
        self.gain = nn.Parameter(np.ones(1, np.float32))
"""


def test_summary_command_has_the_notes_and_the_way(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DEBUG", raising=False)
    (tmp_path / "net.py").write_text(NETS)
    assert cli.main(["summary", "net.py:Net", "--input", "3", "6", "6"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("note             3 (BatchNorm1d) fails in training on a batch of one")
    assert lines[-1] == "note             no gradient reaches the parameter gain: it will not be trained"
    assert cli.main(["summary", "net.py:Net"]) == 2
    message, *notes = capsys.readouterr().err.splitlines()
    assert message.startswith("fastnn: linear: x has 3600 features, weight expects 64")
    assert notes == [
        "    in 2, Linear(in_features=64, out_features=2, bias=True)",
        "    input (1, 3, 32, 32) -> 0 Conv2d (1, 4, 30, 30) -> 1 Flatten (1, 3600)",
        "    3600 = 4 * 30 * 30, the channels, height and width before 1 Flatten; write Linear(3600, 2)",
    ]
