"""A child process that may be hostile: messages with a time limit, output that is cut, and a certain end."""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastnn._json import parse_json
from fastnn._system import IS_WINDOWS
from fastnn.grading._child import transport
from fastnn.grading.errors import ChannelError, EndedError, OutputLimitError, StudentError, TimeLimitError

__all__ = ["ChildProcess"]

_PIECE = 1 << 16
_BOOT = "import sys; sys.path += sys.argv[1:3]; from grading_child.main import main; main(*map(int, sys.argv[3:]))"
# One thread in each library that NumPy may be built with. No hash depends on the day.
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
    "PYTHONUTF8": "1",  # for systems without that locale
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
_SECONDS_TO_END = 1.0


class ChildProcess:
    """Python in a session of its own, with nothing of this process but two pipes for messages and two for output.

    Args:
        files: of the submission, by name: the bytes; they lie in `folder`, which cannot be written.
        packages: folders of packages that the child may import, by name.
        most_output: bytes of standard output and of standard error.
        most_result: bytes of arrays in a message of the child.
    Raises:
        OSError: no process can be started, or this is Windows.
    """

    def __init__(
        self, files: Mapping[str, bytes], packages: Mapping[str, Path], most_output: int, most_result: int
    ) -> None:
        if IS_WINDOWS:
            raise OSError(
                "students' code is run in a process with limits that Windows does not have: grade on Linux, on macOS, "
                "or on Windows in WSL (wsl --install)"
            )
        self._most_output, self._most_result = most_output, most_result
        self._received, self._failure = bytearray(), None  # type: bytearray, StudentError | None
        self._output: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._number = 0  # of the last request
        self._selector = selectors.DefaultSelector()
        self._root = Path(tempfile.mkdtemp(prefix="fastnn-grading-")).resolve()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._lay_out(files, packages)
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def folder(self) -> Path:
        """Where the submission's files are."""
        return self._root / "submission"

    @property
    def packages(self) -> Path:
        """Where links to the packages are."""
        return self._root / "packages"

    def text(self, stream: str) -> str:
        """What the child has written to "stdout" or "stderr"."""
        return self._output[stream].decode("utf-8", "replace")

    # ---- start and end -----------------------------------------------------------------------------------------------
    def _lay_out(self, files: Mapping[str, bytes], packages: Mapping[str, Path]) -> None:
        self.folder.mkdir()
        for name, content in files.items():
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        self.packages.mkdir()
        for name, place in packages.items():
            (self.packages / name).symlink_to(place)
        code = self._root / "code" / "grading_child"
        code.mkdir(parents=True)
        for file in Path(transport.__file__).parent.glob("*.py"):
            (code / file.name).write_bytes(file.read_bytes())
        for folder, _, names in os.walk(self._root, topdown=False):
            for name in names:
                if not Path(folder, name).is_symlink():
                    os.chmod(Path(folder, name), 0o444)
            os.chmod(folder, 0o555)

    def _start(self) -> None:
        child_reads, self._writes = os.pipe()
        self._reads, child_writes = os.pipe()
        try:
            # -P, -s, -S: no module of the current folder, of the user's or of installed packages.
            command = [sys.executable, "-P", "-s", "-S", "-B", "-c", _BOOT]
            self._process = subprocess.Popen(
                [*command, str(self._root / "code"), str(self.packages), str(child_reads), str(child_writes)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(child_reads, child_writes),
                cwd=self.folder,
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        finally:
            os.close(child_reads)
            os.close(child_writes)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        pipes = {"stdout": self._process.stdout.fileno(), "stderr": self._process.stderr.fileno(), "reply": self._reads}
        for name, descriptor in pipes.items():
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ, name)
        os.set_blocking(self._writes, False)

    def close(self) -> None:
        """End the process and all of its session, and remove its folder."""
        self._kill()
        self._failure = self._failure or EndedError("the sandbox is closed")
        self._selector.close()
        for name in ("_reads", "_writes"):
            if (descriptor := self.__dict__.pop(name, None)) is not None:
                os.close(descriptor)
        if self._process is not None:
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()
        if self._root.exists():
            for folder, _, _ in os.walk(self._root):
                os.chmod(folder, 0o755)
            shutil.rmtree(self._root)

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()

    # ---- messages ----------------------------------------------------------------------------------------------------
    def exchange(
        self, message: dict[str, Any], buffers: list[bytes], deadline: float, limit: str
    ) -> tuple[dict[str, Any], bytes]:
        """Send a message and wait for the next one of the child.

        Args:
            deadline: of `time.monotonic`.
            limit: what the deadline is, in words.
        Raises:
            StudentError: a fatal one, after which the process has ended.
        """
        if self._failure is not None:
            raise self._failure
        try:
            self._drain()
            self._number += 1
            request = transport.frame({**message, "request": self._number}, buffers)
            reply, data = self._exchange(memoryview(request), deadline, limit)
            if reply.get("request") != self._number:
                raise ChannelError("the code wrote to the channel of the grader")
            return reply, data
        except StudentError as error:
            self._failure = error
            self._kill()
            raise

    def fail(self, error: StudentError) -> StudentError:
        """End the process for this reason, which every later exchange raises; returns it."""
        self._failure = error
        self._kill()
        return error

    def _drain(self) -> None:
        """Raise if the child has said something without being asked."""
        for key, _ in self._selector.select(0):
            self._take(key)
        if self._received:
            raise ChannelError("the code wrote to the channel of the grader")

    def _exchange(self, rest: memoryview, deadline: float, limit: str) -> tuple[dict[str, Any], bytes]:
        self._selector.register(self._writes, selectors.EVENT_WRITE, "request")
        try:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeLimitError(limit)
                for key, _ in self._selector.select(left):
                    if key.data != "request":
                        self._take(key)
                        continue
                    try:
                        rest = rest[os.write(self._writes, rest[:_PIECE]) :]
                    except BlockingIOError:
                        continue
                    except BrokenPipeError:
                        raise self._ended() from None
                    if not rest:
                        self._selector.unregister(self._writes)
                if not rest and (answer := self._answer()) is not None:
                    return answer
        finally:
            if rest:
                self._selector.unregister(self._writes)

    def _take(self, key: selectors.SelectorKey) -> None:
        """Read what there is in one of the child's pipes."""
        try:
            piece = os.read(key.fd, _PIECE)
        except BlockingIOError:
            return
        if not piece:
            self._selector.unregister(key.fd)
            if key.data == "reply":
                raise self._ended()
            return
        if key.data == "reply":
            self._received += piece
            # Also while a request is still being written, when nothing of this is looked at.
            if len(self._received) > transport.HEADER.size + transport.MOST_MESSAGE + self._most_result + _PIECE:
                raise ChannelError("the code wrote to the channel of the grader")
            return
        kept = self._output[key.data]
        kept += piece[: self._most_output - len(kept)]
        if len(kept) >= self._most_output:
            name = {"stdout": "standard output", "stderr": "standard error"}[key.data]
            raise OutputLimitError(f"the code wrote more than {self._most_output >> 10} KB to {name}")

    def _answer(self) -> tuple[dict[str, Any], bytes] | None:
        """The message in what was received, if it is complete."""
        size = transport.HEADER.size
        if len(self._received) < size:
            return None
        try:
            n_message, n_arrays = transport.lengths(bytes(self._received[:size]), self._most_result)
            end = size + n_message + n_arrays
            if len(self._received) < end:
                return None
            message = parse_json(self._received[size : size + n_message].decode())
        except (ValueError, RecursionError) as error:
            raise ChannelError(f"the code wrote to the channel of the grader: {error}") from None
        data = bytes(self._received[size + n_message : end])
        if len(self._received) > end or type(message) is not dict:
            raise ChannelError("the code wrote to the channel of the grader")
        self._received.clear()
        return message, data

    def _ended(self) -> EndedError | TimeLimitError:
        """The error for a process that has closed its channel."""
        assert self._process is not None
        try:
            code = self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            return EndedError("the code closed the channel of the grader")
        self._read_last_words()
        if code == -signal.SIGXCPU:
            return TimeLimitError("the code used more processor time than it may")
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            return EndedError(f"the code crashed the process ({name})")
        return EndedError(f"the code ended the process with exit code {code}, as os._exit does")

    def _read_last_words(self) -> None:
        for key, _ in self._selector.select(0):
            if key.data in self._output:
                with contextlib.suppress(StudentError):
                    self._take(key)
