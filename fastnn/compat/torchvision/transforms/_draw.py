"""What random transforms draw: from the generator that `torch.manual_seed` seeds, in whose place a DataLoader has one
for each batch."""

from fastnn._random import generator

__all__ = ["coin", "generator", "integer", "permutation", "uniform"]


def uniform(low: float, high: float) -> float:
    """A number in [low, high)."""
    return low + (high - low) * generator().random()


def integer(low: int, high: int) -> int:
    """One of low, ..., high - 1."""
    return int(generator().integers(low, high))


def coin(p: float) -> bool:
    """True with probability p."""
    return generator().random() < p


def permutation(n: int) -> list[int]:
    """0, ..., n - 1 in random order."""
    return generator().permutation(n).tolist()
