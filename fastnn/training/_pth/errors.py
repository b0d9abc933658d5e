"""What is wrong with a file, and how much memory its content may take."""

__all__ = ["Budget", "Truncated", "Unreadable"]


class Unreadable(Exception):
    """The file is damaged, hostile or of a kind that is not read. Whoever knows the file's name adds it."""


class Truncated(Unreadable):
    """A pickle goes on where its bytes end."""


class Budget:
    """Bytes of memory that objects may still take: some for every byte of the file that describes them.

    An instruction of one byte makes a set of 216 bytes, so that the file's size alone is no bound.
    """

    def __init__(self, n_bytes: int) -> None:
        self._left = n_bytes

    def take(self, n_bytes: int) -> None:
        self._left -= n_bytes
        if self._left < 0:
            raise Unreadable("refused, its objects would take far more memory than the file has bytes")
