"""Python on Linux that behaves like Python on Windows or macOS, as far as that can be had.

Python imports this at its start when this folder is on PYTHONPATH. PRETENDED_SYSTEM says which: "win32" or "darwin".
What is missing there is missing here, and files that are open cannot be replaced or removed where Windows forbids it.
The standard library and other packages are imported before, since they choose their own ways by the system.
"""

import contextlib
import os
import sys
import types


def _import_all(names):
    for name in names:
        with contextlib.suppress(ImportError):  # not installed
            __import__(name)


_BEFORE = """
    argparse asyncio bz2 concurrent.futures csv ctypes ctypes.util dataclasses datetime decimal difflib email.parser
    fractions getpass glob gzip hashlib http.client importlib.metadata inspect io json linecache logging lzma mimetypes
    multiprocessing multiprocessing.pool multiprocessing.popen_spawn_posix multiprocessing.queues
    multiprocessing.resource_tracker multiprocessing.spawn multiprocessing.synchronize numpy numpy.testing pathlib
    pickle platform pydoc queue random runpy secrets select selectors shutil socket sqlite3 ssl statistics subprocess
    sysconfig tarfile tempfile threading timeit tokenize tomllib traceback types typing unittest urllib.request uuid
    warnings webbrowser zipfile zoneinfo matplotlib matplotlib.pyplot matplotlib.backends.backend_agg PIL.Image
    PIL.ImageOps platformdirs pooch requests tqdm tqdm.auto
"""
_MISSING_MODULES = {
    "win32": "fcntl grp pwd readline resource syslog termios tty pty crypt spwd nis",
    "darwin": "spwd nis winreg msvcrt _winapi",
}
_MISSING_OF_OS = {
    "win32": """
        O_ACCMODE O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_LARGEFILE O_NDELAY O_NOATIME O_NOCTTY O_NOFOLLOW
        O_NONBLOCK O_PATH O_RSYNC O_SYNC O_TMPFILE WNOHANG chown chroot confstr ctermid eventfd fchdir fchmod fchown
        fdatasync fork forkpty fpathconf get_blocking getegid geteuid getgid getgrouplist getgroups getloadavg getpgid
        getpgrp getpriority getresgid getresuid getsid getuid getxattr initgroups killpg lchown listxattr lockf major
        memfd_create minor mkfifo mknod nice openpty pathconf pipe2 posix_fadvise posix_spawn posix_spawnp pread preadv
        pwrite pwritev readv register_at_fork removexattr sched_getaffinity sched_setaffinity sched_yield sendfile
        set_blocking setegid seteuid setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid setsid
        setuid setxattr splice statvfs sync sysconf tcgetpgrp tcsetpgrp ttyname uname unshare wait wait3 wait4 writev
    """,
    "darwin": """
        O_DIRECT O_LARGEFILE O_NOATIME O_PATH O_RSYNC O_TMPFILE eventfd getrandom getxattr listxattr memfd_create pipe2
        posix_fadvise sched_getaffinity sched_setaffinity setresgid setresuid setxattr removexattr splice unshare
    """,
}
_SIGNALS_OF_WINDOWS = ("SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN")
_WRITES = os.O_WRONLY | os.O_RDWR
_BINARY = 1 << 30  # no flag of Linux


def _hide(system):
    for name in _MISSING_OF_OS[system].split():
        if hasattr(os, name):
            delattr(os, name)
    for name in _MISSING_MODULES[system].split():
        sys.modules[name] = None

    def refuse_files_of_linux(event, arguments):
        if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(("/proc/", "/sys/")):
            raise FileNotFoundError(2, "no such file on this system", arguments[0])

    sys.addaudithook(refuse_files_of_linux)


def _keep_for_processes():
    """What starts and ends processes has ways of its own on Windows: here it keeps `os`, `signal` and the platform."""
    import signal

    class Sys:
        """`sys` as it is, but for the platform."""

        platform = sys.platform

        def __getattr__(self, name):
            return getattr(sys, name)

        def __setattr__(self, name, value):
            setattr(sys, name, value)

    kept = {"sys": (sys, Sys())}
    for plain in (os, signal):
        kept[plain.__name__] = plain, types.ModuleType(plain.__name__)
        kept[plain.__name__][1].__dict__.update(vars(plain))
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(("multiprocessing", "subprocess")):
            for name, (plain, copy) in kept.items():
                if getattr(module, name, None) is plain:
                    setattr(module, name, copy)


def _locks_of_windows():
    """Names of files that this process has open or mapped cannot be given to others, nor taken away."""
    import shutil
    import tempfile

    maps = os.open("/proc/self/maps", os.O_RDONLY)

    def is_open(path):
        path = os.path.realpath(os.fspath(path))
        for descriptor in os.listdir("/proc/self/fd"):
            try:
                if os.readlink(f"/proc/self/fd/{descriptor}") == path:
                    return True
            except OSError:
                continue
        os.lseek(maps, 0, os.SEEK_SET)
        content = b""
        while piece := os.read(maps, 1 << 16):
            content += piece
        return any(line.endswith(b" " + os.fsencode(path)) for line in content.splitlines())

    def refuse(*paths):
        for path in paths:
            if is_open(path):
                raise PermissionError(13, "the file is being used by a process", os.fspath(path))

    def guarded(function, exists_is_error=False):
        def call(source, *arguments, **options):
            targets = [source, *arguments[:1]]
            refuse(*targets)
            if exists_is_error and os.path.lexists(targets[1]):
                raise FileExistsError(17, "the name is taken", os.fspath(targets[1]))
            return function(source, *arguments, **options)

        return call

    os.replace, os.rename = guarded(os.replace), guarded(os.rename, exists_is_error=True)
    os.unlink, os.remove = guarded(os.unlink), guarded(os.remove)
    plain_open, plain_file = os.open, open
    in_text_mode = {}

    def open_descriptor(path, flags, mode=0o777, **options):
        if os.path.isdir(path):
            raise PermissionError(13, "a folder cannot be opened", os.fspath(path))
        descriptor = plain_open(path, flags & ~_BINARY, mode, **options)
        in_text_mode[descriptor] = bool(flags & _WRITES) and not flags & _BINARY
        return descriptor

    def open_file(file, mode="r", *arguments, **options):
        if isinstance(file, int) and in_text_mode.get(file):
            raise AssertionError("the descriptor was opened without O_BINARY: Windows would change line ends")
        opened = plain_file(file, mode, *arguments, **options)
        in_text_mode.pop(opened.fileno(), None)
        return opened

    import builtins
    import io

    os.open, os.O_BINARY, os.O_TEXT = open_descriptor, _BINARY, 0
    builtins.open = io.open = open_file
    tempfile._bin_openflags |= _BINARY
    tempfile.TemporaryFile = tempfile.NamedTemporaryFile
    shutil._use_fd_functions = False  # it would open folders

    def no_links(*arguments, **options):
        raise OSError(1314, "a required privilege is not held by the client")

    os.symlink = no_links


def _signals_of_windows():
    import signal

    for name in list(vars(signal)):
        if name.startswith("SIG") and name not in _SIGNALS_OF_WINDOWS:
            delattr(signal, name)
    for name in ("alarm", "getitimer", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "sigpending"):
        delattr(signal, name)
    signal.SIGBREAK = 21
    plain_get, plain_set, handlers = signal.getsignal, signal.signal, {21: signal.SIG_DFL}
    allowed = {int(getattr(signal, name)) for name in _SIGNALS_OF_WINDOWS[:6]}

    def get(number):
        return handlers[21] if number == 21 else plain_get(number)

    def set_(number, handler):
        if number == 21:
            before, handlers[21] = handlers[21], handler
            return before
        if int(number) not in allowed:
            raise ValueError("invalid signal value")
        return plain_set(number, handler)

    signal.getsignal, signal.signal = get, set_


def _interface_of_windows():
    """As much of kernel32 and of the registry as fastnn asks."""
    import ctypes

    class Function:
        """A function that answers only if the types of its arguments were declared."""

        def __init__(self, answer):
            self.answer, self.argtypes, self.restype = answer, None, None

        def __call__(self, *arguments):
            assert self.argtypes is not None
            assert len(arguments) == len(self.argtypes)
            return self.answer(*arguments)

    def process():
        return 2**64 - 1

    def affinity(handle, own, of_system):
        assert handle.value == 2**64 - 1
        own._obj.value, of_system._obj.value = 0b101, 0b1111
        return 1

    def memory_of_process(handle, counters, size):
        assert handle.value == 2**64 - 1
        assert size == counters._obj.length == 72
        counters._obj.working_set, counters._obj.peak_working_set = 60_000_000, 90_000_000
        return 1

    def memory(status):
        assert status._obj.length == 64
        status._obj.total_physical = 8 << 30
        return 1

    answers = {
        "GetCurrentProcess": process,
        "GetProcessAffinityMask": affinity,
        "K32GetProcessMemoryInfo": memory_of_process,
        "GlobalMemoryStatusEx": memory,
    }

    def load(name):
        assert name == "kernel32"
        return types.SimpleNamespace(**{name: Function(answer) for name, answer in answers.items()})

    ctypes.WinDLL = load

    class Key:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    registry = types.ModuleType("winreg")
    registry.HKEY_LOCAL_MACHINE = 1
    registry.OpenKey = lambda root, path: Key()
    registry.QueryValueEx = lambda key, name: ("A Processor of Windows  ", 1)
    sys.modules["winreg"] = registry


def _files_and_names_of_macos():
    """Its own way to put a file on disk, bytes where Linux has kilobytes, and a fixed answer of sysctl."""
    import ctypes
    import fcntl
    import resource

    plain, usage = fcntl.fcntl, resource.getrusage

    def bytes_used(who):
        return types.SimpleNamespace(ru_maxrss=1024 * usage(who).ru_maxrss)

    resource.getrusage = bytes_used
    fcntl.F_FULLFSYNC = 51

    def control(descriptor, command, *arguments):
        return os.fsync(descriptor) or 0 if command == fcntl.F_FULLFSYNC else plain(descriptor, command, *arguments)

    fcntl.fcntl = control

    class Library:
        def __init__(self, *arguments, **options):
            pass

        def sysctlbyname(self, name, buffer, size, new, new_size):
            assert name == b"machdep.cpu.brand_string"
            buffer.value = b"A Processor of Apple"
            return 0

    ctypes.CDLL = Library


def _pretend(system):
    import multiprocessing
    import warnings

    warnings.filterwarnings("ignore", category=EncodingWarning)  # those of other packages are theirs
    _import_all([*_BEFORE.split(), *os.environ.get("PRETENDED_BEFORE", "").split()])
    multiprocessing.set_start_method("spawn")
    warnings.filterwarnings("error", category=EncodingWarning, module=r"fastnn\b")
    warnings.filterwarnings("error", category=EncodingWarning, module="__main__")
    _keep_for_processes()
    if system == "win32":
        _locks_of_windows()
        _signals_of_windows()
        _interface_of_windows()
    else:
        _files_and_names_of_macos()
    _hide(system)
    sys.platform = system


if os.environ.get("PRETENDED_SYSTEM"):
    _pretend(os.environ["PRETENDED_SYSTEM"])
