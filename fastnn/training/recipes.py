"""Trainings by name: what is trained, how, and for how long.

All learning rates and weight decays here are those of the mean loss over a batch, as in PyTorch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn import _check, data, models, nn, optim
from fastnn.optim.optimizer import number
from fastnn.optim.scheduler import fraction
from fastnn.training.trainer import count_steps

__all__ = ["DEFAULT_RECIPE", "RECIPES", "Recipe", "triangle"]

DEFAULT_RECIPE = "cifar10-75"


@dataclass(frozen=True)
class Recipe:
    """Everything about a training but the data and the seed.

    Attributes:
        name, description: for people.
        model, model_options: for `models.create`.
        epochs: not necessarily whole.
        batch_size: images of a step; a last batch that is not full is dropped.
        lr, momentum, weight_decay: of SGD with Nesterov momentum.
        norm_bias_lr: factor of the learning rate of batch norm's shifts; their weight decay is divided by it.
        muon: settings of `optim.Muon`, which then trains the filters of the convolutions; empty leaves them to SGD.
        warmup, first_lr, last_lr: share of the steps in which the learning rate grows, and its factors at the first
            step and after the last one; see `triangle`.
        label_smoothing: of the cross-entropy.
        flip: 'alternate' mirrors every image in every other epoch, 'random' half of them at random, 'none' no image.
        translate: pixels by which images are shifted at random, with reflection.
        lookahead: average the weights over time, see `Lookahead`.
        whitening_epochs: epochs in which the bias of an `Airbench`'s first layer is trained.
        whitening_lr: factor of that bias's learning rate, by which its weight decay is divided; its learning rate then
            goes through the whole schedule in `whitening_epochs`. None trains it like other weights.
        tta: test-time averaging, see `predict`.
        conv2d_algorithm: of the convolutions, in training and evaluation, unless another is preferred already; see
            `fastnn.conv2d_algorithm`.
        validation: training images that are put aside to choose the best epoch by; 0 trains on all and takes the last.
    """

    name: str
    description: str
    model: str
    epochs: float
    batch_size: int
    lr: float
    model_options: Mapping[str, Any] = field(default_factory=dict)
    momentum: float = 0.9
    weight_decay: float = 5e-4
    norm_bias_lr: float = 1.0
    muon: Mapping[str, Any] = field(default_factory=dict)
    warmup: float = 0.2
    first_lr: float = 0.2
    last_lr: float = 0.0
    label_smoothing: float = 0.0
    flip: str = "random"
    translate: int = 0
    lookahead: bool = False
    whitening_epochs: float = 0.0
    whitening_lr: float | None = None
    tta: int = 0
    conv2d_algorithm: str = "auto"
    validation: int = 0

    def make_model(self, num_classes: int = 10) -> nn.Module:
        """The network, freshly initialised from the generator of `fastnn.manual_seed`."""
        return models.create(self.model, num_classes=num_classes, **self.model_options)

    def make_optimizer(self, model: nn.Module) -> optim.SGD | optim.MultiOptimizer:
        """SGD with Nesterov momentum, and with `muon` Muon beside it.

        Its groups have names: 'weights', and where there are any 'norms' (the shifts of batch norm), 'whitening' (see
        `whitening_lr`) and 'filters' (see `muon`).
        """
        norms = [m.bias for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.bias is not None]
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        filters = [parameter for parameter in trained if self.muon and parameter.ndim == 4]
        apart = [("norms", norms, self.norm_bias_lr)]
        if self.whitening_lr is not None and isinstance(model, models.Airbench):
            apart.append(("whitening", [model.whitening.bias], self.whitening_lr))
        elsewhere = {id(p) for parameters in (filters, *(some for _, some, _ in apart)) for p in parameters}
        groups: list[dict[str, Any]] = [{"name": "weights", "params": [p for p in trained if id(p) not in elsewhere]}]
        for name, parameters, factor in apart:
            if parameters:
                rates = {"lr": self.lr * factor, "weight_decay": self.weight_decay / factor}
                groups.append({"name": name, "params": parameters, **rates})
        sgd = optim.SGD(
            groups,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.momentum > 0,
        )
        if not filters:
            return sgd
        return optim.MultiOptimizer([sgd, optim.Muon([{"name": "filters", "params": filters}], **self.muon)])

    def lr_factors(self, optimizer: optim.Optimizer, batches_per_epoch: int) -> list[Callable[[int], float]]:
        """The triangle for each group of `make_optimizer`: the factor of its learning rate after so many steps."""

        def over(epochs: float) -> Callable[[int], float]:
            return triangle(count_steps(epochs, batches_per_epoch), self.warmup, self.first_lr, self.last_lr)

        names = [group["name"] for group in optimizer.param_groups]
        return [over(self.whitening_epochs if name == "whitening" else self.epochs) for name in names]

    def make_scheduler(self, optimizer: optim.Optimizer, batches_per_epoch: int) -> optim.LambdaLR:
        """The schedule of `lr_factors`, stepped after every step."""
        return optim.LambdaLR(optimizer, self.lr_factors(optimizer, batches_per_epoch))

    def augmentation(self, seed: int = 0) -> list[data.Augmentation]:
        """What is done to the training images."""
        steps: list[data.Augmentation] = []
        if self.flip == "alternate":
            steps.append(data.AlternatingFlip(seed))
        elif self.flip == "random":
            steps.append(data.RandomHorizontalFlip())
        if self.translate:
            steps.append(data.RandomCrop(padding=self.translate, mode="reflect"))
        return steps


def triangle(total_steps: int, warmup: float, first: float, last: float) -> Callable[[int], float]:
    """A factor of the learning rate: linear from `first` to 1 while `warmup` of the steps, then linear to `last`.

    Example:
        >>> from fastnn.training import triangle
        >>> factor = triangle(total_steps=10, warmup=0.2, first=0.5, last=0.0)
        >>> [factor(step) for step in (0, 1, 2, 6, 10)]
        [0.5, 0.75, 1.0, 0.5, 0.0]
    """
    total_steps = _check.integer("triangle", "total_steps", total_steps, 1)
    warmup = fraction("triangle", "warmup", warmup)
    first, last = number("triangle", "first", first), number("triangle", "last", last)
    peak = int(warmup * total_steps)

    def factor(step: int) -> float:
        return float(np.interp(step, [0, peak, total_steps], [first if peak else 1.0, 1.0, last]))

    return factor


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="cifar10-75",
            description="the fastest that passes 75 % on CIFAR-10: a narrow airbench network, less than two epochs",
            model="airbench",
            model_options={"widths": (16, 32, 96)},
            epochs=1.4,
            # So short a training needs many steps rather than exact gradients: at 512 images a step this network stays
            # some 6 points lower. The rate follows the batch: airbench94 below has 1.5 for 1024 images.
            batch_size=128,
            lr=0.25,
            momentum=0.85,
            weight_decay=2.661e-3,
            norm_bias_lr=64.0,
            warmup=0.23,
            first_lr=0.2,
            last_lr=0.07,
            label_smoothing=0.2,
            flip="alternate",
            translate=2,
            lookahead=True,
            whitening_epochs=0.5,
            tta=2,
        ),
        Recipe(
            name="cifar10-94",
            description="airbench94 with Muon: 94 % on CIFAR-10 in 8.6 epochs (after Jordan, 2024, who takes 8)",
            model="airbench",
            model_options={"scale": 1 / 256, "unit_head": True, "zero_whitening_bias": False},
            epochs=8.6,
            batch_size=2000,
            # The paper's 0.67 for the head and 0.053 for biases, and lr * weight_decay = 0.004 of both, are for the
            # loss summed over 2000 images. Muon's step does not depend on the scale of the loss.
            lr=0.67 * 2000,
            momentum=0.85,
            weight_decay=0.004 / 0.67 / 2000,
            norm_bias_lr=0.053 / 0.67,
            muon={
                "lr": 0.24,
                "weight_decay": 0.0,
                "momentum": 0.6,
                "ns_steps": 3,
                "adjust_lr_fn": "constant",
                "normalize_weight": True,
            },
            warmup=0.0,
            last_lr=0.0,
            label_smoothing=0.2,
            flip="alternate",
            translate=2,
            whitening_epochs=3.0,
            whitening_lr=0.053 / 0.67,
            tta=2,
            conv2d_algorithm="winograd4",
        ),
        Recipe(
            name="cifar10-94-sgd",
            description="airbench94 with SGD alone, as first published: 94 % on CIFAR-10 in 9.9 epochs (Jordan, 2024)",
            model="airbench94",
            epochs=9.9,
            batch_size=1024,
            # The paper's lr 11.5 and decay 0.0153 per 1024 images, for the sum of the loss and decoupled from momentum:
            # 11.5 / (1024 * (1 + 1 / (1 - 0.85))) * 1024 and 0.0153 / 11.5.
            lr=1.5,
            momentum=0.85,
            weight_decay=1.3305e-3,
            norm_bias_lr=64.0,
            warmup=0.23,
            first_lr=0.2,
            last_lr=0.07,
            label_smoothing=0.2,
            flip="alternate",
            translate=2,
            lookahead=True,
            whitening_epochs=3.0,
            tta=2,
        ),
        Recipe(
            name="vgg_a_bn",
            description="the Fudan course's VGG-A with batch norm, simply trained",
            model="vgg_a_bn",
            epochs=20.0,
            batch_size=128,
            lr=0.05,
            label_smoothing=0.1,
            translate=4,
            validation=5000,
        ),
    )
}
