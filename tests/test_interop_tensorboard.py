"""What TensorBoard's own reader finds in the files of the callback: every kind of data, as it was logged."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

import fastnn
from fastnn import cli, data, interop, nn, optim, training
from fastnn import functional as F
from fastnn.training import Callback

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
pytest.importorskip("tensorboardX")


def read(folder):
    """All events of a run, as TensorBoard gets them: without what a restart hides, and no sampling."""
    events = accumulator.EventAccumulator(
        str(folder), size_guidance=dict.fromkeys(accumulator.DEFAULT_SIZE_GUIDANCE, 0)
    )
    events.Reload()
    return events


def scalars(folder, tag):
    return [(event.step, event.value) for event in read(folder).Scalars(tag)]


def hparams(folder):
    """The content of the plugin's three summaries, by the end of their tags."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    found = {}
    for tag, content in read(folder).PluginTagToContent("hparams").items():
        parsed = plugin_data_pb2.HParamsPluginData.FromString(content)
        found[tag.rpartition("/")[2]] = getattr(parsed, parsed.WhichOneof("data"))
    return found


class Net(nn.Module):
    """Two branches that are added, and a convolution first."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.skip = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        h = F.relu(self.conv(x))
        return self.head((self.body(h) + self.skip(h)).mean(axis=(2, 3)))


class Losses(Callback):
    """Remembers every step."""

    only_watches = True

    def __init__(self):
        self.losses, self.norms = [], []

    def on_gradients(self, trainer):
        squares = [np.sum(np.square(p.grad, dtype=np.float64)) for p in trainer.model.parameters()]
        self.norms.append(np.sqrt(sum(squares)))

    def on_step_end(self, trainer):
        self.losses.append(trainer.last_loss)


def batches(n=6, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.random((8, 3, 8, 8), np.float32), rng.integers(0, 3, 8)) for _ in range(n)]


def made():
    fastnn.manual_seed(3)
    return Net()


def fitted(folder, *callbacks, epochs=2, model=None, val_loader=None, **settings):
    model = model or made()
    board = interop.TensorBoard(folder, **settings)
    history = training.fit(
        model, batches(), epochs, val_loader=val_loader, callbacks=[board, *callbacks], progress=False
    )
    return model, history


# ---- curves ----------------------------------------------------------------------------------------------------------
def test_losses_of_steps_are_means_over_the_steps_between_two_points(tmp_path):
    watch = Losses()
    fitted(tmp_path, watch, every=4)
    points = scalars(tmp_path, "step/loss")
    assert [step for step, _ in points] == [4, 6, 8, 12]  # an epoch has six steps, and its rest is a point, too
    parts = [watch.losses[:4], watch.losses[4:6], watch.losses[6:8], watch.losses[8:]]
    np.testing.assert_allclose([value for _, value in points], [np.mean(part) for part in parts], rtol=1e-6)


def test_numbers_of_the_history_are_there_by_epoch(tmp_path):
    _, history = fitted(tmp_path, val_loader=batches(2, seed=1))
    for column in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "images_per_second", "lr"):
        points = scalars(tmp_path, f"epoch/{column}")
        assert [step for step, _ in points] == [6, 12]
        np.testing.assert_allclose([value for _, value in points], history[column], rtol=1e-6)


def test_learning_rates_of_every_group_are_those_that_the_step_used(tmp_path):
    model = made()
    optimizer = optim.SGD([{"params": model.conv.parameters(), "lr": 0.5}, {"params": model.head.parameters()}], lr=0.1)
    scheduler = optim.StepLR(optimizer, step_size=1, gamma=0.5)
    board = interop.TensorBoard(tmp_path, every=1)
    training.fit(
        model, batches(2), 1.5, optimizer, scheduler=scheduler, callbacks=[board], progress=False,
        scheduler_interval="step",
    )  # fmt: skip
    for group, start in ((0, 0.5), (1, 0.1)):
        points = scalars(tmp_path, f"step/learning_rate_{group}")
        assert points == [(step + 1, pytest.approx(start * 0.5**step)) for step in range(3)]


def test_throughput_is_images_over_the_time_of_their_steps(tmp_path):
    fitted(tmp_path, every=2)
    points = scalars(tmp_path, "step/images_per_second")
    assert [step for step, _ in points] == [2, 4, 6, 8, 10, 12]
    assert all(0 < value < 1e7 for _, value in points)


def test_gradient_norms_are_those_of_the_step(tmp_path):
    watch = Losses()
    model, _ = fitted(tmp_path, watch, every=3, gradients=True)
    points = scalars(tmp_path, "step/gradient_norm")
    assert [step for step, _ in points] == [3, 6, 9, 12]
    np.testing.assert_allclose([value for _, value in points], watch.norms[2::3], rtol=1e-5)
    last = {path: scalars(tmp_path, f"gradient_norms/{path}")[-1] for path, _ in model.named_parameters()}
    for path, parameter in model.named_parameters():
        assert last[path] == (12, pytest.approx(np.linalg.norm(parameter.grad), rel=1e-5))


def test_a_batch_without_labels_is_no_point(tmp_path):
    x, y = batches(1)[0]
    loader = [(x, np.full_like(y, -100)), (x, y)]
    watch = Losses()
    board = interop.TensorBoard(tmp_path, every=1)
    training.fit(made(), loader, 1, callbacks=[board, watch], progress=False)
    assert scalars(tmp_path, "step/loss") == [(2, pytest.approx(watch.losses[1]))]


def test_training_and_validation_share_charts(tmp_path):
    from tensorboard.plugins.custom_scalar import layout_pb2

    fitted(tmp_path, val_loader=batches(1))
    (event,) = read(tmp_path).Tensors("custom_scalars__config__")
    (category,) = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0]).category
    charts = {chart.title: list(chart.multiline.tag) for chart in category.chart}
    assert charts["loss"] == ["epoch/train_loss", "epoch/val_loss"]
    assert charts["accuracy"] == ["epoch/train_accuracy", "epoch/val_accuracy"]
    assert "seconds" not in charts


def test_training_is_the_same_bit_for_bit(tmp_path):
    plain = made()
    history = training.fit(plain, batches(), 2, val_loader=batches(1), progress=False)
    everything = {"gradients": True, "histograms": True, "filters": True, "predictions": batches(1)[0]}
    model, watched = fitted(tmp_path, val_loader=batches(1), **everything)
    assert watched["train_loss"] == history["train_loss"]
    assert all(np.array_equal(a.data, b.data) for a, b in zip(plain.parameters(), model.parameters(), strict=True))


# ---- histograms and pictures -----------------------------------------------------------------------------------------
def test_histograms_hold_all_values_of_weights_and_gradients(tmp_path):
    model, _ = fitted(tmp_path, histograms=True, every_epochs=2, epochs=3)
    for prefix, steps in (("weights", [0, 12, 18]), ("gradients", [12, 18])):
        for path, parameter in model.named_parameters():
            events = read(tmp_path).Histograms(f"{prefix}/{path}")
            assert [event.step for event in events] == steps
            last, values = events[-1].histogram_value, parameter.data if prefix == "weights" else parameter.grad
            assert last.num == values.size == sum(last.bucket)
            assert (last.min, last.max) == (values.min(), values.max())
            assert last.sum == pytest.approx(values.sum(dtype=np.float64))
            assert last.sum_squares == pytest.approx(np.square(values, dtype=np.float64).sum())
    weights = dict(model.named_parameters())["body.0.weight"].data
    histogram = read(tmp_path).Histograms("weights/body.0.weight")[-1].histogram_value
    below = np.searchsorted(np.sort(weights, axis=None), histogram.bucket_limit[:-1])
    assert np.array_equal(np.cumsum(histogram.bucket)[:-1], below)


def test_a_histogram_leaves_out_what_is_not_finite(tmp_path):
    with interop.TensorBoard(tmp_path) as board:
        board.add_histogram("some", [1.0, np.nan, 3.0, np.inf], 1)
        board.add_histogram("none", [np.nan], 1)
        board.add_scalar("after", 2, 1)
    (event,) = read(tmp_path).Histograms("some")
    assert (event.histogram_value.num, event.histogram_value.max) == (2, 3)
    assert "none" not in read(tmp_path).Tags()["histograms"]


@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7), (3, 5, 7)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pictures_are_stored_without_loss(tmp_path, rng, shape, dtype):
    pixels = rng.integers(0, 256, shape).astype(np.uint8)
    with interop.TensorBoard(tmp_path) as board:
        board.add_image("picture", pixels if dtype == np.uint8 else (pixels / 255).astype(dtype), 7)
    (event,) = read(tmp_path).Images("picture")
    assert (event.step, event.height, event.width) == (7, 5, 7)
    decoded = np.array(Image.open(io.BytesIO(event.encoded_image_string)))
    wanted = pixels[None] if pixels.ndim == 2 else pixels
    assert np.array_equal(decoded, np.broadcast_to(wanted, (3, 5, 7)).transpose(1, 2, 0))


def test_predictions_show_the_images_and_name_the_classes(tmp_path, monkeypatch):
    from fastnn import insight

    drawn = []
    plot = insight.plot_images
    monkeypatch.setattr(insight, "plot_images", lambda x, titles: drawn.append((x, titles)) or plot(x, titles))
    x, _ = batches(1)[0]
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 9])
    model = made()
    model.preprocessing = data.Preprocessing(mean=(0.5,), std=(0.25,), classes=("cat", "dog", "owl"))
    fitted(tmp_path, model=model, predictions=((x - 0.5) / 0.25, labels), epochs=1)
    assert [event.step for event in read(tmp_path).Images("predictions")] == [0, 6]
    pixels, titles = drawn[-1]
    np.testing.assert_allclose(pixels, x, atol=1e-6)
    model.eval()
    scores = model((x - 0.5) / 0.25)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    names = ["cat", "dog", "owl"]
    for row, label, title in zip(shares, labels, titles, strict=True):
        best = row.argmax()
        first, *rest = title.split("\n")
        assert first == f"{names[best]} {100 * row[best]:.0f} %"
        truth = names[label] if label < 3 else "9"
        assert rest == ([] if best == label else [f"is {truth}"])


def test_filters_are_those_of_the_first_convolution(tmp_path):
    fitted(tmp_path, filters=True, epochs=1)
    events = read(tmp_path).Images("filters/conv.weight")
    assert [event.step for event in events] == [0, 6]
    assert len({event.encoded_image_string for event in events}) == 2  # they learn


def test_without_a_convolution_filters_are_an_error(tmp_path):
    board = interop.TensorBoard(tmp_path, filters=True)
    with pytest.raises(ValueError, match="first Conv2d, and Linear has none"):
        training.fit(nn.Linear(4, 4), [(np.eye(4, dtype=np.float32), np.arange(4))], 1, callbacks=[board],
                     progress=False)  # fmt: skip


# ---- graph -----------------------------------------------------------------------------------------------------------
def graph_of(folder):
    return {node.name: node for node in read(folder).Graph().node}


def shape_of(node):
    return tuple(dim.size for dim in node.attr["_output_shapes"].list.shape[0].dim)


def test_the_graph_has_the_layers_their_shapes_and_the_branches(tmp_path):
    fitted(tmp_path, epochs=1)
    nodes = graph_of(tmp_path)
    assert list(nodes["Net/Conv2d[conv]/Conv2d"].input) == [
        "input", "Net/Conv2d[conv]/weight", "Net/Conv2d[conv]/bias",
    ]  # fmt: skip
    assert shape_of(nodes["input"]) == (8, 3, 8, 8)
    assert shape_of(nodes["Net/Conv2d[conv]/weight"]) == (4, 3, 3, 3)
    assert shape_of(nodes["Net/Conv2d[conv]/Conv2d"]) == (8, 4, 8, 8)
    for branch in ("Net/Sequential[body]/Conv2d[0]/Conv2d", "Net/Conv2d[skip]/Conv2d"):
        assert nodes[branch].input[0] == "Net/relu"
    assert list(nodes["Net/add"].input) == ["Net/Sequential[body]/ReLU[2]/relu", "Net/Conv2d[skip]/Conv2d"]
    assert list(nodes["output"].input) == ["Net/Linear[head]/Linear"]
    assert list(nodes["loss/CrossEntropy"].input) == ["Net/Linear[head]/Linear", "targets"]
    assert nodes["Net/Conv2d[skip]/Conv2d"].attr["layer"].s.decode() == repr(made().skip)


@pytest.mark.parametrize("make", [fastnn.models.resnet20, fastnn.models.keras_cnn, fastnn.models.airbench94])
def test_every_layer_is_in_the_graph_and_every_edge_has_its_end(tmp_path, make):
    model = make()
    with interop.TensorBoard(tmp_path) as board:
        board.add_graph(model, np.zeros((2, 3, 32, 32), np.float32))
    nodes = graph_of(tmp_path)
    assert all(name.partition(":")[0] in nodes for node in nodes.values() for name in node.input)
    assert not [name for name, node in nodes.items() if node.op == "Constant"]

    def scopes(module, scope):
        for name, child in module.named_children():
            yield from scopes(child, f"{scope}/{type(child).__name__}[{name}]")
        if not list(module.children()):
            yield scope

    handed_on = {
        scope for scope in scopes(model, type(model).__name__) if "/Dropout[" in scope or "/Identity[" in scope
    }
    for scope in scopes(model, type(model).__name__):
        assert any(name.startswith(f"{scope}/") for name in nodes) != (scope in handed_on)
    additions = [node for node in nodes.values() if node.op == "Add"]
    assert len(additions) == (9 if make is fastnn.models.resnet20 else 0)
    assert all(len(set(node.input)) == 2 for node in additions)


def test_a_graph_knows_own_operations_several_results_and_shared_layers(tmp_path):
    class Own(nn.Module):
        def forward(self, x):
            self.x = x
            return np.maximum(x, 0)

        def backward(self, dy):
            return dy * (self.x > 0)

    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.own = nn.Linear(4, 4), Own()
            self.scale = nn.Parameter(np.ones(2, np.float32))

        def forward(self, x):
            a, b = np.split(self.own(self.layer(self.layer(x))), 2, axis=1)
            return a * self.scale, (b * b).sum()

    model = Shared()
    with interop.TensorBoard(tmp_path) as board:
        board.add_graph(model, np.ones((2, 4), np.float32))
    nodes = graph_of(tmp_path)
    assert nodes["Shared/Linear[layer]/Linear_2"].input[0] == "Shared/Linear[layer]/Linear"
    assert nodes["Shared/Linear[layer]/Linear_2"].input[1] == nodes["Shared/Linear[layer]/Linear"].input[1]
    assert list(nodes["Shared/Own[own]/Own"].input) == ["Shared/Linear[layer]/Linear_2"]
    assert list(nodes["Shared/multiply"].input) == ["Shared/Split", "Shared/scale"]
    assert list(nodes["Shared/multiply_2"].input) == ["Shared/Split:1"] * 2
    assert list(nodes["output"].input) == ["Shared/multiply", "Shared/Sum"]


def test_add_graph_changes_nothing_in_the_network(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    model[2].eval()
    before, state = model.state_dict(), fastnn.random_state()
    with interop.TensorBoard(tmp_path) as board:
        board.add_graph(model, np.ones((2, 4), np.float32))
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())
    assert [module.training for module in model.modules()] == [True, True, True, False]
    assert fastnn.random_state() == state


def test_a_loss_that_is_a_function_is_in_the_graph(tmp_path):
    model = nn.Linear(4, 3)
    x, y = np.ones((2, 4), np.float32), np.zeros((2, 3), np.float32)
    board = interop.TensorBoard(tmp_path)
    training.fit(model, [(x, y)], 1, criterion=lambda p, t: ((p - t) ** 2).mean(), callbacks=[board], progress=False)
    nodes = graph_of(tmp_path)
    assert nodes["loss/Mean"].input[0].startswith("loss/")
    assert nodes["loss/subtract"].input[0] == "Linear/Linear"


def test_a_writer_of_pytorch_scripts_writes_the_same_graph(tmp_path):
    from fastnn.compat import torch
    from fastnn.compat.torch.utils.tensorboard import SummaryWriter

    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(model, torch.ones(2, 4))
    nodes = graph_of(tmp_path)
    assert list(nodes["output"].input) == ["Sequential/ReLU[1]/relu"]
    assert nodes["Sequential/ReLU[1]/relu"].input[0] == "Sequential/Linear[0]/Linear"
    assert nodes["Sequential/Linear[0]/Linear"].input[0] == "input"


# ---- hyper-parameters ------------------------------------------------------------------------------------------------
def test_hyper_parameters_are_in_the_same_folder_with_final_metrics(tmp_path):
    fitted(tmp_path, val_loader=batches(1), hparams={"width": np.int64(4), "note": "first", "wide": False})
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    found = hparams(tmp_path)
    settings = {name: getattr(value, value.WhichOneof("kind")) for name, value in
                found["session_start_info"].hparams.items()}  # fmt: skip
    assert settings["width"] == 4
    assert settings["note"] == "first"
    assert settings["wide"] is False
    assert (settings["model"], settings["optimizer"], settings["lr"]) == ("Net", "SGD", 0.005)
    assert {info.name for info in found["experiment"].hparam_infos} == set(settings)
    metrics = [info.name.tag for info in found["experiment"].metric_infos]
    assert "epoch/val_accuracy" in metrics
    assert set(metrics) <= set(read(tmp_path).Tags()["scalars"])
    assert found["session_end_info"].status == 1  # success


def test_hyper_parameters_of_a_training_that_failed_say_so(tmp_path):
    class Fails(Callback):
        def on_step_begin(self, trainer):
            if trainer.step == 8:
                raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        fitted(tmp_path, Fails(), every=1)
    assert hparams(tmp_path)["session_end_info"].status == 2  # failure
    assert [step for step, _ in scalars(tmp_path, "step/loss")] == list(range(1, 9))  # it was closed


# ---- files -----------------------------------------------------------------------------------------------------------
def test_a_resumed_training_continues_the_curves(tmp_path):
    board, whole = tmp_path / "board", tmp_path / "whole"
    fitted(whole, every=2, epochs=3)
    model = made()
    trainer = training.Trainer(
        model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.005, momentum=0.9, nesterov=True,
                                                weight_decay=5e-4), progress=False,
        callbacks=[interop.TensorBoard(board, every=2)],
    )  # fmt: skip
    trainer.fit(batches(), 1)
    trainer.save(tmp_path / "state.safetensors")
    trainer.fit(batches(seed=5), 2)  # these steps come to nothing
    assert [step for step, _ in scalars(board, "step/loss")] == [2, 4, 6, 8, 10, 12]
    trainer.load(tmp_path / "state.safetensors")
    trainer.fit(batches(), 3)
    assert scalars(board, "step/loss") == scalars(whole, "step/loss")
    assert scalars(board, "epoch/train_loss") == scalars(whole, "epoch/train_loss")
    assert len(list(board.iterdir())) == 3


def test_a_new_training_hides_the_old_one_of_the_folder(tmp_path):
    fitted(tmp_path, epochs=2, every=1, histograms=True)
    fitted(tmp_path, epochs=1, every=1, histograms=True)
    assert [step for step, _ in scalars(tmp_path, "step/loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in read(tmp_path).Histograms("weights/head.bias")] == [0, 6]


def test_a_checkpoint_fits_with_and_without_it(tmp_path):
    def trainer(callbacks):
        model = made()
        return training.Trainer(
            model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), progress=False,
            callbacks=[training.EarlyStopping("train_loss"), *callbacks],
        )  # fmt: skip

    path = tmp_path / "state.safetensors"
    for before, after in (([], ["board"]), (["board"], [])):
        first, second = (trainer([interop.TensorBoard(tmp_path / name) for name in names]) for names in (before, after))
        first.fit(batches(), 1)
        first.save(path)
        second.fit(batches(), 2, resume=path)
        assert second.step == 12


def test_every_epoch_is_on_the_disk_when_it_ends(tmp_path):
    seen = []

    class Reads(Callback):
        def on_epoch_end(self, trainer, row):
            seen.append(scalars(tmp_path, "epoch/train_loss")[-1][0])

    fitted(tmp_path, Reads())
    assert seen == [6, 12]


def test_two_files_of_one_second_are_two(tmp_path):
    board = interop.TensorBoard(tmp_path)
    for step in range(3):
        board.add_scalar("value", step, step)
        board.close()
    assert len(list(tmp_path.iterdir())) == 3
    assert scalars(tmp_path, "value") == [(0, 0), (1, 1), (2, 2)]


def test_open_hides_what_a_loop_of_ones_own_does_again(tmp_path):
    with interop.TensorBoard(tmp_path) as board:
        for step in range(1, 6):
            board.add_scalar("value", step, step)
        board.open(3)
        board.add_scalar("value", 30, 3)
    assert scalars(tmp_path, "value") == [(1, 1), (2, 2), (3, 30)]


def test_a_training_without_standard_tensorboard_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "fastnn\[tensorboard\]"'):
        interop.TensorBoard(tmp_path)
    assert (
        cli.main(["train", "--dataset", "shapes32", "--tensorboard", str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    )
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"every": 0}, ValueError, "every"),
        ({"histograms": "yes"}, TypeError, "histograms"),
        ({"hparams": {"shape": (3, 3)}}, TypeError, r"hparams\['shape'\] must be a number"),
        ({"hparams": [1]}, TypeError, "hparams must be a dict"),
        ({"predictions": np.zeros((2, 4, 8, 8), np.float32)}, ValueError, "one or three channels"),
        ({"predictions": (np.zeros((2, 3, 8, 8), np.float32), [1])}, ValueError, "integer label for each"),
        ({"class_names": "cat"}, TypeError, "class_names"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(tmp_path, settings, error, words):
    with pytest.raises(error, match=words):
        interop.TensorBoard(tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()


def test_scores_that_are_no_classes_and_names_that_are_too_few_are_refused(tmp_path):
    x, _ = batches(1)[0]
    with pytest.raises(ValueError, match="3 class_names are needed"):
        fitted(tmp_path, predictions=x, class_names=["a", "b"])
    model = nn.Conv2d(3, 3, 1)
    board = interop.TensorBoard(tmp_path, predictions=x)
    with pytest.raises(ValueError, match=r"outputs \(N, classes\)"):
        training.fit(model, [(x, x)], 1, criterion=nn.MSELoss(), callbacks=[board], progress=False)


def test_the_command_writes_everything(tmp_path, capsys):
    arguments = ["train", "--dataset", "shapes32", "--train-images", "512", "--test-images", "20", "--epochs", "0.5"]
    code = cli.main([*arguments, "--out", str(tmp_path / "out"), "--tensorboard", str(tmp_path / "board")])
    assert code == 0, capsys.readouterr().err
    events = read(tmp_path / "board")
    assert "epoch/val_accuracy" in events.Tags()["scalars"]
    assert {"predictions", "filters/whitening.weight"} <= set(events.Tags()["images"])
    assert hparams(tmp_path / "board")["session_start_info"].hparams["recipe"].string_value == "cifar10-75"
