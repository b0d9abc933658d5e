"""The process of a submission: it loads the file, calls its functions, and sends results, over two pipes.

It holds nothing but the submission and the arguments of calls. Whatever it sends, the grader takes as hostile.
"""

import contextlib
import importlib
import inspect
import json
import os
import random
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from . import limits, stand_ins
from .transport import HEADER, Decoder, Encoder, TransportError, frame, lengths

__all__ = ["main"]

# Loaded before the fences are up: what they need of the system's libraries is then in memory.
_PRELOADED = (
    ("numpy.fft", "numpy.linalg", "numpy.ma", "numpy.polynomial", "numpy.random", "numpy.lib.stride_tricks"),
    ("abc", "bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools"),
    ("hashlib", "heapq", "itertools", "math", "numbers", "operator", "pathlib", "pickle", "re", "statistics", "string"),
    ("struct", "textwrap", "time", "traceback", "typing", "warnings", "zlib", "linecache", "unittest"),
)
_LONGEST_MESSAGE, _MOST_LINES, _MOST_FAILED, _DEEPEST_CALL = 2000, 8, 200, 8


class _Process:
    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes = reads, writes
        self._most = 1 << 40  # of what the grader sends; it means no harm
        self._most_result = 0
        self._request = 0  # the number of the one that is answered
        self._module = types.ModuleType("submission")
        self._files: list[str] = []
        self._objects: list[Any] = []
        self._seed, self._n_calls, self._depth = 0, 0, 0

    # ---- frames ------------------------------------------------------------------------------------------------------
    def _read(self, n: int) -> bytes:
        parts = bytearray()
        while len(parts) < n:
            part = os.read(self._reads, min(n - len(parts), 1 << 20))
            if not part:
                os._exit(0)  # the grader has ended
            parts += part
        return bytes(parts)

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        message, arrays = lengths(self._read(HEADER.size), self._most)
        text, data = json.loads(self._read(message)), self._read(arrays)
        self._request = text["request"]
        return text, data

    def _send(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        rest = memoryview(frame({**message, "request": self._request}, buffers))
        while rest:
            rest = rest[os.write(self._writes, rest) :]

    # ---- requests ----------------------------------------------------------------------------------------------------
    def serve(self) -> None:
        while True:
            self._answer(*self._receive())

    def _answer(self, message: dict[str, Any], data: bytes) -> None:
        buffers: list[bytes] = []
        try:
            reply = getattr(self, f"_do_{message['do']}")(message, data, buffers)
        except BaseException as error:  # SystemExit and KeyboardInterrupt, too: the submission raised them
            buffers = []
            reply = self._error(error)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        try:
            self._send(reply, buffers)
        except TransportError as error:
            self._send(self._error(error), [])

    def _do_start(self, message: dict[str, Any], data: bytes, buffers: list[bytes]) -> dict[str, Any]:
        for name in (name for names in _PRELOADED for name in names):
            importlib.import_module(name)
        self._seed, self._most_result = message["seed"], message["result"]
        sys.path[:] = [*message["standard"], message["packages"], message["folder"]]
        missing = limits.apply(message)
        stand_ins.install(message["allowed"], message["ignored"])
        for name in [name for name in sys.modules if name.partition(".")[0] == __package__.partition(".")[0]]:
            del sys.modules[name]
        return {"reply": "started", "missing": missing}

    def _do_load(self, message: dict[str, Any], data: bytes, buffers: list[bytes]) -> dict[str, Any]:
        """Run the cells of a submission; a Python file is a single one."""
        name = message["name"]
        if name in sys.modules or name in sys.stdlib_module_names:
            name = "submission"
        self._module.__name__ = name
        self._module.__file__ = message["file"]
        sys.modules[name] = self._module
        self._files = [name for name, _ in message["cells"]]
        failed: list[Any] = []
        for number, (name, code) in enumerate(message["cells"]):
            self._seed_generators()
            try:
                exec(_compiled(code, name), vars(self._module))
            except BaseException as error:
                if not message["goes_on"] or isinstance(error, MemoryError):
                    raise
                if len(failed) < _MOST_FAILED:
                    failed.append([number, self._error(error)])
        return {"reply": "loaded", "failed": failed}

    def _do_find(self, message: dict[str, Any], data: bytes, buffers: list[bytes]) -> dict[str, Any]:
        """Whether there is a function of this name, and its parameters."""
        try:
            found = self._named(message["name"])
        except LookupError:
            names = [name for name, value in vars(self._module).items() if callable(value) and type(name) is str]
            return {"reply": "none", "names": names[:200]}
        return {"reply": "found", "callable": callable(found), "parameters": _parameters(found)}

    def _named(self, name: str) -> Any:
        first, *rest = name.split(".")
        found = vars(self._module)[first]
        for part in rest:
            try:
                found = getattr(found, part)
            except AttributeError:
                raise LookupError(name) from None
        return found

    def _do_call(self, message: dict[str, Any], data: bytes, buffers: list[bytes]) -> dict[str, Any]:
        decoder = Decoder(data, self._object, self._remote)
        target, arguments, options, attribute = map(decoder.decode, message["values"])
        called = self._named(target) if isinstance(target, str) else target
        if attribute is not None:
            called = getattr(called, attribute)
        before = _Snapshot(decoder)
        if self._depth >= _DEEPEST_CALL:
            raise RecursionError("functions of the submission and of the grader call each other too deeply")
        self._depth += 1
        self._n_calls += 1
        self._seed_generators()
        try:
            result = called(*arguments, **options)
        finally:
            self._depth -= 1
        known = {id(array): number for number, array in enumerate(decoder.arrays)}
        encoder = Encoder(self._keep, self._most_result, known)
        values = [encoder.encode(result), before.changes(encoder)]
        buffers.extend(encoder.buffers)
        return {"reply": "result", "values": values}

    def _do_get(self, message: dict[str, Any], data: bytes, buffers: list[bytes]) -> dict[str, Any]:
        encoder = Encoder(self._keep, self._most_result, {})
        tree = encoder.encode(getattr(self._object(message["handle"]), message["attribute"]))
        buffers.extend(encoder.buffers)
        return {"reply": "result", "values": [tree, []]}

    def _do_set(self, message: dict[str, Any], data: bytes, buffers: list[bytes]) -> dict[str, Any]:
        value = Decoder(data, self._object, self._remote).decode(message["value"])
        setattr(self._object(message["handle"]), message["attribute"], value)
        return {"reply": "result", "values": [None, []]}

    def _seed_generators(self) -> None:
        random.seed(self._seed + self._n_calls)
        np.random.seed((self._seed + self._n_calls) % 2**32)  # noqa: NPY002 - it is what submissions use

    # ---- what is not sent --------------------------------------------------------------------------------------------
    def _keep(self, value: Any) -> list[Any]:
        self._objects.append(value)
        parameters = _parameters(value) if callable(value) else None
        return ["handle", len(self._objects) - 1, _type_name(value), parameters]

    def _object(self, number: int, name: str = "", parameters: list[Any] | None = None) -> Any:
        return self._objects[number]

    def _remote(self, number: int, name: str) -> Callable[..., Any]:
        """A function of the grader's, as one that may be called here."""

        def remote(*arguments: Any, **options: Any) -> Any:
            encoder = Encoder(self._keep, self._most_result)
            values = [encoder.encode(arguments), encoder.encode(options)]
            self._send({"reply": "callback", "number": number, "values": values}, encoder.buffers)
            while True:
                message, data = self._receive()
                if message["do"] == "return":
                    if message["error"] is not None:
                        raise RuntimeError(message["error"])
                    return Decoder(data, self._object, self._remote).decode(message["value"])
                self._answer(message, data)

        remote.__name__ = remote.__qualname__ = name
        return remote

    def _error(self, error: BaseException) -> dict[str, Any]:
        lines = []
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if code.co_filename in self._files:
                lines.append([self._files.index(code.co_filename), trace.tb_lineno or 0, code.co_name])
            trace = trace.tb_next
        if isinstance(error, SyntaxError) and error.filename in self._files:
            lines.append([self._files.index(error.filename), error.lineno or 0, "<module>"])
        try:
            text = str(error.msg if isinstance(error, SyntaxError) else error)[:_LONGEST_MESSAGE]
        except BaseException:
            text = "an error without words"
        first, last = lines[: _MOST_LINES // 2], lines[_MOST_LINES // 2 :][-_MOST_LINES // 2 :]
        return {"reply": "error", "type": _type_name(error), "message": text, "lines": [*first, *last]}


def _compiled(code: str, name: str) -> types.CodeType:
    try:
        return compile(code, name, "exec", dont_inherit=True)
    except (MemoryError, RecursionError):  # the parser's words for brackets or signs within each other
        raise SyntaxError("the code is nested too deeply") from None


class _Snapshot:
    """The arguments of a call as they were, to tell what it changed in place."""

    def __init__(self, decoder: Decoder) -> None:
        self._arrays = [(array, array.copy()) for array in decoder.arrays]
        self._containers = [(container, _items(container)) for container in decoder.containers]

    def changes(self, encoder: Encoder) -> list[Any]:
        """Trees of what is new: of arrays, and of lists and dicts, each with its number among the arguments."""
        arrays: list[Any] = []
        for number, (array, before) in enumerate(self._arrays):
            same_kind = array.shape == before.shape and array.dtype == before.dtype
            if same_kind and array.tobytes() != before.tobytes():
                plain = Encoder(encoder._keep, encoder._left, {})
                arrays.append([number, plain.encode(array)])
                encoder.buffers.extend(plain.buffers)
                encoder._left = plain._left
        containers: list[Any] = []
        for number, (container, before_items) in enumerate(self._containers):
            now = _items(container)
            is_same = len(now) == len(before_items) and all(
                key == old_key and value is old for (key, value), (old_key, old) in zip(now, before_items, strict=True)
            )
            if not is_same:
                kept = dict(before_items)
                rows = [
                    [encoder.encode(key), True, None]
                    if key in kept and kept[key] is value
                    else [encoder.encode(key), False, encoder.encode(value)]
                    for key, value in now
                ]
                containers.append([number, rows])
        return [arrays, containers]


def _items(container: list[Any] | dict[Any, Any]) -> list[tuple[Any, Any]]:
    return list(container.items()) if isinstance(container, dict) else list(enumerate(container))


def _type_name(value: Any) -> str:
    try:
        return str(type(value).__name__)[:100]
    except BaseException:
        return "object"


def _parameters(value: Any) -> list[Any] | None:
    """Name, kind, whether it has a default, and the default if it is a plain one, of each parameter."""
    try:
        rows = []
        for parameter in inspect.signature(value).parameters.values():
            default = parameter.default
            has_default = default is not parameter.empty
            plain = default if has_default and type(default) in (type(None), bool, int, float, str) else None
            rows.append([str(parameter.name), int(parameter.kind), has_default, plain])
        return rows[:50]
    except BaseException:
        return None


def main(reads: int, writes: int) -> None:
    """Serve until the grader ends this process."""
    _Process(reads, writes).serve()
