"""The error for damaged and unexpected files."""

import os

__all__ = ["FileError"]

_LONGEST_MESSAGE = 8000  # room for the names of twenty files


class FileError(ValueError):
    """A file is damaged, truncated, of another kind, or contains what it should not. Reading it has changed nothing.

    Every reader of this package raises this error or a subclass, whatever is wrong inside the file. The message begins
    with the name of the file. A file that does not exist or may not be read raises Python's own `OSError`.

    Args:
        message: what is wrong.
        path: the name of the file. Default: '', unknown.
    Attributes:
        path: the name of the file, or ''.
    Example:
        >>> import fastnn
        >>> error = fastnn.FileError("not an image", "cat.png")
        >>> str(error), error.path
        ('cat.png: not an image', 'cat.png')
    """

    def __init__(self, message: str, path: str | os.PathLike[str] = "") -> None:
        self.path = os.fspath(path)
        if len(message) > _LONGEST_MESSAGE:  # a hostile file may have names of megabytes
            message = message[:_LONGEST_MESSAGE] + "..."
        super().__init__(f"{self.path}: {message}" if self.path else message)
