"""Reading the traceback of an exception: who raised it, and which modules were running."""

import dis
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np

__all__ = ["is_foreign", "modules_in"]

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


def modules_in(error: BaseException) -> list[Any]:
    """The modules whose methods were running when `error` was raised, the innermost last."""
    from fastnn.nn._hand_written import HandWritten
    from fastnn.nn.module import Module

    found: list[Any] = []
    for link in _links(error):
        code, local = link.tb_frame.f_code, link.tb_frame.f_locals
        candidates = [local.get(code.co_varnames[0])] if code.co_argcount else []
        if code.co_name == "go_back":
            candidates.append(local.get("op"))
        for candidate in candidates:
            module = candidate.owner if isinstance(candidate, HandWritten) else candidate
            if isinstance(module, Module) and (not found or found[-1] is not module):
                found.append(module)
    return found
