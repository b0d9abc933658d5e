"""What notebooks show: well-formed HTML without scripts, text for whoever sees no HTML, and a bar that goes away."""

import sys
import types
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from small_training import Batches, make_trainer, network

import fastnn
from fastnn import _notebook, grading, nn, training
from fastnn.training import Callback, _panel
from fastnn.training._panel import Panel

_EVIL = "<script>alert('&')</script>"


def parsed(page):
    """The page as a tree, after checks that hold for all of them."""
    tree = ElementTree.fromstring(f"<page>{page}</page>")
    for element in tree.iter():
        tag = element.tag.rpartition("}")[2]
        assert tag not in ("script", "style", "iframe", "object", "link", "img"), tag
        assert not [name for name in element.attrib if name.startswith("on") or name in ("href", "src")]
        for name, value in element.attrib.items():
            # A colour of its own must be one that stands out from white and from black.
            assert "color:" not in value or name != "style"
            assert "background" not in value
    return tree


def tags(tree, tag):
    return [element for element in tree.iter() if element.tag.rpartition("}")[2] == tag]


def text(tree):
    return "".join(tree.itertext())


# ---- networks --------------------------------------------------------------------------------------------------------
def test_a_network_is_a_tree_of_its_modules_with_shapes_and_numbers_of_parameters():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Linear(4, 2, bias=False))
    model[1].requires_grad_(False)
    tree = parsed(model._repr_html_())
    assert len(tags(tree, "details")) == 2
    assert len(tags(tree, "li")) == 4
    assert [text(summary) for summary in tags(tree, "summary")] == [
        "Sequential 120 parameters, 8 of them frozen", "(0): Sequential 112 parameters",
    ]  # fmt: skip
    words = text(tree)
    assert "(0): Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1)) weight 4x3x3x3, bias 4, 112 parameters" in words
    assert "weight 2x4, 8 parameters, 8 of them frozen" in words


def test_a_large_network_is_folded_but_for_its_first_level():
    small, large = (nn.Sequential(*(nn.Sequential(nn.ReLU()) for _ in range(n))) for n in (5, 50))
    assert all(branch.get("open") for branch in tags(parsed(small._repr_html_()), "details"))
    branches = tags(parsed(large._repr_html_()), "details")
    assert [bool(branch.get("open")) for branch in branches] == [True, *[False] * 50]


def test_names_and_settings_of_a_network_are_escaped():
    class Evil(nn.Module):
        def extra_repr(self):
            return _EVIL

    Evil.__name__ = "<b>"
    model = Evil()
    model.add_module("<i>", nn.Linear(2, 2))
    model.register_parameter("<u>", nn.Parameter(np.ones(2, np.float32)))
    tree = parsed(model._repr_html_())
    assert _EVIL in text(tree)
    assert "<u> 2" in text(tree)


def test_a_repr_of_ones_own_goes_before_the_tree():
    class Own(nn.Module):
        def __repr__(self):
            return "mine"

    assert Own()._repr_html_() is None


def test_a_shared_layer_is_shown_in_both_places_and_counted_once():
    layer = nn.Linear(4, 4)
    tree = parsed(nn.Sequential(layer, layer)._repr_html_())
    assert text(tags(tree, "summary")[0]) == "Sequential 20 parameters"
    assert len(tags(tree, "li")) == 2


# ---- tensors ---------------------------------------------------------------------------------------------------------
def test_a_small_tensor_shows_all_its_numbers_and_their_statistics():
    x = fastnn.tensor([[1.0, 2.0], [3.0, 6.0]], requires_grad=True)
    (x * x).sum().backward()
    words = text(parsed(x._repr_html_()))
    assert "Tensor 2x2, float64, 32 B, requires_grad, gradient of norm 14.14" in words
    assert "min 1, mean 3, max 6, standard deviation 1.871" in words
    assert "[[1., 2.],\n [3., 6.]]" in words


def test_values_that_are_not_finite_are_counted_and_left_out_of_the_statistics():
    words = text(parsed(fastnn.tensor([1.0, np.nan, 3.0, np.inf, -np.inf, np.nan])._repr_html_()))
    assert "min 1, mean 2, max 3" in words
    assert "2 NaN, 2 infinite" in words
    assert "1 NaN, 1 infinite" in text(parsed(fastnn.tensor([np.nan, np.inf])._repr_html_()))


@pytest.mark.parametrize("shape", [(3000, 3000), (10**6,), (50, 60, 7, 7), (2,) * 12])
def test_a_large_tensor_is_a_short_page(shape):
    page = nn.Parameter(np.ones(shape, np.float32))._repr_html_()
    assert len(page) < 5000
    assert len(tags(parsed(page), "details")) == 1
    assert "mean 1, max 1, standard deviation 0" in page


@pytest.mark.parametrize(
    ("value", "statistics"),
    [
        (3.0, ""), (np.zeros((0, 3)), ""), (np.zeros((2, 0, 2)), ""), ([True, False], "1 of 2 true"),
        (np.arange(5), "min 0, mean 2, max 4"),
    ],
)  # fmt: skip
def test_every_kind_of_tensor_can_be_shown(value, statistics):
    words = text(parsed(fastnn.tensor(value)._repr_html_()))
    assert words.startswith("Tensor ")
    assert statistics in words
    assert ("min " in words) == ("min " in statistics)


def test_a_result_can_be_shown_before_its_backward():
    x = fastnn.tensor(np.ones((2, 3, 4, 4), np.float32), requires_grad=True)
    y = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))(x)
    assert "2x2x4x4" in y._repr_html_()
    y.sum().backward()
    assert x.grad.shape == x.shape


def test_tensors_of_pytorchs_kind_are_text():
    from fastnn.compat import torch

    assert torch.ones(2)._repr_html_ is None


# ---- histories and reports -------------------------------------------------------------------------------------------
def history(n=5, **more):
    return training.History(
        [{"epoch": i, "train_loss": 2.0 / i, "val_loss": 2.5 / i, "lr": 0.1, "train_seconds": 1.0, **more} for i in
         range(1, n + 1)]
    )  # fmt: skip


def test_a_history_has_a_curve_of_training_and_of_validation_for_each_number():
    tree = parsed(history(train_accuracy=0.5)._repr_html_())
    charts = tags(tree, "svg")
    assert [text(tags(chart, "title")[0]) for chart in charts] == [
        "loss by epoch: train from 2 to 0.4; val from 2.5 to 0.5", "accuracy by epoch: train from 0.5 to 0.5",
    ]  # fmt: skip
    assert [chart.get("role") for chart in charts] == ["img", "img"]
    train, val = tags(charts[0], "polyline")
    assert val.get("stroke-dasharray")
    assert not train.get("stroke-dasharray")
    points = [tuple(map(float, point.split(","))) for point in train.get("points").split()]
    assert len(points) == 5
    assert points == sorted(points)  # to the right, and downwards as the loss falls
    low, high = (float(tags(charts[0], "svg")[0].get(name)) for name in ("width", "height"))
    assert all(0 <= x <= low and 0 <= y <= high for x, y in points)
    assert len(tags(tree, "tr")) == 6


def test_a_long_history_shows_its_first_and_last_epochs_in_a_short_page():
    page = history(5000)._repr_html_()
    tree = parsed(page)
    rows = [[text(cell) for cell in row] for row in tags(tree, "tr")]
    assert [row[0] for row in rows[1:8]] == ["1", "2", "3", "4", "5", "4,970 more", "4976"]
    assert rows[-1][0] == "5000"
    assert len(page) < 50_000


def test_histories_with_gaps_texts_and_one_epoch_can_be_shown():
    assert not tags(parsed(history(1)._repr_html_()), "svg")
    assert text(parsed(training.History()._repr_html_())) == "no epochs"
    rows = [{"train_loss": np.nan, _EVIL: _EVIL}, {"train_loss": 2.0}, {"train_loss": 1.0, "val_loss": "no"}, {}]
    tree = parsed(training.History(rows)._repr_html_())
    (line,) = tags(tree, "polyline")
    assert len(line.get("points").split()) == 2
    assert _EVIL in text(tree)


def test_a_grading_report_and_an_assignment_have_their_findings_and_escape_them():
    def forward(x):
        raise ValueError(_EVIL)

    report = grading.check("relu", forward=forward)
    tree = parsed(report._repr_html_())
    assert f"relu: 0 of {report.max_points:g} points" in text(tree)
    assert "wrong, 0 of" in text(tree)
    assignment = grading.Assignment.of(report, title="<i>", submission="a.py")
    words = text(parsed(assignment._repr_html_()))
    assert words.startswith("<i>: 0 of")
    assert "a.py, seed 0" in words
    assert _EVIL in text(tree)
    assert not tags(parsed(assignment._repr_html_()), "h2")  # a notebook's table of contents is not of these


# ---- progress --------------------------------------------------------------------------------------------------------
class Outputs:
    """Stands for a cell's output: everything that was shown, one after another."""

    shown: list = []  # noqa: RUF012

    def show(self, words, page):
        parsed(page)
        self.shown.append((words, page))


@pytest.fixture
def shown(monkeypatch):
    monkeypatch.setattr(_panel, "Output", Outputs)
    monkeypatch.setattr("fastnn.training.progress.in_notebook", lambda: True)
    monkeypatch.setattr(_panel, "_SECONDS", 0)
    monkeypatch.setattr(Outputs, "shown", [])
    return Outputs.shown


def test_a_notebook_has_a_bar_while_it_trains_and_then_a_table(shown, capsys):
    result = training.fit(network(), Batches(), 2, val_loader=Batches(2))
    bars = [tags(parsed(page), "progress") for _, page in shown]
    assert [int(bar[0].get("value")) for bar in bars[:-1]] == [1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, 12, 12]
    assert {bar[0].get("max") for bar in bars[:-1]} == {"12"}
    assert bars[-1] == []
    words, page = shown[-1]
    rows = [[text(cell) for cell in row] for row in tags(parsed(page), "tr")]
    assert rows[0] == ["epoch", "loss", "accuracy", "validation loss", "validation accuracy", "images/s", "seconds"]
    assert [row[:2] for row in rows[1:]] == [[f"{i}/2", f"{loss:.3f}"] for i, loss in
                                             enumerate(result["train_loss"], 1)]  # fmt: skip
    assert [line.split()[0] for line in words.splitlines()] == ["epoch", "1/2", "2/2"]
    assert capsys.readouterr() == ("", "")
    assert "step 3 of 12" in shown[2][0]
    assert "left" in shown[2][0]


def test_a_training_that_fails_leaves_what_was_reached_and_no_bar(shown):
    class Fails(Callback):
        def on_step_end(self, trainer):
            if trainer.step == 8:
                raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        training.fit(network(), Batches(), 2, callbacks=[Fails()])
    words, page = shown[-1]
    assert not tags(parsed(page), "progress")
    assert "1/2" in words
    assert "epoch 2/2: loss" in words
    assert "step 8 of 12" in words
    assert "left" not in words


def test_a_training_that_fails_before_its_first_step_shows_nothing(shown):
    class Fails(Callback):
        def on_step_begin(self, trainer):
            raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        training.fit(network(), Batches(), 1, callbacks=[Fails()])
    assert shown == []


def test_the_doctor_writes_below_the_table(shown):
    training.fit(network(), [(255 * x, y) for x, y in Batches()], 1, callbacks=[training.Doctor()])
    assert "doctor: " in shown[-1][0]
    assert any(text(p).startswith("doctor: ") for p in tags(parsed(shown[-1][1]), "p"))


def test_a_resumed_training_begins_where_it_was(shown):
    trainer = make_trainer(callbacks=[training.Progress()])
    trainer.fit(Batches(), 1, Batches(2))
    shown.clear()
    trainer.fit(Batches(), 2, Batches(2))
    assert tags(parsed(shown[0][1]), "progress")[0].get("value") == "7"


def test_a_panel_is_not_shown_for_every_step(shown, monkeypatch):
    monkeypatch.setattr(_panel, "_SECONDS", 1000)
    training.fit(network(), Batches(), 1)
    assert len(shown) == 3  # the first step, the epoch, the end


def test_a_very_long_training_shows_its_last_epochs(shown):
    panel = Panel(1000, 0)
    for epoch in range(300):
        panel.epoch({"epoch": str(epoch), _EVIL: "1"})
        panel.note(_EVIL)
    tree = parsed(shown[-1][1])
    assert len(tags(tree, "tr")) == 101
    assert len(tags(tree, "p")) <= 51
    assert text(tags(tree, "tr")[-1]) == "2991"


def test_a_stream_that_is_asked_for_gets_lines_in_a_notebook_too(shown, capsys):
    training.fit(network(), Batches(), 1, progress=False, callbacks=[training.Progress(sys.stdout)])
    assert capsys.readouterr().out.startswith("epoch 1/1 | loss ")
    assert shown == []


def test_a_kernel_is_a_notebook_and_a_terminal_is_not(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not _notebook.in_notebook()
    for shell, expected in ((None, False), (object(), False), (types.SimpleNamespace(kernel=object()), True)):
        module = types.ModuleType("IPython")
        module.get_ipython = lambda shell=shell: shell
        monkeypatch.setitem(sys.modules, "IPython", module)
        assert _notebook.in_notebook() is expected


# ---- a notebook from a fresh kernel ----------------------------------------------------------------------------------
_CELLS = [
    """
import numpy as np
import fastnn
from fastnn import models, nn, training
fastnn.set_num_threads(1)
rng = np.random.default_rng(0)
batches = [(rng.random((8, 3, 8, 8), np.float32), rng.integers(0, 4, 8)) for _ in range(5)]
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))
model
""",
    "models.summarize(model, (1, 3, 8, 8))",
    "history = training.fit(model, batches, 3, val_loader=batches[:1])",
    "history",
    "model[0].weight",
    "fastnn.tensor([1.0, 2.0])",
    "fastnn.diagnose(model, batches)",
    "fastnn.grading.check('relu', forward=lambda x: x)",
]


@pytest.mark.slow
def test_a_notebook_shows_everything_as_html_and_as_text(monkeypatch, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in _CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    begins = ["Sequential(", "layer", "epoch", "epoch", "Parameter(", "tensor(", "", "relu: "]
    for cell, begin in zip(notebook.cells, begins, strict=True):
        (output,) = cell.outputs
        assert set(output.data) == {"text/plain", "text/html"}, cell.source
        assert output.data["text/plain"].startswith(begin)
        assert "<" not in output.data["text/plain"].splitlines()[0]
        tree = parsed(output.data["text/html"])
        assert len(output.data["text/html"]) < 20_000
        assert not tags(tree, "progress")
    progress, shown = notebook.cells[2].outputs[0].data, notebook.cells[3].outputs[0].data
    assert [line.split()[0] for line in progress["text/plain"].splitlines()] == ["epoch", "1/3", "2/3", "3/3"]
    assert len(tags(parsed(shown["text/html"]), "polyline")) >= 4
