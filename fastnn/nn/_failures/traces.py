"""Reading the traceback of an exception: who raised it, and which modules were running."""

import dis
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np

__all__ = ["is_foreign", "modules_in", "objects_in"]

_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
_FASTNN = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_RAISE = {dis.opmap["RAISE_VARARGS"], dis.opmap["RERAISE"]}


def _links(error: BaseException) -> Iterator[TracebackType]:
    link = error.__traceback__
    while link is not None:
        yield link
        link = link.tb_next


def is_foreign(error: BaseException) -> bool:
    """Whether a `raise` in code that is neither fastnn's nor NumPy's made this exception, and so its words."""
    *_, last = _links(error)
    code = last.tb_frame.f_code
    if os.path.abspath(code.co_filename).startswith((_FASTNN, _NUMPY)):
        return False
    return code.co_code[last.tb_lasti] in _RAISE


def objects_in(error: BaseException) -> list[Any]:
    """The objects whose methods were running when `error` was raised, the innermost last."""
    found: list[Any] = []
    for link in _links(error):
        code, local = link.tb_frame.f_code, link.tb_frame.f_locals
        if code.co_argcount:
            found.append(local.get(code.co_varnames[0]))
        if code.co_name == "go_back":
            found.append(local.get("op"))
    return found


def modules_in(error: BaseException) -> list[Any]:
    """The modules among them; a module with a backward of its own for the operation that calls it."""
    from fastnn.nn._hand_written import HandWritten
    from fastnn.nn.module import Module

    owners = [found.owner if isinstance(found, HandWritten) else found for found in objects_in(error)]
    return [owner for owner in owners if isinstance(owner, Module)]
