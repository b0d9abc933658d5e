"""torch.utils.benchmark: times of small pieces of code."""

from fastnn.compat.torch._missing import missing

__all__: list[str] = []

_ADVICE = "use timeit.Timer, or `fastnn profile` for a model"
__getattr__ = missing(__name__, dict.fromkeys(("Timer", "Compare", "Measurement", "Fuzzer"), _ADVICE))
