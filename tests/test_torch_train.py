"""`benchmarks/train_torch.py`: PyTorch does the steps that `fastnn train` does."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import fastnn
from fastnn import cli, training
from fastnn.training.plan import choose_recipe, open_dataset
from fastnn.training.run import make_loader, make_model

pytestmark = pytest.mark.torch

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "train_torch.py"
# Four batches in an epoch: the whitening is frozen after two steps, and weights are averaged after the fifth of six.
SEED, EPOCHS, IMAGES, TEST_IMAGES = 1, 1.5, 600, 100
OPTIONS = ["--recipe", "cifar10-75", "--dataset", "shapes32", "--seed", SEED, "--epochs", EPOCHS]
OPTIONS = [str(option) for option in (*OPTIONS, "--train-images", IMAGES, "--test-images", TEST_IMAGES)]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_torch", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What `fastnn train` leaves."""
    path = tmp_path_factory.mktemp("train")
    assert cli.main(["train", *OPTIONS, "--out", str(path)]) == 0
    return path


def rounding(model):
    """What float32 may change in a result of `model`, relative to it.

    The roundings along one path through the network, one for every product of the sums that it passes, add up like a
    random walk; both sides have them, of half an eps each.
    """
    products = sum(p.size // len(p.data) for p in model.parameters() if len(p.shape) > 1)
    return math.sqrt(products) * float(np.finfo(np.float32).eps)


@pytest.mark.parametrize("layout", ["nchw", "channels_last"])
def test_train_torch_does_the_steps_of_fastnn_train(layout, script, folder):
    recipe = choose_recipe("cifar10-75", EPOCHS)
    _, train_set, test_set = open_dataset("shapes32", n_train=IMAGES, n_test=TEST_IMAGES)
    model = make_model(recipe, SEED, train_set)
    before = model.state_dict()
    loader = make_loader(recipe, SEED, train_set, train_set, training=True)
    run = script.Training(recipe, model, loader, script.LAYOUTS[layout], compiled=False)
    run.run()

    expected = [record["train_loss"] for record in json.loads((folder / "history.json").read_text())["steps"]]
    assert len(run.losses) == len(expected) == 6
    for step, (ours, theirs) in enumerate(zip(expected, run.losses, strict=True), start=1):
        # Every step adds its roundings to what the weights carry.
        assert theirs == pytest.approx(ours, rel=step * rounding(model)), step

    # A pixel that rounding makes the maximum of its window changes gradients by more than rounding, but by a small
    # share of what a tensor has moved. Weight decay and frozen whitening, which hardly show in the losses, show here.
    after = training.load_weights(folder / "weights.safetensors")
    state = {key: value.numpy() for key, value in run.module.state_dict().items()}
    assert state.keys() == after.keys()
    for key, ours in after.items():
        error, moved = (np.linalg.norm(ours - other) for other in (state[key], before[key]))
        assert key.endswith("num_batches_tracked") or error <= 0.05 * moved, key

    # With the same weights both have the same logits, averaged or not.
    model.load_state_dict(state)
    x, _ = next(iter(make_loader(recipe, SEED, test_set, train_set, training=False)))
    for tta in (0, 2):
        ours = training.predict(model.eval(), x, tta)
        theirs = training.predict(script.Predictor(run.module, run.layout), x, tta)
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=rounding(model) * np.abs(ours).max())


def test_train_torch_does_the_steps_of_a_recipe_with_muon(script):
    """cifar10-94 with few channels and small batches: three steps, of which two train the whitening bias."""
    recipe = choose_recipe("cifar10-94")
    options = {**recipe.model_options, "widths": (8, 8, 8), "scale": 1 / 8}
    recipe = replace(recipe, model_options=options, batch_size=64, lr=1.0, epochs=1.5, whitening_epochs=1.0)
    _, train_set, _ = open_dataset("shapes32", n_train=140, n_test=1)

    def start():
        return make_model(recipe, SEED, train_set), make_loader(recipe, SEED, train_set, train_set, training=True)

    model, loader = start()
    run = script.Training(recipe, model, loader, script.LAYOUTS["channels_last"], compiled=False)
    run.run()
    assert [type(optimizer).__name__ for optimizer in run.optimizers] == ["SGD", "Muon"]

    model, loader = start()
    before = model.state_dict()
    optimizer = recipe.make_optimizer(model)
    trainer = training.Trainer(
        model,
        fastnn.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
        optimizer,
        recipe.make_scheduler(optimizer, len(loader)),
        "step",
        callbacks=[training.FreezeWhitening(recipe.whitening_epochs)],
        progress=False,
    )
    expected = [record["train_loss"] for record in trainer.fit(loader, recipe.epochs).steps]
    assert len(run.losses) == len(expected) == 3
    for step, (ours, theirs) in enumerate(zip(expected, run.losses, strict=True), start=1):
        # Each iteration of Newton and Schulz multiplies the roundings of a small singular value by at most 3.4445.
        assert theirs == pytest.approx(ours, rel=step * 3.4445**3 * rounding(model)), step
    state = {key: value.numpy() for key, value in run.module.state_dict().items()}
    for key, ours in model.state_dict().items():
        error, moved = (np.linalg.norm(ours - other) for other in (state[key], before[key]))
        # A direction that the gradient hardly has is moved as far as all others, wherever its roundings point.
        assert key.endswith("num_batches_tracked") or error <= 0.1 * moved, key


def test_train_torch_script_tells_what_fastnn_train_tells(folder, tmp_path):
    path = tmp_path / "torch.json"
    environment = {**os.environ, "PYTHONPATH": str(Path(fastnn.__file__).parents[1])}
    command = [sys.executable, "-P", str(SCRIPT), *OPTIONS, "--layout", "nchw", "--threads", "1", "--json", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True)
    theirs, ours = json.loads(path.read_text()), json.loads((folder / "metrics.json").read_text())
    for name in ("recipe", "dataset", "tta", "epochs", "steps", "seed"):
        assert theirs[name] == ours[name], name
    assert 0 < theirs["prepare_seconds"] < theirs["train_seconds"]
    seconds = theirs["train_seconds"] - theirs["prepare_seconds"]
    images = theirs["steps"] * choose_recipe("cifar10-75").batch_size
    assert theirs["images_per_second"] == pytest.approx(images / seconds, rel=0.01)
    assert len(theirs["losses"]) == theirs["steps"]
    assert f"PyTorch {torch.__version__}, nchw, 1 thread," in result.stdout
    assert f"test accuracy {100 * theirs['test_accuracy']:.2f} % (" in result.stdout
