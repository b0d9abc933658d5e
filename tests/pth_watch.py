"""Reading files of PyTorch that mean harm, and seeing that nothing runs."""

import sys

from hostile import MEGABYTE, refused

from fastnn.training._pth import read_pth

__all__ = ["OBJECTS", "refuse", "watched"]

# What objects may take beside the file's own size; a network of ten million weights takes 40 MB.
OBJECTS = 100 * MEGABYTE

_ACTS = ("import", "exec", "compile", "open", "pickle.", "marshal.", "os.", "subprocess.", "socket.", "shutil.",
         "ctypes.", "builtins.input", "builtins.breakpoint", "code.", "object.", "webbrowser.", "urllib.", "tempfile.",
         "function.")  # fmt: skip
_seen: list | None = None


def _note(event, arguments):
    if _seen is not None and event.startswith(_ACTS):
        _seen.append((event, arguments))


sys.addaudithook(_note)  # for as long as the process runs; it costs nothing when nobody watches
b"a".decode("raw-unicode-escape")  # Python imports it when it is needed for the first time


def watched(path):
    """Read a file, and see that Python did nothing but open it."""
    global _seen
    _seen = []
    try:
        return read_pth(path)
    finally:
        seen, _seen = _seen, None
        assert [(event, arguments[0]) for event, arguments in seen] == [("open", str(path))], seen


def refuse(path, content, words=None, memory=OBJECTS):
    """A file of this content gives an error with these words, in time and memory, and nothing runs."""
    path.write_bytes(content)
    refused(watched, path, memory, words)
