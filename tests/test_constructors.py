"""Constructors of fastnn.nn refuse what makes no sense, with their name, the argument and the value.

Every argument of every public class is tried with values that fit no argument at all; then come values that are wrong
for one.
"""

import inspect

import numpy as np
import pytest
from bad_calls_table import LAYERS, constructor

from fastnn import nn

# What no argument of any layer can be.
NONSENSE = {
    "object": object(),
    "complex": 1j,
    "text": "nonsense",
    "bytes": b"a",
    "class": int,
    "dict": {"a": 1},
    "ragged": [[1.0], [1.0, 2.0]],
    "complex array": np.ones((2, 2), complex),
    "object array": np.array([None, "a"], object),
    "nan": float("nan"),
    "huge": 10**400,
}
# Classes that are no layers, and one that takes anything by design.
OTHERS = {nn.Module, nn.ModuleDict, nn.ModuleList, nn.ParameterList, nn.Loss, nn.Parameter, nn.LoadResult, nn.Identity}
BY_HAND = {nn.Sequential}  # it takes its modules by position

CASES = [
    (cls, parameter, value)
    for cls in LAYERS
    if cls not in OTHERS | BY_HAND
    for parameter in inspect.signature(cls).parameters
    for value in NONSENSE
]


def test_constructors_table_holds_every_public_class():
    public = {value for value in vars(nn).values() if inspect.isclass(value) and value.__module__.startswith("fastnn")}
    assert public == set(LAYERS) | OTHERS


@pytest.mark.parametrize(("cls", "parameter", "value"), CASES, ids=lambda v: getattr(v, "__name__", v))
def test_constructor_refuses_nonsense_by_name(cls, parameter, value):
    arguments = LAYERS[cls][0] | {parameter: NONSENSE[value]}
    with pytest.raises((TypeError, ValueError)) as caught:
        cls(**arguments)
    text = str(caught.value)
    assert text.startswith(f"{cls.__name__}: ")
    assert parameter in text
    assert "Received: " in text
    assert len(text) < 300


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Residual(7, 1j), "Residual: body must be a module. Received: 7"),
        (lambda: nn.Residual(nn.Identity(), 1j), "Residual: shortcut must be a module. Received: 1j"),
        (lambda: nn.Residual(None), "Residual: body must be a module. Received: None"),
        (lambda: nn.Sequential(1), "Sequential: modules are needed. Received: 1"),
        (lambda: nn.Sequential(nn.ReLU), "Sequential: modules are needed. Received: <class"),
        (lambda: nn.BatchNorm2d(4, momentum="a"), "BatchNorm2d: momentum must be a number. Received: 'a'"),
        (lambda: nn.BatchNorm2d(4, momentum=1.5), "BatchNorm2d: momentum must be >= 0 and <= 1. Received: 1.5"),
        (lambda: nn.BatchNorm1d(4, eps=-1e-5), "BatchNorm1d: eps must be >= 0 and finite. Received: -1e-05"),
        (lambda: nn.GroupNorm(3, 6, eps=np.inf), "GroupNorm: eps must be >= 0 and finite. Received: inf"),
        (lambda: nn.GroupNorm(3, 8), "GroupNorm: num_groups must divide num_channels"),
        (lambda: nn.BatchNorm1d(4, affine="no"), "BatchNorm1d: affine must be True or False. Received: 'no'"),
        (lambda: nn.Dropout("same"), "Dropout: p must be a number. Received: 'same'"),
        (lambda: nn.Dropout(True), "Dropout: p must be a number. Received: True"),
        (lambda: nn.Conv2d(3, 8, 3, algorithm=5), "Conv2d: algorithm must be one of .* Received: 5"),
        (lambda: nn.Conv2d(3, 8, 3, bias="yes"), "Conv2d: bias must be True or False. Received: 'yes'"),
        (lambda: nn.Conv2d(3, 8, True), "Conv2d: kernel_size must be an integer or two of them. Received: True"),
        (lambda: nn.Conv2d(3, 8, (3, 3, 3)), r"Conv2d: kernel_size must be one or two integers >= 1. Received: \(3, 3"),
        (lambda: nn.Conv2d(3, 8, [3]), r"Conv2d: kernel_size must be one or two integers >= 1. Received: \[3\]"),
        (lambda: nn.Conv2d(2**30, 2**30, 3), "Conv2d: no memory holds a weight of shape"),
        (lambda: nn.ConvTranspose2d(3, 8, 3, 2, output_padding=2), "ConvTranspose2d: output_padding must be smaller"),
        (lambda: nn.ConvTranspose2d(3, 8, 3, padding="same"), "ConvTranspose2d: padding must be an integer or two"),
        (lambda: nn.ConvTranspose2d(2**30, 2**30, 3), "ConvTranspose2d: no memory holds a weight of shape"),
        (lambda: nn.Upsample(), "Upsample: one of size and scale_factor is needed. Received: size=None"),
        (lambda: nn.Upsample(4, 2), "Upsample: one of size and scale_factor is needed. Received: size=4"),
        (lambda: nn.Upsample(4, mode="bicubic"), "Upsample: mode must be 'nearest' or 'bilinear'. Received: 'bicubic'"),
        (lambda: nn.Upsample(4, align_corners=True), "Upsample: align_corners is for mode='bilinear'"),
        (lambda: nn.Upsample(scale_factor=0), "Upsample: scale_factor must be > 0"),
        (lambda: nn.ZeroPad2d(-1), "ZeroPad2d: padding must be one or more integers >= 0. Received: -1"),
        (lambda: nn.ReflectionPad2d((1, 2)), "ReflectionPad2d: padding must be one number or left, right, top, bottom"),
        (lambda: nn.PixelShuffle(0), "PixelShuffle: upscale_factor must be >= 1. Received: 0"),
        (lambda: nn.Linear(2.5, 3), "Linear: in_features must be an integer. Received: 2.5"),
        (lambda: nn.Linear(5, -3), "Linear: out_features must be >= 1. Received: -3"),
        (lambda: nn.Linear(2**62, 3), "Linear: no memory holds a weight of shape"),
        (lambda: nn.Linear(np.array([3]), 3), r"Linear: in_features must be an integer. Received: array\(\[3\]\)"),
        (lambda: nn.Linear(2**64, 3), "Linear: in_features must be <= 9223372036854775807"),
        (lambda: nn.LayerNorm(()), r"LayerNorm: normalized_shape must be one or more positive integers. Rec"),
        (lambda: nn.LayerNorm((3, 2.5)), r"LayerNorm: normalized_shape must be an integer or several"),
        (lambda: nn.PReLU(0), "PReLU: num_parameters must be >= 1"),
        (lambda: nn.HuberLoss(delta=0), "HuberLoss: delta must be > 0. Received: 0"),
        (lambda: nn.HuberLoss(delta=-1), "HuberLoss: delta must be >= 0. Received: -1"),
        (lambda: nn.SmoothL1Loss(beta="a"), "SmoothL1Loss: beta must be a number. Received: 'a'"),
        (lambda: nn.MultiMarginLoss(3), "MultiMarginLoss: p must be 1 or 2. Received: 3"),
        (lambda: nn.Softplus(0), "Softplus: beta must not be 0"),
        (lambda: nn.NLLLoss(ignore_index="a"), "NLLLoss: ignore_index must be an integer. Received: 'a'"),
        (lambda: nn.CrossEntropyLoss([1.0, np.nan]), r"EntropyLoss: weight must be finite. Received: \[1.0, nan\]"),
        (lambda: nn.BCELoss(reduction=None), "BCELoss: reduction must be 'mean', 'sum' or 'none'. Received: None"),
        (lambda: nn.L1Loss(np.array(["mean"])), "L1Loss: reduction must be 'mean', 'sum' or 'none'"),
        (lambda: nn.AdaptiveAvgPool2d(0), "AdaptiveAvgPool2d: output_size must be one or two integers >= 1. Received"),
        (lambda: nn.AdaptiveMaxPool2d((1, 2, 3)), "AdaptiveMaxPool2d: output_size must be one or two integers >= 1"),
        (lambda: nn.Softmax(1.0), "Softmax: dim must be an integer or None. Received: 1.0"),
        (lambda: nn.GELU(None), "GELU: approximate must be 'none' or 'tanh'. Received: None"),
        (lambda: nn.Parameter(np.zeros(3, np.float16)), "Parameter: data has dtype float16, float32 or float64"),
        (lambda: nn.Parameter(np.zeros(3), "yes"), "Parameter: requires_grad must be True or False. Received: 'yes'"),
    ],
)  # fmt: skip
def test_constructor_says_what_is_wrong(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(np.int64(3), np.uint8(2), np.bool_(False)),
        lambda: nn.Linear(3, 2, 0),
        lambda: nn.Conv2d(3, 8, np.array([3, 3]), [1, 1]),
        lambda: nn.ConvTranspose2d(3, 8, np.array([3, 3]), [2, 1], output_padding=(1, np.int8(0))),
        lambda: nn.Upsample(np.array([3, 4])),
        lambda: nn.Upsample(scale_factor=np.float32(1.5)),
        lambda: nn.ZeroPad2d(np.array([1, 2, 0, 0])),
        lambda: nn.BatchNorm2d(4, eps=np.float32(1e-3), momentum=None),
        lambda: nn.BatchNorm2d(4, eps=0, momentum=0),
        lambda: nn.Dropout(np.array(0.5)),
        lambda: nn.Dropout(1),
        lambda: nn.HuberLoss(delta=np.inf),
        lambda: nn.Softplus(threshold=np.inf),
        lambda: nn.LayerNorm([3, np.int32(4)]),
        lambda: nn.AdaptiveAvgPool2d((None, 3)),
        lambda: nn.AdaptiveAvgPool2d(None),
        lambda: nn.CrossEntropyLoss([1, 2, -1]),
        lambda: nn.MultiMarginLoss(2.0),
        lambda: nn.Sequential(),
    ],
)
def test_constructor_accepts_numbers_of_every_kind(make):
    make()


def test_constructor_keeps_plain_numbers():
    """A setting given as a number of NumPy is kept as one of Python, which compares, prints and is saved like any."""
    assert type(nn.Dropout(np.float32(0.5)).p) is float
    assert type(nn.Linear(np.int64(3), 2).in_features) is int
    assert nn.AvgPool2d(np.array([2, 3])).kernel_size == (2, 3)
    assert nn.MultiMarginLoss(2.0).p == 2
    assert constructor(nn.Sequential)(nn.ReLU()).training
