"""Timing training steps and inference, alternating with PyTorch if it is installed: `fastnn bench`."""

from fastnn.benchmark.compare import Settings, compare

__all__ = ["Settings", "compare"]
