"""What to write instead: a table of the layers and operations that refuse arrays, and of what they say then."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn import nn
from fastnn.autograd.joining import Concatenate
from fastnn.autograd.shapes import Reshape
from fastnn.nn._failures.walk import Failure, Shape, Step

__all__ = ["advice"]

_MOST_CHANNELS_OF_IMAGES = 4  # red, green, blue, alpha


def advice(failure: Failure, error: Exception) -> list[str]:
    """Texts for what is known of such a failure; empty if nothing is."""
    if not failure.inputs:
        return []
    last = failure.way[-1] if failure.way else None
    if last is not None and 1 < last.n_results == len(failure.inputs) and "cannot be made an array" in str(error):
        return [f"{last.label} gives a tuple of several arrays, and this layer takes one: give it the first, y[0]"]
    found = list(_dtypes(failure))
    if found or (isinstance(error, TypeError) and not isinstance(failure.module, nn.Embedding)):
        return found
    for kinds, rule in _LAYERS:
        if isinstance(failure.module, kinds):
            return list(rule(failure))
    return list(_operation(failure))


def _dtypes(failure: Failure) -> Iterator[str]:
    """Images in bytes; float64 among float32."""
    x, module = failure.inputs[0], failure.module
    own = next((p.dtype for p in module._parameters.values() if p is not None), None)
    if isinstance(module, nn.Embedding) or own is None:
        return
    if x.dtype == np.uint8 and x.ndim >= 3:
        yield "x holds bytes, 0 to 255; write x.astype(numpy.float32) / 255, and normalise it as in training"
    elif x.dtype.kind == "f" and x.dtype != own:
        yield (
            f"x is {x.dtype}, the parameters are {own}; write x.astype(numpy.{own}), "
            f"or convert the network: model.astype(numpy.{x.dtype})"
        )


# ---- layers ----------------------------------------------------------------------------------------------------------
def _linear(failure: Failure) -> Iterator[str]:
    x, layer = failure.inputs[0], failure.module
    if not x.ndim or x.shape[-1] == layer.in_features:
        return
    features = x.shape[-1]
    if math.prod(failure.start[0]) == layer.in_features:
        words = _product(failure.start[0])
        yield f"{layer.in_features} = {words}: one example without the axis of the batch? write x[None]"
        return
    if x.ndim > 2 and math.prod(x.shape[1:]) == layer.in_features:
        yield f"{layer.in_features} = {_product(x.shape[1:])}: put nn.Flatten() before this layer"
        return
    if x.ndim == 4:
        flat = math.prod(x.shape[1:])
        yield (
            f"a Linear takes the last axis as features; for one row for each image put nn.Flatten() before it: "
            f"{flat} = {_product(x.shape[1:])}; then write {_with(layer, flat, layer.out_features)}"
        )
        return
    flattened = _flattened(failure, features)
    cure = f"write {_with(layer, features, layer.out_features)}"
    if flattened is None:
        yield cure
        return
    axes = "channels, height and width" if len(flattened.before) == 4 else "axes"
    yield f"{features} = {_product(flattened.before[1:])}, the {axes} before {flattened.label}; {cure}"


def _flattened(failure: Failure, features: int) -> Step | None:
    """The last step that made so many features of several axes."""
    for step in reversed(failure.way):
        if len(step.before) > 2 and step.after[-1:] == (features,) and math.prod(step.before[1:]) == features:
            return step
        if step.after != step.before:
            return None
    return None


def _convolution(failure: Failure) -> Iterator[str]:
    x, layer = failure.inputs[0], failure.module
    if x.ndim != 4:
        yield from _images(failure, layer.in_channels)
        return
    channels = x.shape[1]
    if channels == layer.in_channels:
        yield from _shrunk(failure)
        return
    if x.shape[3] == layer.in_channels <= _MOST_CHANNELS_OF_IMAGES and not _has_changed(failure):
        yield (
            f"x looks like images of (N, H, W, C), {x.shape}; this network takes (N, C, H, W): "
            "write x.transpose(0, 3, 1, 2)"
        )
        return
    if channels == 1 and layer.in_channels == 3 and not _has_changed(failure):
        yield (
            f"x holds grey images; for them write {_with(layer, 1, layer.out_channels)}, "
            "or repeat the channel: numpy.repeat(x, 3, axis=1)"
        )
        return
    groups = layer.groups
    if channels % groups:
        yield f"with groups={groups} the channels must be a multiple of {groups}, and x has {channels}"
    elif groups > 1 and groups == layer.in_channels and not layer.out_channels % groups:  # depthwise
        yield f"write {type(layer).__name__}({channels}, {channels * layer.out_channels // groups}, groups={channels})"
    else:
        yield f"write {_with(layer, channels, layer.out_channels)}"


def _pooling(failure: Failure) -> Iterator[str]:
    yield from _shrunk(failure) if failure.inputs[0].ndim == 4 else _images(failure, None)


def _images(failure: Failure, channels: int | None) -> Iterator[str]:
    """For a layer that takes (N, C, H, W) and got other than four axes."""
    x = failure.inputs[0]
    if x.ndim == 3 and channels in (None, x.shape[0]):
        yield "one image without the axis of the batch? write x[None]"
    elif x.ndim == 3 and channels == x.shape[2]:
        yield "one image of (H, W, C)? write x.transpose(2, 0, 1)[None]"
    elif x.ndim == 3 and channels == 1 and not _has_changed(failure):
        yield "grey images of (N, H, W)? write x[:, None]"
    flat = next((step for step in reversed(failure.way) if len(step.before) == 4 and len(step.after) != 4), None)
    if flat is not None:
        yield f"{flat.label} has joined the axes {flat.before} to {flat.after}; this layer must come before it"


def _shrunk(failure: Failure) -> Iterator[str]:
    """How an image came to be smaller than a window."""
    sizes = [(label, shape[2:]) for label, shape in [("input", failure.start[0]), *_after(failure)] if len(shape) == 4]
    changes = [f"{label} {h} x {w}" for i, (label, (h, w)) in enumerate(sizes) if i == 0 or sizes[i - 1][1] != (h, w)]
    if len(changes) > 1:
        yield f"the image has shrunk: {', '.join(changes)}; take larger images, padding, or fewer strides and poolings"
    else:
        yield "take larger images, a smaller window, or padding"


def _channels(name: str) -> Callable[[Failure], Iterator[str]]:
    """For norms, whose attribute `name` is the number of channels."""

    def rule(failure: Failure) -> Iterator[str]:
        x, layer = failure.inputs[0], failure.module
        kind = type(layer).__name__
        if kind.endswith("2d") and x.ndim in (2, 3):
            one_image = x.ndim == 3 and x.shape[0] == getattr(layer, name) and not _has_changed(failure)
            yield (
                "one image without the axis of the batch? write x[None]"
                if one_image
                else (f"for {x.ndim} axes there is nn.{kind[:-2]}1d")
            )
        elif kind.endswith("1d") and x.ndim == 4:
            yield f"for images there is nn.{kind[:-2]}2d"
        elif x.ndim == 1:
            yield "one example without the axis of the batch? write x[None]"
        elif x.ndim > 1 and x.shape[1] != getattr(layer, name):
            if x.ndim == 4 and x.shape[3] == getattr(layer, name):
                yield f"x looks like (N, H, W, C), {x.shape}; write x.transpose(0, 3, 1, 2)"
            first = (layer.num_groups,) if hasattr(layer, "num_groups") else ()
            yield f"write {_with(layer, *first, x.shape[1])}"

    return rule


def _last_axes(failure: Failure) -> Iterator[str]:
    x, layer = failure.inputs[0], failure.module
    n = len(layer.normalized_shape)
    if x.ndim > n:
        shape = x.shape[-n:]
        yield f"the last {'axis' if n == 1 else f'{n} axes'} of x: write {_with(layer, shape[0] if n == 1 else shape)}"


def _embedding(failure: Failure) -> Iterator[str]:
    x, layer = failure.inputs[0], failure.module
    if x.dtype.kind not in "iu":
        yield "an Embedding looks up rows: write x.astype(numpy.int64)"
    elif x.size and x.min() < 0:
        yield f"the smallest index is {x.min()}; rows are counted from 0"
    elif x.size:
        rows = int(x.max()) + 1
        yield f"the largest index is {rows - 1}: write {_with(layer, rows, layer.embedding_dim)}"


def _features(name: str, *others: str) -> Callable[[Failure], Iterator[str]]:
    """For layers of sequences, whose attribute `name` is the number of features of x."""

    def rule(failure: Failure) -> Iterator[str]:
        x, layer = failure.inputs[0], failure.module
        if not x.ndim or x.shape[-1] == getattr(layer, name):
            return
        if x.ndim == 3 and x.shape[1] == getattr(layer, name):
            yield f"x looks like (N, features, length), {x.shape}; write x.transpose(0, 2, 1)"
            return
        heads = getattr(layer, "num_heads", 1)
        cure = f"write {_with(layer, x.shape[-1], *(getattr(layer, other) for other in others))}"
        yield cure if not x.shape[-1] % heads else f"the features, {x.shape[-1]}, must be a multiple of {heads} heads"

    return rule


def _residual(failure: Failure) -> Iterator[str]:
    block = failure.module
    shapes = {}
    for part in ("body", "shortcut"):
        found = [shape for module, shape in failure.results if module is block._modules[part]]
        if not found:
            return
        shapes[part] = found[-1]
    (n_body, *body), (n_shortcut, *shortcut) = shapes["body"], shapes["shortcut"]
    x = failure.inputs[0].shape if failure.inputs else ()
    if len(body) == len(shortcut) == 3 and n_body == n_shortcut:
        yield from _image_sizes("the body", body, "the shortcut", shortcut)
        if body[0] != shortcut[0] and isinstance(block._modules["shortcut"], nn.Identity):
            stride = -(-shortcut[1] // body[1])
            is_strided = stride > 1 and (-(-shortcut[1] // stride), -(-shortcut[2] // stride)) == tuple(body[1:])
            words = f", stride={stride}" if is_strided else ""
            yield f"give the block a shortcut that changes the channels: nn.Conv2d({x[1]}, {body[0]}, 1{words})"


def _image_sizes(a: str, shape_a: Any, b: str, shape_b: Any) -> Iterator[str]:
    """Why two images (C, H, W) do not lie on each other."""
    (c_a, *size_a), (c_b, *size_b) = shape_a, shape_b
    if size_a != size_b:
        yield (
            f"{a} gives images of {_by(size_a)}, {b} of {_by(size_b)}: "
            "give the convolutions the same strides, and padding that keeps the size (kernel_size // 2)"
        )
    if c_a != c_b:
        yield f"{a} gives {c_a} channels, {b} {c_b}"


def _prelu(failure: Failure) -> Iterator[str]:
    x = failure.inputs[0]
    if x.ndim > 1:
        yield f"write PReLU(1), or PReLU({x.shape[1]}) for a weight of each channel"


def _loss(failure: Failure) -> Iterator[str]:
    """Of classes."""
    if len(failure.inputs) != 2:
        return
    x, target = failure.inputs
    if x.ndim > 2 and target.shape == x.shape[:1] and math.prod(x.shape[2:]) == 1:
        yield "the network gives images of one pixel: put nn.Flatten() at its end, or write x.reshape(len(x), -1)"
    elif x.ndim == 2 and target.shape == (len(x), 1):
        yield "one label for each row: write target[:, 0]"


_LAYERS: tuple[tuple[Any, Callable[[Failure], Iterator[str]]], ...] = (
    (nn.Linear, _linear),
    ((nn.Conv2d, nn.ConvTranspose2d), _convolution),
    ((nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d), _pooling),
    ((nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm1d, nn.InstanceNorm2d), _channels("num_features")),
    (nn.GroupNorm, _channels("num_channels")),
    ((nn.LayerNorm, nn.RMSNorm), _last_axes),
    (nn.Embedding, _embedding),
    (nn.MultiheadAttention, _features("embed_dim", "num_heads")),
    ((nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell), _features("input_size", "hidden_size")),
    (nn.Residual, _residual),
    (nn.PReLU, _prelu),
    ((nn.CrossEntropyLoss, nn.NLLLoss, nn.FocalLoss, nn.MultiMarginLoss), _loss),
)


# ---- operations between layers ---------------------------------------------------------------------------------------
def _operation(failure: Failure) -> Iterator[str]:
    operation, shapes = failure.operation, [array.shape for array in failure.operands]
    if isinstance(operation, Reshape) and shapes:
        yield (
            f"x has {math.prod(shapes[0])} = {_product(shapes[0])} elements; "
            "for one row for each image write x.reshape(len(x), -1)"
        )
    elif isinstance(operation, Concatenate) and len({len(shape) for shape in shapes}) == 1:
        axis = operation.axis % len(shapes[0]) if shapes[0] else 0
        others = [i for i in range(len(shapes[0])) if i != axis and len({shape[i] for shape in shapes}) > 1]
        if others:
            words = " and ".join(map(str, others))
            yield f"{', '.join(map(str, shapes))}: all axes but {axis} must be equal, {_axes(others)} {words} differ"
    elif len(shapes) == 2 and len(shapes[0]) == len(shapes[1]) == 4 and shapes[0][0] == shapes[1][0]:
        yield from _image_sizes("the first", shapes[0][1:], "the second", shapes[1][1:])


# ---- words -----------------------------------------------------------------------------------------------------------
def _has_changed(failure: Failure) -> bool:
    """Whether anything has changed the shape of the network's input before."""
    return any(step.after != step.before for step in failure.way)


def _after(failure: Failure) -> list[tuple[str, Shape]]:
    return [(step.label, step.after) for step in failure.way]


def _with(layer: Any, *arguments: Any) -> str:
    """`Linear(1024, 10)`; dots stand for settings that stay."""
    more = ", ..." if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) else ""
    return f"{type(layer).__name__}({', '.join(map(str, arguments))}{more})"


def _product(sizes: Any) -> str:
    return " * ".join(map(str, sizes))


def _by(sizes: Any) -> str:
    return " x ".join(map(str, sizes))


def _axes(numbers: list[int]) -> str:
    return "axis" if len(numbers) == 1 else "axes"
