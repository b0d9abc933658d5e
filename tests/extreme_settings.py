"""Every integer argument of functions and layers at the ends of the integers, run as a script by
test_extreme_settings.py in a process of its own, which may have 3 GB.

Prints one line for each call before it is made, and one for what came of it that should not: anything but a result
(equal to the reference's) or an error that names the function.
"""

import itertools
import resource
import sys

import numpy as np

import fastnn
from fastnn import functional as F
from fastnn import nn

EXTREMES = [0, -1, 10**8, 2**31 - 1, 2**31, 2**40, 2**61, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**64)]
PAIRED = [2**31 - 1, 2**40, 2**61, 2**63 - 1]  # two different ones at once

X = np.arange(2 * 4 * 5 * 6, dtype=np.float32).reshape(2, 4, 5, 6) / 100 + 1
WEIGHT = np.arange(4 * 4 * 3 * 3, dtype=np.float32).reshape(4, 4, 3, 3) / 100
GROUPED = WEIGHT[:, :2]
DY = X[:, :, :3, :4]
POOLED, TAPS = F.max_pool2d_taps(X, 2)
ADAPTED, ADAPTED_TAPS = F.adaptive_max_pool2d_taps(X, 2)
COLUMNS = F.im2col(X, 3)
LOGITS, LABELS = X[0, :, :, 0], np.array([0, 1, 2, 3])
IMAGES = (X * 50).astype(np.uint8)
SHAPE = X.shape

# What stands at the other positions of an argument with several numbers.
OTHERS = {
    "kernel_size": [3, 3],
    "stride": [1, 1],
    "padding": [0, 0],
    "dilation": [1, 1],
    "output_size": [5, 6],
    "size": [5, 6],
    "pad": [1, 1, 1, 1],
    "input_size": list(SHAPE),
    "indices": [0, 1],
    "shifts": [[0, 0]],
    "boxes": [[0, 1, 2, 3]],
}

POOLING = {"kernel_size": 2, "stride": 2, "padding": 0}
DILATED = {**POOLING, "dilation": 1}
INPUT_SIZE = {("input_size", i): SHAPE[i] for i in range(4)}

# A function, its other arguments, and the integers that are tried: each alone, every two, and all at once. A name with
# a position stands for one of several numbers.
CALLS = [
    (F.conv2d, {"x": X, "weight": WEIGHT}, {"stride": 1, "padding": 0, "dilation": 1}),
    (F.conv2d, {"x": X, "weight": WEIGHT, "algorithm": "im2col"}, {"stride": 1, "padding": 0, "dilation": 1}),
    (F.conv2d, {"x": X, "weight": WEIGHT, "algorithm": "winograd"}, {"padding": 0}),
    (F.conv2d, {"x": X, "weight": WEIGHT[:, :, :1, :1]}, {"stride": 1, "padding": 0, "dilation": 1}),
    (F.conv2d, {"x": X, "weight": WEIGHT}, {("stride", 0): 1, ("padding", 0): 0, ("dilation", 0): 1}),
    (F.conv2d, {"x": X, "weight": WEIGHT}, {("stride", 1): 1, ("padding", 1): 0, ("dilation", 1): 1}),
    (F.conv2d, {"x": X, "weight": WEIGHT, "padding": "same"}, {"dilation": 1}),
    (F.conv2d, {"x": X, "weight": GROUPED}, {"groups": 2}),
    (F.conv2d_backward, {"dy": DY, "x": X, "weight": WEIGHT}, {"stride": 1, "padding": 0, "dilation": 1}),
    (F.conv2d_backward, {"dy": X, "x": X, "weight": WEIGHT}, {"padding": 1, "dilation": 1}),
    (F.conv2d_backward, {"dy": DY, "x": X, "weight": GROUPED}, {"groups": 2}),
    (F.im2col, {"x": X}, {"kernel_size": 3, "stride": 1, "padding": 0, "dilation": 1}),
    (F.im2col, {"x": X}, {("kernel_size", 1): 3, ("stride", 1): 1, ("padding", 1): 0, ("dilation", 1): 1}),
    (
        F.col2im,
        {"columns": COLUMNS},
        {("output_size", 0): 5, ("output_size", 1): 6, "kernel_size": 3, "stride": 1, "padding": 0, "dilation": 1},
    ),
    (F.max_pool2d, {"x": X}, DILATED),
    (F.max_pool2d, {"x": X, "ceil_mode": True}, DILATED),
    (F.max_pool2d, {"x": X}, {("kernel_size", 0): 2, ("stride", 0): 2, ("padding", 0): 0, ("dilation", 0): 1}),
    (F.max_pool2d_taps, {"x": X}, DILATED),
    (
        F.max_pool2d_indices,
        {"taps": TAPS, "input_size": SHAPE},
        DILATED,
    ),
    (F.max_pool2d_indices, {"taps": TAPS, "kernel_size": 2}, INPUT_SIZE),
    (
        F.max_pool2d_backward,
        {"dy": POOLED, "taps": TAPS, "input_size": SHAPE},
        POOLING,
    ),
    (
        F.max_pool2d_backward,
        {"dy": POOLED, "taps": TAPS, "kernel_size": 2},
        INPUT_SIZE,
    ),
    (F.avg_pool2d, {"x": X}, POOLING),
    (
        F.avg_pool2d,
        {"x": X, "ceil_mode": True, "count_include_pad": False},
        POOLING,
    ),
    (F.avg_pool2d_backward, {"dy": POOLED, "input_size": SHAPE}, POOLING),
    (F.avg_pool2d_backward, {"dy": POOLED, "kernel_size": 2}, INPUT_SIZE),
    (F.adaptive_avg_pool2d, {"x": X}, {("output_size", 0): 2, ("output_size", 1): 2}),
    (F.adaptive_avg_pool2d, {"x": X}, {"output_size": 2}),
    (F.adaptive_avg_pool2d_backward, {"dy": ADAPTED}, INPUT_SIZE),
    (F.adaptive_max_pool2d, {"x": X}, {("output_size", 0): 2, ("output_size", 1): 2}),
    (F.adaptive_max_pool2d_taps, {"x": X}, {"output_size": 2}),
    (F.adaptive_max_pool2d_indices, {"taps": ADAPTED_TAPS}, INPUT_SIZE),
    (
        F.adaptive_max_pool2d_backward,
        {"dy": ADAPTED, "taps": ADAPTED_TAPS},
        INPUT_SIZE,
    ),
    (
        F.conv_transpose2d,
        {"x": X, "weight": WEIGHT},
        {"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1},
    ),
    (F.conv_transpose2d_backward, {"dy": DY, "x": X, "weight": WEIGHT}, {"stride": 1, "padding": 2, "dilation": 1}),
    (F.interpolate, {"x": X}, {("size", 0): 5, ("size", 1): 6}),
    (F.interpolate, {"x": X, "mode": "bilinear"}, {("size", 0): 5, ("size", 1): 6}),
    (F.interpolate, {"x": X, "mode": "bilinear"}, {"scale_factor": 2}),
    (F.interpolate_backward, {"dy": X, "size": (5, 6)}, INPUT_SIZE),
    (F.pad, {"x": X}, {("pad", i): 1 for i in range(4)}),
    (F.pad, {"x": X, "mode": "replicate"}, {("pad", i): 1 for i in range(4)}),
    (F.pad, {"x": X, "mode": "reflect"}, {("pad", i): 1 for i in range(4)}),
    (F.pad_backward, {"dy": X}, {("pad", i): 1 for i in range(4)}),
    (F.pixel_shuffle, {"x": X}, {"upscale_factor": 2}),
    (F.pixel_unshuffle, {"x": X}, {"downscale_factor": 1}),
    (F.local_response_norm, {"x": X}, {"size": 5}),
    (F.local_response_norm_backward, {"dy": X, "x": X}, {"size": 5}),
    (F.group_norm, {"x": X}, {"num_groups": 2}),
    (F.rms_norm, {"x": X}, {"normalized_shape": 5}),
    (F.embedding, {"x": LABELS, "weight": LOGITS}, {"padding_idx": 0}),
    (F.dropout, {"x": X, "p": 0.5}, {"key": 1}),
    (F.dropout_backward, {"dy": X, "p": 0.5}, {"key": 1}),
    (F.dropout2d, {"x": X, "p": 0.5}, {"key": 1}),
    (F.dropout2d_backward, {"dy": X, "p": 0.5}, {"key": 1}),
    (F.softmax, {"x": X}, {"dim": 1}),
    (F.softmax_backward, {"dy": X, "y": X}, {"dim": 1}),
    (F.log_softmax, {"x": X}, {"dim": 1}),
    (F.log_softmax_backward, {"dy": X, "y": X}, {"dim": 1}),
    (F.nll_loss, {"input": LOGITS, "target": LABELS}, {"ignore_index": -100}),
    (F.nll_loss_backward, {"dloss": 1.0, "input": LOGITS, "target": LABELS}, {"ignore_index": -100}),
    (F.cross_entropy, {"input": LOGITS, "target": LABELS}, {"ignore_index": -100}),
    (F.cross_entropy_backward, {"dloss": 1.0, "input": LOGITS, "target": LABELS}, {"ignore_index": -100}),
    (F.augment_batch, {"images": IMAGES}, {("indices", i): i for i in range(2)}),
    (F.augment_batch, {"images": X}, {("indices", i): i for i in range(2)}),
    (F.augment_batch, {"images": IMAGES, "indices": [0]}, {("shifts", 0, 0): 1, ("shifts", 0, 1): 1}),
    (F.augment_batch, {"images": X, "indices": [0]}, {("shifts", 0, 0): 1, ("shifts", 0, 1): 1}),
    (F.augment_batch, {"images": IMAGES, "indices": [0], "fill": 0.5}, {("boxes", 0, i): i for i in range(4)}),
    (F.augment_batch, {"images": X, "indices": [0], "fill": 0.5}, {("boxes", 0, i): i for i in range(4)}),
]


def layer(kind, *, make=(), **more):
    """A function that makes the layer, then runs it forward and backward."""

    def run(x, **settings):
        module = kind(*make, **more, **settings)
        y = module(x)
        return y, module.backward(np.ones_like(y))

    run.__name__ = kind.__name__
    return run


LAYERS = [
    (layer(nn.Conv2d), {"x": X}, {"in_channels": 4, "out_channels": 2, "kernel_size": 3, "groups": 1}),
    (layer(nn.Conv2d, make=(4, 2, 3)), {"x": X}, {"stride": 1, "padding": 0, "dilation": 1}),
    (layer(nn.ConvTranspose2d), {"x": X}, {"in_channels": 4, "out_channels": 2, "kernel_size": 3, "groups": 1}),
    (layer(nn.ConvTranspose2d, make=(4, 2, 3)), {"x": X}, {"stride": 1, "padding": 0, "dilation": 1}),
    (layer(nn.Upsample), {"x": X}, {"size": 7}),
    (layer(nn.ZeroPad2d), {"x": X}, {"padding": 1}),
    (layer(nn.ReflectionPad2d), {"x": X}, {"padding": 1}),
    (layer(nn.ReplicationPad2d), {"x": X}, {"padding": 1}),
    (layer(nn.PixelShuffle), {"x": X}, {"upscale_factor": 2}),
    (layer(nn.MaxPool2d), {"x": X}, DILATED),
    (layer(nn.AvgPool2d), {"x": X}, POOLING),
    (layer(nn.AdaptiveAvgPool2d), {"x": X}, {"output_size": 2}),
    (layer(nn.AdaptiveMaxPool2d), {"x": X}, {"output_size": 2}),
    (layer(nn.LocalResponseNorm), {"x": X}, {"size": 5}),
    (layer(nn.BatchNorm2d), {"x": X}, {"num_features": 4}),
    (layer(nn.InstanceNorm2d, affine=True), {"x": X}, {"num_features": 4}),
    (layer(nn.GroupNorm), {"x": X}, {"num_groups": 2, "num_channels": 4}),
    (layer(nn.Linear), {"x": LOGITS}, {"in_features": 5, "out_features": 2}),
    (layer(nn.PReLU), {"x": X}, {"num_parameters": 4}),
    (layer(nn.Softmax), {"x": X}, {"dim": 1}),
    (layer(nn.Flatten), {"x": X}, {"start_dim": 1, "end_dim": -1}),
]


def choices(settings, extremes):
    """Each name at each extreme, each two at the same, all at the same, and two at different ones."""
    names = list(settings)
    for value in extremes:
        for count in {1, 2, len(names)}:
            for chosen in itertools.combinations(names, count):
                yield {**settings, **dict.fromkeys(chosen, value)}
    for (a, b), (i, j) in itertools.product(itertools.permutations(names, 2), itertools.permutations(PAIRED, 2)):
        yield {**settings, a: i, b: j}


def arguments(settings):
    """The keyword arguments: a name with positions becomes an entry of its tuple in OTHERS."""
    given = {}
    for name, value in settings.items():
        if isinstance(name, str):
            given[name] = value
            continue
        name, *position = name
        filled = given.setdefault(name, [list(row) if isinstance(row, list) else row for row in OTHERS[name]])
        for index in position[:-1]:
            filled = filled[index]
        filled[position[-1]] = value
    return given


def outcome(function, given):
    """The arrays of the result, or the error."""
    try:
        result = function(**given)
    except (ValueError, TypeError, IndexError, MemoryError) as error:
        return error
    return [np.asarray(part) for part in (result if isinstance(result, tuple) else (result,)) if part is not None]


def names(function, error):
    """Whether the error begins with the function's name, or that of the function behind a layer or its first part."""
    told = str(error).partition(":")[0].replace("_", "").lower()
    return bool(told) and function.__name__.replace("_", "").lower().startswith(told)


def main():
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    count = 0
    layers = [(*call, [value for value in EXTREMES if value != 10**8]) for call in LAYERS]  # parameters of 400 MB
    for function, others, settings, extremes in [(*call, EXTREMES) for call in CALLS] + layers:
        name = function.__name__
        for setting in choices(settings, extremes):
            given = arguments(setting)
            print("call", name, given, flush=True)
            count += 1
            fastnn.manual_seed(0)
            native = outcome(function, {**others, **given})
            if isinstance(native, Exception):
                if not names(function, native) and not isinstance(native, MemoryError):
                    print("WRONG", name, given, type(native).__name__, native)
                continue
            if sum(part.size for part in native) > 10**6:
                continue  # the reference takes minutes
            fastnn.manual_seed(0)
            with fastnn.backend("reference"):
                reference = outcome(function, {**others, **given})
            if isinstance(reference, Exception):
                print("WRONG", name, given, "only the reference:", type(reference).__name__, reference)
            elif not all(np.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(native, reference, strict=True)):
                print("WRONG", name, given, "differs from the reference")
    print("calls:", count)


if __name__ == "__main__":
    sys.exit(main())
