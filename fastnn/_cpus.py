"""How many CPUs this process may use."""

import contextlib
import math
from pathlib import Path

from fastnn import _system

__all__ = ["available_threads"]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def _quota(folder: Path) -> float:
    """CPUs that one control group grants; infinite without a quota (cgroup v2, then v1)."""
    with contextlib.suppress(OSError, ValueError):
        allowed, period = _text(folder / "cpu.max").split()
        return math.inf if allowed == "max" else int(allowed) / int(period)
    with contextlib.suppress(OSError, ValueError):
        microseconds = int(_text(folder / "cpu.cfs_quota_us"))
        return microseconds / int(_text(folder / "cpu.cfs_period_us")) if microseconds > 0 else math.inf
    return math.inf


def _cgroup_cpus(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float:
    """CPUs that the control groups of this process, from its own up to the root, let it use; infinite without a quota.

    In a container the root is usually its own group already, and the path of the membership does not exist.
    """
    try:
        lines = [line.split(":", 2) for line in _text(membership).splitlines()]
    except OSError:
        lines = []
    paths = {controllers: path.lstrip("/") for _, controllers, path in (line for line in lines if len(line) == 3)}
    cpu_path = next((path for controllers, path in paths.items() if "cpu" in controllers.split(",")), "")
    folders = []
    for top, path in ((root, paths.get("", "")), (root / "cpu", cpu_path)):
        folders += [top / path, *(top / parent for parent in Path(path).parents)]
    return min(map(_quota, folders))


def available_threads() -> int:
    """The number of threads that this process can run at once: its CPU affinity, limited by the quota of its container.

    Example:
        >>> import fastnn
        >>> fastnn.available_threads() >= 1
        True
    """
    affinity = _system.usable_cpus()
    return max(1, min(affinity, math.ceil(min(_cgroup_cpus(), affinity))))
