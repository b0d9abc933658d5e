"""What is known of the packages that a script imports beside those that have a layer."""

import functools
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Collection

__all__ = ["NO_IPYTHON", "about_missing", "is_installed", "needed_library"]

NO_IPYTHON = "get_ipython() is there in notebooks only; leave this line out"

# Packages that bring PyTorch along, and work on its tensors only.
_NAMES = """
    accelerate apex captum fastai fvcore ignite kornia lightning monai pytorch_grad_cam pytorch_lightning pytorch_msssim
    segmentation_models_pytorch thop timm torch_geometric torch_optimizer torchattacks torchaudio torchinfo torchmetrics
    torchsummary torchtext torchviz transformers ultralytics warmup_scheduler
"""
_BUILT_ON_TORCH = frozenset(_NAMES.split())


def is_installed(name: str) -> bool:
    """Whether a module of this name is Python's or installed."""
    if name in sys.stdlib_module_names:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # it is being imported in an odd way, so it is there
        return True


def about_missing(name: str) -> str:
    """What to say of a module that is not installed."""
    if name in _BUILT_ON_TORCH:
        return f"{name} is not installed; it is built on PyTorch, works on its tensors only, and would bring it along"
    return f"{name} is not installed"


def needed_library(name: str, libraries: Collection[str]) -> str | None:
    """The one of `libraries` that the package of an installed module needs; None if it needs none of them."""
    for distribution in _distributions().get(name, ()):
        for requirement in importlib.metadata.requires(distribution) or ():
            needed, _, condition = requirement.partition(";")
            library = re.split(r"[^\w.-]", needed.strip(), maxsplit=1)[0]
            if library in libraries and "extra" not in condition:
                return library
    return None


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())
