"""What is known of the packages that a script imports beside those that have a layer."""

import functools
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Collection
from pathlib import PurePath

from fastnn.compat.imports import INSTALLED

__all__ = ["NO_IPYTHON", "about_missing", "about_needing", "is_installed", "needed_library", "package_of"]

NO_IPYTHON = "get_ipython() is there in notebooks only; leave this line out"

# Packages that bring PyTorch along, and work on its tensors only.
_NAMES = """
    accelerate apex captum fastai fvcore ignite kornia lightning monai pytorch_grad_cam pytorch_lightning pytorch_msssim
    segmentation_models_pytorch thop timm torch_geometric torch_optimizer torchattacks torchaudio torchinfo torchmetrics
    torchsummary torchtext torchviz transformers ultralytics warmup_scheduler
"""
_BUILT_ON_TORCH = frozenset(_NAMES.split())
# Packages that do without PyTorch, and import it if they are given its tensors.
_FOR_TORCH_TOO = frozenset(["einops", "opt_einsum", "tensorly"])


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
        return f"{name} is not installed; it is built on PyTorch: pip install --no-deps {name}, then {_asked(name)}"
    return f"{name} is not installed"


def about_needing(name: str, library: str) -> str:
    """What to say of an installed module that needs a library itself."""
    return f"{name} imports {library} itself; it gets fastnn for it, too, by {_asked(name)}"


def _asked(name: str) -> str:
    return f"fastnn run --with {name}"


def package_of(path: str) -> str | None:
    """The installed module or package that a file belongs to; None if it was not installed.

    Example:
        >>> from fastnn.compat._installed import package_of
        >>> package_of("/usr/lib/python3.12/site-packages/einops/layers/torch.py")
        'einops'
    """
    parts = PurePath(path).parts
    for folder in INSTALLED:
        if folder in parts[:-1]:
            return parts[parts.index(folder) + 1].removesuffix(".py")
    return None


def needed_library(name: str, libraries: Collection[str]) -> str | None:
    """The one of `libraries` that the package of an installed module imports; None if it imports none of them."""
    if name in _FOR_TORCH_TOO and "torch" in libraries:
        return "torch"
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
