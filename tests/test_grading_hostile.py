"""Hostile submissions in the sandbox: they gain nothing, leave nothing, are ended quickly, and are told."""

import contextlib
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from grading_boxes import QUICK, box_fixture, call, nothing_is_left, told  # noqa: F401

from fastnn import grading
from fastnn.grading import Handle, Limits, Sandbox, StudentError
from fastnn.grading._child import transport
from fastnn.grading.errors import ChannelError, EndedError, MemoryLimitError, OutputLimitError, TimeLimitError

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the sandbox needs a system of the family of Unix"),
    pytest.mark.usefixtures("nothing_is_left"),
]


# ---- the fences ------------------------------------------------------------------------------------------------------
_KERNEL_ALONE = """
import ctypes, os, socket, sys
sys.path.insert(0, sys.argv[1])
sys.path.append(sys.argv[2])
from grading_child import audit, landlock, limits, seccomp
audit.install = lambda *arguments: None  # the kernel's layers, without Python's
if len(sys.argv) > 5:
    def lacking(*arguments):
        raise OSError(38, "Function not implemented")
    landlock.restrict = seccomp.restrict = lacking
    settings = {"folder": sys.argv[1], "packages": sys.argv[1], "real_packages": [], "standard": [], "links": [],
                "memory": 1 << 28, "cpu": 5, "parent": os.getppid()}
    print(limits.apply(settings))
    sys.exit()
settings = {"folder": sys.argv[1], "packages": sys.argv[1], "real_packages": [], "standard": [], "links": [],
            "memory": 1 << 28, "cpu": 5, "parent": os.getppid()}
print(limits.apply(settings))
def attempt(name, call):
    try:
        call()
        print(name, "done")
    except OSError as error:
        print(name, "refused")
def fork():
    if os.fork() == 0:
        os._exit(0)
attempt("fork", fork)
attempt("spawn", lambda: os.posix_spawn("/bin/true", ["true"], {}))
attempt("exec", lambda: os.execv("/bin/true", ["true"]))
attempt("socket", lambda: socket.socket())
attempt("kill", lambda: os.kill(os.getppid(), 0))
attempt("write", lambda: os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT))
attempt("append", lambda: os.open(__import__("os").devnull, os.O_RDWR))
attempt("read", lambda: open("/etc/passwd"))
attempt("memory", lambda: open(f"/proc/{os.getppid()}/mem", "rb"))
attempt("remove", lambda: os.remove(sys.argv[4]))
attempt("rename", lambda: os.rename(sys.argv[4], sys.argv[3]))
attempt("chmod", lambda: os.chmod(sys.argv[4], 0o777))
attempt("mkdir", lambda: os.mkdir(sys.argv[3]))
attempt("own", lambda: open(sys.argv[1] + "/own.txt"))
"""


def under_the_kernel_alone(folder, victim, *more):
    """The lines that a process without Python's hook writes."""
    folder.chmod(0o755)
    shutil.copytree(os.path.dirname(transport.__file__), folder / "grading_child", dirs_exist_ok=True)
    arguments = [folder, os.path.dirname(os.path.dirname(np.__file__)), folder.parent / "new", victim, *more]
    command = [sys.executable, "-s", "-c", _KERNEL_ALONE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """What the kernel alone refuses. Each is tried once, harmlessly."""
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "own.txt").write_text("mine")
    victim = folder.parent / "victim.txt"
    victim.write_text("whole")
    missing, *lines = under_the_kernel_alone(folder, victim)
    if missing != "[]":
        pytest.skip(f"this system lacks {missing}")
    assert victim.read_text() == "whole"
    assert victim.stat().st_mode & 0o777 != 0o777
    return dict(line.split() for line in lines)


def test_the_kernel_refuses_all_that_a_submission_may_not(refused):
    own = refused.pop("own")
    assert own == "done"
    assert set(refused.values()) == {"refused"}
    assert len(refused) == 13


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are missing anyway")
def test_the_other_layers_go_up_where_one_is_missing(tmp_path):
    (lines,) = under_the_kernel_alone(tmp_path, tmp_path / "victim", "without")
    assert lines == "['Landlock (Function not implemented)', 'seccomp (Function not implemented)']"


def test_layers_that_are_missing_are_told(box):
    made = box("def f(): pass")
    assert all(isinstance(text, str) for text in made.missing)
    if sys.platform != "linux":
        assert any(text.startswith("seccomp") for text in made.missing)


def test_a_layer_that_the_system_lacks_is_named(tmp_path, monkeypatch):
    started = Sandbox._started

    def without_landlock(self, message):
        return {**started(self, message), "missing": ["Landlock (Function not implemented)"]}

    monkeypatch.setattr(Sandbox, "_started", without_landlock)
    path = tmp_path / "submission.py"
    path.write_text("")
    result = grading.grade(path, "pku")
    assert list(result.notes) == ["not available here: Landlock (Function not implemented)"]
    assert result.notes[0] in str(result)
    assert result.notes[0] in result.to_html()
    assert result.notes[0] in result.to_gradescope()


# ---- hostile submissions ---------------------------------------------------------------------------------------------
HOSTILE = {
    "endless loop": ("def f(x):\n    while True: pass", TimeLimitError, "f took more than 1 s"),
    "endless loop that catches everything": (
        "def f(x):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
        TimeLimitError,
        "f took more",
    ),
    "endless call in C": ("def f(x): return sum(iter(int, 1))", TimeLimitError, "f took more"),
    "huge sort": (
        "def f(x):\n    a = np.random.rand(10**7)\n    while True: np.sort(a)",
        TimeLimitError,
        "f took more",
    ),
    "huge integer": ("def f(x): return 7 ** 7 ** 9 % 10", TimeLimitError, "f took more"),
    "memory at once": ("def f(x): return np.ones(10**11)", MemoryLimitError, "more than 300 MB"),
    "memory by and by": (
        "def f(x):\n    kept = []\n    while True: kept.append(np.ones(10**6))",
        MemoryLimitError,
        "more than 300 MB",
    ),
    "recursion": ("def f(x): return f(x)", StudentError, "RecursionError"),
    "leaving": ("import sys\ndef f(x): sys.exit(0)", StudentError, "SystemExit"),
    "leaving at once": ("import os\ndef f(x): os._exit(0)", EndedError, "exit code 0"),
    "abort": ("import os\ndef f(x): os.abort()", EndedError, "SIGABRT"),
    "crash by ctypes": ("import ctypes\ndef f(x): ctypes.string_at(0)", StudentError, "may not use ctypes.string_at"),
    "crash past the hook": ("import ctypes\ndef f(x): ctypes.memset(0, 1, 1)", EndedError, "SIGSEGV"),
    "crash by strides": (
        "def f(x):\n    a = np.lib.stride_tricks.as_strided(np.ones(1), (2**40,), (2**20,))\n    a[:] = 1",
        EndedError,
        "SIG",
    ),
    "writing here": ("def f(x): open('a.txt', 'w')", StudentError, "may not write files"),
    "writing elsewhere": ("def f(x): np.save('/tmp/fastnn-was-here.npy', x)", StudentError, "may not write files"),
    "writing by os": ("import os\ndef f(x): os.open('a', os.O_CREAT | os.O_WRONLY)", StudentError, "may not write"),
    "removing": ("import os\ndef f(x): os.remove(__file__)", StudentError, "may not use os.remove"),
    "removing a tree": ("import shutil\ndef f(x): shutil.rmtree('/tmp')", StudentError, "may not use shutil.rmtree"),
    "changing rights": ("import os\ndef f(x): os.chmod(__file__, 0o777)", StudentError, "may not use os.chmod"),
    "memory of the grader": (
        "import os\ndef f(x): return open(f'/proc/{os.getppid()}/mem', 'rb').read(9)",
        StudentError,
        "may not read this file",
    ),
    "its own command line": ("def f(x): return open('/proc/self/cmdline').read()", StudentError, "may not read"),
    "climbing": ("def f(x): return open('../../../../etc/passwd').read()", StudentError, "may not read this file"),
    "objects of everybody": ("import gc\ndef f(x): return len(gc.get_objects())", StudentError, "may not use gc.get_"),
    "fork": ("import os\ndef f(x): os.fork()", StudentError, "may not use os.fork"),
    "a program": ("import subprocess\ndef f(x): subprocess.run(['true'])", StudentError, "may not use subprocess"),
    "a shell": ("import os\ndef f(x): os.system('true')", StudentError, "may not use os.system"),
    "killing the grader": ("import os\ndef f(x): os.kill(os.getppid(), 9)", StudentError, "may not use os.kill"),
    "network": ("import socket\ndef f(x): socket.socket()", StudentError, "may not use socket"),
    "thread": ("import threading\ndef f(x): threading.Thread(target=print).start()", StudentError, "thread|_thread"),
    "threads without end": (
        "import _thread\ndef f(x):\n    for _ in range(10**4): _thread.start_new_thread(print, ())",
        StudentError,
        "thread",
    ),
    "raising its limits": (
        "import resource\ndef f(x): resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        StudentError,
        "may not use resource.setrlimit",
    ),
    "flood of output": ("def f(x):\n    while True: print('x' * 10**4)", OutputLimitError, "64 KB to standard output"),
    "flood of errors": (
        "import os\ndef f(x):\n    while True: os.write(2, b'x' * 10**4)",
        OutputLimitError,
        "64 KB to standard error",
    ),
    "flood of all": (
        "import os\ndef f(x):\n    while True:\n        for i in range(3, 99):\n"
        "            try: os.write(i, b'x' * 10**4)\n            except OSError: pass",
        ChannelError,
        "channel of the grader",
    ),
    "huge array": ("def f(x): return np.broadcast_to(0.0, (10**6, 10**6))", StudentError, "cannot be taken"),
    "array above the limit": ("def f(x): return np.zeros(3 * 10**6)", StudentError, "cannot be taken"),
    "many values": ("def f(x): return [0] * 10**6", StudentError, "cannot be taken: more than"),
    "deep lists": (
        "def f(x):\n    a = []\n    for _ in range(10**5): a = [a]\n    return a",
        StudentError,
        "cannot be taken: lists nested",
    ),
    "a list in itself": ("def f(x):\n    a = []\n    a.append(a)\n    return a", StudentError, "cannot be taken"),
    "a bomb of lists": (
        "def f(x):\n    a = [0]\n    for _ in range(20): a = [a, a]\n    return a",
        StudentError,
        "cannot be taken: more than",
    ),
    "huge text": ("def f(x): return 'x' * 10**7", StudentError, "cannot be taken: a text"),
    "waiting for input": ("def f(x): return input()", StudentError, "EOFError"),
    "closing the channel": ("import os\ndef f(x): os.closerange(3, 99)", EndedError, "channel|exit code"),
    "reading the channel": ("import os\ndef f(x): return [os.read(i, 1) for i in range(3, 99)]", StudentError, "."),
    "stopping itself": ("import signal\ndef f(x): signal.raise_signal(signal.SIGSTOP)", TimeLimitError, "f took more"),
    "killing itself": ("import signal\ndef f(x): signal.raise_signal(signal.SIGKILL)", EndedError, "SIGKILL"),
    "dripping": (
        "import os, sys, time\ndef f(x):\n    process = sys._getframe(2).f_locals['self']\n"
        "    while True:\n        os.write(process._writes, b'fnn1'[:1])\n        time.sleep(0.2)",
        TimeLimitError,
        "f took more",
    ),
    "frames of the loader": (
        "import sys\ndef f(x):\n    frame = sys._getframe()\n    found = ''\n    while frame:\n"
        "        found += str(frame.f_globals.keys()) + str(frame.f_locals.keys())\n        frame = frame.f_back\n"
        "    assert 'expected' not in found and 'reference' not in found and 'Part' not in found\n    raise KeyError",
        StudentError,
        "KeyError",
    ),
    "signals": (
        "import signal\ndef f(x):\n    for s in (2, 15, 24): signal.signal(s, signal.SIG_IGN)\n    while True: pass",
        TimeLimitError,
        "f took more",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_function_is_ended_quickly_and_told(box, name):
    code, kind, words = HOSTILE[name]
    begin = time.monotonic()
    with told(words) as caught:
        call(box, code, np.ones(3), limits=Limits(5 if "memory" in name else 1, 8, 300, 64, 16))
    assert type(caught.value) is kind or kind is StudentError
    assert caught.value.fatal == (kind is not StudentError) or name == "reading the channel"
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("while True: pass", TimeLimitError, "loading the file took more than 1 s; code that trains belongs"),
        ("import os\nos._exit(0)", EndedError, "exit code 0"),
        ("import os\nos.abort()", EndedError, "SIGABRT"),
        ("while True: print('all points')", OutputLimitError, "standard output"),
        ("a = [0] * 10**9", MemoryLimitError, "300 MB"),
        (
            "import os\nfor i in range(3, 99):\n    try: os.write(i, b'fnn1' + b'x' * 99)\n    except OSError: pass",
            ChannelError,
            "channel of the grader",
        ),
    ],
)  # fmt: skip
def test_a_hostile_file_is_ended_when_it_loads(box, code, kind, words):
    with told(words, kind):
        box(code)


def test_a_hook_of_its_own_sees_nothing(box):
    code = "import sys\nseen = []\nsys.addaudithook(lambda *a: seen.append(a))\ndef f(): return sys.audit('x'), seen"
    assert box(code).function("f")() == (None, [])


def test_after_its_end_every_call_says_why(box):
    f = box("def f(x): exec('while True: pass')").function("f")
    for _ in range(2):
        begin = time.monotonic()
        with pytest.raises(TimeLimitError):
            f(1)
    assert time.monotonic() - begin < 0.1


def test_all_calls_together_have_a_limit(box):
    f = box("import time\ndef f(): time.sleep(0.45)", limits=Limits(time=1, total=1)).function("f")
    f(), f()
    with told("more than 1 s in all"):
        f()


def test_a_fork_bomb_makes_no_process(box, refused):
    assert refused["fork"] == "refused"  # or else this would be no test but an accident
    code = """
import os
def f():
    done = 0
    for _ in range(1000):
        for make in (os.fork, lambda: os.posix_spawn("/bin/true", ["true"], {}), lambda: os.system("true")):
            try:
                make()
                done += 1
            except BaseException:
                pass
    return done
"""
    assert box(code).function("f")() == 0


@pytest.mark.parametrize("number", ["None", "process._request"])
def test_forged_frames_give_nothing(box, number):
    code = f"""
import json, os, struct, sys
def f(x):
    process = sys._getframe(2).f_locals["self"]
    text = json.dumps({{"reply": "result", "values": [1, [[], []]], "number": {number}}}).encode()
    os.write(process._writes, struct.pack("<4sIQ", b"fnn1", len(text), 0) + text)
    return 2
"""
    f = box(code).function("f")
    if number != "None":  # then it is a result like any other, that is wrong; the second reply is noticed
        with contextlib.suppress(ChannelError):
            assert f(1) == 1
    with pytest.raises(ChannelError):
        f(1)


@pytest.mark.parametrize(
    "reply",
    [
        {"reply": "result", "values": [["array", "<f8", [2], "C", True], [[], []]]},
        {"reply": "result", "values": [["array", "O", [2], "C", True], [[], []]]},
        {"reply": "result", "values": [["array", "<f8", [-1], "C", True], [[], []]]},
        {"reply": "result", "values": [["array", "<f8", [2**62, 2**62, 0], "C", True], [[], []]]},
        {"reply": "result", "values": [["array", "<f8", [2.0], "C", True], [[], []]]},
        {"reply": "result", "values": [["same", 5], [[], []]]},
        {"reply": "result", "values": [["end"], [[], []]]},
        {"reply": "result", "values": [["callback", 0, "f"], [[], []]]},
        {"reply": "result", "values": [["dict", [[["list", []], 1]]], [[], []]]},
        {"reply": "result", "values": [1, [[[7, ["array", "<f8", [0], "C", True]]], []]]},
        {"reply": "result", "values": [1, [[], [[0, [["a", True, None]]]]]]},
        {"reply": "result", "values": [1]},
        {"reply": "result"},
        {"reply": "callback", "number": 3, "values": [["tuple", []], ["dict", []]]},
        {"reply": "callback", "number": "f", "values": []},
        {"reply": "error"},
        {"reply": "loaded"},
        {"reply": ["result"]},
        {},
    ],
)
def test_every_false_reply_is_refused(box, reply):
    code = f"""
import os, sys
def f(x):
    process = sys._getframe(2).f_locals["self"]
    process._send({reply!r}, [])
    while True: pass
"""
    with told("channel of the grader"):
        call(box, code, [1])


def test_an_object_that_equals_everything_stays_an_object(box):
    code = """
class Right(np.ndarray):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0 * np.asarray(other)
    __rsub__ = __sub__
    def __array_ufunc__(self, *a, **k): return np.zeros(3)
class Alike:
    def __eq__(self, other): return True
    def __array__(self, *a, **k): return np.zeros(3)
    def __float__(self): return 0.0
def f(x): return np.full(3, 7.0).view(Right), Alike(), np.array([None, 1]), (i for i in range(3))
"""
    array, alike, objects, generator = call(box, code, 1)
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, [7, 7, 7])
    assert [type(item) for item in (alike, objects, generator)] == [Handle] * 3
    assert alike != 3


def test_a_patched_numpy_is_patched_there_only(box):
    code = """
import numpy.testing
np.allclose = np.array_equal = lambda *a, **k: True
np.testing.assert_allclose = lambda *a, **k: None
def f(x): return np.allclose(1, 2)
"""
    assert call(box, code, 1) is True
    assert not np.allclose(1, 2)


def test_the_answers_are_not_there(box):
    code = """
import sys
def f(paths):
    found = []
    for path in paths:
        sys.path.insert(0, path)
    for name in ("fastnn", "fastnn.reference", "torch", "scipy", "optuna"):
        try:
            __import__(name)
            found.append(name)
        except (ImportError, OSError):
            pass
    for path in paths:
        try:
            open(path + "/fastnn/__init__.py")
            found.append(path)
        except OSError:
            pass
    return found, [name for name in sys.modules if "fastnn" in name or "grading" in name]
"""
    import fastnn

    paths = [os.path.dirname(os.path.dirname(fastnn.__file__)), os.path.dirname(os.path.dirname(np.__file__))]
    assert call(box, code, paths) == ([], [])


def test_the_environment_is_empty(box, monkeypatch):
    monkeypatch.setenv("FASTNN_SECRET", "42")
    names = box("import os\ndef f(): return sorted(os.environ)").function("f")()
    assert "FASTNN_SECRET" not in names
    assert "HOME" not in names


def test_exit_functions_do_not_run(box, tmp_path):
    code = "import atexit, os\natexit.register(lambda: os.write(1, b'all points'))\ndef f(): return 1"
    made = box(code)
    assert made.function("f")() == 1
    made.close()
    assert "points" not in made.stdout


def test_closed_streams_are_no_end(box):
    code = "import os, sys\nos.close(1)\nos.close(2)\nsys.stdout = None\ndef f(x): return x + 1"
    f = box(code).function("f")
    assert (f(1), f(2)) == (2, 3)


def test_what_is_printed_is_kept(box):
    made = box("import sys\nprint('loaded')\ndef f():\n    print('called')\n    print('bad', file=sys.stderr)")
    made.function("f")()
    assert made.stdout == "loaded\ncalled\n"
    assert made.stderr == "bad\n"


def test_the_child_ends_with_the_grader(tmp_path):
    path = tmp_path / "submission.py"
    path.write_text("def f():\n    while True: pass")
    code = f"""
import os, threading
from fastnn.grading import Limits, Sandbox
with Sandbox({str(path)!r}, Limits(time=60)) as box:
    print(box._process._process.pid, box._process._root, flush=True)
    threading.Timer(0.3, lambda: os.kill(os.getpid(), 9)).start()
    box.function("f")()
"""
    if sys.platform != "linux":
        pytest.skip("only Linux ends children with their parents")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    pid, root = done.stdout.split()
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}/exe") and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        assert not os.path.exists(f"/proc/{pid}/exe")
    finally:
        subprocess.run(["chmod", "-R", "u+w", root], check=True)
        subprocess.run(["rm", "-r", root], check=True)
