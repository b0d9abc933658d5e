"""What objects print: a line that begins with the name of the class and tells the settings that matter, or a table.

A public class of optim, training or data that is missing in the table fails.
"""

import inspect
from pathlib import Path

import numpy as np
import pytest

from fastnn import data, nn, optim, training

IMAGES = np.zeros((4, 3, 8, 8), np.uint8)


def parameters():
    return [nn.Parameter(np.zeros((2, 2)))]


def sgd():
    return optim.SGD(parameters(), lr=0.5)


def sequential(optimizer):
    return optim.SequentialLR(optimizer, [optim.ConstantLR(optimizer), optim.StepLR(optimizer, 3)], [2])


def trainer(**settings):
    return training.Trainer(model := nn.Linear(2, 3), nn.CrossEntropyLoss(), optim.SGD(model.parameters()), **settings)


def unread(cls):
    """A data set without the files of its own."""
    made = cls.__new__(cls)
    made.images = IMAGES
    return made


OPTIM = {
    **{
        f"optim.{cls.__name__}": lambda cls=cls: cls(parameters())
        for cls in (
            optim.SGD, optim.Adadelta, optim.Adagrad, optim.Adam, optim.AdamW, optim.Lion, optim.Muon, optim.NAdam,
            optim.RMSprop,
        )
    },
    "optim.Optimizer": lambda: optim.Optimizer(parameters(), {"lr": 0.5}),
    "optim.MultiOptimizer": lambda: optim.MultiOptimizer([sgd(), sgd()]),
    "optim.EMA": lambda: optim.EMA(nn.Linear(2, 3)),
    "optim.LambdaLR": lambda: optim.LambdaLR(sgd(), lambda t: 1.0),
    "optim.StepLR": lambda: optim.StepLR(sgd(), 3),
    "optim.MultiStepLR": lambda: optim.MultiStepLR(sgd(), [3, 5]),
    "optim.ExponentialLR": lambda: optim.ExponentialLR(sgd(), 0.5),
    "optim.ConstantLR": lambda: optim.ConstantLR(sgd()),
    "optim.LinearLR": lambda: optim.LinearLR(sgd()),
    "optim.PolynomialLR": lambda: optim.PolynomialLR(sgd()),
    "optim.CosineAnnealingLR": lambda: optim.CosineAnnealingLR(sgd(), 10),
    "optim.CosineAnnealingWarmRestarts": lambda: optim.CosineAnnealingWarmRestarts(sgd(), 10),
    "optim.OneCycleLR": lambda: optim.OneCycleLR(sgd(), 1.0, 10),
    "optim.SequentialLR": lambda: sequential(sgd()),
    "optim.ChainedScheduler": lambda: optim.ChainedScheduler([optim.StepLR(sgd(), 3)]),
    "optim.ReduceLROnPlateau": lambda: optim.ReduceLROnPlateau(sgd()),
}  # fmt: skip
TRAINING = {
    "training.Callback": training.Callback,
    "training.CheckpointError": lambda: training.CheckpointError("broken"),
    "training.Checkpoints": lambda: training.Checkpoints(".", "val_loss"),
    "training.Doctor": training.Doctor,
    "training.EarlyStopping": training.EarlyStopping,
    "training.Evaluation": lambda: training.evaluate(
        nn.Linear(2, 3), [(np.zeros((4, 2), np.float32), np.zeros(4, int))]
    ),
    "training.FreezeWhitening": lambda: training.FreezeWhitening(3),
    "training.History": training.History,
    "training.HistoryFiles": lambda: training.HistoryFiles("."),
    "training.Interrupted": lambda: training.Interrupted("stopped"),
    "training.Lookahead": training.Lookahead,
    "training.Meter": training.Meter,
    "training.NonFiniteLoss": lambda: training.NonFiniteLoss("nan", 1, ""),
    "training.Progress": training.Progress,
    "training.Recipe": lambda: training.RECIPES["cifar10-75"],
    "training.Run": lambda: training.Run(training.RECIPES["cifar10-75"], "shapes32", Path()),
    "training.Trainer": trainer,
}
DATA = {
    "data.CIFAR10": lambda: unread(data.CIFAR10),
    "data.MNIST": lambda: unread(data.MNIST),
    "data.ImageFolder": lambda: unread(data.ImageFolder),
    "data.Dataset": lambda: data.Dataset(IMAGES, np.zeros(4, int)),
    "data.Shapes32": lambda: data.Shapes32(4),
    "data.Loader": lambda: data.Loader(IMAGES),
    "data.Preprocessing": lambda: data.Loader(IMAGES).preprocessing,
    "data.DataError": lambda: data.DataError("broken"),
    "data.DataNotFoundError": lambda: data.DataNotFoundError("nowhere"),
    "data.AlternatingFlip": data.AlternatingFlip,
    "data.Brightness": lambda: data.Brightness(0.5),
    "data.Compose": lambda: data.Compose([data.RandomCrop(4), data.MixUp()]),
    "data.Contrast": lambda: data.Contrast(0.5),
    "data.CutMix": data.CutMix,
    "data.Cutout": lambda: data.Cutout(4),
    "data.GaussianNoise": lambda: data.GaussianNoise(0.1),
    "data.Hue": lambda: data.Hue(0.1),
    "data.MixUp": data.MixUp,
    "data.RandomCrop": lambda: data.RandomCrop(4),
    "data.RandomHorizontalFlip": data.RandomHorizontalFlip,
    "data.Rotate": lambda: data.Rotate(10),
    "data.Saturation": lambda: data.Saturation(0.5),
    "data.Scale": lambda: data.Scale((0.5, 2)),
    "data.Translate": lambda: data.Translate(2),
}
ABSTRACT = {"data.Augmentation", "optim.LRScheduler"}
OBJECTS = {**OPTIM, **TRAINING, **DATA}


def test_repr_table_holds_every_public_class():
    public = {
        f"{module.__name__.removeprefix('fastnn.')}.{name}"
        for module in (optim, training, data)
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
    }
    assert public == set(OBJECTS) | ABSTRACT


@pytest.mark.parametrize("name", OBJECTS)
def test_repr_is_the_classes_own(name):
    made = OBJECTS[name]()
    text = repr(made)
    assert type(made).__repr__ is not object.__repr__
    assert text.startswith(f"{name.partition('.')[2]}(")
    assert " at 0x" not in text


def test_repr_tells_what_matters(tmp_path):
    model = nn.Linear(2, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    schedule = optim.StepLR(optimizer, step_size=3)
    early, crowd = training.EarlyStopping("val_accuracy", 7), training.Lookahead()
    for thing, expected in {
        schedule: "StepLR(SGD, step_size=3, gamma=0.1, last_epoch=0, lr=[0.5])",
        early: "EarlyStopping(monitor='val_accuracy', mode='max', min_delta=0.0, best=None, patience=7, "
        "restore_best=True, waited=0)",
        crowd: "Lookahead(decay=0.95, every=5)",
        training.Callback(): "Callback()",
        training.Progress(): "Progress()",
        training.FreezeWhitening(2): "FreezeWhitening(after_epochs=2.0)",
        training.HistoryFiles(tmp_path, "A"): f"HistoryFiles(folder={str(tmp_path)!r}, title='A')",
        training.Checkpoints(tmp_path): f"Checkpoints(folder={str(tmp_path)!r}, monitor=None)",
        training.Checkpoints(tmp_path, "auto"): f"Checkpoints(folder={str(tmp_path)!r}, monitor='auto')",
        training.Checkpoints(tmp_path, "val_loss"): f"Checkpoints(folder={str(tmp_path)!r}, monitor='val_loss', "
        "mode='min', best=None)",
        training.Trainer(
            model, nn.CrossEntropyLoss(), optimizer, schedule, callbacks=[early, crowd], max_grad_norm=1, val_tta=2,
            metrics={"mae": training.mean_absolute_error},
        ): "Trainer(Linear, CrossEntropyLoss, SGD, StepLR every epoch, max_grad_norm=1, val_tta=2, metrics=['mae'], "
        "callbacks=[Progress, EarlyStopping, Lookahead], 0 steps, 0 epochs done)",
        data.Loader(IMAGES, dtype=np.float64, prefetch=False):
        "Loader(4 images of 3 x 8 x 8, 1 batches of 128, dtype=float64, prefetch=False, mean=0.0, std=1.0, seed=0)",
    }.items():  # fmt: skip
        assert repr(thing) == expected


def test_repr_of_a_meter_shows_means():
    meter = training.Meter({"mae": training.mean_absolute_error}, nn.MSELoss())
    assert repr(meter) == "Meter(MSELoss, 0 images, mae=?)"
    meter.update(0.25, np.full((4, 1), 0.5), np.zeros((4, 1)))
    assert repr(meter) == "Meter(MSELoss, 4 images, loss=0.25, mae=0.5)"


def test_repr_of_a_callback_that_knows_its_trainer_ends():
    class Watch(training.Callback):
        def on_fit_begin(self, trainer):
            self.trainer = trainer

    watch = Watch()
    watch.on_fit_begin(trainer(callbacks=[watch], progress=False))
    expected = "Trainer(Linear, CrossEntropyLoss, SGD, callbacks=[Watch], 0 steps, 0 epochs done)"
    assert repr(watch) == f"Watch(trainer={expected})"
