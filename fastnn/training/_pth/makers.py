"""What an object of PyTorch becomes when a file is read, and what stands for one when a file is written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

__all__ = ["AsDType", "AsDevice", "AsSize", "AsTensor", "Makers", "StandsFor"]


def _array(array: NDArray, requires_grad: bool) -> Any:
    return array


def _data(tensor: Any, requires_grad: bool) -> Any:
    return tensor


@dataclass(frozen=True, slots=True)
class Makers:
    """Functions that make what takes the place of PyTorch's objects; by default arrays, tuples and texts.

    Args:
        tensor: of an array and requires_grad. Tensors that share memory in PyTorch come as views of one array.
        parameter: of what `tensor` made (without requires_grad), and the parameter's requires_grad.
        size: of the sides of a torch.Size.
        dtype: of a name such as "torch.float32".
        device: of a name such as "cuda:0".
    """

    tensor: Callable[[NDArray, bool], Any] = _array
    parameter: Callable[[Any, bool], Any] = _data
    size: Callable[[tuple[int, ...]], Any] = tuple
    dtype: Callable[[str], Any] = str
    device: Callable[[str], Any] = str


@dataclass(frozen=True, slots=True)
class AsTensor:
    """Written as a torch.Tensor, or a torch.nn.Parameter, with these numbers."""

    array: NDArray
    requires_grad: bool = False
    is_parameter: bool = False


@dataclass(frozen=True, slots=True)
class AsSize:
    """Written as a torch.Size."""

    sides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AsDType:
    """Written as a torch.dtype, by a name such as "float32"."""

    name: str


@dataclass(frozen=True, slots=True)
class AsDevice:
    """Written as a torch.device, by its kind, such as "cpu"."""

    kind: str
    index: int | None = None


StandsFor = Callable[[Any], AsTensor | AsSize | AsDType | AsDevice | None]
