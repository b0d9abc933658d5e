"""The recipes as they were published, how one is chosen, continued, and what it leaves."""

import datetime
import json
import os
import time
from dataclasses import asdict, replace

import numpy as np
import pytest

import fastnn
from fastnn import data, nn, optim, training
from fastnn.training import plan as planning
from fastnn.training import run as run_module
from fastnn.training.run import make_loader, make_model

# Every number that a result depends on. Whoever changes one changes what README and documentation report.
PINNED = {
    "cifar10-75": {
        "model": "airbench", "model_options": {"widths": (16, 32, 96)}, "epochs": 1.4, "batch_size": 128, "lr": 0.25,
        "momentum": 0.85, "weight_decay": 2.661e-3, "norm_bias_lr": 64.0, "muon": {}, "warmup": 0.23, "first_lr": 0.2,
        "last_lr": 0.07, "label_smoothing": 0.2, "flip": "alternate", "translate": 2, "lookahead": True,
        "whitening_epochs": 0.5, "whitening_lr": None, "tta": 2, "conv2d_algorithm": "auto", "validation": 0,
    },
    "cifar10-94": {
        "model": "airbench", "model_options": {"scale": 1 / 256, "unit_head": True, "zero_whitening_bias": False},
        "epochs": 8.6, "batch_size": 2000, "lr": 1340.0, "momentum": 0.85, "weight_decay": 0.004 / 0.67 / 2000,
        "norm_bias_lr": 0.053 / 0.67,
        "muon": {"lr": 0.24, "weight_decay": 0.0, "momentum": 0.6, "ns_steps": 3, "adjust_lr_fn": "constant",
                 "normalize_weight": True},
        "warmup": 0.0, "first_lr": 0.2, "last_lr": 0.0, "label_smoothing": 0.2, "flip": "alternate", "translate": 2,
        "lookahead": False, "whitening_epochs": 3.0, "whitening_lr": 0.053 / 0.67, "tta": 2,
        "conv2d_algorithm": "winograd4", "validation": 0,
    },
    "cifar10-94-sgd": {
        "model": "airbench94", "model_options": {}, "epochs": 9.9, "batch_size": 1024, "lr": 1.5, "momentum": 0.85,
        "weight_decay": 1.3305e-3, "norm_bias_lr": 64.0, "muon": {}, "warmup": 0.23, "first_lr": 0.2, "last_lr": 0.07,
        "label_smoothing": 0.2, "flip": "alternate", "translate": 2, "lookahead": True, "whitening_epochs": 3.0,
        "whitening_lr": None, "tta": 2, "conv2d_algorithm": "auto", "validation": 0,
    },
    "vgg_a_bn": {
        "model": "vgg_a_bn", "model_options": {}, "epochs": 20.0, "batch_size": 128, "lr": 0.05, "momentum": 0.9,
        "weight_decay": 5e-4, "norm_bias_lr": 1.0, "muon": {}, "warmup": 0.2, "first_lr": 0.2, "last_lr": 0.0,
        "label_smoothing": 0.1, "flip": "random", "translate": 4, "lookahead": False, "whitening_epochs": 0.0,
        "whitening_lr": None, "tta": 0, "conv2d_algorithm": "auto", "validation": 5000,
    },
}  # fmt: skip


def test_recipes_are_those_that_were_published():
    found = {}
    for name, recipe in training.RECIPES.items():
        found[name] = {key: value for key, value in asdict(recipe).items() if key not in ("name", "description")}
        assert recipe.name == name
    assert found == PINNED
    assert training.DEFAULT_RECIPE == "cifar10-75"


@pytest.mark.parametrize("name", PINNED)
def test_recipe_augmentation_follows_its_settings(name):
    recipe = training.RECIPES[name]
    flip, crop = recipe.augmentation(seed=7)
    assert repr(crop) == f"RandomCrop(padding={recipe.translate}, mode='reflect')"
    expected = "AlternatingFlip(seed=7)" if recipe.flip == "alternate" else repr(data.RandomHorizontalFlip())
    assert repr(flip) == expected
    assert replace(recipe, flip="none", translate=0).augmentation() == []


def test_recipe_schedule_has_its_shape():
    recipe = training.RECIPES["cifar10-75"]
    optimizer = recipe.make_optimizer(recipe.make_model())
    (weights, norms) = recipe.lr_factors(optimizer, 390)
    steps = 546  # 1.4 epochs
    peak = 125
    for factor in (weights, norms):
        assert [factor(step) for step in (0, peak, steps)] == pytest.approx([0.2, 1.0, 0.07])
        assert factor(peak + (steps - peak) // 3) == pytest.approx(1 - 0.93 * 140 / 421)


def test_triangle_without_warmup_starts_at_the_top_and_refuses_nonsense():
    assert [training.triangle(4, 0.0, 0.5, 0.0)(step) for step in (0, 1, 4, 9)] == [1.0, 0.75, 0.0, 0.0]
    for arguments in ((0, 0.2, 1, 0), (4, 1.5, 1, 0), (4, -0.1, 1, 0), (4, 0.2, "a", 0), (4, 0.2, 1, float("nan"))):
        with pytest.raises((TypeError, ValueError), match="triangle: "):
            training.triangle(*arguments)


# ---- running one -----------------------------------------------------------------------------------------------------
@pytest.fixture
def tiny(monkeypatch):
    """A recipe of a second: with validation images, flips, and averaging over flips."""
    recipe = training.Recipe(
        name="tiny", description="", model="keras_cnn", epochs=1.0, batch_size=32, lr=0.01, tta=1, validation=40,
        label_smoothing=0.1,
    )  # fmt: skip
    monkeypatch.setitem(training.RECIPES, "tiny", recipe)
    return recipe


def make_plan(tmp_path, **options):
    options = {
        "recipe": "tiny",
        "dataset": "shapes32",
        "n_train": 200,
        "n_test": 60,
        "runs": tmp_path / "runs",
        **options,
    }
    return planning.plan(**options, say=lambda _: None)


@pytest.mark.slow
def test_train_recipe_leaves_what_it_says(tmp_path, tiny):
    run, train_set, test_set = make_plan(tmp_path, seed=3)
    metrics = training.train_recipe(replace(run, progress=False), train_set, test_set, say=lambda _: None)
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        "metrics.json", "history.csv", "history.json", "curves.png", "weights.safetensors", "last.safetensors",
        "best.safetensors",
    }  # fmt: skip
    assert json.loads((run.folder / "metrics.json").read_text()) == metrics
    assert (metrics["train_images"], metrics["test_images"], metrics["steps"], metrics["seed"]) == (160, 60, 5, 3)
    model = tiny.make_model()
    fastnn.load(run.folder / "weights.safetensors", model)
    loader = data.Loader(test_set, batch_size=500, mean=test_set.mean, std=test_set.std)
    result = training.evaluate(model, loader, tta=1)
    assert (metrics["test_accuracy"], metrics["test_loss"]) == (result.accuracy, result.loss)
    assert metrics["test_accuracy_plain"] == training.evaluate(model, loader).accuracy
    assert metrics["test_top5"] == result.top5
    history = json.loads((run.folder / "history.json").read_text())["epochs"]
    assert history[0]["step"] == 5
    # What is validated is the loss that is trained with, on the images put aside.
    held = train_set.subset(slice(160, None))
    loader = data.Loader(held, batch_size=500, mean=test_set.mean, std=test_set.std)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    assert history[0]["val_loss"] == training.evaluate(model, loader, criterion).loss


def test_train_recipe_counts_preparation_and_steps_but_not_the_evaluations(tmp_path, tiny, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    make, step, evaluate = run_module.make_model, optim.SGD.step, run_module.evaluate

    def passes(function, seconds):
        def slow(*args, **kwargs):
            now[0] += seconds
            return function(*args, **kwargs)

        return slow

    monkeypatch.setattr(run_module, "make_model", passes(make, 7.0))
    monkeypatch.setattr(optim.SGD, "step", passes(step, 2.0))
    monkeypatch.setattr(run_module, "evaluate", passes(evaluate, 100.0))
    run, train_set, test_set = make_plan(tmp_path)
    metrics = training.train_recipe(replace(run, progress=False), train_set, test_set, say=lambda _: None)
    assert (metrics["prepare_seconds"], metrics["train_seconds"]) == (7.0, 17.0)
    assert (metrics["test_seconds"], metrics["total_seconds"]) == (100.0, 217.0)
    assert metrics["images_per_second"] == 160 / 10


def test_make_loader_and_model_are_functions_of_the_seed(tiny):
    images = data.Shapes32(100)
    first, same, other = (
        [make_model(tiny, seed, images).state_dict(), [x for x, _ in make_loader(tiny, seed, images, images, True)]]
        for seed in (1, 1, 2)
    )
    assert all((a == b).all() for a, b in zip(first[1], same[1], strict=True))
    assert all((first[0][key] == same[0][key]).all() for key in first[0])
    assert (first[1][0] != other[1][0]).any()
    assert any((first[0][key] != other[0][key]).any() for key in first[0])
    assert len(first[1]) == 3, "the last batch, which is not full, is dropped"
    in_order = make_loader(tiny, 1, images, images, training=False)
    np.testing.assert_array_equal(np.concatenate([y for _, y in in_order]), images.labels)


# ---- what to continue ------------------------------------------------------------------------------------------------
def unfinished(folder, age, finished=False):
    folder.mkdir(parents=True)
    (folder / "last.safetensors").write_bytes(b"")
    if finished:
        (folder / "metrics.json").write_text("{}")
    now = 1_700_000_000
    os.utime(folder / "last.safetensors", (now - age, now - age))
    return folder / "last.safetensors"


def test_find_unfinished_takes_the_newest_that_has_not_ended(tmp_path):
    name = "tiny-shapes32-seed1-2026"
    unfinished(tmp_path / f"{name}a", age=30)
    newest = unfinished(tmp_path / f"{name}b", age=10)
    unfinished(tmp_path / f"{name}c", age=20)
    unfinished(tmp_path / f"{name}d", age=1, finished=True)
    unfinished(tmp_path / "tiny-shapes32-seed2-2026", age=2)
    unfinished(tmp_path / "other-shapes32-seed1-2026", age=3)
    (tmp_path / f"{name}e").mkdir()
    assert planning.find_unfinished(tmp_path, "tiny", "shapes32", 1) == newest
    assert planning.find_unfinished(tmp_path, "tiny", "cifar10", 1) is None


def test_plan_takes_what_is_not_said_from_the_checkpoint(tmp_path, tiny):
    run, *_ = make_plan(tmp_path, seed=4, epochs=2.0)
    training.save_state(run.folder / "last.safetensors", {"config": run.config()})
    for resume in (run.folder, run.folder / "last.safetensors"):
        again, train_set, test_set = planning.plan(resume=resume, say=lambda _: None)
        assert (again.recipe, again.seed, again.dataset, again.folder) == (run.recipe, 4, "shapes32", run.folder)
        assert (len(train_set), len(test_set)) == (200, 60)
    longer, *_ = planning.plan(resume=run.folder, epochs=3.0, out=tmp_path / "b", say=lambda _: None)
    assert (longer.recipe.epochs, longer.folder) == (3.0, tmp_path / "b")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataset", None), ("dataset", "auto"), ("dataset", 3), ("dataset", ["shapes32"]), ("recipe", None),
        ("recipe", "nothing"), ("recipe", {}), ("epochs", None), ("epochs", "1"), ("epochs", -1.0),
        ("epochs", float("nan")), ("seed", None), ("seed", -1), ("seed", 1.5), ("n_train", "a"), ("n_train", 0),
        ("n_test", []),
    ],
)  # fmt: skip
def test_plan_refuses_a_checkpoint_of_other_settings_and_fetches_nothing(tmp_path, tiny, monkeypatch, name, value):
    def fetch(*_):
        raise AssertionError("nothing was to be downloaded")

    monkeypatch.setattr(data._files, "download", fetch)
    run, *_ = make_plan(tmp_path)
    path = run.folder / "last.safetensors"
    training.save_state(path, {"config": {**run.config(), name: value}})
    with pytest.raises(training.CheckpointError, match="not a checkpoint of a recipe") as caught:
        planning.plan(resume=path, say=lambda _: None)
    assert caught.value.path == str(path)


def test_plan_makes_a_folder_of_its_own_for_each_run(tmp_path, tiny, monkeypatch):
    class Stopped(datetime.datetime):
        @classmethod
        def now(cls):
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(planning.datetime, "datetime", Stopped)
    folders = [make_plan(tmp_path)[0].folder for _ in range(3)]
    assert len(set(folders)) == 3
    assert [folder.name for folder in folders] == [
        f"tiny-shapes32-seed0-20260102-030405{end}" for end in ("", "-2", "-3")
    ]
    assert all(folder.parent == tmp_path / "runs" and list(folder.iterdir()) == [] for folder in folders)
    with pytest.raises(ValueError, match="seed must not be negative"):
        make_plan(tmp_path, seed=-1)
    for numbers in ({"n_train": 0}, {"n_train": 50_001}, {"n_test": 10_001}):
        with pytest.raises(ValueError, match="images cannot be used: the number must be between 1 and"):
            make_plan(tmp_path, **numbers)


def trained(tmp_path, **settings):
    recipe = replace(training.RECIPES["tiny"], **settings)
    train_set, test_set = data.Shapes32(100), data.Shapes32(60, train=False)
    tmp_path.mkdir(exist_ok=True)
    run = planning.Run(recipe, "shapes32", tmp_path, n_train=100, n_test=60, progress=False)
    return training.train_recipe(run, train_set, test_set, say=lambda _: None)


def test_train_recipe_reports_the_plain_accuracy_of_its_last_epoch(tmp_path, tiny, monkeypatch):
    found = []
    evaluate = training.evaluate

    def spy(*args, **kwargs):
        found.append(evaluate(*args, **kwargs)._replace(accuracy=len(found) / 10))
        return found[-1]._replace(metrics={"accuracy": found[-1].accuracy, "top5": 1.0})

    monkeypatch.setattr("fastnn.training._steps.evaluate", spy)
    metrics = trained(tmp_path, epochs=3.0, validation=0)
    assert metrics["test_accuracy_plain"] == 0.2


def test_train_recipe_goes_by_the_algorithm_that_the_user_prefers(tmp_path, tiny):
    assert trained(tmp_path / "a", conv2d_algorithm="winograd4", validation=0)["conv2d_algorithm"] == "winograd4"
    with fastnn.conv2d_algorithm("im2col"):
        metrics = trained(tmp_path / "b", conv2d_algorithm="winograd4", validation=0)
    assert metrics["conv2d_algorithm"] == "im2col"


def test_train_recipe_leaves_no_result_of_an_earlier_run_while_it_runs(tmp_path, tiny, monkeypatch):
    (tmp_path / "metrics.json").write_text("{}")

    def broken(self, closure=None):
        raise RuntimeError("power failure")

    monkeypatch.setattr(optim.SGD, "step", broken)
    with pytest.raises(RuntimeError, match="power failure"):
        trained(tmp_path, validation=0)
    assert not (tmp_path / "metrics.json").exists()


def test_make_loader_measures_a_set_that_does_not_know_its_mean(tiny):
    rng = np.random.default_rng(0)
    images = data.Dataset(rng.integers(0, 256, (50, 3, 32, 32), np.uint8), [0] * 50, ["a"])
    ((x, _),) = make_loader(tiny, 0, images, images, training=False)
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(axis=(0, 2, 3)), 1, atol=1e-4)


def test_plan_resumes_the_run_of_its_seed(tmp_path, tiny):
    paths = {}
    for seed in (0, 5):
        run, *_ = make_plan(tmp_path, seed=seed)
        paths[seed] = run.folder / "last.safetensors"
        training.save_state(paths[seed], {"config": run.config()})
    for seed, path in paths.items():
        assert make_plan(tmp_path, seed=seed, resume="auto")[0].resume == path
    assert make_plan(tmp_path, seed=6, resume="auto")[0].resume is None
