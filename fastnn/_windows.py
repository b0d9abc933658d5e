"""What Windows tells through its own interface, kernel32 and the registry; imported there only.

Source: Microsoft's documentation of GetProcessAffinityMask, GlobalMemoryStatusEx and GetProcessMemoryInfo.
"""

import ctypes
from typing import Any

__all__ = ["affinity", "cpu_name", "physical_memory", "process_memory"]

_PROCESSOR = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total_physical", ctypes.c_uint64),
        ("available_physical", ctypes.c_uint64),
        ("total_page_file", ctypes.c_uint64),
        ("available_page_file", ctypes.c_uint64),
        ("total_virtual", ctypes.c_uint64),
        ("available_virtual", ctypes.c_uint64),
        ("available_extended_virtual", ctypes.c_uint64),
    )


class _ProcessMemory(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("page_faults", ctypes.c_uint32),
        ("peak_working_set", ctypes.c_size_t),
        ("working_set", ctypes.c_size_t),
        ("quota_peak_paged_pool", ctypes.c_size_t),
        ("quota_paged_pool", ctypes.c_size_t),
        ("quota_peak_nonpaged_pool", ctypes.c_size_t),
        ("quota_nonpaged_pool", ctypes.c_size_t),
        ("page_file", ctypes.c_size_t),
        ("peak_page_file", ctypes.c_size_t),
    )


def _function(name: str, *arguments: Any, result: Any = ctypes.c_int) -> Any:
    """A function of kernel32 with the types of its arguments, without which a handle would be cut to 32 bits."""
    function = getattr(ctypes.WinDLL("kernel32"), name)  # type: ignore[attr-defined]
    function.argtypes, function.restype = arguments, result
    return function


def _this_process() -> Any:
    return ctypes.c_void_p(_function("GetCurrentProcess", result=ctypes.c_void_p)())


def affinity() -> int | None:
    """Processors that this process may run on; None if it has those of several groups, of 64 at most each."""
    ask = _function("GetProcessAffinityMask", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    own, all_of_system = ctypes.c_size_t(0), ctypes.c_size_t(0)
    if not ask(_this_process(), ctypes.byref(own), ctypes.byref(all_of_system)):
        return None
    return own.value.bit_count() or None


def cpu_name() -> str:
    """The model name of the processor; empty if the registry lacks it."""
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _PROCESSOR) as key:  # type: ignore[attr-defined]
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()  # type: ignore[attr-defined]
    except OSError:
        return ""


def physical_memory() -> int:
    """Bytes of memory of this machine.

    Raises:
        OSError: Windows does not tell.
    """
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    if not _function("GlobalMemoryStatusEx", ctypes.c_void_p)(ctypes.byref(status)):
        raise OSError("Windows does not tell how much memory this machine has")
    return int(status.total_physical)


def process_memory() -> tuple[int, int]:
    """Bytes of this process in memory now, and at most since it began.

    Raises:
        OSError: Windows does not tell.
    """
    ask = _function("K32GetProcessMemoryInfo", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
    counters = _ProcessMemory(length=ctypes.sizeof(_ProcessMemory))
    if not ask(_this_process(), ctypes.byref(counters), counters.length):
        raise OSError("Windows does not tell how much memory this process has")
    return int(counters.working_set), int(counters.peak_working_set)
