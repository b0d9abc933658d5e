"""What went wrong in a student's code, or in the process that ran it."""

__all__ = [
    "ChannelError",
    "EndedError",
    "MemoryLimitError",
    "OutputLimitError",
    "StudentError",
    "TimeLimitError",
]


class StudentError(Exception):
    """A student's code raised an exception.

    Attributes:
        type_name: of the exception: "ValueError".
        message: of the exception.
        line: of the student's file, where it was raised; None if that is not known.
        trace: the lines of the student's file on the way there, as text.
        fatal: whether the process has ended, so that no function of the submission can be called any more.
    """

    fatal = False

    def __init__(self, type_name: str, message: str, line: int | None = None, trace: str = "") -> None:
        self.type_name, self.message, self.line, self.trace = type_name, message, line, trace
        where = "" if line is None else f"(line {line})"
        super().__init__(" ".join(filter(None, [message, where])))

    @property
    def sentence(self) -> str:
        """The message, behind the name of the exception unless the sandbox itself ended the code."""
        return f"{self.type_name}: {self}" if str(self) else self.type_name


class _FatalError(StudentError):
    fatal = True

    def __init__(self, message: str, line: int | None = None, trace: str = "") -> None:
        super().__init__(type(self).__name__, message, line, trace)

    @property
    def sentence(self) -> str:
        return str(self)


class TimeLimitError(_FatalError):
    """The code was still running when its time was over."""


class MemoryLimitError(_FatalError):
    """The code wanted more memory than it may have."""


class OutputLimitError(_FatalError):
    """The code printed more than it may."""


class EndedError(_FatalError):
    """The process ended: the code left it, or crashed."""


class ChannelError(_FatalError):
    """The process sent what no function's result is: the code wrote to the grader's channel itself."""
