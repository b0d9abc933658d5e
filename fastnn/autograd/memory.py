"""Who owns the memory of a tensor, and whether an operation still needs it."""

__all__ = ["BORROWED", "KEPT", "Memory"]


class Memory:
    """What is known about the memory that a tensor and all its views share.

    Attributes:
        version: the number of times that it was written to.
        kept: whether an operation keeps it for its backward.
        borrowed: whether it belongs to an array of the caller, who may write to it at any time.
    """

    __slots__ = ("borrowed", "kept", "version")

    def __init__(self, kept: bool = False, borrowed: bool = False) -> None:
        self.version = 0
        self.kept = kept
        self.borrowed = borrowed


# Shared by all tensors of which only this needs to be known. Nothing can write into a recorded result, nor, through a
# tensor, into the array of a caller; so these have no versions.
KEPT = Memory(kept=True)
BORROWED = Memory(borrowed=True)
