"""What a training refuses, and what it says then."""

import numpy as np
import pytest
from small_training import Batches, network, same_weights, sgd

from fastnn import data, nn, optim, training


def test_fit_with_the_optimizer_of_another_model_is_refused():
    for frozen in (False, True):
        model, other = nn.Linear(5, 1), nn.Linear(5, 1)
        if frozen:
            other.requires_grad_(False)
        with pytest.raises(ValueError, match="the optimizer has none of the model's 2 trainable parameters"):
            training.Trainer(model, nn.MSELoss(), sgd(other))
    both = optim.SGD([*nn.Linear(5, 1).parameters(), *model.parameters()], lr=0.1)
    training.Trainer(model, nn.MSELoss(), both)


class Hidden(nn.Module):
    def __init__(self, container):
        super().__init__()
        self.first = nn.Linear(5, 4)
        self.layers = container

    def forward(self, x):
        return self.first(x)

    def backward(self, dy):
        return self.first.backward(dy)


@pytest.mark.parametrize(
    "container", [[nn.Linear(4, 4)], (nn.ReLU(), nn.Linear(4, 4)), {"a": nn.Linear(4, 4)}, [nn.Parameter(np.ones(3))]]
)
def test_fit_warns_of_layers_that_are_not_found(container):
    model = nn.Sequential(Hidden(container))
    with pytest.warns(UserWarning, match=r"layers in the (list|tuple|dict) 0\.layers are not found.*nn\.ModuleList"):
        training.Trainer(model, nn.MSELoss(), sgd(model))


def test_fit_does_not_warn_of_layers_that_are_found_or_have_nothing_to_train():
    shared = nn.Linear(4, 4)
    for container in ([nn.ReLU()], [], nn.ModuleList([nn.Linear(4, 4)]), [shared]):
        model = Hidden(container)
        model.registered = shared
        training.Trainer(model, nn.MSELoss(), sgd(model))


model_for_table = nn.Linear(5, 1)


loss, optimizer = nn.MSELoss(), optim.SGD(model_for_table.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((nn.Linear, loss, optimizer), r"model must be an nn.Module; make an instance: Linear\(\.\.\.\)"),
        ((abs, loss, optimizer), "model must be an nn.Module. Received: <built-in"),
        ((model_for_table, nn.MSELoss, optimizer), r"criterion is the class MSELoss; make one: MSELoss\(\)"),
        ((model_for_table, None, optimizer), "criterion must be a loss"),
        ((model_for_table, 3, optimizer), "criterion must be a loss"),
        ((model_for_table, loss, optim.SGD), r"optimizer is the class SGD; make one: SGD\(model"),
        ((model_for_table, loss, "sgd"), "optimizer must be one of fastnn.optim"),
        ((model_for_table, loss, optimizer, optim.StepLR), "scheduler must be one of fastnn.optim"),
        ((model_for_table, loss, optimizer, None, "week"), "scheduler_interval"),
        ((model_for_table, loss, optimizer, None, "epoch", [training.EarlyStopping]), "must hold training.Callback"),
        ((model_for_table, loss, optimizer, None, "epoch", 3), "callbacks must be a list"),
        ((model_for_table, loss, optimizer, None, "epoch", [], "a"), "max_grad_norm must be a number"),
        ((model_for_table, loss, optimizer, None, "epoch", [], -1.0), "max_grad_norm must be >= 0"),
        ((model_for_table, loss, optimizer, None, "epoch", [], None, 3), "tta must be 0, 1 or 2"),
    ],
)
def test_trainer_names_the_argument_that_is_wrong(arguments, words):
    with pytest.raises((TypeError, ValueError), match=f"Trainer: {words}|{words}"):
        training.Trainer(*arguments)


arrays = np.zeros((8, 5), np.float32), np.zeros((8, 1), np.float32)


@pytest.mark.parametrize(
    ("loader", "words"),
    [
        (arrays, r"Received: arrays; wrap them: data\.Loader\(images, targets"),
        (arrays[0], r"Received: arrays; wrap them: data\.Loader\(images, targets"),
        (data.Dataset(np.zeros((4, 3, 2, 2), np.uint8), [0, 1, 0, 1]), r"Received: a data set, Dataset; wrap it"),
        ("train", "Received: a str"),
        (3, "Received: a int"),
        ((batch for batch in [arrays]), "needs a length.*Received: a generator"),
        ([], "no batches"),
        ([(arrays[0], None)], "gives batches without targets"),
        ([arrays[0]], "must give batches .images, targets.. Received: a ndarray"),
        ([(*arrays, 1)], "Received: 3 parts"),
        ([([[1.0] * 5], arrays[1])], "must give arrays of images in its batches"),
    ],
)
def test_fit_says_what_a_loader_must_give(loader, words):
    with pytest.raises((TypeError, ValueError), match=f"Trainer.fit: .*{words}"):
        training.fit(model_for_table, loader, 1, optimizer, loss, progress=False)


def test_fit_refuses_a_validation_loader_before_training():
    for loader in (arrays, [], "a"):
        trainer = training.Trainer(model_for_table, loss, optimizer, progress=False)
        with pytest.raises((TypeError, ValueError), match=r"Trainer.fit: val_loader"):
            trainer.fit([arrays], 1, loader)
        assert trainer.step == 0


@pytest.mark.parametrize("targets", [np.zeros((8, 1), np.float32), np.zeros(8, np.int64)])
def test_fit_of_one_score_as_classes_is_refused_before_anything_is_trained(targets):
    """Cross-entropy of one class is 0, and every answer is right."""
    model = nn.Linear(5, 1)
    before = model.state_dict()
    for call in (
        lambda: training.fit(model, [(arrays[0], targets)], 1, progress=False),
        lambda: training.evaluate(model, [(arrays[0], targets)]),
    ):
        with pytest.raises(ValueError, match=r"CrossEntropyLoss needs scores of two classes.*nn\.MSELoss"):
            call()
    assert same_weights(model.state_dict(), before)


def test_fit_with_a_loss_for_each_element_says_what_to_do():
    model = nn.Linear(5, 1)
    with pytest.raises(ValueError, match=r"MSELoss gives one loss for each element.*reduction='mean'"):
        training.fit(model, [arrays], 1, sgd(model), nn.MSELoss(reduction="none"), progress=False)


@pytest.mark.parametrize(
    ("schedule", "interval", "words"),
    [
        (lambda o: optim.OneCycleLR(o, 0.1, total_steps=12), "epoch", "scheduler_interval='step'"),
        (lambda o: optim.CosineAnnealingLR(o, 12), "epoch", "scheduler_interval='step'"),
        (lambda o: optim.CosineAnnealingLR(o, 2), "step", "scheduler_interval='epoch'"),
    ],
)
def test_schedule_of_another_length_than_it_is_stepped_warns(schedule, interval, words):
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    with pytest.warns(UserWarning, match=words):
        training.fit(model, Batches(), 2, optimizer, scheduler=schedule(optimizer), scheduler_interval=interval)


@pytest.mark.parametrize(
    ("schedule", "interval"),
    [
        (lambda o: optim.OneCycleLR(o, 0.1, total_steps=12), "step"),
        (lambda o: optim.CosineAnnealingLR(o, 2), "epoch"),
        (lambda o: optim.LinearLR(o, total_iters=2), "step"),  # a warm-up
    ],
)
def test_schedule_of_the_right_length_does_not_warn(schedule, interval):
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    training.fit(model, Batches(), 2, optimizer, scheduler=schedule(optimizer), scheduler_interval=interval)
