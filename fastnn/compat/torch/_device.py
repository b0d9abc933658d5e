"""Devices: there is one, the CPU, and whatever a script asks for is it."""

from typing import Any

from fastnn.compat.notes import note

__all__ = ["check_device", "device"]

_KNOWN = ("cpu", "cuda", "mps", "xpu", "hpu", "xla", "meta", "privateuseone", "ipu", "mkldnn", "vulkan")


class device:
    """A device by its name. All accelerators are taken for the CPU, and the script is told so once."""

    type = "cpu"
    index = None

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        check_device(type)

    def __repr__(self) -> str:
        return "device(type='cpu')"

    def __str__(self) -> str:
        return "cpu"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device)

    def __hash__(self) -> int:
        return hash("cpu")

    def __enter__(self) -> "device":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def check_device(value: Any) -> None:
    """Take a device, its name or its number.

    Raises:
        RuntimeError: there is no device of that name.
    """
    if value is None or value == "cpu" or isinstance(value, device):
        return
    if isinstance(value, int) and not isinstance(value, bool):
        value = "cuda"
    if not isinstance(value, str):
        raise TypeError(f"a device must be a torch.device, its name or its number. Received: {value!r}")
    name = value.partition(":")[0]
    if name not in _KNOWN:
        raise RuntimeError(f"a device must be one of {', '.join(_KNOWN)}, with a number or not. Received: {value!r}")
    if name == "meta":
        raise RuntimeError("there are no tensors without data here: make them on the CPU")
    if name != "cpu":
        note(f"{value!r} is taken as the CPU: fastnn runs there, and only there")
