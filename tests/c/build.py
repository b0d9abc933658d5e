"""Build the program that compares every operation with plain loops, for this machine or for another.

    python tests/c/build.py FOLDER gcc -fopenmp
    python tests/c/build.py --architecture arm64 FOLDER python -m ziglang cc -target aarch64-macos

Objects and program go into FOLDER. The sources of the package are compiled as setup.py compiles them; a warning is an
error. `tests/c/*.c` are compiled once and `tests/c/operations/*.c` once per dtype.
"""

import argparse
import importlib.util
import os
import re
import shlex
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2].resolve()
# Included in tests/c/operations/kernel_table.c, where a slot can be exchanged for one that does nothing.
REPLACED = "src_c/ops/kernel_table.c"


def load_setup():
    spec = importlib.util.spec_from_file_location("fastnn_setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_list_of_operations(folder: Path) -> None:
    """X(name) for every function of fnn_ops.h, so that the program can tell which it has not called."""
    names = re.findall(r"FNN_OP\((\w+)\)\(", (ROOT / "src_c" / "include" / "fnn_ops.h").read_text())
    text = "".join(f"X({name})\n" for name in names)
    target = folder / "operations.inc"
    if not target.exists() or target.read_text() != text:
        target.write_text(text)


def compile_one(job: tuple[Path, Path, list[str]], newest: float) -> Path:
    source, target, command = job
    target.parent.mkdir(parents=True, exist_ok=True)
    stamp, text = target.with_suffix(".flags"), shlex.join(command)
    fresh = target.exists() and target.stat().st_mtime > max(newest, source.stat().st_mtime)
    if not (fresh and stamp.exists() and stamp.read_text() == text):
        subprocess.run([*command, "-c", str(source), "-o", str(target)], check=True)
        stamp.write_text(text)
    return target


def build(folder: Path, compiler: list[str], isas: dict[str, list[str]], program: str) -> Path:
    setup = load_setup()
    common = [*setup.COMMON_FLAGS, "-Werror"]
    folder.mkdir(parents=True, exist_ok=True)
    write_list_of_operations(folder)
    include = [f"-I{ROOT / 'src_c' / 'include'}", f"-I{ROOT / 'src_c'}"]
    jobs = [
        (ROOT / source, folder / variant / f"{source.stem}.o", [*compiler, *flags, *include])
        for source, variant, flags in setup.compile_jobs(common, isas)
        if source.as_posix() != REPLACED
    ]
    include += [f"-I{ROOT / 'tests' / 'c'}", f"-I{folder}"]
    common += ["-O1", *(f"-DFNN_HAVE_{isa.upper()}" for isa in isas)]
    for source in sorted((ROOT / "tests" / "c").glob("*.c")):
        jobs.append((source, folder / "tests" / f"{source.stem}.o", [*compiler, *common, *include]))
    for source in sorted((ROOT / "tests" / "c" / "operations").glob("*.c")):
        for dtype in setup.DTYPES:
            flags = [*compiler, *common, f"-DFNN_DTYPE_{dtype.upper()}", *include]
            jobs.append((source, folder / f"tests_{dtype}" / f"{source.stem}.o", flags))
    headers = [*ROOT.glob("src_c/*/*.h"), *ROOT.glob("tests/c/*.h"), ROOT / "setup.py", folder / "operations.inc"]
    newest = max(path.stat().st_mtime for path in headers)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda job: compile_one(job, newest), jobs))
    target = folder / program
    subprocess.run([*compiler, *map(str, objects), "-o", str(target), *setup.flags_of("LDFLAGS"), "-lm"], check=True)
    return target


def kind_of(program: Path) -> str:
    """The system and the architecture that a program is for."""
    head = program.read_bytes()[:4096]
    if head[:4] == b"\x7fELF":
        kind, number = "ELF", struct.unpack_from("<H", head, 18)[0]
    elif head[:2] == b"MZ":
        kind, number = "PE", struct.unpack_from("<H", head, struct.unpack_from("<I", head, 60)[0] + 4)[0]
    elif head[:4] == b"\xcf\xfa\xed\xfe":
        kind, number = "Mach-O", struct.unpack_from("<I", head, 4)[0]
    else:
        return "unknown"
    names = {62: "x86_64", 183: "arm64", 0x8664: "x86_64", 0xAA64: "arm64", 0x1000007: "x86_64", 0x100000C: "arm64"}
    return f"{kind} {names.get(number, number)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", help="what is built for: x86_64, arm64 (default: this machine)")
    parser.add_argument("--program", default="kernels", help="the name of the program")
    parser.add_argument("--is", dest="kind", help='what the program must be, such as "Mach-O arm64"')
    parser.add_argument("folder", type=Path)
    parser.add_argument("compiler", nargs=argparse.REMAINDER, help="the command of the compiler")
    options = parser.parse_args()
    setup = load_setup()
    isas = setup.ISA_FLAGS.get(options.architecture or setup.target_architecture(), {"baseline": []})
    try:
        program = build(options.folder.resolve(), options.compiler, isas, options.program)
    except subprocess.CalledProcessError as error:
        named = [word for word in error.cmd if word.endswith(".c")] or ["the link"]
        sys.exit(f"tests/c/build.py: {shlex.join(options.compiler)} failed at {named[0]}")
    print(f"{program}: {kind_of(program)}")
    if options.kind not in (None, kind_of(program)):
        sys.exit(f"tests/c/build.py: the program is {kind_of(program)}, not {options.kind}")


if __name__ == "__main__":
    main()
