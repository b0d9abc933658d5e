"""Runs a student's file in a process of its own, and gives its functions as functions of this process.

What is guarded against. The grader's process holds right answers, inputs and points; the child holds the submission and
the arguments of the current call. To print a result, to exit with 0, to change NumPy or the grader's code there, or to
write to the grader's channel gives no points: only right numbers do. A submission that loops, takes memory, prints
without end or crashes is ended, with all processes of its session. Its files are a copy; on Linux, Landlock and seccomp
keep it from writing and reading others, from the network, from signals, and from new processes and threads. Which of
these layers a system lacks, `Sandbox.missing` says.

What is not. All submissions run on the machine of the grader and share its kernel. For people who attack it, run the
grading in a container or a virtual machine as well, as Gradescope does.
"""

import difflib
import importlib.metadata
import importlib.util
import json
import os
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from fastnn import _check
from fastnn.grading._child.transport import Decoder, Encoder, TransportError
from fastnn.grading._process import ChildProcess
from fastnn.grading._replies import containers_in, mirror, rows_of, signature
from fastnn.grading.errors import ChannelError, MemoryLimitError, StudentError
from fastnn.grading.limits import Limits
from fastnn.grading.submission import Submission, read_submission

__all__ = ["Handle", "Sandbox"]

_SECONDS_TO_START = 60.0
_DEEPEST_CALLBACK = 8


class Handle:
    """A value of a submission that stays in its process, such as a cache of a class of its own.

    Attributes:
        type_name: the name of its class.
    """

    __slots__ = ("_number", "_sandbox", "type_name")

    def __init__(self, sandbox: "Sandbox", number: int, type_name: str) -> None:
        self._sandbox, self._number, self.type_name = sandbox, number, type_name

    def __deepcopy__(self, memo: object) -> "Handle":
        return self

    def __repr__(self) -> str:
        return f"<{self.type_name}, kept in the process of the submission>"


class _CallableHandle(Handle):
    """A function, a class or another callable of a submission."""

    __slots__ = ("__name__", "__signature__")

    def __init__(self, sandbox: "Sandbox", number: int, type_name: str, parameters: Any) -> None:
        super().__init__(sandbox, number, type_name)
        self.__name__ = type_name
        self.__signature__ = signature(parameters)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._sandbox._call(self, None, arguments, options)


class Sandbox:
    """A process that runs a submission within limits.

    Args:
        submission: a Python file, or a notebook, whose cells run one after another.
        limits: of time, memory and output.
        allow: packages that it may import besides NumPy.
        ignore: packages that it imports and that do nothing: for drawing, say.
        seed: of `random` and `np.random`, which are seeded anew before every call.
    Attributes:
        missing: the layers of protection that this system lacks; each with the reason.
        notes: what of the submission was left out: cells that failed, commands of IPython.
    Raises:
        StudentError: the file cannot be loaded.
        OSError, ValueError: the file cannot be read; this is Windows.
    Example:
        >>> import pathlib
        >>> import numpy as np
        >>> from fastnn.grading import Sandbox
        >>> _ = pathlib.Path("submission.py").write_text("def relu(x):\\n    return x * (x > 0)\\n")
        >>> with Sandbox("submission.py") as box:
        ...     relu = box.function("relu")
        ...     relu(np.array([-1.0, 2.0]))
        array([-0.,  2.])
    """

    def __init__(
        self,
        submission: str | os.PathLike[str] | Submission,
        limits: Limits | None = None,
        *,
        allow: Sequence[str] = (),
        ignore: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.limits = Limits() if limits is None else limits
        self._seed = _check.integer("Sandbox", "seed", seed, 0, 2**31)
        self._submission = submission if isinstance(submission, Submission) else read_submission(submission)
        self._packages = {name: _place(name) for name in ("numpy", *allow)}
        self._allow, self._ignore = tuple(allow), tuple(ignore)
        self.missing: list[str] = []
        self.notes: list[str] = list(self._submission.notes)
        self._process: ChildProcess | None = None
        self._depth = 0
        self._deadline = 0.0

    # ---- start and end -----------------------------------------------------------------------------------------------
    def __enter__(self) -> Self:
        if self._process is not None:
            raise ValueError("Sandbox: it has been used; make another one")
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process and remove its files. What it has printed can still be asked for."""
        if self._process is not None:
            self._process.close()

    def _open(self) -> None:
        links: dict[str, Path] = {}
        for name, place in self._packages.items():
            links[name if place.is_dir() else place.name] = place
            for library in _libraries(name, place):
                links[library.name] = library
        self._process = process = ChildProcess(
            self._submission.files, links, self.limits.output << 10, self.limits.result << 20
        )
        reply = self._started(
            {
                "do": "start",
                "seed": self._seed,
                "result": self.limits.result << 20,
                "memory": self.limits.memory << 20,
                "cpu": int(self.limits.total) + 10,
                "parent": os.getpid(),
                "standard": _standard_library(),
                "folder": str(process.folder),
                "packages": str(process.packages),
                "links": [str(process.packages / name) for name in links],
                "real_packages": [str(place) for place in links.values()],
                "allowed": self._allow,
                "ignored": self._ignore,
            }
        )
        self.missing = [str(text)[:200] for text in reply.get("missing", [])]
        self._deadline = time.monotonic() + self.limits.total
        self._load(process)

    def _started(self, message: dict[str, Any]) -> dict[str, Any]:
        """The reply to the first message; until then nothing of the submission is running."""
        assert self._process is not None
        try:
            reply, _ = self._process.exchange(message, [], time.monotonic() + _SECONDS_TO_START, "it did not start")
        except StudentError as error:
            raise OSError(f"Sandbox: the process for submissions cannot be started. {error}\n{self.stderr}") from None
        if reply.get("reply") != "started":
            raise OSError(
                f"Sandbox: the process for submissions cannot be started. {self._student_error(reply).sentence}"
            )
        return reply

    def _load(self, process: ChildProcess) -> None:
        submission = self._submission
        cells = [
            [submission.cell_file(process.folder, number), cell.code] for number, cell in enumerate(submission.cells)
        ]
        reply = self._ask(
            {
                "do": "load",
                "name": submission.module,
                "file": str(process.folder / submission.name),
                "cells": cells,
                "goes_on": submission.is_notebook,
            },
            "loaded",
            what=f"loading the file took more than {self.limits.time:g} s; "
            "code that trains belongs into a function, or under `if __name__ == '__main__':`",
        )
        for item in rows_of(reply.get("failed"), int, dict):
            number, error = item
            if 0 <= number < len(submission.cells):
                self.notes.append(f"{submission.cells[number].name} failed: {self._student_error(error).sentence}")

    # ---- what may be asked -------------------------------------------------------------------------------------------
    @property
    def stdout(self) -> str:
        """What the submission has printed, as far as it was kept."""
        return "" if self._process is None else self._process.text("stdout")

    @property
    def stderr(self) -> str:
        """What it has written to standard error."""
        return "" if self._process is None else self._process.text("stderr")

    def function(self, name: str) -> Callable[..., Any]:
        """The function of this name, `"relu"`, or of a class, `"Net.loss"`, as a function of this process.

        It has the name and the signature of the student's. Arguments and results are copies: arrays, numbers, texts,
        tuples, lists and dicts of them; anything else that it returns is a `Handle`, which may be an argument of later
        calls. What it changes in its arguments is changed here as well. It may call functions among its arguments.

        Raises:
            StudentError: there is no such function; when it is called, whatever the student's code raises.
        """
        reply = self._ask({"do": "find", "name": name}, "found", "none", what=f"{name} could not be looked up in time")
        if reply["reply"] == "none":
            known = [text for text in reply.get("names", []) if isinstance(text, str) and text.isidentifier()]
            raise StudentError("NameError", f"there is no function {name}{_similar(name, known)}")
        if reply.get("callable") is not True:
            raise StudentError("TypeError", f"{name} is no function")

        def student(*arguments: Any, **options: Any) -> Any:
            return self._call(name, None, arguments, options)

        student.__name__ = student.__qualname__ = name.rpartition(".")[2]
        student.__module__ = self._submission.module
        student.__doc__ = None
        if (parameters := signature(reply.get("parameters"))) is not None:
            student.__signature__ = parameters  # type: ignore[attr-defined]
        return student

    def method(self, owner: Handle, name: str) -> Callable[..., Any]:
        """The method of this name of an object of the submission."""

        def student(*arguments: Any, **options: Any) -> Any:
            return self._call(owner, name, arguments, options)

        student.__name__ = student.__qualname__ = name
        return student

    def get(self, owner: Handle, name: str) -> Any:
        """An attribute of an object of the submission."""
        message = {"do": "get", "handle": owner._number, "attribute": name}
        return self._value(self._exchange(message, [], f"reading {name} took too long"), [], [])

    def set(self, owner: Handle, name: str, value: Any) -> None:
        """Set an attribute of an object of the submission."""
        encoder = Encoder(_no_callback, sys.maxsize)
        message = {"do": "set", "handle": owner._number, "attribute": name, "value": encoder.encode(value)}
        self._value(self._exchange(message, encoder.buffers, f"setting {name} took too long"), [], [])

    # ---- calls -------------------------------------------------------------------------------------------------------
    def _call(
        self, target: "str | Handle", attribute: str | None, arguments: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Any:
        callbacks: list[Callable[..., Any]] = []
        known = Encoder(self._keeper(callbacks), sys.maxsize)
        values = [known.encode(value) for value in (target, arguments, dict(options), attribute)]
        containers: list[Any] = []
        containers_in(arguments, containers)
        containers_in(dict(options), containers)
        name = attribute or (target if isinstance(target, str) else target.type_name)
        what = f"{name} took more than {self.limits.time:g} s"
        answer = self._exchange({"do": "call", "values": values}, known.buffers, what, callbacks)
        return self._value(answer, known.arrays, containers)

    def _keeper(self, callbacks: list[Callable[..., Any]]) -> Callable[[Any], list[Any]]:
        def keep(value: Any) -> list[Any]:
            if isinstance(value, Handle):
                if value._sandbox is not self:
                    raise TypeError("Sandbox: a value of another sandbox")
                return ["handle", value._number, "", None]
            if isinstance(value, np.random.Generator):
                return ["generator", json.dumps(value.bit_generator.state)]
            if callable(value):
                callbacks.append(value)
                return ["callback", len(callbacks) - 1, str(getattr(value, "__name__", "function"))]
            raise TypeError(f"Sandbox: a {type(value).__name__} cannot be an argument of a submission's function")

        return keep

    def _exchange(
        self, message: dict[str, Any], buffers: list[bytes], what: str, callbacks: Sequence[Callable[..., Any]] = ()
    ) -> tuple[dict[str, Any], bytes]:
        """The reply to a request, after all callbacks that come before it."""
        if self._process is None:
            raise ValueError("Sandbox: it is used within a `with` block")
        deadline, limit = time.monotonic() + self.limits.time, what
        if deadline > self._deadline:
            deadline, limit = self._deadline, f"the submission took more than {self.limits.total:g} s in all"
        while True:
            reply, data = self._process.exchange(message, buffers, deadline, limit)
            kind = reply.get("reply")
            if kind == "error":
                error = self._student_error(reply)
                raise self._process.fail(error) if error.fatal else error
            if kind != "callback":
                return reply, data
            message, buffers = self._answer_callback(reply, data, callbacks)

    def _answer_callback(
        self, reply: dict[str, Any], data: bytes, callbacks: Sequence[Callable[..., Any]]
    ) -> tuple[dict[str, Any], list[bytes]]:
        number, values = reply.get("number"), reply.get("values")
        if type(number) is not int or not 0 <= number < len(callbacks) or type(values) is not list or len(values) != 2:
            raise self._forged("a call of no function of the grader")
        if self._depth >= _DEEPEST_CALLBACK:
            return {"do": "return", "error": "the function calls itself through its own argument", "value": None}, []
        self._depth += 1
        try:
            decoder = self._decoder(data, [])
            arguments, options = self._decoded(decoder, values)
            if (
                type(arguments) is not tuple
                or type(options) is not dict
                or not all(type(key) is str for key in options)
            ):
                raise self._forged("a call without arguments")
            result = callbacks[number](*arguments, **options)
            encoder = Encoder(self._keeper([]), sys.maxsize)
            return {"do": "return", "error": None, "value": encoder.encode(result)}, encoder.buffers
        except StudentError:
            raise
        except Exception as error:  # of a function that was called with wrong arguments: the student's to see
            return {"do": "return", "error": f"{type(error).__name__}: {error}"[:1000], "value": None}, []
        finally:
            self._depth -= 1

    def _ask(self, message: dict[str, Any], *replies: str, what: str) -> dict[str, Any]:
        reply, _ = self._exchange(message, [], what)
        if reply.get("reply") not in replies:
            raise self._forged("a reply to another question")
        return reply

    # ---- values of the child, which are hostile ----------------------------------------------------------------------
    def _value(self, answer: tuple[dict[str, Any], bytes], arrays: list[np.ndarray], containers: list[Any]) -> Any:
        """The result of a call; what it changed in its arguments is changed here."""
        reply, data = answer
        values = reply.get("values")
        if reply.get("reply") != "result" or type(values) is not list or len(values) != 2:
            raise self._forged("a reply to another question")
        decoder = self._decoder(data, arrays)
        try:
            result = decoder.decode(values[0])
            mirror(decoder, values[1], arrays, containers)
            decoder.end()
        except TransportError as error:
            raise self._forged(str(error)) from None
        return result

    def _decoder(self, data: bytes, arrays: list[np.ndarray]) -> Decoder:
        def handle(number: int, name: str, parameters: list[Any] | None) -> Handle:
            plain = name if name.isidentifier() and len(name) <= 100 else "object"
            if parameters is None:
                return Handle(self, number, plain)
            return _CallableHandle(self, number, plain, parameters)

        return Decoder(data, handle, _refused_callback, arrays)

    def _decoded(self, decoder: Decoder, trees: list[Any]) -> list[Any]:
        try:
            result = [decoder.decode(tree) for tree in trees]
            decoder.end()
        except TransportError as error:
            raise self._forged(str(error)) from None
        return result

    def _forged(self, reason: str) -> StudentError:
        assert self._process is not None
        return self._process.fail(ChannelError(f"the code wrote to the channel of the grader: {reason}"))

    def _student_error(self, reply: dict[str, Any]) -> StudentError:
        name, message = reply.get("type"), reply.get("message")
        if not isinstance(name, str) or not isinstance(message, str):
            return ChannelError("the code wrote to the channel of the grader: an error of no type")
        name = name if name.isidentifier() and len(name) <= 100 else "Exception"
        line, trace = self._submission.trace(rows_of(reply.get("lines"), int, int, str))
        message = message[:2000]
        if name == "MemoryError":
            return MemoryLimitError(f"the code wanted more than {self.limits.memory} MB", line, trace)
        if name == "SystemExit":
            message = f"the code left by sys.exit({message})"
        if name == "TransportError":
            name, message = "ResultError", f"the result cannot be taken: {message}"
        return StudentError(name, message, line, trace)


# ---- helpers ---------------------------------------------------------------------------------------------------------
def _standard_library() -> list[str]:
    """Where the standard library is."""
    paths = sysconfig.get_paths()
    places = [paths["stdlib"], paths["platstdlib"]]
    lib = Path(paths["stdlib"])
    base = Path(sys.base_prefix, sys.platlibdir, lib.name)
    archive = Path(sys.base_prefix, sys.platlibdir, f"python{sys.version_info.major}{sys.version_info.minor}.zip")
    places += [str(base), str(base / "lib-dynload"), str(archive)]
    places += [path for path in sys.path if path.endswith("lib-dynload")]
    return [place for place in dict.fromkeys(places) if os.path.exists(place)]


def _place(name: str) -> Path:
    """The folder of a package, or the file of a module.

    Raises:
        ValueError: it is not installed, or is fastnn itself, which has the answers.
    """
    if name == "fastnn":
        raise ValueError("Sandbox: fastnn has the answers; it cannot be allowed")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not places and spec is not None and spec.has_location and spec.origin is not None:
        places = [spec.origin]
    if not places:
        raise ValueError(f"Sandbox: there is no package {name!r} to allow")
    return Path(places[0]).resolve()


def _libraries(name: str, place: Path) -> list[Path]:
    """The folders of shared libraries that wheels put beside a package, under the name of their distribution."""
    names = {name}
    if name != "numpy":
        names.update(importlib.metadata.packages_distributions().get(name, ()))
    return [folder for folder in (place.parent / f"{each}.libs" for each in sorted(names)) if folder.is_dir()]


def _similar(name: str, names: list[str]) -> str:
    names = [known for known in names if len(known) <= 100]
    if not names:
        return "; the file has no functions"
    near = difflib.get_close_matches(name, names, 1)
    return f"; the file has {', '.join(names[:20])}" + (f"; did you mean {near[0]}?" if near else "")


def _no_callback(value: Any) -> list[Any]:
    raise TypeError(f"Sandbox: a {type(value).__name__} cannot be sent to a submission")


def _refused_callback(number: int, name: str) -> Any:
    raise TransportError("a function that is not the submission's")
