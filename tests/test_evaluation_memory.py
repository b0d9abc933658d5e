"""Evaluation and prediction leave nothing behind, and do not disturb what a training has kept."""

import gc
import weakref

import numpy as np
import pytest
from small_training import Batches, comparable, network, sgd

import fastnn
from fastnn import functional as F
from fastnn import insight, models, nn, optim, training
from fastnn.benchmark import worker


@pytest.fixture
def no_collector():
    """Everything must be freed by reference counts."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Watched:
    """Batches whose arrays, and those of whose activations, are watched."""

    def __init__(self, n=2, batch_size=8):
        self.n, self.batch_size, self.arrays = n, batch_size, []

    def __iter__(self):
        for seed in range(self.n):
            x = np.random.default_rng(seed).standard_normal((self.batch_size, 3, 32, 32)).astype(np.float32)
            y = np.arange(self.batch_size) % 10
            self.arrays += [weakref.ref(x), weakref.ref(y)]
            yield x, y
            del x, y

    def watch(self, module):
        module.register_forward_hook(lambda module, x, y: self.arrays.append(weakref.ref(y)))

    def alive(self):
        return sum(array() is not None for array in self.arrays)


def looked_into(name, batches):
    fastnn.manual_seed(0)
    model = models.create(name)
    for module in model.modules():
        if module is not model:
            batches.watch(module)
    return model


@pytest.mark.parametrize("name", ["keras_cnn", "resnet20"])
@pytest.mark.parametrize("criterion", [None, F.cross_entropy], ids=["explicit", "tensors"])
def test_evaluate_leaves_no_array_behind(name, criterion, no_collector):
    for batches in (Watched(), Watched()):
        plain = models.create(name)
        used = fastnn.memory_info()["used"]
        training.evaluate(plain, batches, criterion)
        assert fastnn.memory_info()["used"] == used
        assert (batches.alive(), len(batches.arrays)) == (0, 4)
        assert not any("_call" in vars(module) for module in plain.modules())
    watched = Watched(1)
    training.evaluate(looked_into(name, watched), watched, criterion)
    assert len(watched.arrays) > 10
    assert watched.alive() == 0


@pytest.mark.parametrize("tta", [0, 1, 2])
def test_predict_leaves_only_its_result_behind(tta, no_collector):
    batches = Watched()
    model = models.create("keras_cnn").eval()
    used = fastnn.memory_info()["used"]
    y = training.predict(model, batches, tta)
    assert (y.shape, batches.alive()) == ((16, 10), 0)
    del y
    assert fastnn.memory_info()["used"] == used


def test_predict_classes_and_the_landscape_leave_nothing_behind(no_collector):
    model = network()
    model.preprocessing = fastnn.data.Preprocessing(mean=0.5, std=0.25, size=(8, 8))
    used = fastnn.memory_info()["used"]
    training.predict_classes(model, np.zeros((64, 3, 8, 8), np.uint8))
    insight.loss_landscape(model, nn.CrossEntropyLoss(), list(Batches(1)), steps=3)
    assert fastnn.memory_info()["used"] == used
    assert not any("_call" in vars(module) for module in model.modules())


def test_inference_of_the_benchmark_keeps_nothing(no_collector):
    side = worker.Fastnn("keras_cnn", 16, 1, inference=True)
    used = fastnn.memory_info()["used"]
    side.step(0)
    side.results()
    assert fastnn.memory_info()["used"] == used
    assert "_call" not in vars(side.model)


@pytest.mark.parametrize("make", [network, lambda: models.create("resnet20")], ids=["sequential", "resnet20"])
def test_evaluation_between_forward_and_backward_does_not_change_the_gradient(make):
    criterion, size = nn.CrossEntropyLoss(), 8 if make is network else 32
    x, y = next(iter(Batches(1, 4, size)))
    gradients = []
    for evaluates in (False, True):
        fastnn.manual_seed(3)
        model = make()
        criterion(model(x), y)
        if evaluates:
            training.evaluate(model, Batches(1, 4, size, seed=5), criterion)
            training.predict(model.eval(), x[:3], tta=1)
            model.train()
        model.backward(criterion.backward())
        gradients.append({path: p.grad.tobytes() for path, p in model.named_parameters()})
    assert gradients[0] == gradients[1]


def test_evaluation_within_a_recorded_forward_does_not_change_the_gradient():
    model = network().eval()
    x, y = next(iter(Batches(1)))
    loss = F.cross_entropy(model(fastnn.tensor(x)), y)
    training.evaluate(model, Batches(2, seed=5), F.cross_entropy)
    loss.backward()
    found = {path: p.grad for path, p in model.named_parameters()}
    model.zero_grad()
    F.cross_entropy(model(fastnn.tensor(x)), y).backward()
    assert all((found[path] == p.grad).all() for path, p in model.named_parameters())


class Scale(nn.Module):
    """A layer whose author wrote its backward."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.ones(3, np.float32))

    def forward(self, x):
        self.x = x
        return x * self.weight.data

    def backward(self, dy):
        self.weight.add_grad((dy * self.x).sum(axis=0))
        return dy * self.weight.data


@pytest.mark.parametrize(("explicit", "is_inner"), [(True, True), (False, True), (False, False)])
def test_evaluation_does_not_change_the_gradient_of_a_layer_with_a_backward_by_hand(explicit, is_inner):
    x, y, criterion = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(2, int), nn.CrossEntropyLoss()
    gradients = []
    for evaluates in (False, True):
        layer = Scale()
        model = nn.Sequential(layer) if is_inner else layer
        loss = criterion(model(x), y) if explicit else F.cross_entropy(model(fastnn.tensor(x)), y)
        if evaluates:
            training.evaluate(model, [(5 * x, y)], criterion)
        if explicit:
            model.backward(criterion.backward())
        else:
            loss.backward()
        gradients.append(layer.weight.grad.tolist())
    assert gradients[0] == gradients[1]


def test_training_with_evaluations_is_that_without_them():
    states = []
    for val_loader in (None, Batches(2, seed=8)):
        model = network()
        training.fit(model, Batches(), 2, sgd(model), val_loader=val_loader, progress=False)
        states.append(comparable(dict(model.state_dict())))
    assert states[0] == states[1]


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss(), F.cross_entropy], ids=["explicit", "tensors"])
def test_a_step_of_training_frees_its_batch_and_its_activations(criterion, no_collector):
    """While the next batch is made, only the weights are there."""
    model = models.create("keras_cnn")
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    alive = []

    class Loader(Watched):
        def __len__(self):
            return self.n

        def __iter__(self):
            for batch in super().__iter__():
                alive.append(self.alive() - 2)
                yield batch
                del batch

    loader = Loader(3)
    training.fit(model, loader, 1, optimizer, criterion, progress=False)
    assert alive == [0, 0, 0]
