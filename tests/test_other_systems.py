"""Windows and macOS, which the tests have not: a Python that lacks what they lack, and rules for the source.

`other_systems/sitecustomize.py` is that Python. It cannot show what the systems do, only that nothing here relies on
what they do not have.
"""

import ast
import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastnn import _system, _user_network
from fastnn.training import _atomic, atomic_write

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(__file__).parent / "other_systems"
SOURCES = sorted(path for folder in ("fastnn", "examples", "benchmarks") for path in (ROOT / folder).rglob("*.py"))


@pytest.fixture(params=["win32", "darwin"])
def system(request):
    return request.param


def run(system, folder, *words, first=""):
    """Run Python as it is on this system, where standard output has the encoding of old Windows."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FASTNN_", "PYTHON"))}
    pretended = {
        "PRETENDED_SYSTEM": system,
        "PRETENDED_BEFORE": first,
        "PYTHONPATH": os.pathsep.join([str(PROGRAMS), str(ROOT)]),
        "PYTHONWARNDEFAULTENCODING": "1",
        "PYTHONIOENCODING": "cp1252",
        "MPLBACKEND": "Agg",
        "FASTNN_NUM_THREADS": "1",
    }
    command = [sys.executable, "-P", *map(str, words)]
    done = subprocess.run(
        command, cwd=folder, env={**inherited, **pretended}, capture_output=True, encoding="cp1252", timeout=200
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


# ---- programs --------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_modules_and_commands_run(system, tmp_path):
    done = run(system, tmp_path, PROGRAMS / "commands.py")
    cpu = {"win32": "A Processor of Windows; 2 usable", "darwin": "A Processor of Apple"}[system]
    assert cpu in done.stdout
    assert "as in net.py:make_net" in done.stderr
    assert ("grade on Linux, on macOS, or on Windows in WSL" in done.stderr) == (system == "win32")


@pytest.mark.slow
def test_library_trains_saves_and_resumes(system, tmp_path):
    run(system, tmp_path, PROGRAMS / "library.py")


@pytest.mark.slow
def test_pytorch_script_runs(system, tmp_path):
    done = run(system, tmp_path, "-m", "fastnn", "run", PROGRAMS / "pytorch_script.py")
    assert "the process says 2.0" in done.stdout


@pytest.mark.slow
def test_bench_measures_time_and_memory(system, tmp_path):
    network = "nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 30 * 30, 10))"
    (tmp_path / "net.py").write_text(f"from fastnn import nn\ndef make(): return {network}\n")
    words = ["bench", "--networks", "net.py:make", "--batch-sizes", "64", "--rounds", "1", "--seconds", "0.05"]
    done = run(system, tmp_path, "-m", "fastnn", *words, "--json", "bench.json")
    assert "| net.py:make | training | 64 |" in done.stdout
    memory = int(done.stdout.rstrip().rpartition("|")[0].rpartition("|")[2])
    assert memory == 30 if system == "win32" else 2 < memory < 200  # MB


@pytest.mark.slow
@pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="NOT TESTED: FASTNN_DATA is not set")
def test_course_is_reproduced(system, tmp_path):
    words = ["reproduce", "pku-bn", "--quick", "--out", "report", "--data", os.environ["FASTNN_DATA"]]
    assert "rows pass" in run(system, tmp_path, "-m", "fastnn", *words).stdout


@pytest.mark.slow
def test_grid_search_keeps_its_file(system, tmp_path):
    pytest.importorskip("optuna")
    script = """
from fastnn import tune
print(len(tune.grid_search(lambda point: point["x"], {"x": [1, 2]}, storage="a.sqlite")))
"""
    assert run(system, tmp_path, "-c", script, first="optuna optuna.storages").stdout == "2\n"


# ---- files on Windows ------------------------------------------------------------------------------------------------
ON_WINDOWS = """
import os, time
from pathlib import Path
from fastnn.training import atomic_write, _atomic
_atomic._TRIES = 2

def write(name, text="new", **options):
    with atomic_write(name, "w", **options) as file:
        file.write(text)

write("a", "old\\n")
write("a", "\\u20ac\\n")  # neither its encoding nor its line ends are the system's
assert Path("a").read_bytes() == b"\\xe2\\x82\\xac\\n"
with open("a", "rb"):
    try:
        write("a")
    except PermissionError as error:
        print(error)
assert Path("a").read_bytes() == b"\\xe2\\x82\\xac\\n"
try:
    write("b:c")
except OSError as error:
    print(error)
assert os.listdir() == ["a"], os.listdir()

# What a killed process has left is removed, not what is open or was closed just now.
old, new, opened = (Path(f".a.{name}.part") for name in ("aaaaaaaa", "bbbbbbbb", "cccccccc"))
for path in (old, new, opened):
    path.write_bytes(b"")
for path in (old, opened):
    os.utime(path, (time.time() - 100,) * 2)
with opened.open("rb"):
    write("a")
assert sorted(os.listdir()) == [str(new), str(opened), "a"], os.listdir()
"""


def test_atomic_write_keeps_to_the_rules_of_windows(tmp_path):
    done = run("win32", tmp_path, "-c", ON_WINDOWS)
    assert done.stdout.splitlines() == [
        "[Errno 13] cannot be replaced: a program has it open, or it is marked as read-only: 'a'",
        "[Errno 22] cannot be written: there are no colons in names on Windows: 'b:c'",
    ]


def test_atomic_write_waits_for_a_file_that_is_open_for_a_moment(tmp_path, monkeypatch):
    """As virus scanners and search indexes open files."""
    waited = []
    plain = os.replace

    def replace(source, target):
        if len(waited) < 3:
            raise PermissionError(errno.EACCES, "it is open")
        plain(source, target)

    monkeypatch.setattr(_atomic, "IS_WINDOWS", True)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(time, "sleep", waited.append)
    with atomic_write(tmp_path / "a", "w") as file:
        file.write("whole")
    assert (tmp_path / "a").read_text() == "whole"
    assert 0 < sum(waited) < 1


# ---- signals, memory, paths ------------------------------------------------------------------------------------------
def test_ctrl_break_of_windows_waits_for_the_end_of_a_step(tmp_path):
    script = """
import signal
from fastnn.training.interrupts import InterruptFlag
with InterruptFlag() as flag:
    signal.getsignal(signal.SIGBREAK)(signal.SIGBREAK, None)
assert flag.raised and flag.signal_number == signal.SIGBREAK
assert signal.getsignal(signal.SIGBREAK) == signal.SIG_DFL
"""
    run("win32", tmp_path, "-c", script)


@pytest.mark.parametrize(
    ("error", "is_windows", "expected"),
    [
        (BrokenPipeError(errno.EPIPE, ""), False, True),
        (OSError(errno.EINVAL, ""), True, True),
        (OSError(errno.EINVAL, ""), False, False),
        (OSError(errno.EINVAL, "", "a name"), True, False),
        (OSError(errno.ENOSPC, ""), True, False),
    ],
)
def test_closed_pipe_is_known_by_the_error_of_each_system(error, is_windows, expected, monkeypatch):
    monkeypatch.setattr(_system, "IS_WINDOWS", is_windows)
    assert _system.is_closed_pipe(error) is expected


def test_memory_of_this_process_is_what_the_program_ps_says():
    from fastnn.benchmark import memory

    assert abs(memory._from_ps() - memory.resident()) < 0.2 * memory.resident()


def test_memory_that_nobody_tells_is_an_error(monkeypatch, tmp_path):
    from fastnn.benchmark import memory

    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="does not tell how much memory"):
        memory.resident()


def test_path_on_another_drive_is_shown_whole(monkeypatch):
    def relpath(path):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", relpath)
    assert _user_network._shown("D:/net.py") == "D:/net.py"


def test_capitals_in_paths_count_as_the_system_says(monkeypatch):
    assert _system.is_in_folder("/a/b/c", "/a/b")
    assert not _system.is_in_folder("/a/bc", "/a/b")
    assert not _system.is_in_folder("/A/b/c", "/a/b")
    monkeypatch.setattr(os.path, "normcase", str.lower)
    assert _system.is_in_folder("/A/b/c", "/a/B")


def test_numpy_1_is_refused_on_windows_only(monkeypatch):
    _system.check_integers(4)
    monkeypatch.setattr(_system, "IS_WINDOWS", True)
    _system.check_integers(8)
    with pytest.raises(ImportError, match="NumPy 2"):
        _system.check_integers(4)


# ---- grading ---------------------------------------------------------------------------------------------------------
FENCES = """
import os, sys
from fastnn.grading._child import limits
sys.platform = "darwin"
for name in ("setresuid", "setresgid"):
    delattr(os, name)
folder = os.getcwd()
settings = {"folder": folder, "packages": folder, "real_packages": [], "links": [], "standard": [], "cpu": 10}
missing = limits.apply({**settings, "memory": 1 << 30, "parent": os.getppid()})
print(*missing, sep="\\n")
assert os.getuid() != 0
try:
    open("/etc/passwd")
except PermissionError as error:
    print(error)
"""


def test_grading_on_macos_says_which_fences_are_missing(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-B", "-c", FENCES]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "limits of resources (not of memory)",
        "ending with the grader (only Linux has it)",
        "no new privileges (only Linux has it)",
        "Landlock (only Linux has it)",
        "seccomp (only Linux has it)",
        "a submission may not read this file: /etc/passwd",
    ]


# ---- the source ------------------------------------------------------------------------------------------------------
def calls(path):
    """Each call in a file: its line, what is called, as it is written, and the call."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func), node


def keyword(call, name, position):
    """The source of an argument; None if it is not given."""
    given = {word.arg: word.value for word in call.keywords}
    value = given.get(name, call.args[position] if len(call.args) > position else None)
    return None if value is None else ast.unparse(value)


def opens_text_as_the_system_does(name, call):
    if any(word.arg is None for word in call.keywords):  # **kwargs
        return False
    last = name.rpartition(".")[2]
    positions = {"read_text": 0, "write_text": 1}
    if last in positions:
        return keyword(call, "encoding", positions[last]) is None
    if name in ("open", "os.fdopen", "io.open"):
        return "b" not in (keyword(call, "mode", 1) or "'r'").strip("'") and keyword(call, "encoding", 3) is None
    if last == "open" and name.partition(".")[0] not in (
        "Image",
        "archive",
        "gzip",
        "os",
        "self",
        "tarfile",
        "zipfile",
    ):
        mode = keyword(call, "mode", 0) or "'r'"
        is_mode = set(mode.strip("'")) <= set("rwaxbt+")
        return is_mode and "b" not in mode.strip("'") and keyword(call, "encoding", 2) is None
    is_text = any(word.arg in ("text", "universal_newlines") for word in call.keywords)
    return name.startswith("subprocess.") and is_text and keyword(call, "encoding", 99) is None


def has_the_systems_integers(name, call):
    """NumPy's default integers have 32 bits on some systems."""
    return (
        name in ("np.prod", "np.int_", "np.uint", "np.long")
        or (name.endswith(".astype") and keyword(call, "dtype", 0) in ("int", "'int'", "np.int_"))
        or keyword(call, "dtype", 99) in ("int", "np.int_", "np.intc", "np.long")
    )


@pytest.mark.parametrize(
    ("source", "is_wrong"),
    [
        ("open(p)", True),
        ("open(p, 'w')", True),
        ("open(p, mode='a', newline='')", True),
        ("path.open()", True),
        ("path.open('w')", True),
        ("path.read_text()", True),
        ("path.write_text(x)", True),
        ("os.fdopen(1, 'w')", True),
        ("subprocess.run(x, text=True)", True),
        ("open(p, 'rb')", False),
        ("open(p, 'w', encoding='utf-8')", False),
        ("path.open('rb')", False),
        ("path.read_text('utf-8')", False),
        ("path.write_text(x, encoding='ascii')", False),
        ("archive.open(x)", False),
        ("subprocess.run(x, text=True, encoding='utf-8')", False),
    ],
)
def test_rule_of_encodings_knows_them(source, is_wrong):
    call = ast.parse(source).body[0].value
    assert opens_text_as_the_system_does(ast.unparse(call.func), call) is is_wrong


def test_text_is_read_and_written_in_a_stated_encoding():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in SOURCES
        for line, name, call in calls(path)
        if opens_text_as_the_system_does(name, call)
    ]
    assert wrong == []


def test_integers_of_numpy_have_a_stated_width():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in SOURCES
        for line, name, call in calls(path)
        if has_the_systems_integers(name, call)
    ]
    assert wrong == []
