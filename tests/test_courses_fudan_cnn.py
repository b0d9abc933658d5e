"""The recipe fudan-cnn on synthetic images, and the pieces that it is made of."""

import csv
import json
import math

import numpy as np
import pytest

from fastnn import courses, data, nn, optim, training
from fastnn.courses.fudan import cnn, cnn_final, cnn_plan, cnn_training
from fastnn.courses.fudan.cnn_network import count_parameters, network
from fastnn.courses.fudan.cnn_variants import BASELINE, BASELINE_NAMES, STUDIES, Lion, Variant

SMALL = {"filters": 2}


class Shapes(data.Shapes32):
    """In the place of CIFAR-10, which not every machine has."""

    def __init__(self, root=None, train=True, download=False):
        super().__init__(1224 if train else 64, train=train)


@pytest.fixture
def shapes_instead_of_cifar10(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "CIFAR10", Shapes)
    monkeypatch.setattr(cnn_plan, "VALIDATION_IMAGES", 200)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def few_variants(monkeypatch):
    for study, variants in STUDIES.items():
        if study != "optimizers":  # of which the report counts how many were tried
            monkeypatch.setitem(STUDIES, study, variants[:1])


def run(out, **options):
    return courses.run("fudan-cnn", quick=True, out=out, say=lambda text: None, **{"n_items": 64, **options})


def count(model):
    return sum(parameter.size for parameter in model.parameters())


# ---- the recipe ------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.usefixtures("shapes_instead_of_cifar10", "few_variants")
def test_fudan_cnn_quick_fills_the_report_and_no_row_fails(tmp_path):
    report = run(tmp_path)
    assert report.failed == []
    assert [row.what for row in report.rows if row.verdict == courses.report.NOT_RUN][-1] == "best test error"
    figures = ["seeds", *BASELINE_NAMES, "final_curves", "confusion", "first_filters", "feature_maps", "attention"]
    for name in [*figures, "landscape"]:
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    text = (tmp_path / "report.md").read_text()
    assert "class Lion(optim.Optimizer):" in text
    trainings = 1 + sum(map(len, STUDIES.values())) + 1
    with open(tmp_path / "history.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == trainings
    metrics = json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    weights = training.load_weights(tmp_path / "weights.safetensors")
    parameters = {name: array for name, array in weights.items() if "running" not in name and "num_" not in name}
    assert sum(array.size for array in parameters.values()) == metrics["final: parameters"]


@pytest.mark.usefixtures("shapes_instead_of_cifar10")
@pytest.mark.parametrize(("options", "word"), [({"n_items": 1025}, "n_items"), ({"epochs": 0}, "epochs")])
def test_fudan_cnn_options_out_of_range_are_told(options, word, tmp_path):
    with pytest.raises(ValueError, match=f"fudan-cnn: {word} must"):
        run(tmp_path, **options)


def test_fudan_cnn_tries_every_optimizer_that_is_not_left_out():
    public = {getattr(optim, name) for name in optim.__all__}
    optimizers = {one for one in public if isinstance(one, type) and issubclass(one, optim.Optimizer)}
    expected = optimizers - {optim.Optimizer, optim.MultiOptimizer} - cnn.LEFT_OUT
    assert cnn.used_optimizers() == expected | {Lion}


def test_fudan_cnn_own_lion_steps_as_that_of_fastnn(rng):
    own, ours = (nn.Parameter(np.ones((3, 4), np.float32)) for _ in range(2))
    optimizers = Lion([own], lr=0.01), optim.Lion([ours], lr=0.01)
    for _ in range(10):
        own.grad = ours.grad = rng.standard_normal((3, 4)).astype(np.float32)
        for optimizer in optimizers:
            optimizer.step()
    np.testing.assert_array_equal(own.data, ours.data)


def test_fudan_cnn_names_of_variants_are_unique_in_each_study():
    for study, variants in STUDIES.items():
        names = [variant.name for variant in variants] + [BASELINE_NAMES.get(study, "baseline")]
        assert len(set(names)) == len(names)


# ---- the network -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("filters", [1, 3, 16, 32])
def test_fudan_network_parameters_are_those_counted_by_hand(filters):
    assert count(network(filters)) == count_parameters(filters)


def test_fudan_network_without_batch_norm_has_a_bias_for_every_channel_instead_of_two_numbers():
    channels = 3 + 6 + 2 * 6 + 12 + 2 * 12
    assert count_parameters(3) - count(network(3, batch_norm=False)) == channels


@pytest.mark.parametrize(
    "variant", [variant for variants in STUDIES.values() for variant in variants], ids=lambda variant: variant.name
)
def test_fudan_variants_give_every_parameter_a_gradient_and_change_it(variant, rng):
    model = network(**{**variant.network, "filters": 2})
    criterion, optimizer = variant.loss(), variant.optimizer(model)
    before = model.state_dict()
    x = rng.standard_normal((4, 3, 32, 32), np.float32)
    assert math.isfinite(criterion(model(x), np.array([0, 1, 2, 9])))
    model.backward(criterion.backward())
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert parameter.grad.shape == parameter.shape
        assert not np.array_equal(parameter.data, before[name]), name


# ---- optimisers ------------------------------------------------------------------------------------------------------
def test_lion_follows_its_formula(rng):
    w = nn.Parameter(rng.standard_normal(5))
    expected, mean = w.data.copy(), np.zeros(5)
    optimizer = Lion([w], lr=0.1, betas=(0.8, 0.6))
    for _ in range(4):
        gradient = rng.standard_normal(5)
        w.grad = gradient.copy()
        optimizer.step()
        for i in range(5):
            expected[i] -= 0.1 * math.copysign(1, 0.8 * mean[i] + 0.2 * gradient[i])
            mean[i] = 0.6 * mean[i] + 0.4 * gradient[i]
    np.testing.assert_allclose(w.data, expected, rtol=1e-14)


# ---- training --------------------------------------------------------------------------------------------------------
@pytest.fixture
def train(tmp_path):
    """Trains a variant; what it says is in `train.said`."""

    def run_it(variant, epochs=2, out=None, **options):
        folder = tmp_path / (out or str(len(list(tmp_path.iterdir()))))
        context = courses.Context(courses.get("fudan-cnn"), folder, options=options, say=said.append)
        images = data.Shapes32(64), data.Shapes32(32, train=False)
        return cnn_training.train_stage(context, "key", variant, *images, epochs, keep=True)

    said = run_it.said = []
    return run_it


def test_train_variant_adds_the_gradient_of_the_penalty_to_weights_only(train):
    """One step of SGD at rate 1: with and without the penalty the weights differ by its gradient."""

    def weights(l1, l2):
        # One batch, and a schedule of one step, which starts at its peak.
        variant = Variant(
            "one", network=SMALL, l1=l1, l2=l2, optimizer=lambda model: optim.SGD(model.parameters(), lr=1.0)
        )
        return train(variant, epochs=1)["weights"]

    start = {}

    def keep(model):
        start.update(model.state_dict())
        return optim.SGD(model.parameters(), lr=1.0)

    train(Variant("one", network=SMALL, optimizer=keep), epochs=1)
    plain, penalised = weights(0.0, 0.0), weights(0.125, 0.25)
    for name in ("conv1.weight", "fc1.weight", "fc2.weight"):
        w = start[name]
        np.testing.assert_allclose(plain[name] - penalised[name], 0.125 * np.sign(w) + 0.5 * w, atol=1e-6)
    for name in ("norm1.weight", "fc1.bias"):
        np.testing.assert_array_equal(plain[name], penalised[name])


def test_train_variant_that_diverges_is_a_result_not_an_error(train):
    variant = Variant("far", network=SMALL, optimizer=lambda model: optim.SGD(model.parameters(), lr=1e30))
    with np.errstate(all="ignore"):
        result = train(variant, epochs=3)
    assert len(result["val_loss"]) == len(result["train_loss"]) == 3
    assert math.isnan(result["train_loss"][-1])


def test_train_variant_continues_from_its_checkpoint_bit_for_bit(train, monkeypatch):
    variant = Variant("final", network=SMALL)
    expected = train(variant)["weights"]
    monkeypatch.setattr(training, "Checkpoints", _Saving)
    with pytest.raises(RuntimeError, match="stopped"):
        train(variant, out="cut")
    monkeypatch.undo()
    train.said.clear()
    result = train(variant, out="cut")
    assert train.said[0] == "key continues after step 1"
    assert len(result["val_loss"]) == 2
    for name, array in result["weights"].items():
        np.testing.assert_array_equal(array, expected[name])


class _Saving(training.Checkpoints):
    """Saves, and then ends the program, as a power cut does."""

    def on_epoch_end(self, trainer, row):
        super().on_epoch_end(trainer, row)
        raise RuntimeError("stopped")


_Saving.__name__ = "Checkpoints"  # by which a checkpoint knows its callbacks


# ---- the best network ------------------------------------------------------------------------------------------------
def results(**accuracies):
    return {
        variant.name: {"val_accuracy": [0.0, accuracies.get(variant.name, 0.1)]} for variant in STUDIES["activations"]
    }


def test_choose_keeps_the_baseline_unless_a_variant_beats_all_its_seeds():
    assert cnn_final._choose("activations", 0.5, results(ELU=0.5)) is None
    assert cnn_final._choose("activations", 0.5, results(ELU=0.6, GELU=0.7, SiLU=math.nan)).name == "GELU"


def test_combine_takes_of_each_choice_what_it_is_about():
    loss = Variant("loss", network={"dropout": 0.0}, loss=nn.FocalLoss, l1=1e-5)
    activation = Variant("activation", network={"activation": nn.Tanh})
    one = cnn_final.combine(activation, loss, None)
    assert one.network == {"filters": cnn_final.FINAL_FILTERS, "activation": nn.Tanh, "dropout": 0.0}
    assert (one.loss, one.l1, one.l2, one.optimizer) == (nn.FocalLoss, 1e-5, 0.0, BASELINE.optimizer)


def test_examples_are_three_of_each_kind_as_far_as_there_are():
    labels = np.arange(10)
    right = cnn_final._examples(labels, labels)
    assert sorted(right) == [0, 1, 2, 3, 4, 5]
    half = np.where(labels < 5, labels, 0)
    assert cnn_final._examples(labels, half).tolist() == [0, 1, 2, 5, 6, 7]
