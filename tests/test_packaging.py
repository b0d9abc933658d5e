"""What users get: the source archive, the wheel, builds without OpenMP or without C, the import."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from oracle import output_of, run_python

pytestmark = [pytest.mark.packaging, pytest.mark.slow]

ROOT = Path(__file__).parent.parent
IGNORED = shutil.ignore_patterns(
    ".git",
    ".venv*",
    "build",
    "dist",
    "*.egg-info",
    "__pycache__",
    "*.so",
    "_native.c",
    ".*_cache",
    ".hypothesis",
    "runs",
)
CONVOLVE = (
    "import numpy as np, fastnn\n"
    "from fastnn import functional as F\n"
    "y = F.conv2d(np.ones((2, 3, 8, 8), np.float32), np.ones((4, 3, 3, 3), np.float32), padding=1)\n"
    "assert y.shape == (2, 4, 8, 8) and y[0, 0, 4, 4] == 27 and y[0, 0, 0, 0] == 12\n"
    "info = fastnn.build_info()\n"
    "print(info['compiled'], info['openmp'], info['backend'], fastnn.__file__)\n"
)


def run(*command, **environment):
    """Run a command, which must succeed; FASTNN_* of the outside have no say in it."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("FASTNN_", "PYTHONPATH"))}
    command = [str(word) for word in command]
    done = subprocess.run(command, env={**variables, **environment}, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def sdist(tmp_path_factory):
    """The source archive, from a copy of the sources as a clean checkout has them."""
    folder = tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT, folder / "checkout", ignore=IGNORED)
    code = (
        "import os, sys; os.chdir(sys.argv[1]); from setuptools import build_meta; build_meta.build_sdist(sys.argv[2])"
    )
    run(sys.executable, "-c", code, folder / "checkout", folder)
    (archive,) = folder.glob("fastnn-*.tar.gz")
    return archive


@pytest.fixture(scope="session")
def unpacked(sdist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):  # not before Python 3.11.4
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)
    (source,) = folder.iterdir()
    return source


@pytest.fixture(scope="session")
def wheel(sdist, tmp_path_factory):
    """The wheel that pip makes of the archive, with build requirements of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, sdist, FASTNN_WERROR="1")
    (path,) = folder.glob("fastnn-*.whl")
    return path


@pytest.fixture(scope="session")
def fresh_python(wheel, tmp_path_factory):
    """The interpreter of a new environment that has the wheel and what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    return python


def installed_with(unpacked, folder, **environment):
    """Build the archive with these variables; the folder to put on PYTHONPATH."""
    source = folder / "source"
    shutil.copytree(unpacked, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, "--target", folder / "site", source, FASTNN_WERROR="1", **environment)
    return str(folder / "site")


# Folders below docs that the build of the documentation writes.
WRITTEN = {"_build", "gallery_pages", "generated", "backreferences"}


# ---- archive and wheel -----------------------------------------------------------------------------------------------
def test_packaging_sdist_holds_all_sources_and_nothing_built(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    copied = [path for folder in ("fastnn", "src_c", "tests", "benchmarks", "docs", "examples")
              for path in (ROOT / folder).rglob("*")
              if path.suffix in (".py", ".pyx", ".pxi", ".pyi", ".c", ".h", ".md", ".toml")
              and not WRITTEN.intersection(path.relative_to(ROOT).parts)]  # fmt: skip
    wanted = {str(path.relative_to(ROOT)) for path in copied if path.name != "_native.c"}
    wanted |= {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml", "setup.py"}
    assert not wanted - names
    assert not [name for name in names if name.endswith((".so", ".o", "_native.c"))]


def test_packaging_wheel_holds_the_package_only_and_is_small(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"fastnn"}
    assert not [name for name in names if name.endswith((".c", ".h", ".pyx", ".pxi"))]
    assert "fastnn/py.typed" in names
    specs = [name for name in names if name.startswith("fastnn/grading/specs/")]
    assert len(specs) == len(list((ROOT / "fastnn" / "grading" / "specs").glob("*.toml")))
    assert "License-Expression: BSD-3-Clause" in metadata
    assert wheel.stat().st_size <= 2.1e6


def test_packaging_wheel_is_for_this_python_and_later_ones(wheel):
    """One wheel a platform, by the stable ABI; without the GIL there is none yet."""
    python, abi, _ = wheel.stem.split("-")[2:]
    version = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    is_stable = not sysconfig.get_config_var("Py_GIL_DISABLED")
    assert (python, abi) == (("cp311", "abi3") if is_stable else (version, f"{version}t"))
    with zipfile.ZipFile(wheel) as archive:
        modules = [name for name in archive.namelist() if name.endswith((".so", ".pyd"))]
    assert len(modules) == 1
    assert (modules == ["fastnn/_native.abi3.so"]) == is_stable


def test_packaging_wheel_works_in_an_empty_environment(fresh_python):
    compiled, openmp, backend, where = output_of(CONVOLVE, python=fresh_python, PYTHONPATH=None).split()
    assert (compiled, backend) == ("True", "native")
    assert int(openmp) > 0
    assert str(fresh_python.parent.parent) in where


def test_packaging_command_is_installed(fresh_python):
    assert "train" in run(fresh_python.parent / "fastnn", "--help")


def test_packaging_requirements_are_enough_for_every_module(fresh_python):
    """Nothing that only the test environment has is needed, but for the modules of the extras."""
    code = (
        "import importlib, pkgutil, fastnn\n"
        "for m in pkgutil.walk_packages(fastnn.__path__, 'fastnn.'):\n"
        "    if '__main__' not in m.name and 'sklearn' not in m.name:\n"
        "        importlib.import_module(m.name)\n"
    )
    output_of(code, python=fresh_python, PYTHONPATH=None)


# ---- other builds ----------------------------------------------------------------------------------------------------
def test_packaging_build_without_openmp_is_serial_and_right(unpacked, tmp_path):
    site = installed_with(unpacked, tmp_path, FASTNN_OPENMP="0")
    compiled, openmp, backend, where = output_of(CONVOLVE, PYTHONPATH=site).split()
    assert (compiled, openmp, backend) == ("True", "0", "native")
    assert where.startswith(site)
    (module,) = Path(site).glob("fastnn/_native*.so")
    assert "libgomp" not in run("objdump", "-p", module)


def test_packaging_build_without_c_runs_the_reference_and_warns_once(unpacked, tmp_path):
    site = installed_with(unpacked, tmp_path, FASTNN_NATIVE="0")
    assert not list(Path(site).glob("fastnn/*.so"))
    code = CONVOLVE + (
        "from fastnn import nn, optim\n"
        "rng = np.random.default_rng(0)\n"
        "x, labels = rng.standard_normal((8, 3, 8, 8)).astype(np.float32), rng.integers(0, 10, 8)\n"
        "model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),\n"
        "                      nn.Flatten(), nn.Linear(64, 10))\n"
        "criterion, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1, momentum=0.9)\n"
        "losses = []\n"
        "for _ in range(10):\n"
        "    losses.append(criterion(model(x), labels))\n"
        "    optimizer.zero_grad()\n"
        "    model.backward(criterion.backward())\n"
        "    optimizer.step()\n"
        "assert losses[-1] < losses[0] / 2, losses\n"
    )
    done = run_python(code, PYTHONPATH=site)
    assert done.returncode == 0, done.stderr
    compiled, openmp, backend, where = done.stdout.split()
    assert (compiled, openmp, backend) == ("False", "0", "reference")
    assert where.startswith(site)
    assert done.stderr.count("Warning") == done.stderr.count("RuntimeWarning") == 1
    assert "compiled module is missing" in done.stderr


# ---- the compiled module ---------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def module(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("module")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".so")]
        return Path(archive.extract(name, folder))


def test_packaging_module_exports_its_init_function_only(module):
    defined = [line.split() for line in run("objdump", "-T", module).splitlines() if "*UND*" not in line]
    names = {words[-1] for words in defined if len(words) > 5}
    assert names == {"PyInit__native"}


def test_packaging_module_needs_no_newer_openmp_than_every_distribution_has(module):
    """GOMP 4.5 came with GCC 6; a newer symbol would shut out machines whose libgomp is older than the compiler's."""
    versions = set(re.findall(r"\bG?OMP_([0-9.]+)", run("objdump", "-T", module)))
    assert all(tuple(map(int, version.split("."))) <= (4, 5) for version in versions), versions


def test_packaging_module_needs_only_common_libraries(module):
    needed = re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", module))
    common = {"libgomp", "libm", "libc", "libpthread", "ld-linux-x86-64", "ld-linux-aarch64"}
    assert {name.split(".so")[0] for name in needed} <= common


# ---- the workflows that build wheels elsewhere -----------------------------------------------------------------------
@pytest.fixture(scope="module", params=["ci", "wheels"])
def workflow(request):
    """What a file of .github/workflows says. Key `on` is the boolean of YAML 1.1."""
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{request.param}.yml").read_text())


def test_packaging_workflows_are_whole(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow[True]
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
        assert set(job.get("needs", ())) <= set(workflow["jobs"])


def test_packaging_only_a_tag_publishes():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "wheels.yml").read_text())["jobs"]
    may_publish = [name for name, job in jobs.items() if job.get("permissions", {}).get("id-token") == "write"]
    assert may_publish == ["publish"]
    assert jobs["publish"]["if"] == "github.ref_type == 'tag'"
    assert {"wheels", "sources"} <= set(jobs["publish"]["needs"])


def test_packaging_tests_of_a_wheel_exist():
    chosen = (ROOT / "tests" / "of_a_wheel.txt").read_text().splitlines()
    files = [line for line in chosen if line.endswith(".py")]
    assert files
    assert all((ROOT / file).is_file() for file in files)


# ---- the import ------------------------------------------------------------------------------------------------------
def test_packaging_import_costs_at_most_50_ms_over_numpy():
    code = "import time, numpy; start = time.perf_counter(); import fastnn; print(time.perf_counter() - start)"
    # The least of several: what others do on this machine only ever adds.
    assert min(float(output_of(code)) for _ in range(9)) <= 0.050


def test_packaging_import_loads_few_modules():
    """What a clock cannot tell on a busy machine."""
    code = (
        "import sys, numpy, numpy.random, numpy.typing; before = set(sys.modules); import fastnn\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = output_of(code).split()
    ours = [name for name in loaded if name.partition(".")[0] == "fastnn"]
    assert 5 < len(ours) <= 16, ours
    others = [name for name in loaded if name.partition(".")[0] != "fastnn"]
    assert len(others) <= 16, others
