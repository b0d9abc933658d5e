"""The training loop: bit-identical resumption, interruption, NaN, early stopping, the same bits on any threads."""

import itertools
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from small_training import Batches, Nothing, SigintAt, comparable, make_trainer, network

import fastnn
from fastnn import data, nn, optim, training
from fastnn.training.callbacks import Callback
from fastnn.training.plan import Run
from fastnn.training.trainer import count_steps


# ---- resumption ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stop", [1, 4, 6, 9, 12])
def test_resume_after_interrupt_equals_uninterrupted_bit_for_bit(tmp_path, stop):
    """In the middle of an epoch, and at its end: weights, momentum, averages, schedule, dropout, history."""
    whole = make_trainer(tmp_path, callbacks=[Nothing()])
    whole.fit(Batches(), 3, Batches(2, seed=1))
    (tmp_path / "parts").mkdir()
    first = make_trainer(tmp_path / "parts", callbacks=[SigintAt(stop)])
    with pytest.raises(training.Interrupted, match=f"after step {stop} of 18"):
        first.fit(Batches(), 3, Batches(2, seed=1))
    second = make_trainer(tmp_path / "parts", seed=77, callbacks=[Nothing()])
    second.fit(Batches(), 3, Batches(2, seed=1), resume=tmp_path / "parts/last.safetensors")
    expected = comparable(whole.state_dict())
    assert len(expected) > 60
    assert comparable(second.state_dict()) == expected


def test_resume_with_data_loader_and_augmentation_equals_uninterrupted(tmp_path):
    images = data.Shapes32(100)

    def loader():
        return data.Loader(
            images,
            batch_size=16,
            shuffle=True,
            drop_last=True,
            augment=[data.RandomCrop(2, "reflect"), data.AlternatingFlip(3), data.Cutout(4)],
            mean=images.mean,
            std=images.std,
            seed=5,
        )

    def trainer(callback, seed=0):
        fastnn.manual_seed(seed)
        model = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(196, 10))
        optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        return training.Trainer(
            model,
            nn.CrossEntropyLoss(),
            optimizer,
            callbacks=[callback, training.Checkpoints(tmp_path)],
            progress=False,
        )

    whole = trainer(Nothing())
    whole.fit(loader(), 3)
    with pytest.raises(training.Interrupted):
        trainer(SigintAt(9)).fit(loader(), 3)
    second = trainer(Nothing(), seed=1)
    second.fit(loader(), 3, resume=tmp_path / "last.safetensors")
    assert comparable(second.state_dict()) == comparable(whole.state_dict())


def test_fit_twice_equals_fit_once():
    states = []
    for parts in ((3,), (1, 3)):
        trainer = make_trainer()
        trainer.callbacks = []  # Lookahead and EarlyStopping do something at the end
        for epochs in parts:
            trainer.fit(Batches(), epochs, Batches(2))
        states.append(comparable(trainer.state_dict()))
    assert states[0] == states[1]
    with pytest.raises(ValueError, match="had 6 batches and has 5"):
        trainer.fit(Batches(5), 4)


def test_train_bits_do_not_depend_on_threads(isa):
    """Twenty steps with everything that draws or sums; the images are large enough to be shared out."""
    results = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        fastnn.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 24, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, 10),
        )
        optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
        trainer = training.Trainer(
            model, nn.CrossEntropyLoss(), optimizer, callbacks=[training.Lookahead()], progress=False
        )
        trainer.fit(Batches(10, 64, 32), 2)
        assert trainer.step == 20
        results.append(comparable(trainer.state_dict()))
    assert results[0] == results[1] == results[2]


def test_fit_epochs_may_be_a_fraction():
    trainer = make_trainer()
    trainer.fit(Batches(), 1.5, Batches(2))
    assert trainer.step == 9
    assert trainer.history["step"] == [6, 9]
    assert count_steps(0.1 * 3, 10) == 3
    assert count_steps(9.9, 48) == 476


# ---- checkpoints that do not fit -------------------------------------------------------------------------------------
def damaged(name, path):
    content = bytearray(path.read_bytes())
    if name == "truncated":
        content = content[: len(content) // 2]
    elif name == "empty":
        content = bytearray()
    elif name == "header":
        content[9] ^= 0xFF
    elif name == "text":
        content = bytearray(b"not a checkpoint at all, but long enough to be one")
    elif name == "weights":
        training.save_weights(network(), path)
        return
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", ["truncated", "empty", "header", "text", "weights"])
def test_resume_from_a_damaged_file_raises_and_changes_nothing(tmp_path, name):
    make_trainer(tmp_path).fit(Batches(), 1, Batches(2))
    damaged(name, tmp_path / "last.safetensors")
    trainer = make_trainer(seed=3, out=tmp_path)
    before = comparable(trainer.state_dict())
    with pytest.raises(training.CheckpointError, match=r"last\.safetensors"):
        trainer.fit(Batches(), 2, resume=tmp_path / "last.safetensors")
    assert comparable(trainer.state_dict()) == before


def test_resume_of_another_training_raises_and_changes_nothing(tmp_path):
    make_trainer(config={"seed": 1, "lr": 2}).fit(Batches(), 1, Batches(2))
    trainer = make_trainer(config={"seed": 1, "lr": 2})
    trainer.fit(Batches(), 1, Batches(2))
    trainer.save(tmp_path / "a")
    cases = {
        "lr was 2 and is 3": make_trainer(config={"seed": 1, "lr": 3}),
        "callbacks were": make_trainer(config={"seed": 1, "lr": 2}, callbacks=[Callback()]),
    }
    narrow = make_trainer(config={"seed": 1, "lr": 2})
    narrow.model[-1] = nn.Linear(128, 9)
    cases[r"\(9, 128\) is needed"] = narrow
    frozen = make_trainer(config={"seed": 1, "lr": 2})
    frozen.optimizer = optim.SGD(list(frozen.model.parameters())[:2], lr=0.1)
    cases["parameters"] = frozen
    for words, other in cases.items():
        before = comparable(other.state_dict())
        with pytest.raises(training.CheckpointError, match=words):
            other.load(tmp_path / "a")
        assert comparable(other.state_dict()) == before
    with pytest.raises(training.CheckpointError, match="had 6 batches and has 5"):
        make_trainer(config={"seed": 1, "lr": 2}).fit(Batches(5), 1, resume=tmp_path / "a")
    other_order = Batches()
    other_order.seed = 1
    with pytest.raises(training.CheckpointError, match="seed was None and is 1"):
        make_trainer(config={"seed": 1, "lr": 2}).fit(other_order, 1, resume=tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        make_trainer().load(tmp_path / "nowhere")


# ---- interruption ----------------------------------------------------------------------------------------------------
def test_interrupt_restores_the_signal_handler_and_the_model(tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    trainer = make_trainer(tmp_path, callbacks=[SigintAt(2)])
    with pytest.raises(training.Interrupted, match=r"last\.safetensors"):
        trainer.fit(Batches(), 2, Batches(2))
    assert signal.getsignal(signal.SIGINT) is handler
    assert trainer.model.input_grad
    assert trainer.step == 2
    assert issubclass(training.Interrupted, KeyboardInterrupt)


def test_second_interrupt_stops_at_once():
    class TwiceAt(SigintAt):
        def on_gradients(self, trainer):
            super().on_gradients(trainer)
            super().on_gradients(trainer)

    trainer = make_trainer(callbacks=[TwiceAt(2)])
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.fit(Batches(), 2, Batches(2))
    assert not isinstance(caught.value, training.Interrupted)
    assert trainer.step == 1


def test_fit_works_in_a_thread_where_signals_cannot_be_caught():
    trainer = make_trainer()
    thread = threading.Thread(target=trainer.fit, args=(Batches(), 1, Batches(2)))
    thread.start()
    thread.join()
    assert trainer.step == 6


def test_interrupt_in_the_last_step_finishes_the_files(tmp_path):
    trainer = make_trainer(tmp_path, callbacks=[SigintAt(6)])
    with pytest.raises(training.Interrupted):
        trainer.fit(Batches(), 1, Batches(2))
    assert (tmp_path / "curves.png").exists()
    assert len(trainer.history) == 1


# ---- NaN -------------------------------------------------------------------------------------------------------------
class BreaksAt(nn.Module):
    """The identity, until a call in which one number becomes infinite."""

    def __init__(self, call):
        super().__init__()
        self.calls, self.at = 0, call

    def forward(self, x):
        self.calls += self.training
        x = x.copy()
        if self.calls >= self.at:
            x[0, 0] = np.inf
        return x

    def backward(self, dy):
        return dy


def test_nan_loss_names_the_first_layer_and_the_step():
    trainer = make_trainer()
    trainer.model[2] = nn.Sequential(nn.Identity(), BreaksAt(4))
    before = None

    class Watch(Callback):
        def on_step_end(self, trainer):
            nonlocal before
            before = {p: a.tobytes() for p, a in trainer.model.state_dict().items() if "num" not in p}

    trainer.callbacks.append(Watch())
    with pytest.raises(training.NonFiniteLoss, match=r"in step 4: layer 2\.1 \(BreaksAt\) is the first") as caught:
        trainer.fit(Batches(), 2, Batches(2))
    assert (caught.value.step, caught.value.layer) == (4, "2.1")
    assert trainer.step == 3
    after = trainer.model.state_dict()
    assert all(after[path].tobytes() == before[path] for path in before if "running" not in path)


def test_nan_in_the_update_names_the_parameter_and_its_step():
    class Poison(Callback):
        def on_gradients(self, trainer):
            if trainer.step == 2:
                trainer.model[6].weight.grad[0, 0] = np.nan

    with pytest.raises(training.NonFiniteLoss, match=r"update of step 3 made 6\.weight") as caught:
        make_trainer(callbacks=[Poison()]).fit(Batches(), 2, Batches(2))
    assert (caught.value.step, caught.value.layer) == (3, "6")


def test_nan_in_the_images_is_told():
    batches = Batches()
    batches.x[:, 0, 0, 0, 0] = np.nan
    with pytest.raises(training.NonFiniteLoss, match="step 1: the batch itself"):
        make_trainer().fit(batches, 1)


def test_nan_of_the_loss_function_is_told():
    class Broken(nn.CrossEntropyLoss):
        def forward(self, input, target):
            return super().forward(input, target) * float("inf")

    trainer = make_trainer()
    trainer.criterion = Broken()
    with pytest.raises(training.NonFiniteLoss, match="it is the loss function") as caught:
        trainer.fit(Batches(), 1)
    assert caught.value.layer == ""


def test_nan_leaves_the_last_good_checkpoint(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.model[2] = BreaksAt(8)
    with pytest.raises(training.NonFiniteLoss):
        trainer.fit(Batches(), 2, Batches(2))
    assert training.load_state(tmp_path / "last.safetensors")["step"] == 6


# ---- callbacks -------------------------------------------------------------------------------------------------------
class Scores(Callback):
    """Puts given numbers into the history, and notes the weights of each epoch."""

    def __init__(self, *scores):
        self.scores = scores
        self.weights = []

    def on_epoch_end(self, trainer, row):
        row["score"] = self.scores[len(self.weights)]
        self.weights.append(trainer.model.state_dict())


def test_early_stopping_stops_and_goes_back_to_the_best_weights():
    scores = Scores(0.1, 0.5, 0.4, float("nan"), 0.45, 0.9)
    trainer = make_trainer(callbacks=[scores, training.EarlyStopping("score", patience=3)])
    trainer.callbacks = trainer.callbacks[:2]
    trainer.fit(Batches(), 6)
    assert len(trainer.history) == 5
    assert "score has not improved for 3 epochs" in trainer.stop_reason
    for path, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, scores.weights[1][path])


@pytest.mark.parametrize(("monitor", "mode", "epochs"), [("loss", "auto", 3), ("score", "max", 4), ("score", "min", 3)])
def test_early_stopping_knows_what_is_better(monitor, mode, epochs):
    stopping = training.EarlyStopping(monitor, patience=2, mode=mode, min_delta=0.05, restore_best=False)

    class Trainer:
        stopped = None

        def stop(self, reason):
            self.stopped = reason

    trainer, n = Trainer(), 0
    for value in (0.5, 0.6, 0.62, 0.63, 0.64):
        stopping.on_epoch_end(trainer, {monitor: value})
        n += 1
        if trainer.stopped:
            break
    assert n == epochs


def test_early_stopping_without_its_column_says_what_there_is():
    with pytest.raises(ValueError, match=r"nothing named 'val_loss'.*train_loss"):
        make_trainer().fit(Batches(), 1)


def test_checkpoints_keep_the_best_epoch(tmp_path):
    scores = Scores(0.1, 0.7, 0.3)
    trainer = make_trainer(callbacks=[scores, training.Checkpoints(tmp_path, "score")])
    trainer.callbacks = trainer.callbacks[:2]
    trainer.fit(Batches(), 3)
    best, last = (training.load_state(tmp_path / f"{name}.safetensors") for name in ("best", "last"))
    assert (best["step"], last["step"]) == (12, 18)
    for path, array in best["model"].items():
        np.testing.assert_array_equal(array, scores.weights[1][path])


def test_lookahead_agrees_with_its_formula():
    class Trace(Callback):
        def __init__(self):
            self.weights = []

        def on_step_end(self, trainer):
            self.weights.append(trainer.model.weight.data.astype(float))

    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((4, 3)).astype(np.float32), rng.integers(0, 2, 4)) for _ in range(7)]
    model = nn.Linear(3, 2)
    average = model.weight.data.astype(float)
    before, after = Trace(), Trace()
    trainer = training.Trainer(
        model,
        nn.CrossEntropyLoss(),
        optim.SGD(model.parameters(), lr=0.5),
        callbacks=[before, training.Lookahead(decay=0.9, every=3), after],
        progress=False,
    )
    trainer.fit(batches, 1)
    for step in (3, 6):
        decay = 0.9**3 * (step / 7) ** 3
        average = decay * average + (1 - decay) * before.weights[step - 1]
        np.testing.assert_allclose(after.weights[step - 1], average, rtol=1e-6)
    np.testing.assert_array_equal(after.weights[6], after.weights[5])  # at the end, the average
    assert (before.weights[6] != after.weights[6]).any()


def test_schedule_of_epochs_and_plateau():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    scheduler = optim.StepLR(optimizer, step_size=1, gamma=0.1)
    trainer = training.Trainer(model, nn.CrossEntropyLoss(), optimizer, scheduler, progress=False)
    history = trainer.fit(Batches(2), 3)
    np.testing.assert_allclose(history["lr"], [1e-3, 1e-4, 1e-5])
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    scheduler = optim.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)
    history = training.Trainer(model, nn.CrossEntropyLoss(), optimizer, scheduler, progress=False).fit(Batches(2), 4)
    assert history["lr"][-1] < history["lr"][0]


# ---- fit -------------------------------------------------------------------------------------------------------------
def test_fit_learns():
    history = training.fit(network(), Batches(2), 30, progress=False)
    assert history["train_accuracy"][-1] > 0.9
    assert history["train_loss"][-1] < 0.5 * history["train_loss"][0]


def test_fit_checks_its_arguments():
    with pytest.raises(ValueError, match="no batches"):
        training.fit(network(), [], 1, progress=False)
    for epochs in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="epochs must be"):
            training.fit(network(), Batches(), epochs, progress=False)
    with pytest.raises(ValueError, match="scheduler_interval"):
        training.fit(network(), Batches(), 1, scheduler_interval="week", progress=False)

    class Short(Batches):
        def __len__(self):
            return 100

    with pytest.raises(ValueError, match="gave 6 batches"):
        training.fit(network(), Short(), 1, progress=False)


def test_fit_clips_gradients():
    class Norm(Callback):
        def on_gradients(self, trainer):
            self.norm = np.sqrt(sum(float((p.grad.astype(float) ** 2).sum()) for p in trainer.model.parameters()))

    norm = Norm()
    training.fit(network(), Batches(), 1, max_grad_norm=1e-3, callbacks=[norm], progress=False)
    assert norm.norm <= 1.0001e-3


# ---- recipes ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("recipe", training.RECIPES.values(), ids=list(training.RECIPES))
def test_recipe_optimizer_trains_every_trainable_parameter_once(recipe):
    model = recipe.make_model(10)
    groups = recipe.make_optimizer(model).param_groups
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters() if parameter.requires_grad)
    assert [group["name"] for group in groups][:2] == ["weights", "norms"]
    assert len(groups[1]["params"]) == sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_recipe_airbench94_with_muon_has_the_published_numbers_but_more_epochs():
    recipe = training.RECIPES["cifar10-94"]
    model = recipe.make_model()
    assert model.scale.factor == 1 / 256
    assert model.head.weight.data.std(ddof=1, dtype=float) == pytest.approx(1, rel=1e-6)
    assert np.abs(model.whitening.bias.data).max() > 0
    optimizer = recipe.make_optimizer(model)
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert list(groups) == ["weights", "norms", "whitening", "filters"]
    assert [p.shape for p in groups["weights"]["params"]] == [(10, 256)]
    assert groups["whitening"]["params"] == [model.whitening.bias]
    assert [p.shape[2:] for p in groups["filters"]["params"]] == [(3, 3)] * 6
    # Jordan's, for a loss summed over 2000 images.
    for name, lr in (("weights", 0.67), ("norms", 0.053), ("whitening", 0.053)):
        group = groups[name]
        assert group["lr"] / 2000 == pytest.approx(lr)
        assert group["weight_decay"] * 2000 == pytest.approx(0.004 / lr)
        assert (group["momentum"], group["nesterov"]) == (0.85, True)
    muon = {name: value for name, value in groups["filters"].items() if name not in ("name", "params", "optimizer")}
    assert muon == {
        "lr": 0.24,
        "weight_decay": 0.0,
        "momentum": 0.6,
        "nesterov": True,
        "ns_coefficients": (3.4445, -4.775, 2.0315),
        "eps": 1e-7,
        "ns_steps": 3,
        "adjust_lr_fn": "constant",
        "normalize_weight": True,
    }
    schedule = recipe.make_scheduler(optimizer, 25)
    assert (count_steps(recipe.epochs, 25), count_steps(recipe.whitening_epochs, 25)) == (215, 75)
    rates = []
    for _ in range(215):
        rates.append({name: group["lr"] / group["initial_lr"] for name, group in groups.items()})
        schedule.step()
    for step in (0, 75, 100, 214):
        for name in ("weights", "norms", "filters"):
            assert rates[step][name] == pytest.approx(1 - step / 215, rel=1e-12)
    assert [rates[step]["whitening"] for step in (0, 30, 75, 214)] == pytest.approx([1, 0.6, 0, 0])


def tiny_muon_recipe():
    """cifar10-94 with few channels and small batches; the rates are for the mean loss, and follow the batch."""
    recipe = training.RECIPES["cifar10-94"]
    options = {**recipe.model_options, "widths": (8, 8, 8), "scale": 1 / 8}
    return replace(recipe, model_options=options, batch_size=32, lr=1.0, epochs=1.5, whitening_epochs=0.75)


def test_recipe_with_muon_resumes_bit_for_bit(tmp_path, monkeypatch):
    """Four batches in an epoch, six steps: interrupted in the second, the whitening bias is frozen after the third."""
    recipe = tiny_muon_recipe()
    train_set, test_set = data.Shapes32(130), data.Shapes32(40, train=False)

    def train(name, resume=None):
        (tmp_path / name).mkdir(exist_ok=True)
        run = Run(recipe, "shapes32", tmp_path / name, seed=3, n_train=130, n_test=40, resume=resume, progress=False)
        return training.train_recipe(run, train_set, test_set, say=str)

    assert train("whole")["steps"] == 6
    step, calls = optim.MultiOptimizer.step, []

    def interrupted(self):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(optim.MultiOptimizer, "step", interrupted)
        with pytest.raises(training.Interrupted, match="after step 2 of 6"):
            train("parts")
    assert train("parts", tmp_path / "parts" / "last.safetensors")["resumed"]
    whole, parts = (training.load_state(tmp_path / name / "last.safetensors") for name in ("whole", "parts"))
    expected = comparable(whole)
    assert whole["config"]["muon"]["ns_steps"] == 3
    assert len(whole["optimizer"]["param_groups"]) == 4
    assert comparable(parts) == expected


def test_recipe_airbench94_has_the_published_numbers():
    recipe = training.RECIPES["cifar10-94-sgd"]
    weights, biases = recipe.make_optimizer(recipe.make_model()).param_groups
    # Jordan's, for a loss summed over 1024 images and decoupled from the momentum: lr 11.5, weight decay 0.0153.
    per_image = 11.5 / (1024 * (1 + 1 / (1 - 0.85)))
    assert weights["lr"] == pytest.approx(per_image * 1024, rel=1e-4)
    assert weights["weight_decay"] == pytest.approx(0.0153 / 11.5, rel=1e-4)
    assert biases["lr"] == 64 * weights["lr"]
    assert biases["weight_decay"] == weights["weight_decay"] / 64
    total = count_steps(recipe.epochs, 48)
    factor = training.triangle(total, recipe.warmup, recipe.first_lr, recipe.last_lr)
    assert total == 476
    assert [factor(0), factor(109), factor(476)] == pytest.approx([0.2, 1.0, 0.07])
    assert factor(54) == pytest.approx(0.2 + 0.8 * 54 / 109)


def test_recipe_freezes_the_whitening_bias_on_time():
    fastnn.manual_seed(0)
    model = fastnn.models.airbench(widths=(4, 4, 4))
    biases = []

    class Trace(Callback):
        def on_step_end(self, trainer):
            biases.append(trainer.model.whitening.bias.data.copy())

    optimizer = optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
    trainer = training.Trainer(
        model, nn.CrossEntropyLoss(), optimizer, callbacks=[training.FreezeWhitening(0.5), Trace()], progress=False
    )
    trainer.fit(Batches(6, 4, 32), 1)
    changed = [bool((a != b).any()) for a, b in itertools.pairwise([np.zeros(24, np.float32), *biases])]
    assert changed == [True, True, True, False, False, False]
    assert model.whitening.bias.requires_grad
    assert model.group1.input_grad


class Replaces(nn.Module):
    """Counts its calls in a buffer that it replaces and in one that it changes; breaks if it draws a small number."""

    def __init__(self):
        super().__init__()
        self.register_buffer("replaced", np.zeros(1))
        self.register_buffer("changed", np.zeros(1))

    def forward(self, x):
        self.replaced = self.replaced + 1
        self.changed += 1
        drawn = fastnn._random.generator().random()
        return x * (np.inf if drawn < 0.5 else 1)


def test_nan_search_draws_the_same_and_leaves_buffers_and_generator_as_they_were():
    model, x = Replaces(), np.ones((2, 2), np.float32)
    small = next(seed for seed in range(50) if np.random.Generator(np.random.PCG64(seed)).random() < 0.5)
    large = next(seed for seed in range(50) if np.random.Generator(np.random.PCG64(seed)).random() >= 0.5)
    fastnn.manual_seed(small)
    at_the_time = fastnn.random_state()
    fastnn.manual_seed(large)
    before = fastnn.random_state()
    buffers = dict(model._buffers)
    error = training.non_finite.find_non_finite(model, x, float("inf"), 3, at_the_time)
    assert "layer of the model (Replaces) is the first" in str(error)
    assert fastnn.random_state() == before
    assert all(model._buffers[name] is array and array[0] == 0 for name, array in buffers.items())
    error = training.non_finite.find_non_finite(model, x, float("inf"), 3)
    assert "it is the loss function" in str(error)
