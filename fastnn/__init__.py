"""fastnn: train convolutional networks on a CPU, with NumPy arrays.

Functions and layers take arrays and return arrays, or take tensors and return tensors that carry gradients. A network
only needs a `forward`. Every operation is a small class with `forward` and `backward` side by side. The arithmetic runs
in C, in kernels that are chosen for the CPU at run time.

    from fastnn import nn, optim, data, models, functional as F
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastnn._errors import FileError
from fastnn._layout import conversions
from fastnn._memory import empty_cache, memory_info
from fastnn._random import manual_seed, random_state, set_random_state
from fastnn._runtime import (
    available_isas,
    available_threads,
    backend,
    build_info,
    conv2d_algorithm,
    isa,
    joined_layers,
    num_threads,
    set_flush_denormal,
    set_isa,
    set_num_threads,
)
from fastnn._version import __version__

# Loaded at first use (PEP 562), so that `import fastnn` costs little more than NumPy.
_SUBMODULES = (
    "benchmark",
    "courses",
    "data",
    "distributed",
    "doctor",
    "functional",
    "grading",
    "insight",
    "interop",
    "models",
    "nn",
    "optim",
    "profiling",
    "reference",
    "training",
    "tune",
)
# Their name here -> where they are.
_LATE_FUNCTIONS = {
    "Op": ("autograd", "Op"),
    "Tensor": ("autograd", "Tensor"),
    "diagnose": ("doctor", "diagnose"),
    "enable_grad": ("autograd", "enable_grad"),
    "explain": ("insight", "explain"),
    "grad": ("autograd", "grad"),
    "is_grad_enabled": ("autograd", "is_grad_enabled"),
    "load": ("training", "load_weights"),
    "no_grad": ("autograd", "no_grad"),
    "profile": ("profiling", "profile"),
    "save": ("training", "save_weights"),
    "tensor": ("autograd", "tensor"),
}

__all__ = [
    "FileError",
    "__version__",
    "available_isas",
    "available_threads",
    "backend",
    "build_info",
    "conv2d_algorithm",
    "conversions",
    "empty_cache",
    "isa",
    "joined_layers",
    "manual_seed",
    "memory_info",
    "num_threads",
    "random_state",
    "set_flush_denormal",
    "set_isa",
    "set_num_threads",
    "set_random_state",
    *_LATE_FUNCTIONS,
    *_SUBMODULES,
]


if TYPE_CHECKING:
    from fastnn import benchmark as benchmark
    from fastnn import courses as courses
    from fastnn import data as data
    from fastnn import distributed as distributed
    from fastnn import doctor as doctor
    from fastnn import functional as functional
    from fastnn import grading as grading
    from fastnn import insight as insight
    from fastnn import interop as interop
    from fastnn import models as models
    from fastnn import nn as nn
    from fastnn import optim as optim
    from fastnn import profiling as profiling
    from fastnn import reference as reference
    from fastnn import training as training
    from fastnn import tune as tune
    from fastnn.autograd.modes import enable_grad as enable_grad
    from fastnn.autograd.modes import is_grad_enabled as is_grad_enabled
    from fastnn.autograd.modes import no_grad as no_grad
    from fastnn.autograd.tape import Op as Op
    from fastnn.autograd.tape import grad as grad
    from fastnn.autograd.tensor import Tensor as Tensor
    from fastnn.autograd.tensor import tensor as tensor
    from fastnn.doctor import diagnose as diagnose
    from fastnn.insight import explain as explain
    from fastnn.profiling import profile as profile
    from fastnn.training import load_weights, save_weights

    load, save = load_weights, save_weights


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"fastnn.{name}")
    if name in _LATE_FUNCTIONS:
        module, function = _LATE_FUNCTIONS[name]
        return getattr(importlib.import_module(f"fastnn.{module}"), function)
    raise AttributeError(f"module 'fastnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
