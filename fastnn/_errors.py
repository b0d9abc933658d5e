"""The errors of files that are not what they should be."""

import os

__all__ = ["FileError"]

_LONGEST_MESSAGE = 8000  # room for the names of twenty files


class FileError(ValueError):
    """A file is not what it should be: damaged, truncated, of another kind, or hostile. Nothing was changed by it.

    Every reader of this package raises this or a subclass, whatever is wrong inside the file. The message begins with
    the file's name. A file that is not there, or may not be read, is Python's own `OSError`.

    Attributes:
        path: the name of the file, or '' if it has none.
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
