"""Weights that were trained elsewhere: which there are, and reading them from files that the user has fetched."""

import os
from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import fastnn.compat.torch as torch
from fastnn.compat.torch import nn
from fastnn.compat.torch.hub import get_dir
from fastnn.compat.torchvision.transforms import transforms as T
from fastnn.data import _files

__all__ = ["Weights", "WeightsEnum", "init", "loaded", "weights_of"]

init: Any = nn.init  # whose functions are declared for tensors, and take parameters too

_URL = "https://download.pytorch.org/models/"
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _as_imagenet(resize_size: int) -> T.Compose:
    """What those who trained the weights did to images."""
    steps = [T.Resize(resize_size), T.CenterCrop(224), T.ToTensor(), T.Normalize(*_IMAGENET)]
    return T.Compose(steps)


class Weights(NamedTuple):
    """A file of weights, and what images need before the network sees them."""

    url: str
    transforms: Callable[[], Any]
    meta: dict[str, Any]


class WeightsEnum(Enum):
    """Weights that there are of a network."""

    @property
    def url(self) -> str:
        return self.value.url

    @property
    def transforms(self) -> Callable[[], Any]:
        return self.value.transforms

    @property
    def meta(self) -> dict[str, Any]:
        return self.value.meta

    def get_state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:
        """The weights, from a file of this name in the folder of `torch.hub`, of FASTNN_DATA, or the working folder.

        Raises:
            RuntimeError: there is none; the message says where to get it, and where to put it.
        """
        name = self.url.rpartition("/")[2]
        folders = [Path(get_dir(), "checkpoints"), *_files.places(None), Path(".")]
        for folder in folders:
            for place in (folder / name, folder / "models" / name):
                if place.is_file():
                    return torch.load(os.fspath(place))
        raise RuntimeError(
            f"{type(self).__name__}.{self.name}: weights are not fetched by fastnn: get {self.url} and put it into "
            f"{folders[0]}"
        )


def weights_of(name: str, *files: str, resize_size: tuple[int, ...] = (256, 232)) -> Any:
    """The kinds of weights of a network: IMAGENET1K_V1, the second V2, and DEFAULT, which is the last."""
    made: dict[str, Any] = {}
    for number, file in enumerate(files):
        transforms = partial(_as_imagenet, resize_size[number])
        made[f"IMAGENET1K_V{number + 1}"] = Weights(_URL + file, transforms, {"num_classes": 1000})
    made["DEFAULT"] = made[f"IMAGENET1K_V{len(files)}"]
    make: Any = WeightsEnum  # as a function, with names and values
    return make(f"{name}_Weights", made, module=__name__)


def loaded(make: Callable[..., Any], kinds: type[WeightsEnum], weights: Any, options: dict[str, Any], name: str) -> Any:
    """A network, with weights of these kinds: one of them, its name, True for the first, or None for random ones.

    Raises:
        ValueError: there are no such weights.
    """
    if "pretrained" in options:  # what the argument was called until torchvision 0.13
        weights = options.pop("pretrained")
    if weights is None or weights is False:
        return make(**options)
    if weights is True:
        weights = "IMAGENET1K_V1"
    if isinstance(weights, str):
        wanted = weights.rpartition(".")[2]
        if wanted not in kinds.__members__:
            raise ValueError(f"{name}: weights must be of {', '.join(kinds.__members__)}. Received: {weights!r}")
        weights = kinds[wanted]
    if not isinstance(weights, kinds):
        raise TypeError(f"{name}: Expected Weight class {kinds.__name__} but got {type(weights).__name__}")
    options.setdefault("num_classes", weights.meta["num_classes"])
    if options["num_classes"] != weights.meta["num_classes"]:
        raise ValueError(
            f"{name}: the weights have {weights.meta['num_classes']} classes: replace the last layer after they are "
            f"loaded. Received: num_classes={options['num_classes']}"
        )
    model = make(**options)
    model.load_state_dict(weights.get_state_dict())
    return model
