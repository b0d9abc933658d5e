"""The summary of a network: every number of a small one by hand, the text, what it refuses."""

import numpy as np
import pytest

import fastnn
from fastnn import cli, insight, models, nn
from fastnn.models.summary import LayerSummary


def small():
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))


def test_summary_of_a_small_network_is_that_by_hand():
    model = small()
    model[0].weight.requires_grad = False
    summary = models.summarize(model, (4, 1, 4, 4))
    assert summary.layers == [
        LayerSummary("0", "Conv2d", (4, 2, 4, 4), 2 * 9 + 2, 4 * 2 * 16 * 9, 4 * 2 * 16 * 4),
        LayerSummary("1", "ReLU", (4, 2, 4, 4), 0, 0, 512),
        LayerSummary("2", "Flatten", (4, 32), 0, 0, 512),
        LayerSummary("3", "Linear", (4, 3), 32 * 3 + 3, 4 * 32 * 3, 4 * 3 * 4),
    ]
    assert summary.batch_size == 4
    assert summary.parameters == 119
    assert summary.trainable_parameters == 119 - 18
    assert summary.parameter_bytes == 4 * 119  # of the frozen ones, too
    assert summary.multiplications == 1152 + 384
    assert summary.activation_bytes == 3 * 512 + 48


def test_summary_prints_every_number_of_it():
    model = small()
    model[0].weight.requires_grad = False
    summary = models.summarize(model, (4, 1, 4, 4))
    assert str(summary) == repr(summary)
    assert str(summary).splitlines() == [
        "layer  kind     output shape  parameters  multiplications  memory",
        "-----------------------------------------------------------------",
        "0      Conv2d   4x2x4x4               20            1,152   512 B",
        "1      ReLU     4x2x4x4                                     512 B",
        "2      Flatten  4x32                                        512 B",
        "3      Linear   4x3                   99              384    48 B",
        "-----------------------------------------------------------------",
        "parameters       119 (476 B), of which 18 are not trained",
        "multiplications  1,536 forward for a batch of 4, 384 per image; training takes about three times as many",
        "memory           1.6 kB of activations for a batch of 4; 1.4 kB of parameters, gradients and momentum",
    ]
    assert "not trained" not in str(models.summarize(small(), (4, 1, 4, 4)))


def test_summary_of_groups_and_doubles():
    summary = models.summarize(nn.Conv2d(4, 8, 3, groups=4, bias=False).astype(np.float64), (2, 4, 5, 5))
    (layer,) = summary.layers
    assert (layer.path, layer.parameters) == ("", 8 * 9)
    assert layer.multiplications == 2 * 8 * 9 * 9  # one channel of the input for each of the output
    assert layer.activation_bytes == 2 * 8 * 9 * 8
    assert summary.parameter_bytes == 8 * 8 * 9


def test_summary_counts_shared_parameters_once_and_runs_of_a_layer_twice():
    linear = nn.Linear(3, 3)
    summary = models.summarize(nn.Sequential(linear, nn.Tanh(), linear), (2, 3))
    assert [(layer.kind, layer.parameters) for layer in summary.layers] == [("Linear", 12), ("Tanh", 0), ("Linear", 0)]
    assert (summary.parameters, summary.multiplications) == (12, 2 * 2 * 9)


@pytest.mark.parametrize(
    ("n", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_550_000, "1.6 MB"), (2_500_000_000, "2.50 GB")],
)
def test_summary_sizes_have_units(n, words):
    layers = [LayerSummary("0", "ReLU", (1, 3), 0, 0, n)]
    assert str(models.Summary(layers, 1, 0, 0, 0)).splitlines()[2].endswith(f"  {words}")


def test_summary_of_a_layer_that_is_random_leaves_modes_and_generator():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3))
    model[1].eval()
    fastnn.manual_seed(3)
    before = fastnn.random_state(), model.state_dict()
    models.summarize(model, (2, 3))
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert fastnn.random_state() == before[0]
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[1][key])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((None, (1, 3)), TypeError, "summarize: model must be an nn.Module. Received: None"),
        ((nn.ReLU(), "same"), TypeError, "summarize: input_shape must be an integer or several. Received: 'same'"),
        ((nn.ReLU(), 3), TypeError, "input_shape must be several integers, .* Received: 3"),
        ((nn.ReLU(), ()), ValueError, r"input_shape must be one or more positive integers. Received: \(\)"),
        ((nn.ReLU(), (1, 2.5)), TypeError, "input_shape must be an integer or several"),
        ((nn.ReLU(), (1, 0)), ValueError, "input_shape must be one or more positive"),
        ((nn.ReLU(), (0, 1)), ValueError, "input_shape must be one or more positive"),
        ((nn.Linear(3, 2), (1, 4)), ValueError, "4"),
    ],
    ids=str,
)
def test_summary_refuses_what_makes_no_sense(arguments, error, words):
    with pytest.raises(error, match=words):
        models.summarize(*arguments)


def test_summary_command_options_change_what_is_shown(capsys):
    def lines(*options):
        assert cli.main(["summary", "keras_cnn", *options]) == 0
        return capsys.readouterr().out.splitlines()

    one, two = lines(), lines("--batch", "2")
    assert any("for a batch of 1," in line for line in one)
    assert any("for a batch of 2," in line for line in two)
    assert one[2].split()[2] == "1x32x32x32"
    assert two[2].split()[2] == "2x32x32x32"
    assert cli.main(["summary", "resnet20", "--input", "3", "64", "64"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[2] == "1x16x64x64"


# ---- notebooks -------------------------------------------------------------------------------------------------------
class Odd(nn.Module):
    def __init__(self, name):
        super().__init__()
        setattr(self, name, nn.Linear(3, 3))
        self.name = name

    def forward(self, x):
        return getattr(self, self.name)(x)

    def backward(self, dy):
        return getattr(self, self.name).backward(dy)


def results_with_a_hostile_name():
    name = "<script>alert('x')</script>&"
    model, x = Odd(name), np.ones((2, 3), np.float32)
    plane = insight.loss_landscape(model, nn.CrossEntropyLoss(), [(x, [0, 1])], directions=2, steps=3)
    return {
        "summary": models.summarize(model, (2, 3)),
        "profile": fastnn.profile(model, x, np.array([0, 1]), rounds=1),
        "gradcheck": insight.gradcheck(model, x),
        "landscape": plane,
    }


def test_results_are_shown_as_tables_by_repr_and_as_escaped_html_in_notebooks():
    for what, result in results_with_a_hostile_name().items():
        assert repr(result) == str(result), what
        assert "\n" in repr(result), what
        page = result._repr_html_()
        assert page.count("<table>") == page.count("</table>") == 1, what
        assert "<script>" not in page, what
        if what != "landscape":
            assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&amp;" in page, what
        # As many rows as the text has between its rules, and all of one length.
        cells = {line.count("</td>") for line in page.splitlines() if line.startswith("<tr>")}
        assert len(cells) == 1, what


def test_landscape_prints_its_losses():
    alphas = np.array([-1.0, 0.0, 1.0])
    line = insight.LossLandscape(alphas, None, np.array([2.5, 1.25, np.inf]))
    assert str(line).splitlines() == ["alpha  loss", "   -1   2.5", "   +0  1.25", "   +1   inf"]
    plane = insight.LossLandscape(alphas, alphas[:2], np.arange(6.0).reshape(3, 2))
    assert [text.split() for text in str(plane).splitlines()] == [
        ["alpha", "beta", "-1", "beta", "+0"],
        ["-1", "0", "1"],
        ["+0", "2", "3"],
        ["+1", "4", "5"],
    ]
    assert "<td" in plane._repr_html_()
