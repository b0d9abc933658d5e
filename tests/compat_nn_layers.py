"""Layers of `torch.nn`, and what they are made and called with: (name, arguments, keywords, inputs).

An input is a shape of floats, or `Whole(high, shape)` of integers below `high`, or `Mask(...)`.
"""

from typing import NamedTuple

import numpy as np


class Whole(NamedTuple):
    high: int
    shape: tuple


class Mask(NamedTuple):
    values: tuple


IMAGES, MANY = (2, 4, 7, 9), (3, 8, 6, 5)
SEQUENCES = (2, 4, 9)

# Of any shape.
POINTWISE = [
    ("ReLU", (), {}), ("ReLU", (True,), {}), ("ReLU6", (), {}), ("ReLU6", (), {"inplace": True}), ("LeakyReLU", (), {}),
    ("LeakyReLU", (0.2, True), {}), ("ELU", (), {}), ("ELU", (0.7,), {"inplace": True}), ("CELU", (), {}),
    ("CELU", (0.6, True), {}), ("SELU", (), {}), ("SELU", (True,), {}), ("GELU", (), {}), ("GELU", ("tanh",), {}),
    ("SiLU", (), {}), ("SiLU", (True,), {}), ("Mish", (), {}), ("Mish", (), {"inplace": True}), ("Hardswish", (), {}),
    ("Hardswish", (True,), {}), ("Hardsigmoid", (), {}), ("Hardsigmoid", (True,), {}), ("Hardtanh", (), {}),
    ("Hardtanh", (-0.3, 0.4, True), {}), ("Threshold", (0.1, 0.5), {}), ("Threshold", (0.1, 0.5, True), {}),
    ("PReLU", (), {}), ("PReLU", (4, 0.1), {}), ("Sigmoid", (), {}), ("Tanh", (), {}), ("Softplus", (), {}),
    ("Softplus", (2.0, 1.0), {}), ("Softmax", (1,), {}), ("Softmax", (), {"dim": -1}), ("LogSoftmax", (1,), {}),
    ("Softmin", (2,), {}), ("LogSigmoid", (), {}), ("Tanhshrink", (), {}), ("Softsign", (), {}), ("Softshrink", (), {}),
    ("Softshrink", (0.2,), {}), ("Hardshrink", (), {}), ("Hardshrink", (0.3,), {}), ("GLU", (), {"dim": 1}),
    ("Identity", (5,), {"unused": 1}), ("Flatten", (), {}), ("Flatten", (0, 1), {}), ("RReLU", (), {}),
    ("RReLU", (0.1, 0.2, True), {}), ("Dropout", (), {}), ("Dropout", (0.2, True), {}), ("AlphaDropout", (0.3,), {}),
]  # fmt: skip

PAIRS = [
    ("Conv2d", (4, 6, 3), {}, IMAGES), ("Conv2d", (4, 6, (3, 2)), {"bias": False, "stride": (2, 1)}, IMAGES),
    ("Conv2d", (4, 6, 3, 1, 1), {"groups": 2}, IMAGES), ("Conv2d", (4, 4, 3), {"groups": 4, "padding": 1}, IMAGES),
    ("Conv2d", (4, 6, 3), {"padding": "same", "dilation": 2}, IMAGES),
    ("Conv2d", (4, 6, 2), {"padding": "valid"}, IMAGES), ("Conv2d", (4, 6, 3), {}, (4, 7, 9)),
    ("Conv2d", (4, 6, 1), {}, IMAGES), ("Conv2d", (3, 64, 3, 1, 1), {}, (2, 3, 12, 12)),
    *[("Conv2d", (4, 6, 3), {"padding": (1, 2), "padding_mode": mode, "stride": 2}, IMAGES)
      for mode in ("reflect", "replicate", "circular")],
    ("Conv2d", (4, 6, (2, 3)), {"padding": "same", "padding_mode": "circular"}, IMAGES),
    ("Conv1d", (4, 6, 3), {}, SEQUENCES), ("Conv1d", (4, 6, 3, 2, 1), {"bias": False, "groups": 2}, SEQUENCES),
    ("Conv1d", (4, 6, 3), {"padding": "same", "dilation": 2}, SEQUENCES), ("Conv1d", (4, 6, 3), {}, (4, 9)),
    ("Conv1d", (4, 6, 3), {"padding": 2, "padding_mode": "reflect"}, SEQUENCES),
    ("ConvTranspose2d", (4, 6, 3), {}, IMAGES), ("ConvTranspose2d", (4, 6, 2, 2), {"bias": False}, IMAGES),
    ("ConvTranspose2d", (4, 6, 3, 2, 1, 1), {"groups": 2}, IMAGES),
    ("ConvTranspose2d", (4, 6, (3, 2)), {"stride": (2, 3), "dilation": 2}, IMAGES),
    ("ConvTranspose2d", (4, 6, 2, 2), {}, (4, 7, 9)), ("ConvTranspose1d", (4, 6, 3), {}, SEQUENCES),
    ("ConvTranspose1d", (4, 6, 3, 2, 1, 1), {"groups": 2, "bias": False}, SEQUENCES),
    ("BatchNorm2d", (4,), {}, IMAGES), ("BatchNorm2d", (4, 1e-3, 0.3), {}, IMAGES),
    ("BatchNorm2d", (4,), {"affine": False}, IMAGES), ("BatchNorm2d", (4,), {"track_running_stats": False}, IMAGES),
    ("BatchNorm2d", (4,), {"momentum": None}, IMAGES), ("BatchNorm2d", (4,), {"bias": False}, IMAGES),
    ("BatchNorm1d", (9,), {}, (5, 9)), ("BatchNorm1d", (4,), {"affine": False}, SEQUENCES),
    ("InstanceNorm2d", (4,), {}, IMAGES), ("InstanceNorm2d", (4,), {"affine": True}, IMAGES),
    ("InstanceNorm2d", (4, 1e-3, 0.2, True, True), {}, IMAGES), ("InstanceNorm2d", (4,), {}, (4, 7, 9)),
    ("InstanceNorm1d", (4,), {"affine": True}, SEQUENCES), ("InstanceNorm1d", (4,), {}, (4, 9)),
    ("LayerNorm", (9,), {}, IMAGES), ("LayerNorm", ((7, 9),), {"eps": 1e-3}, IMAGES),
    ("LayerNorm", ([4, 7, 9],), {"elementwise_affine": False}, IMAGES), ("LayerNorm", (9,), {"bias": False}, (5, 9)),
    ("GroupNorm", (2, 4), {}, IMAGES), ("GroupNorm", (4, 4, 1e-3), {"affine": False}, IMAGES),
    ("GroupNorm", (1, 4), {"bias": False}, SEQUENCES), ("RMSNorm", (9,), {}, IMAGES),
    ("RMSNorm", ((7, 9), 1e-3), {"elementwise_affine": False}, IMAGES), ("LocalResponseNorm", (3,), {}, MANY),
    ("LocalResponseNorm", (4, 1e-2, 0.5, 2.0), {}, MANY), ("Linear", (9, 5), {}, (3, 9)),
    ("Linear", (9, 5, False), {}, (2, 4, 9)), ("Linear", (9, 5), {}, (9,)), ("Linear", (9, 5), {}, IMAGES),
    ("MaxPool2d", (2,), {}, IMAGES), ("MaxPool2d", (3, 2, 1), {}, IMAGES), ("MaxPool2d", ((3, 2), (2, 1)), {}, IMAGES),
    ("MaxPool2d", (2,), {"ceil_mode": True}, IMAGES), ("MaxPool2d", (2,), {"dilation": 2, "stride": 1}, IMAGES),
    ("MaxPool2d", (2,), {"return_indices": True}, IMAGES), ("MaxPool2d", (2,), {}, (4, 7, 9)),
    ("MaxPool1d", (2,), {}, SEQUENCES), ("MaxPool1d", (3, 2, 1), {"ceil_mode": True}, SEQUENCES),
    ("MaxPool1d", (3,), {"return_indices": True}, SEQUENCES), ("AvgPool2d", (2,), {}, IMAGES),
    ("AvgPool2d", (3, 2, 1), {"count_include_pad": False}, IMAGES),
    ("AvgPool2d", ((2, 3),), {"ceil_mode": True}, IMAGES),
    ("AvgPool2d", (2,), {"divisor_override": 3}, IMAGES), ("AvgPool1d", (2,), {}, SEQUENCES),
    ("AvgPool1d", (3, 2, 1), {"count_include_pad": False}, SEQUENCES), ("AdaptiveAvgPool2d", (1,), {}, IMAGES),
    ("AdaptiveAvgPool2d", ((3, None),), {}, IMAGES), ("AdaptiveAvgPool2d", ((5, 4),), {}, (4, 7, 9)),
    ("AdaptiveMaxPool2d", ((3, 4),), {}, IMAGES), ("AdaptiveMaxPool2d", (2, True), {}, IMAGES),
    ("AdaptiveAvgPool1d", (4,), {}, SEQUENCES), ("AdaptiveMaxPool1d", (4,), {}, SEQUENCES),
    ("AdaptiveMaxPool1d", (4, True), {}, SEQUENCES), ("LPPool2d", (2, 3), {}, IMAGES),
    ("LPPool2d", (4, (2, 3), 2), {"ceil_mode": True}, IMAGES), ("LPPool1d", (2, 3, 2), {}, SEQUENCES),
    ("ZeroPad2d", (1,), {}, IMAGES), ("ZeroPad2d", ((1, 0, 2, -1),), {}, IMAGES), ("ZeroPad1d", (2,), {}, SEQUENCES),
    ("ConstantPad2d", ((1, 2, 0, 1), 0.5), {}, IMAGES), ("ConstantPad1d", (1, 2.0), {}, SEQUENCES),
    ("ReflectionPad2d", ((1, 2, 3, 1),), {}, IMAGES), ("ReflectionPad1d", (3,), {}, SEQUENCES),
    ("ReplicationPad2d", (2,), {}, IMAGES), ("ReplicationPad1d", ((1, 3),), {}, SEQUENCES),
    ("CircularPad2d", ((1, 2, 3, 1),), {}, IMAGES), ("CircularPad1d", (2,), {}, SEQUENCES),
    ("Upsample", (), {"scale_factor": 2}, IMAGES), ("Upsample", ((10, 12),), {}, IMAGES),
    ("Upsample", (), {"scale_factor": (2, 3), "mode": "bilinear"}, IMAGES),
    ("Upsample", (), {"size": 11, "mode": "bilinear", "align_corners": True}, IMAGES),
    ("Upsample", (), {"scale_factor": 2, "mode": "linear"}, SEQUENCES),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, IMAGES),
    ("UpsamplingBilinear2d", (), {"size": (9, 13)}, IMAGES), ("PixelShuffle", (2,), {}, MANY),
    ("PixelUnshuffle", (2,), {}, (2, 3, 4, 6)), ("ChannelShuffle", (2,), {}, MANY),
    ("Unfold", (2,), {}, IMAGES), ("Unfold", ((2, 3), 2, 1, 2), {}, IMAGES), ("Fold", ((4, 5), 2), {}, (2, 12, 12)),
    ("Fold", ((5, 5), (2, 3)), {"padding": 1, "stride": 2}, (2, 12, 9)), ("Unflatten", (1, (2, 2)), {}, IMAGES),
    ("Unflatten", (-1, (3, -1)), {}, IMAGES), ("Softmax2d", (), {}, IMAGES), ("Softmax2d", (), {}, (4, 7, 9)),
    ("Dropout2d", (0.3,), {}, IMAGES), ("Dropout1d", (), {"p": 0.3, "inplace": True}, SEQUENCES),
    ("Embedding", (7, 3), {}, Whole(7, (2, 5))), ("Embedding", (7, 3, 2), {}, Whole(7, (2, 5))),
    ("Embedding", (7, 3), {"padding_idx": -1, "max_norm": 0.5}, Whole(7, (2, 5))),
    ("MaxUnpool2d", (2,), {}, ((2, 3, 3, 4), Whole(6 * 8, (2, 3, 3, 4)))),
    ("MaxUnpool1d", (2,), {}, ((2, 3, 4), Whole(8, (2, 3, 4)))),
    ("Bilinear", (4, 5, 3), {}, ((6, 4), (6, 5))), ("Bilinear", (4, 5, 3, False), {}, ((2, 3, 4), (2, 3, 5))),
    ("CosineSimilarity", (), {}, ((6, 4), (6, 4))), ("CosineSimilarity", (-1, 1e-3), {}, ((2, 3, 4), (2, 3, 4))),
    ("PairwiseDistance", (), {}, ((6, 4), (6, 4))), ("PairwiseDistance", (1, 1e-3, True), {}, ((6, 4), (6, 4))),
    ("LSTM", (4, 3), {}, (5, 2, 4)), ("LSTM", (4, 3, 2), {"batch_first": True, "bidirectional": True}, (2, 5, 4)),
    ("LSTM", (4, 3), {"bias": False}, (5, 4)), ("LSTM", (4, 3, 2), {}, ((5, 2, 4), ((2, 2, 3), (2, 2, 3)))),
    ("GRU", (4, 3), {"num_layers": 2}, (5, 2, 4)), ("GRU", (4, 3), {"batch_first": True}, ((2, 5, 4), (1, 2, 3))),
    ("RNN", (4, 3), {}, (5, 2, 4)), ("RNN", (4, 3, 2, "relu"), {"bidirectional": True}, (5, 2, 4)),
    ("RNN", (4, 3), {"nonlinearity": "relu", "bias": False}, (5, 2, 4)), ("LSTMCell", (4, 3), {}, (2, 4)),
    ("LSTMCell", (4, 3, False), {}, ((2, 4), ((2, 3), (2, 3)))), ("GRUCell", (4, 3), {}, ((2, 4), (2, 3))),
    ("RNNCell", (4, 3), {}, (2, 4)), ("RNNCell", (4, 3, True, "relu"), {}, ((2, 4), (2, 3))),
    ("MultiheadAttention", (6, 2), {}, ((5, 2, 6),) * 3),
    ("MultiheadAttention", (6, 3), {"batch_first": True, "bias": False}, ((2, 5, 6), (2, 4, 6), (2, 4, 6))),
    ("MultiheadAttention", (6, 2), {"kdim": 4, "vdim": 3}, ((5, 2, 6), (4, 2, 4), (4, 2, 3))),
    ("MultiheadAttention", (6, 2), {}, ((5, 6),) * 3),
    ("MultiheadAttention", (6, 2), {}, ((3, 2, 6), (4, 2, 6), (4, 2, 6), Mask(((0, 0, 0, 1), (0, 0, 0, 0))))),
]  # fmt: skip

LAYERS = [(name, arguments, keywords, IMAGES) for name, arguments, keywords in POINTWISE] + PAIRS
# What they give in training is drawn.
RANDOM = {"AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "RReLU"}


def ids(layers):
    """Names for the tests, each once."""
    return [f"{index}-{name}" for index, (name, *_) in enumerate(layers)]


def arrays(inputs, dtype):
    """The inputs as arrays, in tuples as they are given; of one input, in a tuple of one."""
    rng = np.random.default_rng(len(str(inputs)))
    is_shape = isinstance(inputs, tuple) and not isinstance(inputs, Whole) and all(isinstance(n, int) for n in inputs)
    several = (inputs,) if is_shape or isinstance(inputs, Whole) else inputs
    return tuple(_array(value, rng, dtype) for value in several)


def _array(value, rng, dtype):
    if isinstance(value, Whole):
        if len(value.shape) > 2:  # places within images, each once
            *front, rows, columns = value.shape if len(value.shape) == 4 else (*value.shape[:-1], 1, value.shape[-1])
            places = np.array([rng.permutation(value.high)[: rows * columns] for _ in range(int(np.prod(front)))])
            return places.reshape(value.shape)
        return rng.integers(0, value.high, value.shape)
    if isinstance(value, Mask):
        return np.array(value.values, bool)
    if isinstance(value[0], tuple):
        return tuple(_array(part, rng, dtype) for part in value)
    return rng.uniform(-2, 2, value).astype(dtype)
