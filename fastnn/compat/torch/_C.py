"""torch._C: of the inside of PyTorch, what packages ask for that run on tensors of any library."""

from fastnn.compat.torch._missing import missing

__getattr__ = missing(__name__, {})


def _log_api_usage_once(event: str) -> None:
    """Nothing: nobody counts what is used."""
