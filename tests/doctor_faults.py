"""Trainings with one fault each, for the tests of the doctor, and the name of the finding that says what is wrong."""

import contextlib
from dataclasses import dataclass, replace

import numpy as np

import fastnn
from fastnn import data, models, nn, optim, training

MEAN, STD = 0.45, 0.158


# ---- networks --------------------------------------------------------------------------------------------------------
def mlp(classes=10):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(3072, 128),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def cnn(classes=10):
    layers, before = [], 3
    for width in (12, 24, 48):
        layers += [
            nn.Conv2d(before, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        before = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(48 * 16, classes))


def resnet(classes=10):
    return models.resnet20(classes, widths=(8, 16, 32), blocks=1)


NETWORKS = {"mlp": mlp, "cnn": cnn, "resnet": resnet}


# ---- a training ------------------------------------------------------------------------------------------------------
@dataclass
class Case:
    """Everything that a training is made of; a fault changes one thing.

    Attributes:
        make: makes the network.
        images, labels, val_images, val_labels: arrays.
        lr, optimizer: of the optimiser.
        mean, std, val_mean, val_std: of the loaders.
        shuffle: whether the training loader does.
        change: called with the network after it was made.
    """

    make: object
    images: np.ndarray
    labels: np.ndarray
    val_images: np.ndarray
    val_labels: np.ndarray
    lr: float = 0.01
    optimizer: object = lambda parameters, lr: optim.SGD(parameters, lr=lr, momentum=0.9)
    mean: float = MEAN
    std: float = STD
    val_mean: float = MEAN
    val_std: float = STD
    shuffle: bool = True
    batch_size: int = 64
    criterion: object = None
    change: object = lambda model: None

    def build(self):
        """(model, optimizer, training loader, validation loader), the same each time."""
        fastnn.manual_seed(1)
        model = self.make()
        self.change(model)
        train = data.Loader(self.images, self.labels, batch_size=self.batch_size, shuffle=self.shuffle, mean=self.mean,
                            std=self.std)  # fmt: skip
        val = data.Loader(self.val_images, self.val_labels, batch_size=250, mean=self.val_mean, std=self.val_std)
        return model, self.optimizer(model.parameters(), self.lr), train, val

    def diagnose(self, **keywords):
        """What `fastnn.diagnose` says of it."""
        model, optimizer, train, val = self.build()
        return fastnn.diagnose(model, train, self.criterion, optimizer=optimizer, val_loader=val, **keywords)

    def fit(self, epochs, **keywords):
        """What a `Doctor` says of a training of so many epochs."""
        model, optimizer, train, val = self.build()
        doctor = training.Doctor(say=lambda line: None, **keywords)
        with contextlib.suppress(training.NonFiniteLoss), np.errstate(all="ignore"):
            training.fit(model, train, epochs, optimizer, self.criterion, val_loader=val, callbacks=[doctor],
                         progress=False)  # fmt: skip
        return doctor.diagnosis

    def loop(self, steps, zero_grad=True):
        """What a `Doctor` says of a loop of one's own."""
        model, optimizer, train, _ = self.build()
        doctor, criterion = training.Doctor(say=lambda line: None), nn.CrossEntropyLoss()
        with doctor.watch(model, optimizer):
            for _, (x, y) in zip(range(steps), train, strict=False):
                if zero_grad:
                    optimizer.zero_grad()
                criterion(model(x), y)
                model.backward(criterion.backward())
                optimizer.step()
        return doctor.diagnosis


_SETS = {}


def healthy(network, n=2000):
    """A training that works, on Shapes32."""
    if n not in _SETS:
        _SETS[n] = data.Shapes32(n), data.Shapes32(500, train=False)
    train, val = _SETS[n]
    return Case(NETWORKS[network], train.images, train.labels, val.images, val.labels)


# ---- faults ----------------------------------------------------------------------------------------------------------
def learning_rate_too_low(case):
    return replace(case, lr=1e-7).diagnose()


def learning_rate_too_high(case):
    return replace(case, lr=30.0).diagnose()


def dead_relu(case):
    def push_down(model):
        """Biases before the rectifiers that are far below 0."""
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) or (
                isinstance(module, nn.Linear) and module.out_features == 64
            ):
                module.bias.data[...] = -8.0

    return replace(case, change=push_down).diagnose()


def weights_too_large(case):
    def enlarge(model):
        """Weights of standard deviation 1."""
        rng = np.random.default_rng(0)
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.data[...] = rng.standard_normal(parameter.shape)

    return replace(case, change=enlarge).diagnose()


def labels_off_by_one(case):
    return replace(case, labels=case.labels + 1, val_labels=case.val_labels + 1).diagnose()


def input_range(case):
    return replace(case, mean=0.0, std=1 / 255, val_mean=0.0, val_std=1 / 255).diagnose()


def normalised_differently(case):
    return replace(case, val_mean=0.0, val_std=1.0).diagnose()


class BatchStatistics(nn.Sequential):
    """A network whose batch norm goes on in training mode after eval()."""

    def train(self, mode=True):
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.training = True
        return self


def batch_norm_mode(case):
    return replace(case, make=lambda: BatchStatistics(case.make())).diagnose()


def softmax_before_cross_entropy(case):
    return replace(case, make=lambda: nn.Sequential(case.make(), nn.Softmax(1))).diagnose()


def gradients_not_zeroed(case):
    return case.loop(12, zero_grad=False)


def labels_random(case):
    rng = np.random.default_rng(0)
    return replace(case, labels=rng.permutation(case.labels)).diagnose()


def overfitting(case):
    few = replace(case, images=case.images[:200], labels=case.labels[:200], batch_size=20, lr=0.02)
    return few.fit(40)  # the narrow residual network learns 200 images by heart only then


FAULTS = {
    function.__name__: function
    for function in (
        learning_rate_too_low,
        learning_rate_too_high,
        dead_relu,
        weights_too_large,
        labels_off_by_one,
        input_range,
        normalised_differently,
        batch_norm_mode,
        softmax_before_cross_entropy,
        gradients_not_zeroed,
        labels_random,
        overfitting,
    )
}
