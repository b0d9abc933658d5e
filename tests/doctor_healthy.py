"""Trainings that work, in which the doctor must find nothing: built-in data, and the real data where they are."""

import os
from dataclasses import replace

import numpy as np
from doctor_faults import MEAN, STD, cnn, mlp, resnet

import fastnn
from fastnn import data, models, nn, optim, training

HAS_DATA = bool(os.environ.get("FASTNN_DATA"))


def examined(model, train, val, optimizer, epochs=1, criterion=None, **keywords):
    """What is said of the fresh network, while it is trained, and of the trained one: a list of three diagnoses."""
    before = fastnn.diagnose(model, train, criterion, optimizer=optimizer, val_loader=val)
    doctor = training.Doctor(every=20, say=lambda line: None)
    training.fit(model, train, epochs, optimizer, criterion, val_loader=val, callbacks=[doctor], progress=False,
                 **keywords)  # fmt: skip
    after = fastnn.diagnose(model, train, criterion, optimizer=optimizer, val_loader=val)
    return [before, doctor.diagnosis, after]


def shapes(n=2000, batch_size=64, **keywords):
    train, val = data.Shapes32(n), data.Shapes32(500, train=False)
    return (
        data.Loader(train, batch_size=batch_size, shuffle=True, mean=MEAN, std=STD, **keywords),
        data.Loader(val, batch_size=250, mean=MEAN, std=STD),
    )


def real(kind, n, batch_size, mean, std, **keywords):
    train, val = kind(train=True) if kind is data.CIFAR10 else kind(train=False), kind(train=False)
    if kind is not data.CIFAR10:  # the test set alone is there: its second part stands for training images
        train, val = val.subset(slice(2000, 2000 + n)), val.subset(slice(0, 2000))
    else:
        train, val = train.subset(slice(0, n)), val.subset(slice(0, 2000))
    return (
        data.Loader(train, batch_size=batch_size, shuffle=True, mean=mean, std=std, **keywords),
        data.Loader(val, batch_size=500, mean=mean, std=std),
    )


def mlp_adam_large_batches():
    fastnn.manual_seed(0)
    model = mlp()
    return examined(model, *shapes(3000, 256), optim.Adam(model.parameters(), lr=1e-3), epochs=3)


def cnn_sgd_small_batches():
    fastnn.manual_seed(0)
    model = cnn()
    return examined(model, *shapes(2000, 8), optim.SGD(model.parameters(), lr=0.005, momentum=0.9), epochs=2)


def resnet_adam():
    fastnn.manual_seed(0)
    model = resnet()
    return examined(model, *shapes(), optim.Adam(model.parameters(), lr=2e-3), epochs=2)


def resnet_trained_long():
    fastnn.manual_seed(0)
    model = resnet()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    crop = data.RandomCrop(padding=2, mode="reflect")
    return examined(model, *shapes(3000, augment=crop), optimizer, epochs=8)


def regression_mse():
    """The place of a bright spot on a noisy ground."""
    fastnn.manual_seed(0)
    rng = np.random.default_rng(0)
    places = rng.uniform(3, 12, (2500, 2))
    grid = np.arange(16)
    spot = np.exp(-((grid - places[:, :1])[:, :, None] ** 2 + (grid - places[:, 1:])[:, None, :] ** 2) / 6)
    x = (spot + 0.1 * rng.standard_normal(spot.shape)).reshape(2500, 256)
    x, y = (x - x.mean()) / x.std(), (places - 7.5) / 2.6
    model = nn.Sequential(nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2))
    train = data.Loader(x[:2000], y[:2000], batch_size=64, shuffle=True)
    val = data.Loader(x[2000:], y[2000:], batch_size=250)
    return examined(model, train, val, optim.SGD(model.parameters(), lr=0.02, momentum=0.9), 4, nn.MSELoss())


def dropout_adamw():
    fastnn.manual_seed(0)
    model = cnn()
    model = nn.Sequential(*list(model)[:-1], nn.Dropout(0.5), list(model)[-1])
    return examined(model, *shapes(), optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01), epochs=2)


def tanh_network():
    """Two convolutions and two linear layers with tanh, as LeNet had them."""
    fastnn.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(8, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(16 * 25, 64), nn.Tanh(), nn.Linear(64, 10),
    )  # fmt: skip
    return examined(model, *shapes(), optim.SGD(model.parameters(), lr=0.02, momentum=0.9), epochs=2)


def default_optimizer_of_fit():
    fastnn.manual_seed(0)
    model = resnet()
    train, val = shapes()
    before = fastnn.diagnose(model, train, val_loader=val)
    doctor = training.Doctor(say=lambda line: None)
    training.fit(model, train, 2, val_loader=val, callbacks=[doctor], progress=False)
    return [before, doctor.diagnosis]


def recipe(name, n, epochs, kind=None, **options):
    """A recipe of fastnn's own, with its schedule, on the first n images; `options` change the network."""
    fastnn.manual_seed(0)
    settings = training.RECIPES[name]
    settings = replace(settings, model_options={**settings.model_options, **options})
    if kind is None:
        train, val = data.Shapes32(n), data.Shapes32(500, train=False)
    else:
        train, val = kind(train=True).subset(slice(0, n)), kind(train=False).subset(slice(0, 2000))
    mean, std = (train.mean, train.std) if train.mean is not None else (MEAN, STD)
    batch_size = min(settings.batch_size, n // 8)
    loader = data.Loader(train, batch_size=batch_size, shuffle=True, drop_last=True, mean=mean, std=std,
                         augment=settings.augmentation())  # fmt: skip
    val_loader = data.Loader(val, batch_size=250, mean=mean, std=std)
    model = settings.make_model()
    if isinstance(model, models.Airbench):
        x, _ = next(iter(data.Loader(train, batch_size=min(n, 2000), mean=mean, std=std)))
        model.whiten(x)
    optimizer = settings.make_optimizer(model)
    scheduler = settings.make_scheduler(optimizer, len(loader))
    criterion = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
    return examined(model, loader, val_loader, optimizer, epochs, criterion, scheduler=scheduler,
                    scheduler_interval="step")  # fmt: skip


def recipe_airbench_on_shapes():
    return recipe("cifar10-75", 4000, 1.4)


def mnist_cnn():
    fastnn.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 49, 10),
    )  # fmt: skip
    return examined(model, *real(data.MNIST, 6000, 64, 0.1307, 0.3081), optim.Adam(model.parameters()), epochs=2)


def mnist_mlp_without_normalisation():
    """Images in 0..1, as many first networks have them."""
    fastnn.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return examined(model, *real(data.MNIST, 6000, 64, 0.0, 1.0), optim.SGD(model.parameters(), lr=0.1), epochs=2)


def cifar10_resnet20():
    fastnn.manual_seed(0)
    model = models.resnet20(widths=(8, 16, 32))
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    mean, std = data.CIFAR10.mean, data.CIFAR10.std
    flip = [data.RandomHorizontalFlip(), data.RandomCrop(padding=4)]
    return examined(model, *real(data.CIFAR10, 5000, 64, mean, std, augment=flip), optimizer, epochs=2)


def cifar10_keras_cnn():
    """With dropout, on images in 0..1, as Keras had it."""
    fastnn.manual_seed(0)
    model = models.keras_cnn()
    return examined(model, *real(data.CIFAR10, 3000, 64, 0.0, 1.0), optim.Adam(model.parameters(), lr=1e-3), epochs=2)


def cifar10_recipe_airbench():
    return recipe("cifar10-75", 8000, 1.4, data.CIFAR10)


def cifar10_recipe_muon():
    """Narrower, for its time."""
    return recipe("cifar10-94", 3000, 2, data.CIFAR10, widths=(16, 32, 64))


BUILT_IN = {
    function.__name__: function
    for function in (
        mlp_adam_large_batches,
        cnn_sgd_small_batches,
        resnet_adam,
        resnet_trained_long,
        regression_mse,
        dropout_adamw,
        tanh_network,
        default_optimizer_of_fit,
        recipe_airbench_on_shapes,
    )
}
REAL = {
    function.__name__: function
    for function in (
        mnist_cnn,
        mnist_mlp_without_normalisation,
        cifar10_resnet20,
        cifar10_keras_cnn,
        cifar10_recipe_airbench,
        cifar10_recipe_muon,
    )
}
