"""The native build: what pyproject.toml cannot say, and nothing else.

The folder of a C source tells how often it is compiled:

    src_c/core/      once
    src_c/ops/       once per dtype             (float, double)
    src_c/kernels/   once per dtype and per instruction set of the architecture that is built for

setuptools' own `libraries=` compiles a source shared by two libraries once and links that object into both, so the
objects are made here, one folder per variant, and handed to the linker.

The sources need GCC or Clang. On Windows, Clang makes objects that Microsoft's linker takes, so Python's own compiler
still builds and links the module.

Environment variables read by the build:
    CC, CFLAGS, CPPFLAGS, LDFLAGS, ARCHFLAGS
                        the compiler, and flags: those for the compiler come after -O3 or -O2, but before what results
                        depend on
    FASTNN_OPENMP=0     build without OpenMP (serial)
    FASTNN_WERROR=1     treat warnings in the C sources as errors
    FASTNN_NATIVE=0     build no compiled module at all (the package then runs on its NumPy reference)
"""

import os
import platform
import shlex
import shutil
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
    "-std=gnu11", "-fvisibility=hidden", "-ffp-contract=off", "-fno-fast-math", "-fno-math-errno",
    "-fno-trapping-math", "-Wall", "-Wextra",
]  # fmt: skip
# Of each architecture, least capable first. `baseline` is plain C, and there on every other architecture too.
ISA_FLAGS = {
    "x86_64": {
        "baseline": [],
        "avx2": ["-mavx2", "-mfma"],
        "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma",
                   "-mprefer-vector-width=512"],
    },
    "arm64": {"baseline": [], "neon": []},  # NEON is part of the architecture
}  # fmt: skip
# Python's stable ABI: one module for this version and all later ones. Without the GIL, each version needs its own.
OLDEST_PYTHON = (3, 11)
IS_STABLE = not sysconfig.get_config_var("Py_GIL_DISABLED")
# At -O3 GCC copies the loops of gemm for strides of 1, which occur seldom. For Arm it moves loads up before it assigns
# registers, and then has too few. Clang neither does this nor knows the flags.
GCC_FLAGS = {isa: ["-fno-version-loops-for-strides"] for isa in ("avx2", "avx512")}
GCC_FLAGS["neon"] = ["-fno-version-loops-for-strides", "-fno-schedule-insns"]


def is_enabled(variable: str, default: str) -> bool:
    return os.environ.get(variable, default) not in ("", "0")


def target_architecture() -> str:
    """What is built for, which need not be what this runs on."""
    named = shlex.split(os.environ.get("ARCHFLAGS", ""))
    named = {named[i + 1] for i, word in enumerate(named[:-1]) if word == "-arch"}
    if len(named) > 1:
        raise SystemExit(f"fastnn: ARCHFLAGS names {' and '.join(sorted(named))}; build once for each")
    (name,) = named or {sysconfig.get_platform().rpartition("-")[2]}
    if name == "universal2":  # of Python itself
        name = platform.machine()
    return {"amd64": "x86_64", "aarch64": "arm64"}.get(name.lower(), name.lower())


def flags_of(*variables: str) -> list[str]:
    return [flag for variable in variables for flag in shlex.split(os.environ.get(variable, ""))]


def compile_jobs(flags: list[str], isas: dict[str, list[str]]) -> list[tuple[Path, str, list[str]]]:
    """(source, folder of the variant, flags) of every object."""
    sources = {
        folder: sorted(path.relative_to(ROOT) for path in (ROOT / SOURCE / folder).glob("*.c"))
        for folder in ("core", "ops", "kernels")
    }
    common = [*flags, *(f"-DFNN_HAVE_{isa.upper()}" for isa in isas)]
    dtypes = [(dtype, [*common, f"-DFNN_DTYPE_{dtype.upper()}"]) for dtype in DTYPES]
    jobs = [(source, "core", ["-O2", *common]) for source in sources["core"]]
    jobs += [(source, f"ops_{dtype}", ["-O2", *typed]) for source in sources["ops"] for dtype, typed in dtypes]
    # Neighbours in the module are alike, so that they compress better.
    for isa, isa_flags in isas.items():
        # -O3 unrolls the loops of vectors. Elsewhere it makes the wheel larger and nothing faster.
        level = "-O2" if isa == "baseline" else "-O3"
        own = [f"-DFNN_ISA={isa}", f"-DFNN_ISA_{isa.upper()}", *isa_flags]
        jobs += [
            (source, f"kernels_{dtype}_{isa}", [level, *typed, *own])
            for source in sources["kernels"]
            for dtype, typed in dtypes
        ]
    return jobs


class BuildNative(build_ext):
    """Compile src_c as described above, then let Cython and setuptools make the one extension module."""

    def build_extensions(self) -> None:
        self.is_windows = self.compiler.compiler_type in ("msvc", "mingw32")
        usual = "clang" if self.is_windows else sysconfig.get_config_var("CC") or "cc"
        self.compile_command = shlex.split(os.environ.get("CC", usual))
        if shutil.which(self.compile_command[0]) is None:
            raise SystemExit(
                f"fastnn: the C sources need {'Clang' if self.is_windows else 'GCC or Clang'}, and there is no "
                f"{self.compile_command[0]!r}; install one, name another in CC, or set FASTNN_NATIVE=0 to build without"
            )
        if self.is_windows and not self.is_clang():
            raise SystemExit(
                f"fastnn: {self.compile_command[0]!r} is not Clang. GCC for Windows aligns the stack to 16 bytes, so "
                "that AVX kernels crash; install LLVM or llvm-mingw and name its clang in CC"
            )
        self.extra_flags = flags_of("CPPFLAGS", "CFLAGS", "ARCHFLAGS")
        common = list(COMMON_FLAGS) if self.is_windows else [*COMMON_FLAGS, "-fPIC"]
        # Nothing is thrown through C. Windows needs the tables for its own exceptions; a debugger is glad of them.
        first = [] if self.is_windows else ["-fno-asynchronous-unwind-tables"]
        if is_enabled("FASTNN_WERROR", "0"):
            # Threads may have stacks of 64 KB.
            limit = ["-Werror", "-Wstack-usage=12000"]
            common += limit if self.accepts(limit, []) else ["-Werror", "-Wframe-larger-than=12000"]
        openmp, openmp_library = self.openmp_flags() if is_enabled("FASTNN_OPENMP", "1") else ([], [])
        isas = {
            isa: [*flags, *(flag for flag in GCC_FLAGS.get(isa, []) if self.accepts([flag, "-Werror"], []))]
            for isa, flags in ISA_FLAGS.get(target_architecture(), {"baseline": []}).items()
        }
        objects = self.compile_all([*first, *self.extra_flags, *common, *openmp], isas)
        (extension,) = self.extensions
        extension.extra_objects = [str(path) for path in objects]
        extension.extra_link_args = list(openmp_library)
        if self.compiler.compiler_type != "msvc":
            # Hidden visibility turns a kernel that is declared but not written into an error of the linker, here,
            # not of the first import. A function that is not in the stable ABI is one that is not declared.
            # -Os is smaller than -O1 by 16 KB of the wheel, and a call takes 45 ns more.
            extension.extra_compile_args = [
                "-Os", "-g0", "-fvisibility=hidden", "-Wno-unused-function", "-Werror=implicit-function-declaration",
            ]  # fmt: skip
        if sys.platform == "linux":
            extension.extra_link_args += ["-Wl,--no-undefined-version", "-Wl,-s"]
        super().build_extensions()

    def openmp_flags(self) -> tuple[list[str], list[str]]:
        """For the compiler, and for the linker; nothing if there is no OpenMP."""
        library = Path(shutil.which(self.compile_command[0])).parents[1] / "lib" / "libomp.lib"
        choices = [
            (["-fopenmp"], [str(library)] if self.compiler.compiler_type == "msvc" else ["-fopenmp"]),
            (["-Xpreprocessor", "-fopenmp"], ["-lomp"]),  # Apple's Clang, which has no library of its own
        ]
        for flags, link_flags in choices:
            if self.accepts(["-DPROBE_OPENMP", *flags], link_flags):
                return flags, link_flags
        print("fastnn: this compiler has no OpenMP, so the kernels will run on one thread")
        return [], []

    def is_clang(self) -> bool:
        command = [*self.compile_command, "-dM", "-E", "-x", "c", "-"]
        return "__clang__" in subprocess.run(command, input="", capture_output=True, text=True).stdout

    def accepts(self, flags: list[str], link_flags: list[str]) -> bool:
        """Whether the compiler can compile and link with these flags."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text(
                "#ifdef PROBE_OPENMP\n#include <omp.h>\n#else\n#define omp_get_max_threads() 1\n#endif\n"
                "int main(void) { return omp_get_max_threads() < 1; }\n"
            )
            command = [*self.compile_command, *self.extra_flags, *flags, str(source), *flags_of("LDFLAGS"), *link_flags]
            return subprocess.run([*command, "-o", str(Path(folder) / "probe")], capture_output=True).returncode == 0

    def compile_all(self, flags: list[str], isas: dict[str, list[str]]) -> list[Path]:
        jobs = compile_jobs(flags, isas)
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
            define_macros=[("Py_LIMITED_API", "0x{:02X}{:02X}0000".format(*OLDEST_PYTHON))] if IS_STABLE else [],
            py_limited_api=IS_STABLE,
        )
    ]


if __name__ == "__main__":  # tests/c/build.py reads what stands above
    setup(
        ext_modules=extensions(),
        cmdclass={"build_ext": BuildNative},
        options={"bdist_wheel": {"py_limited_api": "cp{}{}".format(*OLDEST_PYTHON)}} if IS_STABLE else {},
    )
