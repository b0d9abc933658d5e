"""Threads, instruction sets, backends, forks, the floating-point mode."""

import ctypes
import ctypes.util
import multiprocessing
import os
import platform
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from oracle import output_of, run_python, wait_for_child

import fastnn
from fastnn import _cpus, _runtime
from fastnn import functional as F

NO_QUOTA = float("inf")


@pytest.fixture(scope="module")
def problem():
    """A convolution large enough for several threads, and its result."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((32, 16, 16, 16)).astype(np.float32)
    weight = rng.standard_normal((32, 16, 3, 3)).astype(np.float32)
    return x, weight, F.conv2d(x, weight, padding=1)


# ---- threads ---------------------------------------------------------------------------------------------------------
def test_runtime_set_num_threads_sets_it():
    fastnn.set_num_threads(3)
    assert fastnn.num_threads() == 3
    fastnn.set_num_threads(np.int64(2))
    assert fastnn.num_threads() == 2


@pytest.mark.parametrize("n", [1, 4096])
def test_runtime_set_num_threads_takes_its_bounds(n):
    fastnn.set_num_threads(n)
    assert fastnn.num_threads() == n


@pytest.mark.parametrize(
    ("n", "error"),
    [
        *((n, ValueError) for n in (0, -1, 4097, 2**31, 2**64, -(2**64))),
        *((n, TypeError) for n in (1.5, "2", None, True, np.bool_(True), np.float16(2), [2], 2j)),
    ],
)
def test_runtime_set_num_threads_rejects_and_keeps(n, error):
    before = fastnn.num_threads()
    with pytest.raises(error, match=r"^set_num_threads: n must be .*Received: "):
        fastnn.set_num_threads(n)
    assert fastnn.num_threads() == before


THREADS = "import fastnn; print(fastnn.num_threads(), fastnn.available_threads())"


@pytest.mark.parametrize(
    ("ours", "openmp", "expected"),
    [
        ("3", None, 3),
        (None, "5", 5),
        ("3", "5", 3),
        (None, "4,2", 4),
        ("", "", None),
        (None, "many", None),
        (None, "0", None),
        (None, "4097", None),
        ("4096", None, 4096),
        (None, "9" * 5000, None),
    ],
)
def test_runtime_number_of_threads_from_the_environment(ours, openmp, expected):
    done = run_python(THREADS, FASTNN_NUM_THREADS=ours, OMP_NUM_THREADS=openmp)
    assert done.returncode == 0, done.stderr  # libgomp may say there what it thinks of OMP_NUM_THREADS
    threads, available = map(int, done.stdout.split())
    assert threads == (available if expected is None else expected)


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "4097", "99999999", "9" * 5000])
def test_runtime_bad_number_of_threads_in_the_environment_is_an_error(value):
    done = run_python("import fastnn; fastnn.num_threads()", FASTNN_NUM_THREADS=value)
    assert done.returncode != 0
    assert f"ValueError: FASTNN_NUM_THREADS='{value}': a number between 1 and 4096 is needed" in done.stderr


LIMITED = """
import resource, numpy as np, fastnn
from fastnn import functional as F
x, weight = np.random.default_rng(0).standard_normal((2, 64, 64, 16, 16)).astype(np.float32)
weight = weight[:, :, :3, :3].copy()
def result():
    return [a.tobytes() for a in (F.conv2d(x, weight, padding=1), *F.conv2d_backward(x, x, weight, padding=1))]
with fastnn.num_threads(1):
    expected = result()
{before}
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20),) * 2)
{after}
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_more_threads_than_the_system_makes_are_an_error():
    code = LIMITED.format(before="", after="fastnn.set_num_threads(64)")
    done = run_python(code)
    assert "RuntimeError: set_num_threads: the system makes" in done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_operations_run_on_fewer_threads_where_no_more_can_be_made():
    """Memory may have gone since the number was set; OpenMP would end the process."""
    code = LIMITED.format(
        before="fastnn.set_num_threads(64)", after="print(result() == expected, fastnn.num_threads())"
    )
    done = run_python(code)
    assert (done.stdout, done.returncode) == ("True 64\n", 0), done.stderr


SMALL_STACK = """
import threading, numpy as np
from fastnn import functional as F
rng = np.random.default_rng(0)
def work():
    for dtype in (np.float32, np.float64):
        x = rng.standard_normal((4, 32, 12, 12)).astype(dtype)
        weight = rng.standard_normal((48, 32, 3, 3)).astype(dtype)
        for algorithm in ("direct", "winograd", "winograd24", "winograd4", "im2col"):
            y = F.conv2d(x, weight, padding=1, algorithm=algorithm)
            F.conv2d_backward(y, x, weight, padding=1, algorithm=algorithm)
        norm = F.batch_norm(x, None, None, training=True)
        F.batch_norm_backward(x, x, norm.mean, norm.invstd)
        norm = F.group_norm(x, 4)
        F.group_norm_backward(x, x, norm.mean, norm.invstd)
        rows = x.reshape(128, 144)
        norm = F.layer_norm(rows, 144)
        F.layer_norm_backward(rows, rows, 144, norm.mean, norm.invstd)
        F.linear_backward(F.linear(rows, rows), rows, rows)
        F.softmax(F.avg_pool2d(F.max_pool2d(x, 2), 2))
        F.cross_entropy(rows, rng.integers(0, 144, 128))
    print("done")
threading.stack_size(64 << 10)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_runtime_operations_fit_on_small_stacks():
    """Threads of musl have 128 KB, and a program may give its own less."""
    assert output_of(SMALL_STACK) == "done"


BAD_ENVIRONMENTS = [
    ({"FASTNN_NUM_THREADS": "two"}, "ValueError"),
    ({"FASTNN_ISA": "avx1024"}, "RuntimeError"),
    ({"FASTNN_BACKEND": "numpy"}, "ValueError"),
    ({"FASTNN_CONV2D_ALGORITHM": "fft"}, "ValueError"),
    ({"FASTNN_JOINED_LAYERS": "yes"}, "ValueError"),
]


@pytest.mark.parametrize(("environment", "error"), BAD_ENVIRONMENTS)
def test_runtime_bad_environment_is_told_by_every_use_but_not_by_the_import(environment, error):
    code = (
        "import numpy as np, fastnn\n"
        "from fastnn import nn, functional as F\n"
        "uses = [lambda: F.relu(np.ones(3)), lambda: nn.Linear(2, 2)(np.ones((1, 2), np.float32)),\n"
        "        fastnn.num_threads, fastnn.isa, fastnn.build_info]\n"
        "for use in uses * 2:\n"
        "    try:\n"
        "        use()\n"
        "    except (ValueError, RuntimeError) as error:\n"
        "        print(type(error).__name__, error)\n"
    )
    lines = output_of(code, **environment).splitlines()
    ((name, value),) = environment.items()
    assert len(lines) == 10
    assert len(set(lines)) == 1
    assert lines[0].startswith(f"{error} {name}='{value}': ")


@pytest.mark.parametrize(("environment", "error"), BAD_ENVIRONMENTS)
@pytest.mark.parametrize("arguments", [["info"], ["train", "--epochs", "1"], ["summary", "resnet20"]])
def test_runtime_bad_environment_makes_the_command_say_so_and_exit_with_2(environment, error, arguments):
    code = f"import sys; from fastnn.cli import main; sys.exit(main({arguments!r}))"
    done = run_python(code, **environment)
    assert done.returncode == 2
    ((name, value),) = environment.items()
    assert done.stderr.startswith(f"fastnn: {name}='{value}': ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_runtime_default_threads_follow_the_affinity():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); " + THREADS
    assert output_of(code, FASTNN_NUM_THREADS=None, OMP_NUM_THREADS=None) == "1 1"


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "membership", "expected"),
    [
        ({}, "", NO_QUOTA),
        ({"cpu.max": "max 100000\n"}, "0::/\n", NO_QUOTA),
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 1.5),
        ({"cpu.max": "garbage"}, "0::/\n", NO_QUOTA),
        # version 2, nested: the tightest group counts, the own one or one above
        ({"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "max 100000\n"}, "0::/a/b\n", 4),
        ({"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "200000 100000\n"}, "0::/a/b\n", 2),
        # in a container the path of the membership is the host's
        ({"cpu.max": "300000 100000\n"}, "0::/docker/0123abcd\n", 3),
        # version 1
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "3:cpu,cpuacct:/\n", NO_QUOTA),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "3:cpu,cpuacct:/\n", 0.5),
        ({"cpu/x/cpu.cfs_quota_us": "250000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, "9:cpuset:/y\n3:cpu:/x\n", 2.5),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "not a membership\n", 2.5),
    ],
)  # fmt: skip
def test_runtime_cgroup_quota(tmp_path, files, membership, expected):
    write(tmp_path / "root", files)
    write(tmp_path, {"membership": membership})
    assert _cpus._cgroup_cpus(tmp_path / "root", tmp_path / "membership") == expected


def test_runtime_cgroup_without_any_file_is_no_quota(tmp_path):
    assert _cpus._cgroup_cpus(tmp_path / "nothing", tmp_path / "nothing") == NO_QUOTA


@pytest.mark.parametrize(("quota", "expected"), [(0.1, 1), (1, 1), (1.2, 2), (1000, None), (NO_QUOTA, None)])
def test_runtime_available_threads_are_cut_to_the_quota(monkeypatch, quota, expected):
    monkeypatch.setattr(_cpus, "_cgroup_cpus", lambda: quota)
    affinity = len(os.sched_getaffinity(0))
    assert fastnn.available_threads() == (affinity if expected is None else min(expected, affinity))


def test_runtime_result_does_not_depend_on_threads(problem, isa, threads):
    x, weight, _ = problem
    result = F.conv2d(x, weight, padding=1)
    fastnn.set_num_threads(1)
    np.testing.assert_array_equal(result, F.conv2d(x, weight, padding=1))


def test_runtime_several_python_threads_at_once(problem):
    x, weight, expected = problem
    fastnn.set_num_threads(2)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: F.conv2d(x, weight, padding=1), range(24)))
    for result in results:
        np.testing.assert_array_equal(result, expected)


# ---- fork ------------------------------------------------------------------------------------------------------------
def test_runtime_forked_child_computes_on_one_thread(problem):
    x, weight, expected = problem
    fastnn.set_num_threads(2)
    F.conv2d(x, weight, padding=1)  # OpenMP has started its threads
    child = os.fork()
    if child == 0:
        right = fastnn.num_threads() == 1 and np.array_equal(F.conv2d(x, weight, padding=1), expected)
        os._exit(0 if right else 1)
    wait_for_child(child)
    assert fastnn.num_threads() == 2


def _convolve(arguments):
    return F.conv2d(*arguments, padding=1)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_runtime_multiprocessing_after_use(problem, method):
    x, weight, expected = problem
    fastnn.set_num_threads(2)
    _convolve((x, weight))
    if method == "spawn":  # a fresh interpreter must find this very module
        code = (
            "import multiprocessing, numpy as np\n"
            "from fastnn.functional import relu\n"
            "if __name__ == '__main__':\n"
            "    x = np.linspace(-1, 1, 2**20, dtype=np.float32); relu(x)\n"
            "    with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
            "        print(all(np.array_equal(y, relu(x)) for y in pool.map(relu, [x, x])))\n"
        )
        assert output_of(code, seconds=60) == "True"
        return
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.map_async(_convolve, [(x, weight)] * 4).get(timeout=20)
    for result in results:
        np.testing.assert_array_equal(result, expected)


# ---- instruction sets ------------------------------------------------------------------------------------------------
def expected_isas():
    """What this machine should have, found without fastnn."""
    machine = platform.machine()
    if machine in ("aarch64", "arm64"):
        return ["baseline", "neon"]
    if machine != "x86_64":
        return ["baseline"]
    flags = set(re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    isas = ["baseline"]
    if {"avx2", "fma"} <= flags:
        isas.append("avx2")
        if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
            isas.append("avx512")
    return isas


def test_runtime_every_isa_of_this_machine_is_tested():
    """The fixture `isa` runs all of these; a build that lacks one would silently test less."""
    assert fastnn.available_isas() == expected_isas()


def test_runtime_best_isa_is_the_default():
    assert output_of("import fastnn; print(fastnn.isa())", FASTNN_ISA=None) == expected_isas()[-1]


@pytest.mark.parametrize("name", fastnn.available_isas())
def test_runtime_isa_from_the_environment(name):
    code = "import fastnn, numpy as np; fastnn.functional.relu(np.ones(99)); print(fastnn.isa())"
    assert output_of(code, FASTNN_ISA=name) == name


@pytest.mark.parametrize("name", ["avx1024", "AVX2", "sve"])
def test_runtime_unknown_isa_is_a_clear_error(name):
    done = run_python("import fastnn; fastnn.isa()", FASTNN_ISA=name)
    assert done.returncode == 1
    assert (
        f"RuntimeError: FASTNN_ISA='{name}': unknown instruction set '{name}': "
        "choose from baseline, avx2, avx512, neon" in done.stderr
    )


def test_runtime_isa_that_the_cpu_lacks_is_a_clear_error(monkeypatch):
    before, best = fastnn.isa(), fastnn.available_isas()[-1]
    monkeypatch.setattr(_runtime, "available_isas", lambda: ["portable"])
    with pytest.raises(RuntimeError, match=f"this CPU or its operating system lacks '{best}'; it has portable"):
        fastnn.set_isa(best)
    assert fastnn.isa() == before


def test_runtime_isa_of_another_architecture_is_a_clear_error():
    built = fastnn.available_isas()
    other = "avx2" if "neon" in built else "neon"
    with pytest.raises(RuntimeError, match=f"instruction set '{other}' is not in this build, which has baseline"):
        fastnn.set_isa(other)


@pytest.mark.parametrize("name", ["avx1024", "AVX2", ""])
def test_runtime_set_isa_rejects_and_keeps(name):
    before = fastnn.isa()
    with pytest.raises(RuntimeError, match=f"^set_isa: unknown instruction set '{name}': choose from"):
        fastnn.set_isa(name)
    assert fastnn.isa() == before


@pytest.mark.parametrize("name", [None, 1, b"avx2", ["avx2"], True])
def test_runtime_set_isa_wants_a_text(name):
    with pytest.raises(TypeError, match=r"^set_isa: name must be a text. Received: "):
        fastnn.set_isa(name)


# ---- backend ---------------------------------------------------------------------------------------------------------
def test_runtime_backend_nests_and_ends():
    assert not _runtime.uses_reference()
    with fastnn.backend("reference"):
        assert _runtime.uses_reference()
        with fastnn.backend("native"):
            assert not _runtime.uses_reference()
        assert _runtime.uses_reference()
    assert not _runtime.uses_reference()


def test_runtime_backend_ends_with_an_exception():
    with pytest.raises(KeyError), fastnn.backend("reference"):
        raise KeyError
    assert not _runtime.uses_reference()


def test_runtime_backend_is_of_its_thread():
    inside, go_on = threading.Event(), threading.Event()
    seen = []

    def other():
        with fastnn.backend("reference"):
            seen.append(_runtime.uses_reference())
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    assert not _runtime.uses_reference()
    go_on.set()
    thread.join()
    assert seen == [True]


def test_runtime_reference_backend_calls_no_compiled_code(monkeypatch, problem):
    class Forbidden:
        def __getattr__(self, name):
            raise AssertionError(f"_native.{name} was used")

    x, weight, expected = problem
    monkeypatch.setattr(_runtime, "_native", Forbidden())
    with fastnn.backend("reference"):
        result = F.conv2d(x, weight, padding=1)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_runtime_unknown_backend_is_an_error():
    with pytest.raises(ValueError, match=r"^backend: unknown backend 'numpy'"), fastnn.backend("numpy"):
        pass
    done = run_python("import fastnn; fastnn.isa()", FASTNN_BACKEND="numpy")
    assert "ValueError: FASTNN_BACKEND='numpy': unknown backend 'numpy'" in done.stderr


def test_runtime_backend_from_the_environment():
    code = "import fastnn; print(fastnn.build_info()['backend'])"
    assert output_of(code, FASTNN_BACKEND="reference") == "reference"


@pytest.mark.parametrize(("value", "expected"), [(None, "auto"), ("", "auto"), ("auto", "auto"), ("im2col", "im2col")])
def test_runtime_algorithm_of_convolutions_from_the_environment(value, expected):
    code = "import fastnn; print(fastnn.build_info()['conv2d_algorithm'])"
    assert output_of(code, FASTNN_CONV2D_ALGORITHM=value) == expected


def test_runtime_unknown_algorithm_of_convolutions_is_an_error():
    done = run_python("import fastnn; fastnn.isa()", FASTNN_CONV2D_ALGORITHM="fft")
    words = "unknown algorithm 'fft': choose from auto, direct, winograd, winograd24, winograd4, im2col"
    assert f"ValueError: FASTNN_CONV2D_ALGORITHM='fft': {words}" in done.stderr


# ---- denormals -------------------------------------------------------------------------------------------------------
def test_runtime_kernels_flush_denormals_and_restore_the_mode(isa, threads):
    tiny = np.finfo(np.float32).tiny
    x = np.full((1, 1, 1, 4096 * 64), tiny, np.float32)  # several threads' worth
    half = np.full((1, 1, 1, 1), 0.5, np.float32)
    flushed = F.conv2d(x, half)
    with np.errstate(all="ignore"):
        assert np.float32(tiny) * np.float32(0.5) > 0, "NumPy must go on computing with denormals"
        assert (x * np.float32(0.5) > 0).all()
    assert (flushed == 0).all()


def test_runtime_kernels_keep_the_rounding_of_their_caller(isa):
    """Of the floating-point mode they change one thing, and back: the rest is the caller's."""
    upward = {"x86_64": 0x800, "aarch64": 0x400000}[platform.machine()]  # FE_UPWARD
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    nearest = library.fegetround()
    assert library.fesetround(upward) == 0
    try:
        F.relu(np.ones(5, np.float32))
        rounds_upward = np.float32(1) + np.float32(1e-9) > 1
    finally:
        library.fesetround(nearest)
    assert rounds_upward


def test_runtime_flushing_can_be_switched_off(isa):
    tiny = np.finfo(np.float32).tiny
    x, half = np.full((1, 1, 4, 4), tiny, np.float32), np.full((1, 1, 1, 1), 0.5, np.float32)
    fastnn.set_flush_denormal(False)
    try:
        assert (F.conv2d(x, half) == tiny / 2).all()
    finally:
        fastnn.set_flush_denormal(True)
    assert (F.conv2d(x, half) == 0).all()


def test_runtime_mode_is_restored_when_an_operation_fails():
    with pytest.raises(ValueError, match="conv2d"):
        F.conv2d(np.ones((1, 2, 3, 3)), np.ones((1, 3, 1, 1)))
    assert np.float32(np.finfo(np.float32).tiny) * np.float32(0.5) > 0


# ---- information -----------------------------------------------------------------------------------------------------
def test_runtime_build_info_tells_all():
    info = fastnn.build_info()
    assert set(info) == {
        "version", "compiled", "built_isas", "available_isas", "isa", "openmp", "threads", "backend", "conv2d_algorithm"
    }  # fmt: skip
    assert info["version"] == fastnn.__version__
    assert info["compiled"] is True
    assert set(info["available_isas"]) <= set(info["built_isas"])
    assert info["isa"] in info["available_isas"]
    assert info["threads"] == fastnn.num_threads()
    assert info["backend"] == "native"
    assert info["conv2d_algorithm"] == "auto"
    assert isinstance(info["openmp"], int)


def test_runtime_import_prints_nothing_and_loads_little():
    code = (
        "import sys, fastnn\n"
        "heavy = {'matplotlib', 'tqdm', 'safetensors', 'pooch', 'PIL', 'torch', 'scipy', 'sklearn', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)), [m for m in fastnn._SUBMODULES if f'fastnn.{m}' in sys.modules])\n"
    )
    assert output_of(code) == "[] []"


def test_runtime_save_and_load_are_short_names_of_the_training_ones(tmp_path):
    assert fastnn.save is fastnn.training.save_weights
    assert fastnn.load is fastnn.training.load_weights
    fastnn.save({"a": np.arange(3.0)}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(fastnn.load(tmp_path / "a.safetensors")["a"], [0, 1, 2])


def test_runtime_every_public_name_is_there():
    for name in fastnn.__all__:
        assert getattr(fastnn, name) is not None
    assert set(fastnn.__all__) <= set(dir(fastnn))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fastnn.nothing
