"""What ends all ranks."""

__all__ = ["Disagreement", "RankLost"]


class Disagreement(ValueError):
    """Two ranks differ in what must be the same on all of them. The message names both, and what differs."""


class RankLost(RuntimeError):
    """A rank has not answered for longer than the time limit. The message names it, and says how to continue."""
