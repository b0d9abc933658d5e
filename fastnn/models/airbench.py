"""The network that learns CIFAR-10 in the shortest time: fixed whitening filters, six convolutions, a small head."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, nn
from fastnn import functional as F
from fastnn.autograd import no_grad
from fastnn.models._chain import Chain

__all__ = ["Airbench", "Scale", "airbench", "airbench94", "whitening_filters"]

# Added to the eigenvalues, so that directions without variance are not blown up.
_WHITENING_EPS = 5e-4
_WHITENING_SIZE = 2
# Images from which the covariance of patches is taken; and how many of them at once, for the memory of their patches.
_WHITENING_IMAGES = 5000
_WHITENING_CHUNK = 250


class Scale(nn.Module):
    """Multiply by a constant: y = factor * x.

    Args:
        factor: the constant, a float.
    Shape:
        - Input: any
        - Output: that of the input
    Raises:
        TypeError, ValueError: factor is not a finite number.
    Example:
        >>> from fastnn.models import Scale
        >>> Scale(0.5)(np.array([2.0, 4.0]))
        array([1., 2.])
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = _check.number("Scale", "factor", factor, finite=True)

    def forward(self, x: NDArray) -> NDArray:
        x = _check.floats("Scale", "x", x)
        return x * np.asarray(self.factor, x.dtype)

    def backward(self, dy: NDArray) -> NDArray:
        dy = _check.floats("Scale.backward", "dy", dy)
        return dy * np.asarray(self.factor, dy.dtype)

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


def whitening_filters(images: NDArray, size: int = _WHITENING_SIZE, eps: float = _WHITENING_EPS) -> NDArray:
    """Filters whose responses to the patches of `images` are uncorrelated and have equal variance, and their negatives.

    v and l are the eigenvectors and eigenvalues of the second moments of all size x size patches. The filters are
    v / sqrt(l + eps) in descending order of l, then -v / sqrt(l + eps).

    Args:
        images: training images, (N, C, H, W), normalised as in training. The first 5000 are used.
        size: the height and width of the filters in pixels. Default 2.
        eps: added to the eigenvalues. Default 5e-4.
    Returns:
        The filters, (2 * C * size**2, C, size, size), float32.
    Raises:
        ValueError: there are no images, or they are smaller than a filter.
    Example:
        >>> from fastnn import models
        >>> models.whitening_filters(np.random.default_rng(0).standard_normal((8, 3, 16, 16))).shape
        (24, 3, 2, 2)

    Source: Page, 2019, "How to train your ResNet 8: bag of tricks"; Jordan, 2024, "94 % on CIFAR-10 in 3.29 seconds".
    """
    size = _check.integer("whitening_filters", "size", size, 1)
    eps = _check.epsilon("whitening_filters", eps)
    images = _check.reals("whitening_filters", "images", images)
    images = images[:_WHITENING_IMAGES] if images.ndim else images
    if images.ndim != 4 or not len(images) or min(images.shape[2:]) < size:
        raise ValueError(
            f"whitening_filters: images of at least {size}x{size} pixels are needed. "
            f"Received: images.shape={images.shape}"
        )
    c = images.shape[1]
    n_taps = c * size * size
    # The filters of the identity cut an image into patches, and the gradient of their weights is the sum of products
    # of patch elements: a convolution in double computes both, to the same bits on any number of threads.
    cut = np.eye(n_taps).reshape(n_taps, c, size, size)
    moments = np.zeros((n_taps, n_taps))
    n_patches = 0
    for start in range(0, len(images), _WHITENING_CHUNK):
        chunk = images[start : start + _WHITENING_CHUNK].astype(np.float64)
        patches = F.conv2d(chunk, cut)
        products = F.conv2d_backward(patches, chunk, cut, need_dx=False, need_dbias=False)[1]
        assert products is not None  # it was asked for
        moments += products.reshape(n_taps, n_taps)
        n_patches += patches.size // n_taps
    eigenvalues, vectors = np.linalg.eigh(moments / n_patches)
    filters = (vectors / np.sqrt(np.maximum(eigenvalues, 0) + eps)).T[::-1].reshape(n_taps, c, size, size)
    return np.concatenate([filters, -filters]).astype(np.float32)


class Airbench(Chain):
    """A layer of whitening filters, groups of two convolutions, and a linear head.

    Each group is conv 3x3, max pool, batch norm, GELU, conv 3x3, batch norm, GELU. The convolutions are initialised as
    the identity on as many channels as they are given (Dirac). Batch norms shift but do not scale. The logits are
    multiplied by `scale`. For training with `optim.Muon`, use scale=1 / widths[-1], unit_head=True and
    zero_whitening_bias=False.

    Call `whiten` before training: it computes the fixed filters of the first layer from training images. Until then
    they are random.

    Args:
        num_classes: the number of classes. Default 10.
        widths: the number of channels of each group. Default (64, 256, 256).
        scale: the factor of the logits. Default 1/9.
        bn_momentum: the weight of a new batch in the running statistics of batch norm. Default 0.4.
        unit_head: initialise the head's weights with a standard deviation of 1, instead of 1 / sqrt(3 * widths[-1]).
            Default False.
        zero_whitening_bias: initialise the bias of the first layer with 0 (default), or else at random like `Conv2d`.
    Shape:
        - Input: (N, 3, H, W), H and W at least 25 with three groups (31 pixels -> 15 -> 7 -> 3 for H = 32)
        - Output: (N, num_classes)
    Raises:
        ValueError: a number is not positive.
        TypeError: an argument has the wrong type.
    Example:
        >>> from fastnn import data, models
        >>> images = data.Shapes32(100).images.astype(np.float32) / 255
        >>> model = models.Airbench(widths=(16, 32, 32)).whiten(images - 0.45)
        >>> model(images[:2] - 0.45).shape
        (2, 10)

    Source: Jordan, 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU".
    """

    def __init__(
        self,
        num_classes: int = 10,
        widths: Sequence[int] = (64, 256, 256),
        scale: float = 1 / 9,
        bn_momentum: float = 0.4,
        unit_head: bool = False,
        zero_whitening_bias: bool = True,
    ) -> None:
        num_classes = _check.integer("Airbench", "num_classes", num_classes, 1)
        widths = _check.integers("Airbench", "widths", widths, 1)
        scale = _check.number("Airbench", "scale", scale, finite=True)
        bn_momentum = _check.number("Airbench", "bn_momentum", bn_momentum, 0, 1)
        unit_head = _check.boolean("Airbench", "unit_head", unit_head)
        zero_whitening_bias = _check.boolean("Airbench", "zero_whitening_bias", zero_whitening_bias)
        c_whitened = 2 * 3 * _WHITENING_SIZE**2
        channels = [c_whitened, *widths]
        groups = {
            f"group{index + 1}": _group(c_in, c_out, bn_momentum)
            for index, (c_in, c_out) in enumerate(itertools.pairwise(channels))
        }
        super().__init__(
            whitening=nn.Conv2d(3, c_whitened, _WHITENING_SIZE),
            gelu=nn.GELU(),
            **groups,
            pool=nn.MaxPool2d(3),
            flatten=nn.Flatten(),
            head=nn.Linear(channels[-1], num_classes, bias=False),
            scale=Scale(scale),
        )
        self.whitening.weight.requires_grad = False
        if zero_whitening_bias:
            nn.init.zeros_(self.whitening.bias)
        if unit_head:
            self.head.weight.data /= self.head.weight.data.std(ddof=1, dtype=np.float64)

    def whiten(self, images: NDArray) -> Airbench:
        """Set the fixed filters of the first layer to the `whitening_filters` of these images. Returns the network.

        Args:
            images: training images, (N, 3, H, W), normalised as in training.
        Raises:
            ValueError: there are no images, or they are smaller than a filter.
        """
        weight = self.whitening.weight
        images = _check.reals("whiten", "images", images)
        if images.ndim != 4 or images.shape[1] != weight.shape[1]:
            raise _check.fail("whiten", "images (N, 3, H, W) are needed", images=images)
        with no_grad():
            weight[...] = whitening_filters(images)
        return self

    def train_whitening(self, on: bool) -> None:
        """Train the bias of the first layer, or do not: `backward` then stops before that layer, which saves time."""
        on = _check.boolean("train_whitening", "on", on)
        self.whitening.bias.requires_grad = on


def _group(c_in: int, c_out: int, bn_momentum: float) -> Chain:
    return Chain(
        conv1=_conv(c_in, c_out),
        pool=nn.MaxPool2d(2),
        bn1=_batch_norm(c_out, bn_momentum),
        gelu1=nn.GELU(),
        conv2=_conv(c_out, c_out),
        bn2=_batch_norm(c_out, bn_momentum),
        gelu2=nn.GELU(),
    )


def _conv(c_in: int, c_out: int) -> nn.Conv2d:
    """A convolution whose first filters pass the input on, and whose others start at random."""
    conv = nn.Conv2d(c_in, c_out, 3, padding="same", bias=False)
    n_identity = min(c_in, c_out)
    with no_grad():
        conv.weight[:n_identity] = 0
        conv.weight[np.arange(n_identity), np.arange(n_identity), 1, 1] = 1
    return conv


def _batch_norm(channels: int, momentum: float) -> nn.BatchNorm2d:
    # Page found that a trained scale learns nothing of use here. eps is Jordan's.
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=momentum)
    layer.get_parameter("weight").requires_grad = False
    return layer


def airbench(num_classes: int = 10, widths: Sequence[int] = (64, 256, 256), **kwargs: Any) -> Airbench:
    """An `Airbench` of any widths.

    Args:
        num_classes: the number of classes. Default 10.
        widths: the number of channels of each group. Default (64, 256, 256).
        **kwargs: the other arguments of `Airbench`.
    Shape:
        - Input: (N, 3, H, W)
        - Output: (N, num_classes)
    Raises:
        ValueError: a number is not positive.
        TypeError: an argument has the wrong type.
    Example:
        >>> from fastnn import models
        >>> models.airbench(widths=(16, 32, 32))(np.zeros((2, 3, 32, 32), np.float32)).shape
        (2, 10)

    Source: Jordan, 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU".
    """
    return Airbench(num_classes, widths, **kwargs)


def airbench94(num_classes: int = 10) -> Airbench:
    """The `Airbench` that reaches 94 % on CIFAR-10: widths 64, 256, 256, and 1.97 million parameters.

    Args:
        num_classes: the number of classes. Default 10.
    Shape:
        - Input: (N, 3, H, W)
        - Output: (N, num_classes)
    Raises:
        ValueError: a number is not positive.
        TypeError: an argument has the wrong type.
    Example:
        >>> from fastnn import models
        >>> sum(p.size for p in models.airbench94().parameters())
        1972792

    Source: Jordan, 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU".
    """
    return Airbench(num_classes)
