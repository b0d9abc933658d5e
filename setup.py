"""The native build: what pyproject.toml cannot say, and nothing else.

The folder of a C source tells how often it is compiled:

    src_c/core/      once
    src_c/ops/       once per dtype             (float, double)
    src_c/kernels/   once per dtype and per ISA (baseline, avx2, avx512)

setuptools' own `libraries=` compiles a source shared by two libraries once and links that object into both, so the
objects are made here, one folder per variant, and handed to the linker.

Environment variables read by the build:
    CC, CFLAGS, LDFLAGS, ARCHFLAGS
                        the compiler, and flags: those of CFLAGS and ARCHFLAGS come after -O3 or -O2, but before what
                        results depend on
    FASTNN_OPENMP=0     build without OpenMP (serial)
    FASTNN_WERROR=1     treat warnings in the C sources as errors
    FASTNN_NATIVE=0     build no compiled module at all (the package then runs on its NumPy reference)
"""

import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
SOURCE = Path("src_c")
DTYPES = ("f32", "f64")
# Never -march=native or -ffast-math: what is built here must run, and round, the same elsewhere.
# -ffp-contract=off: a fused multiply-add happens only where the source says so.
COMMON_FLAGS = [
    "-std=gnu11", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-fast-math", "-fno-math-errno",
    "-fno-trapping-math", "-Wall", "-Wextra",
]  # fmt: skip
ISA_FLAGS = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma"],
    "neon": [],
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma",
               "-mprefer-vector-width=512"],
}  # fmt: skip


def is_enabled(variable: str, default: str) -> bool:
    return os.environ.get(variable, default) not in ("", "0")


def instruction_sets() -> list[str]:
    """The ISAs that this machine's architecture has flags for; `baseline` is plain C and always there."""
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return ["baseline", "neon"]
    return ["baseline", "avx2", "avx512"] if machine in ("x86_64", "amd64") else ["baseline"]


class BuildNative(build_ext):
    """Compile src_c as described above, then let Cython and setuptools make the one extension module."""

    def build_extensions(self) -> None:
        if self.compiler.compiler_type != "unix":
            raise SystemExit("fastnn: the C sources need GCC or Clang; set FASTNN_NATIVE=0 to build without them")
        self.compile_command = shlex.split(os.environ.get("CC", sysconfig.get_config_var("CC") or "cc"))
        self.extra_flags = shlex.split(os.environ.get("CFLAGS", "")) + shlex.split(os.environ.get("ARCHFLAGS", ""))
        common = list(COMMON_FLAGS)
        if is_enabled("FASTNN_WERROR", "0"):
            # Threads may have stacks of 64 KB.
            common += ["-Werror", *(["-Wstack-usage=12000"] if self.accepts("-Wstack-usage=12000") else [])]
        openmp = ["-fopenmp"] if is_enabled("FASTNN_OPENMP", "1") and self.accepts("-fopenmp") else []
        isas = instruction_sets()
        built = [f"-DFNN_HAVE_{isa.upper()}" for isa in isas]
        objects = self.compile_all([*self.extra_flags, *common, *openmp, *built], isas)
        (extension,) = self.extensions
        extension.extra_objects = [str(path) for path in objects]
        # Hidden visibility turns a kernel that is declared but not written into an error of the linker, here,
        # not of the first import.
        extension.extra_compile_args = ["-O1", "-g0", "-fvisibility=hidden", "-Wno-unused-function"]
        extension.extra_link_args = (
            [*openmp, "-Wl,--no-undefined-version", "-Wl,-s"] if sys.platform == "linux" else openmp
        )
        super().build_extensions()

    def accepts(self, flag: str) -> bool:
        """Whether the compiler can compile and link with `flag`."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            command = [*self.compile_command, *self.extra_flags, flag, str(source), "-o", str(Path(folder) / "probe")]
            return subprocess.run(command, capture_output=True).returncode == 0

    def compile_all(self, flags: list[str], isas: list[str]) -> list[Path]:
        jobs = []  # (source, variant folder, flags)
        for source in sorted((ROOT / SOURCE).glob("*/*.c")):
            source = source.relative_to(ROOT)
            if source.parent.name == "core":
                jobs.append((source, "core", ["-O3", *flags]))
                continue
            for dtype in DTYPES:
                typed = [*flags, f"-DFNN_DTYPE_{dtype.upper()}"]
                if source.parent.name == "ops":
                    jobs.append((source, f"ops_{dtype}", ["-O3", *typed]))
                    continue
                for isa in isas:
                    # Without a vector unit worth it, more code is not faster: -O3 makes a wheel 2 % larger.
                    level = "-O2" if isa == "baseline" else "-O3"
                    kernel = [level, *typed, f"-DFNN_ISA={isa}", f"-DFNN_ISA_{isa.upper()}", *ISA_FLAGS[isa]]
                    jobs.append((source, f"kernels_{dtype}_{isa}", kernel))
        newest_header = max(path.stat().st_mtime for path in (ROOT / SOURCE).glob("*/*.h"))
        newest_header = max(newest_header, (ROOT / "setup.py").stat().st_mtime)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(lambda job: self.compile_one(*job, newest_header), jobs))

    def compile_one(self, source: Path, variant: str, flags: list[str], newest_header: float) -> Path:
        target = Path(self.build_temp) / variant / f"{source.stem}.o"
        stamp = target.with_suffix(".flags")
        command = [*self.compile_command, *flags, "-I", str(ROOT / SOURCE / "include"), "-I", str(ROOT / SOURCE)]
        fresh = (
            target.exists()
            and target.stat().st_mtime > max((ROOT / source).stat().st_mtime, newest_header)
            and stamp.exists()
            and stamp.read_text() == shlex.join(command)
        )
        if not fresh:
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([*command, "-c", str(ROOT / source), "-o", str(target)], check=True)
            stamp.write_text(shlex.join(command))
        return target


def extensions() -> list[Extension]:
    if not is_enabled("FASTNN_NATIVE", "1"):
        return []
    bindings = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "fastnn" / "_bindings").glob("*.pxi"))
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / SOURCE).glob("*/*.[ch]"))
    return [
        Extension(
            "fastnn._native",
            ["fastnn/_native.pyx"],
            include_dirs=[str(SOURCE / "include")],
            depends=[*bindings, *sources],  # any change links the module again
        )
    ]


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildNative})
