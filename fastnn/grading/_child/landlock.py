"""Landlock, of Linux 5.13 and later: from here on this process reads some files and folders, and writes none.

Source: the kernel's documentation, userspace-api/landlock.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable

__all__ = ["restrict"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all processors
_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# Rights on files that a version of the interface knows, by version; the last one counts for later versions.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK = 0b11  # bind and connect, from version 4
_SCOPES = 0b11  # abstract sockets and signals, from version 6


def restrict(folders: Iterable[str], files: Iterable[str], listed: Iterable[str]) -> None:
    """Allow reading what is in `folders`, `files`, and the names in `listed`; forbid everything else with files.

    Raises:
        OSError: this system has no Landlock.
    """
    if sys.platform != "linux":
        raise OSError("only Linux has it")
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: object) -> int:
        result = libc.syscall(ctypes.c_long(number), *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    version = call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    handled = (1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1
    attributes = struct.pack("=Q", handled)
    if version >= 4:
        attributes += struct.pack("=Q", _NETWORK)
    if version >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    rules = call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        wanted = [*((path, _READ_FILE | _READ_DIR) for path in folders), *((path, _READ_FILE) for path in files)]
        for path, rights in [*wanted, *((path, _READ_DIR) for path in listed)]:
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue  # what is not there needs no rule
            try:
                rule = struct.pack("=Qi", rights, descriptor)
                call(_ADD_RULE, ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
            finally:
                os.close(descriptor)
        call(_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0))
    finally:
        os.close(rules)
