"""seccomp, of Linux: from here on the kernel answers this process only the calls that computing needs.

All others fail with EPERM: new processes and threads, other programs, sockets, signals to others, changes of files.
Source: the kernel's documentation, userspace-api/seccomp_filter; the numbers are those of its tables of calls.
"""

import ctypes
import os
import platform
import struct
import sys

__all__ = ["restrict"]

# By name: the number on x86_64 and on aarch64; None where there is no such call.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, None),
    "ppoll": (271, 73),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "access": (21, None),
    "select": (23, None),
    "pselect6": (270, 72),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "uname": (63, 160),
    "getcwd": (79, 17),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "sigaltstack": (131, 132),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "getdents64": (217, 61),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "newfstatat": (262, 79),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "getrandom": (318, 278),
    "statx": (332, 291),
    "rseq": (334, 293),
    "getcpu": (309, 168),
}
_OPEN, _OPENAT, _IOCTL, _FCNTL, _TGKILL = (2, None), (257, 56), (16, 29), (72, 25), (234, 131)
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_ALLOW, _EPERM, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000
_LOAD, _EQUALS, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16  # where they are in what a filter sees
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_SET_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_ASKS_FLAGS = (1, 2, 3, 4)  # F_GETFD, F_SETFD, F_GETFL, F_SETFL
_FROM_TERMINAL = (0x5401, 0x5451)  # TCGETS, FIOCLEX: what Python asks of a file that it opens


def restrict() -> None:
    """Install the filter.

    Raises:
        OSError: this system has no seccomp, or this processor no table here.
    """
    if sys.platform != "linux":
        raise OSError("only Linux has it")
    if platform.machine() not in _ARCHITECTURES or sys.maxsize < 2**32:
        raise OSError(f"there is no table for {platform.machine()}")
    column, architecture = _ARCHITECTURES[platform.machine()]
    program = _program(column, architecture)
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    filters = ctypes.create_string_buffer(head, len(head))
    zero = ctypes.c_ulong(0)
    if libc.prctl(ctypes.c_int(_SET_NO_NEW_PRIVS), ctypes.c_ulong(1), zero, zero, zero) or libc.prctl(
        ctypes.c_int(_SET_SECCOMP), ctypes.c_ulong(_FILTER), ctypes.byref(filters), zero, zero
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _program(column: int, architecture: int) -> bytes:
    """The filter as instructions of BPF."""
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUALS, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    for numbers in _ALLOWED.values():
        if (number := numbers[column]) is not None:
            steps += [_step(_EQUALS, number, 0, 1), _step(_RETURN, _ALLOW)]
    for (number, argument), values in {
        (_IOCTL[column], 1): _FROM_TERMINAL,
        (_FCNTL[column], 1): (*_ASKS_FLAGS, 1030),  # F_DUPFD_CLOEXEC
        (_TGKILL[column], 0): (os.getpid(),),  # abort() sends a signal to its own process
    }.items():
        tests = [_step(_EQUALS, value, len(values) - i, 0) for i, value in enumerate(values)]
        body = [_step(_LOAD, _ARGUMENT + 8 * argument), *tests, _step(_RETURN, _EPERM), _step(_RETURN, _ALLOW)]
        steps += [_step(_EQUALS, number, 0, len(body)), *body]
    for numbers, argument in ((_OPEN, 1), (_OPENAT, 2)):
        if (number := numbers[column]) is not None:
            body = [
                _step(_LOAD, _ARGUMENT + 8 * argument),
                _step(_AND, _WRITES),
                _step(_EQUALS, 0, 0, 1),
                _step(_RETURN, _ALLOW),
                _step(_RETURN, _EPERM),
            ]
            steps += [_step(_EQUALS, number, 0, len(body)), *body]
    steps.append(_step(_RETURN, _EPERM))
    return b"".join(steps)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
