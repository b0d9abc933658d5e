"""Good calls of everything that is public, for tests/bad_calls.py to spoil.

GOOD holds for each public name, and for methods worth it, a function that makes a fresh (callable, arguments by name).
SKIPPED says why a public name has none. A name that is in neither fails tests/test_bad_calls.py.
"""

import inspect
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from test_functional import CALLS

import fastnn
from fastnn import benchmark, courses, data, insight, models, nn, optim, profiling, training, tune
from fastnn import functional as F

Made = tuple[Callable[..., Any], dict[str, Any]]

RNG = np.random.default_rng(11)
IMAGES = RNG.standard_normal((2, 6, 5, 4)).astype(np.float32)
ROWS = RNG.standard_normal((7, 5)).astype(np.float32)
SEQUENCE = RNG.standard_normal((3, 2, 5)).astype(np.float32)
STATE = RNG.standard_normal((1, 2, 4)).astype(np.float32)
LABELS = RNG.integers(0, 5, 7)
BYTES = RNG.integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)

# name: area, how to make the call
GOOD: dict[str, tuple[str, Callable[[], Made]]] = {}


def good(area: str, name: str, target: Any, /, **arguments: Any) -> None:
    """A callable, or a function of no arguments (marked by `fresh`) that makes one; arrays are copied for each call."""

    def make() -> Made:
        values = {key: value() if isinstance(value, fresh) else value for key, value in arguments.items()}
        copies = {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in values.items()}
        return target() if isinstance(target, fresh) else target, copies

    GOOD[name] = area, make


class fresh:
    """What is to be made again for each call."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def __call__(self) -> Any:
        return self.make()


def after(make: Callable[[], Any], method: str, *before: Any) -> fresh:
    """A method of a new object, which has been called with the arrays `before`, if there are any."""

    def bound() -> Any:
        thing = make()
        if before:
            thing(*before)
        return getattr(thing, method)

    return fresh(bound)


# ---- functional ------------------------------------------------------------------------------------------------------
POOLS = ("avg_pool2d", "max_pool2d", "adaptive_", "col2im", "warp_batch", "im2col", "conv2d", "local_response")
POOLS += ("conv_transpose2d", "interpolate", "pad", "pixel_")
for _name, _values in CALLS.items():
    _names = inspect.signature(getattr(F, _name)).parameters
    _area = "runtime" if _name.startswith((*POOLS, "augment_batch")) else "layers"
    good(_area, f"functional.{_name}", getattr(F, _name), **dict(zip(_names, _values, strict=False)))

# ---- nn --------------------------------------------------------------------------------------------------------------
# class: (arguments of the constructor, what it is called with)
LAYERS: dict[Any, tuple[dict[str, Any], tuple[Any, ...]]] = {
    nn.AdaptiveAvgPool2d: ({"output_size": 2}, (IMAGES,)),
    nn.AdaptiveMaxPool2d: ({"output_size": 2}, (IMAGES,)),
    nn.AvgPool2d: ({"kernel_size": 2}, (IMAGES,)),
    nn.BatchNorm1d: ({"num_features": 5}, (ROWS,)),
    nn.BatchNorm2d: ({"num_features": 6}, (IMAGES,)),
    nn.Conv2d: ({"in_channels": 6, "out_channels": 4, "kernel_size": 3}, (IMAGES,)),
    nn.ConvTranspose2d: ({"in_channels": 6, "out_channels": 4, "kernel_size": 3}, (IMAGES,)),
    nn.Dropout: ({"p": 0.5}, (ROWS,)),
    nn.Dropout2d: ({"p": 0.5}, (IMAGES,)),
    nn.ELU: ({"alpha": 1.0}, (ROWS,)),
    nn.Embedding: ({"num_embeddings": 5, "embedding_dim": 3, "padding_idx": 0}, (LABELS,)),
    nn.Flatten: ({"start_dim": 1}, (IMAGES,)),
    nn.GELU: ({"approximate": "none"}, (ROWS,)),
    nn.GRU: ({"input_size": 5, "hidden_size": 4}, (SEQUENCE, STATE)),
    nn.GRUCell: ({"input_size": 5, "hidden_size": 4}, (SEQUENCE[0], STATE[0])),
    nn.GroupNorm: ({"num_groups": 3, "num_channels": 6}, (IMAGES,)),
    nn.Hardsigmoid: ({}, (ROWS,)),
    nn.Hardswish: ({}, (ROWS,)),
    nn.Hardtanh: ({}, (ROWS,)),
    nn.Identity: ({}, (ROWS,)),
    nn.InstanceNorm1d: ({"num_features": 6}, (IMAGES[:, :, 0],)),
    nn.InstanceNorm2d: ({"num_features": 6}, (IMAGES,)),
    nn.LSTM: ({"input_size": 5, "hidden_size": 4}, (SEQUENCE, (STATE, STATE))),
    nn.LSTMCell: ({"input_size": 5, "hidden_size": 4}, (SEQUENCE[0], (STATE[0], STATE[0]))),
    nn.LayerNorm: ({"normalized_shape": 5}, (ROWS,)),
    nn.LeakyReLU: ({"negative_slope": 0.1}, (ROWS,)),
    nn.Linear: ({"in_features": 5, "out_features": 3}, (ROWS,)),
    nn.LocalResponseNorm: ({"size": 3}, (IMAGES,)),
    nn.LogSoftmax: ({"dim": 1}, (ROWS,)),
    nn.MaxPool2d: ({"kernel_size": 2}, (IMAGES,)),
    nn.Mish: ({}, (ROWS,)),
    nn.MultiheadAttention: ({"embed_dim": 5, "num_heads": 1}, (SEQUENCE, SEQUENCE, SEQUENCE)),
    nn.PReLU: ({"num_parameters": 1}, (ROWS,)),
    nn.RMSNorm: ({"normalized_shape": 5}, (ROWS,)),
    nn.RNN: ({"input_size": 5, "hidden_size": 4}, (SEQUENCE, STATE)),
    nn.RNNCell: ({"input_size": 5, "hidden_size": 4}, (SEQUENCE[0], STATE[0])),
    nn.ReLU: ({}, (ROWS,)),
    nn.ReLU6: ({}, (ROWS,)),
    nn.PixelShuffle: ({"upscale_factor": 2}, (IMAGES[:, :4],)),
    nn.PixelUnshuffle: ({"downscale_factor": 2}, (IMAGES[:, :, :4],)),
    nn.ReflectionPad2d: ({"padding": 1}, (IMAGES,)),
    nn.ReplicationPad2d: ({"padding": 1}, (IMAGES,)),
    nn.Residual: ({"body": nn.Linear(5, 5), "shortcut": nn.Identity()}, (ROWS,)),
    nn.Sequential: ({"modules": nn.Linear(5, 5)}, (ROWS,)),
    nn.SiLU: ({}, (ROWS,)),
    nn.Sigmoid: ({}, (ROWS,)),
    nn.Softmax: ({"dim": 1}, (ROWS,)),
    nn.Softplus: ({"beta": 1.0}, (ROWS,)),
    nn.Tanh: ({}, (ROWS,)),
    nn.Upsample: ({"size": 8}, (IMAGES,)),
    nn.ZeroPad2d: ({"padding": 1}, (IMAGES,)),
    nn.BCELoss: ({}, (np.abs(np.tanh(ROWS)), np.abs(np.tanh(ROWS)))),
    nn.BCEWithLogitsLoss: ({}, (ROWS, np.abs(np.tanh(ROWS)))),
    nn.CrossEntropyLoss: ({}, (ROWS, LABELS)),
    nn.FocalLoss: ({}, (ROWS, LABELS)),
    nn.HuberLoss: ({}, (ROWS, ROWS)),
    nn.L1Loss: ({}, (ROWS, ROWS)),
    nn.MSELoss: ({}, (ROWS, ROWS)),
    nn.MultiMarginLoss: ({}, (ROWS, LABELS)),
    nn.NLLLoss: ({}, (ROWS, LABELS)),
    nn.SmoothL1Loss: ({}, (ROWS, ROWS)),
}


def constructor(cls: Any) -> Callable[..., Any]:
    """The class as a function of named arguments; Sequential takes its modules by position."""
    return (lambda modules: cls(modules)) if cls is nn.Sequential else cls


for _cls, (_arguments, _inputs) in LAYERS.items():
    _name = _cls.__name__
    _area = "runtime" if _cls is nn.LocalResponseNorm else "layers"
    _make = lambda cls=_cls, arguments=_arguments: constructor(cls)(**arguments)  # noqa: E731
    _names = list(inspect.signature(_cls.forward).parameters)[1:]
    good(_area, f"nn.{_name}", constructor(_cls), **_arguments)
    _owned = "runtime" if "Pool" in _name or "Conv" in _name else _area
    good(_owned, f"nn.{_name}.forward", after(_make, "forward"), **dict(zip(_names, _inputs, strict=False)))
    if issubclass(_cls, nn.Loss):
        good(_owned, f"nn.{_name}.backward", after(_make, "backward", *_inputs), dloss=1.0)
    else:
        good(_owned, f"nn.{_name}.backward", after(_make, "backward", *_inputs), dy=_make()(*_inputs))

LINEAR_STATE = {"weight": np.zeros((3, 5), np.float32), "bias": np.zeros(3, np.float32)}
for _method, _arguments in {
    "load_state_dict": {"state_dict": LINEAR_STATE, "strict": True},
    "train": {"mode": True},
    "requires_grad_": {"requires_grad": True},
    "astype": {"dtype": np.float64},
    "apply": {"function": repr},
    "register_buffer": {"name": "b", "value": ROWS},
    "register_parameter": {"name": "b", "value": None},
}.items():
    good("layers", f"nn.Module.{_method}", after(lambda: nn.Linear(5, 3), _method), **_arguments)
good("layers", "nn.Parameter", nn.Parameter, data=ROWS, requires_grad=True)
good("layers", "nn.Parameter.add_grad", after(lambda: nn.Parameter(np.zeros_like(ROWS)), "add_grad"), gradient=ROWS)
good("layers", "nn.Loss", nn.Loss, reduction="mean")
good("layers", "nn.Embedding.from_pretrained", nn.Embedding.from_pretrained, embeddings=ROWS, freeze=True)
good("layers", "nn.init.calculate_gain", nn.init.calculate_gain, nonlinearity="leaky_relu", param=0.1)
for _name in nn.init.__all__:
    if _name != "calculate_gain":
        _values = {"val": 1.0} if _name == "constant_" else {}
        _filters = np.zeros((4, 4, 3, 3), np.float32)
        _tensor = ROWS if _name in ("eye_", "orthogonal_") else _filters
        good("layers", f"nn.init.{_name}", getattr(nn.init, _name), tensor=_tensor, **_values)


# ---- optim -----------------------------------------------------------------------------------------------------------
def linear() -> nn.Module:
    """A layer with gradients."""
    layer = nn.Linear(5, 3)
    for parameter in layer.parameters():
        parameter.grad = np.ones_like(parameter.data)
    return layer


def sgd() -> optim.Optimizer:
    return optim.SGD(linear().parameters(), 0.1)


PARAMETERS = fresh(lambda: list(linear().parameters()))
for _cls in (
    optim.SGD, optim.Adadelta, optim.Adagrad, optim.Adam, optim.AdamW, optim.Lion, optim.NAdam, optim.RMSprop,
):  # fmt: skip
    good("optim", f"optim.{_cls.__name__}", _cls, params=PARAMETERS, lr=0.1)
good("optim", "optim.Muon", optim.Muon, params=fresh(lambda: [linear().weight]), lr=0.1)
good("optim", "optim.MultiOptimizer", optim.MultiOptimizer, optimizers=fresh(lambda: [sgd(), sgd()]))
good("optim", "optim.EMA", optim.EMA, module=fresh(linear), decay=0.9)
good("optim", "optim.EMA.update", after(lambda: optim.EMA(linear()), "update"), decay=0.9)
good("optim", "optim.clip_grad_norm_", optim.clip_grad_norm_, parameters=PARAMETERS, max_norm=1.0)
good("optim", "optim.clip_grad_value_", optim.clip_grad_value_, parameters=PARAMETERS, clip_value=1.0)
good("optim", "optim.l1_l2_penalty_", optim.l1_l2_penalty_, parameters=PARAMETERS, l1=0.1)
good("optim", "optim.Optimizer.step", after(sgd, "step"), closure=None)
good("optim", "optim.Optimizer.load_state_dict", after(sgd, "load_state_dict"), state_dict=sgd().state_dict())
good("optim", "optim.Optimizer.add_param_group", after(sgd, "add_param_group"), param_group={"params": PARAMETERS()})
SCHEDULERS: dict[str, dict[str, Any]] = {
    "ConstantLR": {},
    "CosineAnnealingLR": {"T_max": 5},
    "CosineAnnealingWarmRestarts": {"T_0": 5},
    "ExponentialLR": {"gamma": 0.5},
    "LambdaLR": {"lr_lambda": lambda epoch: 0.5},
    "LinearLR": {},
    "MultiStepLR": {"milestones": [2, 3]},
    "OneCycleLR": {"max_lr": 0.5, "total_steps": 5, "cycle_momentum": False},
    "PolynomialLR": {},
    "ReduceLROnPlateau": {"mode": "min"},
    "StepLR": {"step_size": 3},
}
for _name, _arguments in SCHEDULERS.items():
    _cls = getattr(optim, _name)
    good("optim", f"optim.{_name}", _cls, optimizer=fresh(sgd), **_arguments)
    _scheduler = lambda cls=_cls, arguments=_arguments: cls(sgd(), **arguments)  # noqa: E731
    _step = {"metrics": 1.0} if _name == "ReduceLROnPlateau" else {"epoch": 3}
    good("optim", f"optim.{_name}.step", after(_scheduler, "step"), **_step)
    _state = _scheduler().state_dict()
    good("optim", f"optim.{_name}.load_state_dict", after(_scheduler, "load_state_dict"), state_dict=_state)


def sequential_lr() -> Made:
    optimizer = sgd()
    schedulers = [optim.StepLR(optimizer, 2), optim.StepLR(optimizer, 3)]
    return optim.SequentialLR, {"optimizer": optimizer, "schedulers": schedulers, "milestones": [2]}


GOOD["optim.SequentialLR"] = "optim", sequential_lr


def chained() -> Made:
    optimizer = sgd()
    schedulers = [optim.StepLR(optimizer, 2), optim.ExponentialLR(optimizer, 0.5)]
    return optim.ChainedScheduler, {"schedulers": schedulers, "optimizer": optimizer}


GOOD["optim.ChainedScheduler"] = "optim", chained

# ---- data ------------------------------------------------------------------------------------------------------------
SIX_LABELS = np.arange(6)
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "AlternatingFlip": {"seed": 0},
    "Brightness": {"amount": 0.2},
    "Compose": {"steps": [data.RandomCrop(1)]},
    "Contrast": {"amount": 0.2},
    "CutMix": {"alpha": 1.0},
    "Cutout": {"size": 2},
    "GaussianNoise": {"sigma": 0.1},
    "Hue": {"amount": 0.2},
    "MixUp": {"alpha": 1.0},
    "RandomCrop": {"padding": 2},
    "RandomHorizontalFlip": {"p": 0.5},
    "Rotate": {"degrees": 10},
    "Saturation": {"amount": 0.2},
    "Scale": {"scale": (0.9, 1.1)},
    "Translate": {"pixels": 2},
}
for _name, _arguments in AUGMENTATIONS.items():
    _cls = getattr(data, _name)
    good("data", f"data.{_name}", _cls, **_arguments)
    _batch = {"images": BYTES, "rng": fresh(lambda: np.random.default_rng(0))}
    _batch |= {"labels": SIX_LABELS, "num_classes": 6} if _name in ("CutMix", "MixUp") else {}
    _call = after(lambda cls=_cls, arguments=_arguments: cls(**arguments), "__call__")
    good("data", f"data.{_name}.__call__", _call, **_batch)


def loader() -> data.Loader:
    return data.Loader(BYTES, SIX_LABELS, batch_size=2, prefetch=False)


def dataset() -> data.Dataset:
    return data.Dataset(BYTES, SIX_LABELS)


good("data", "data.Dataset", data.Dataset, images=BYTES, labels=SIX_LABELS)
good("data", "data.Dataset.subset", after(dataset, "subset"), indices=np.array([0, 1]))
good("data", "data.Loader", data.Loader, dataset=BYTES, labels=SIX_LABELS, batch_size=2, prefetch=False)
good("data", "data.Loader.set_epoch", after(loader, "set_epoch"), epoch=1)
good("data", "data.Loader.load_state_dict", after(loader, "load_state_dict"), state=loader().state_dict())
good("data", "data.Preprocessing", data.Preprocessing, mean=(0.5,), std=(0.2,))
good("data", "data.Shapes32", data.Shapes32, n=4)
good("data", "data.ImageFolder", data.ImageFolder, path="missing", size=8, channels=3, resize="crop")
good("data", "data.read_image", data.read_image, path="missing.png", size=8, channels=3, resize="crop")
good("data", "data.CIFAR10", data.CIFAR10, root="nowhere", train=True)
good("data", "data.MNIST", data.MNIST, root="nowhere", train=True)

# ---- training --------------------------------------------------------------------------------------------------------
BATCHES = [(ROWS, LABELS)]
HISTORY = training.History([{"epoch": 1, "train_loss": 1.0}])
CLASSIFIER = fresh(lambda: nn.Linear(5, 5))
good("layers", "nn.ModuleList", nn.ModuleList, modules=fresh(lambda: [nn.ReLU()]))
good("layers", "nn.ModuleDict", nn.ModuleDict, modules=fresh(lambda: {"relu": nn.ReLU()}))
good("layers", "nn.ParameterList", nn.ParameterList, parameters=fresh(lambda: [ROWS.copy()]))


def prepared() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    model.preprocessing = data.Preprocessing(mean=0.5, std=0.25, size=(8, 8))
    return model


PREPARED = fresh(prepared)


def trainer() -> training.Trainer:
    model = nn.Linear(5, 5)
    optimizer = optim.SGD(model.parameters(), 0.01)
    return training.Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False)


def trainer_call() -> Made:
    model = nn.Linear(5, 5)
    optimizer = optim.SGD(model.parameters(), 0.01)
    return training.Trainer, {"model": model, "criterion": nn.CrossEntropyLoss(), "optimizer": optimizer}


GOOD["training.Trainer"] = "training", trainer_call
good("training", "training.Trainer.fit", after(trainer, "fit"), train_loader=BATCHES, epochs=1)
good("training", "training.Trainer.load_state_dict", after(trainer, "load_state_dict"), state=trainer().state_dict())
good("training", "training.fit", training.fit, model=CLASSIFIER, train_loader=BATCHES, epochs=1, progress=False)
good("training", "training.Doctor", training.Doctor, every=10)
good("training", "training.lr_range_test", training.lr_range_test, model=CLASSIFIER, loader=BATCHES, steps=5)
good("training", "fastnn.diagnose", fastnn.diagnose, model=CLASSIFIER, loader=BATCHES, steps=2)
good("training", "training.evaluate", training.evaluate, model=CLASSIFIER, loader=BATCHES)
good("training", "training.predict", training.predict, model=CLASSIFIER, x=ROWS)
good("training", "training.top_k_hits", training.top_k_hits, logits=ROWS, labels=LABELS, k=2)
for _name in ("accuracy", "top5_accuracy"):
    good("training", f"training.{_name}", getattr(training, _name), logits=ROWS, labels=LABELS, ignore_index=-100)
for _name in ("binary_accuracy", "mean_absolute_error"):
    good("training", f"training.{_name}", getattr(training, _name), outputs=ROWS, targets=ROWS)
good("training", "training.predict_classes", training.predict_classes, model=PREPARED, images=BYTES)
good("training", "training.read_preprocessing", training.read_preprocessing, path="missing.safetensors")
good("training", "training.triangle", training.triangle, total_steps=10, warmup=0.2, first=0.2, last=0.0)
good("training", "training.Checkpoints", training.Checkpoints, folder="checkpoints")
good("training", "training.EarlyStopping", training.EarlyStopping, monitor="val_loss", patience=2)
good("training", "training.FreezeWhitening", training.FreezeWhitening, after_epochs=1)
good("training", "training.HistoryFiles", training.HistoryFiles, folder="files")
good("training", "training.Lookahead", training.Lookahead, decay=0.9, every=2)
good("training", "training.Progress", training.Progress, stream=fresh(io.StringIO))
good("training", "training.History", training.History, rows=None)
good("training", "training.History.append", after(training.History, "append"), row={"epoch": 1, "train_loss": 1.0})
good("training", "training.Meter", training.Meter, metrics=None, criterion=None)
good("training", "training.Meter.update", after(training.Meter, "update"), loss=1.0, outputs=ROWS, targets=LABELS)
good("training", "training.save_weights", training.save_weights, model=fresh(linear), path="w.safetensors")
good("training", "training.load_weights", training.load_weights, path="missing.safetensors")
good("training", "training.save_state", training.save_state, path="s.safetensors", state={"a": 1})
good("training", "training.load_state", training.load_state, path="missing.safetensors")
good("training", "training.plot_history", training.plot_history, history=HISTORY)
good("training", "training.save_curves", training.save_curves, history=HISTORY, path="c.png")
good("training", "training.Recipe", training.Recipe, name="n", description="d", model="resnet20", epochs=1,
     batch_size=2, lr=0.1)  # fmt: skip

# ---- insight, models, profiling, tune, courses -----------------------------------------------------------------------
SMALL = fresh(lambda: nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 5)))
PICTURES = RNG.standard_normal((2, 3, 8, 8)).astype(np.float32)
CLASSES = np.array([0, 3])
MATRIX = np.array([[3, 1], [0, 2]])
CROSS = fresh(nn.CrossEntropyLoss)
PROBE = {"model": SMALL, "criterion": CROSS, "x": PICTURES, "y": CLASSES, "step_sizes": [0.1]}
for _name, _arguments in {
    "beta_smoothness": PROBE,
    "gradient_predictiveness": PROBE,
    "probe_gradient": PROBE,
    "compare_gradients": {
        "function": lambda: 1.0,
        "arrays": {"a": np.zeros(3)},
        "gradients": {"a": np.zeros(3)},
    },
    "confusion_matrix": {"targets": CLASSES, "predictions": CLASSES},
    "per_class_accuracy": {"matrix": MATRIX},
    "grad_cam": {"model": SMALL, "x": PICTURES, "layer": "0", "target": CLASSES},
    "saliency": {"model": SMALL, "x": PICTURES, "target": CLASSES},
    "occlusion": {"model": SMALL, "x": PICTURES, "target": CLASSES, "window": 4, "stride": 4},
    "gradcheck": {"module": fresh(lambda: nn.Linear(3, 2)), "x": np.ones((2, 3)), "max_entries": 3},
    "loss_landscape": {"model": SMALL, "criterion": CROSS, "batches": [(PICTURES, CLASSES)], "steps": 3},
    "lr_band": {"losses_by_lr": {0.1: [1.0, 2.0], 0.2: [2.0, 1.0]}},
    "plot_bars": {"values": {"a": 1.0}},
    "plot_confusion_matrix": {"matrix": MATRIX, "class_names": ["a", "b"]},
    "plot_curves": {"curves": {"a": [1.0, 2.0]}},
    "plot_feature_maps": {"maps": PICTURES[0]},
    "plot_filters": {"weight": PICTURES},
    "plot_images": {"images": PICTURES, "titles": ["a", "b"]},
    "plot_overlay": {"image": PICTURES[0], "heat": PICTURES[0, 0]},
    "plot_lr_band": {"bands": {"a": (np.ones(3), np.ones(3) + 1)}},
    "plot_beta_smoothness": {"series": {"a": (np.ones(3), np.ones(3))}},
    "plot_gradient_predictiveness": {"series": {"a": (np.ones(3), np.ones(3))}},
    "plot_loss_landscape": {"landscape": insight.LossLandscape(np.arange(3.0), None, np.ones(3))},
}.items():
    good("insight", f"insight.{_name}", getattr(insight, _name), **_arguments)
good("insight", "models.Airbench", models.Airbench, num_classes=10, widths=(4, 8, 8))
good("insight", "models.airbench", models.airbench, num_classes=10, widths=(4, 8, 8))
good("insight", "models.Airbench.whiten", after(lambda: models.Airbench(widths=(4, 8, 8)), "whiten"), images=PICTURES)
good("insight", "models.whitening_filters", models.whitening_filters, images=PICTURES)
good("insight", "models.Scale", models.Scale, factor=0.5)
good("insight", "models.Chain", models.Chain, first=fresh(lambda: nn.Linear(5, 3)))
good("insight", "models.create", models.create, name="resnet20", widths=(2, 4, 4), blocks=1)
good("insight", "models.resnet20", models.resnet20, num_classes=10, widths=(2, 4, 4), blocks=1)
good("insight", "models.keras_cnn", models.keras_cnn, num_classes=10, widths=(2, 4), hidden=8, size=32)
good("insight", "models.vgg_a", models.vgg_a, num_classes=10, stages=((2,),) * 5, hidden=8)
good("insight", "models.vgg_a_bn", models.vgg_a_bn, num_classes=10, stages=((2,),) * 5, hidden=8)
good("insight", "models.vgg_a_light", models.vgg_a_light, num_classes=10, hidden=8)
good("insight", "models.vgg_a_light_bn", models.vgg_a_light_bn, num_classes=10, hidden=8)
good("insight", "models.summarize", models.summarize, model=SMALL, input_shape=(1, 3, 8, 8))


def observed(model: Any, visit: Any) -> None:
    with models.observe(model, visit):
        model(ROWS)


good("insight", "models.observe", observed, model=CLASSIFIER, visit=lambda path, layer, x, y: None)
good("insight", "profiling.profile", profiling.profile, model=SMALL, x=PICTURES, y=CLASSES, rounds=1, warmup=0)
good("insight", "profiling.forecast", profiling.forecast, model=SMALL, x=PICTURES, y=CLASSES, threads=[2, 8], rounds=1)
good("insight", "tune.best", tune.best, rows=[{"value": 1.0}, {"value": 2.0}])
good("insight", "tune.grid_search", tune.grid_search, objective=lambda p: 1.0, grid={"a": [1, 2]})
good("insight", "tune.search", tune.search, objective=lambda p: 1.0, space={"a": [1, 2]}, n_trials=1, sampler="random")
good("insight", "courses.get", courses.get, name="pku-mlp")
good("insight", "courses.default_folder", courses.default_folder, name="pku-mlp")
good("insight", "courses.Report", courses.Report, title="t", out="report")


def report() -> courses.Report:
    thing = courses.Report("t", "report")
    thing.task("one")
    return thing


good("insight", "courses.Report.task", after(report, "task"), heading="two", asked="a", done="b")
good("insight", "courses.Report.text", after(report, "text"), markdown="words")
good("insight", "courses.Report.check", after(report, "check"), what="w", expected=1.0, ours=1.0, tolerance=0.1)
good("insight", "courses.Report.table", after(report, "table"), caption="c", columns=["a"], rows=[[1]])
good("insight", "courses.Report.metric", after(report, "metric"), name="m", value=1.0)


# ---- the top of the package ------------------------------------------------------------------------------------------
def within(context: Callable[[Any], Any], value: Any) -> None:
    with context(value):
        F.add(ROWS, ROWS)


good("runtime", "fastnn.backend", lambda name: within(fastnn.backend, name), name="reference")
good("runtime", "fastnn.conv2d_algorithm", lambda name: within(fastnn.conv2d_algorithm, name), name="im2col")
good("runtime", "fastnn.joined_layers", lambda on: within(fastnn.joined_layers, on), on=False)
good("runtime", "fastnn.manual_seed", fastnn.manual_seed, seed=3)
good("runtime", "fastnn.set_random_state", fastnn.set_random_state, state=fastnn.random_state())
good("runtime", "fastnn.set_flush_denormal", fastnn.set_flush_denormal, on=True)
good("runtime", "fastnn.set_isa", fastnn.set_isa, name="baseline")
good("runtime", "fastnn.set_num_threads", fastnn.set_num_threads, n=1)


# ---- autograd --------------------------------------------------------------------------------------------------------
def loss_of_leaf() -> fastnn.Tensor:
    """A number that was recorded, with the leaf that it came from."""
    leaf = fastnn.tensor(ROWS, requires_grad=True)
    loss = (leaf * leaf).sum()
    loss.grad = leaf  # kept with it
    return loss


GRAPH = loss_of_leaf()
good("runtime", "fastnn.tensor", fastnn.tensor, data=ROWS, dtype=np.float64, requires_grad=True)
good("runtime", "fastnn.Tensor", fastnn.Tensor, data=ROWS, requires_grad=True)
good("runtime", "fastnn.grad", fastnn.grad, y=GRAPH, inputs=GRAPH.grad, retain_graph=True)
good("runtime", "fastnn.no_grad", fastnn.no_grad, function=repr)
good("runtime", "fastnn.enable_grad", fastnn.enable_grad, function=repr)

# ---- what has no call here -------------------------------------------------------------------------------------------
NO_ARGUMENTS = "takes no arguments"
RECORD = "a record that functions fill and return"
ERROR = "an exception"
BASE = "a base class to derive from"
SKIPPED: dict[str, str] = {
    **dict.fromkeys(
        ["fastnn.available_isas", "fastnn.available_threads", "fastnn.build_info", "fastnn.conversions",
         "fastnn.empty_cache", "fastnn.is_grad_enabled", "fastnn.isa", "fastnn.memory_info", "fastnn.num_threads",
         "fastnn.random_state",
         "models.names", "models.airbench94", "courses.names"], NO_ARGUMENTS,
    ),
    **dict.fromkeys(
        ["nn.LoadResult", "functional.BatchNormResult", "functional.Normalized", "training.Evaluation",
         "functional.InstanceNormResult",
         "models.LayerSummary", "models.Summary", "insight.GradcheckResult", "insight.GradientProbe",
         "insight.GradientRow", "insight.LossLandscape", "profiling.Copy", "profiling.Forecast",
         "profiling.ForecastRow", "profiling.Loss", "profiling.Profile", "profiling.ProfileRow",
         "courses.Recipe"], RECORD,
    ),
    **dict.fromkeys(
        ["fastnn.FileError", "data.DataError", "data.DataNotFoundError", "training.CheckpointError",
         "training.Interrupted", "training.NonFiniteLoss", "insight.GradientError", "courses.MissingExtraError"],
        ERROR,
    ),
    **dict.fromkeys(["fastnn.Op", "nn.Module", "optim.Optimizer", "optim.LRScheduler"], BASE),
    **dict.fromkeys(["training.Callback", "data.Augmentation"], BASE),
    "fastnn.load": "is training.load_weights",
    "fastnn.save": "is training.save_weights",
    "fastnn.profile": "is profiling.profile",
    "training.Run": "makes the folder of a whole training",
    "training.train_recipe": "trains for long",
    "training.atomic_write": "opens files by design",
    "courses.Context": "makes the folder of a whole course",
    "courses.run": "trains for long",
    "benchmark.Settings": "a record of the settings of benchmark.compare",
    "benchmark.compare": "starts processes and measures for long",
}  # fmt: skip

PACKAGES = {
    "fastnn": fastnn,
    "functional": F,
    "nn": nn,
    "nn.init": nn.init,
    "optim": optim,
    "data": data,
    "training": training,
    "models": models,
    "insight": insight,
    "profiling": profiling,
    "tune": tune,
    "courses": courses,
    "benchmark": benchmark,
}
# fastnn.reference is left out: the twins are definitions, which functional calls after its checks.


def public() -> set[str]:
    """Names of all public functions and classes, with their packages."""
    names = set()
    for package, module in PACKAGES.items():
        for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                names.add(f"{package}.{name}")
    return names
