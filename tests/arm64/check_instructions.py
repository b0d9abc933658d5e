"""How many instructions of 64-bit Arm a product of matrices takes.

The emulator counts them, so they are the same every time. How fast a real CPU is, it cannot tell.
"""

import re
import subprocess
from pathlib import Path

import pytest

BASE = Path(__file__).parents[2] / "build" / "arm64"
ISAS = {"baseline": 0, "neon": 3}  # fnn_isa of fnn.h
MULTIPLY_ADDS = 128**3 // 4  # of vectors of four floats


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "product"
    objects = [path for folder in ("core", "ops_*", "kernels_*") for path in BASE.glob(f"objects/temp*/{folder}/*.o")]
    subprocess.run(
        [BASE / "cc", "-O1", "-fopenmp", "-Isrc_c/include", "tests/arm64/product.c", *objects, "-lm", "-o", path],
        cwd=Path(__file__).parents[2],
        check=True,
    )
    return path


def executed(program, isa, times):
    """Instructions of a whole run. The log has each block when it is translated, and its address each time it runs."""
    log = program.with_name("log")
    command = [BASE / "emulator", "-d", "in_asm,exec,nochain", "-D", log, program, str(ISAS[isa]), str(times)]
    subprocess.run(command, check=True)
    sizes, total, block = {}, 0, None
    with log.open() as lines:
        for line in lines:
            if line.startswith("Trace"):
                total += sizes[int(re.search(r"\[[0-9a-f]+/([0-9a-f]+)/", line)[1], 16)]
            elif line.startswith("IN:"):
                block = None
            elif line.startswith("0x"):
                if block is None:
                    block = int(line[: line.index(":")], 16)
                    sizes[block] = 0
                sizes[block] += 1
    return total


def test_neon_computes_a_product_by_less_than_half_the_instructions(program):
    counts = {isa: executed(program, isa, 2) - executed(program, isa, 1) for isa in ISAS}
    print(f"instructions of a product of 128 x 128 matrices: {counts}")
    # With one multiply-add an instruction, and a half for all loads, stores and loops.
    assert MULTIPLY_ADDS < counts["neon"] <= 1.5 * MULTIPLY_ADDS
    # The baseline rounds a product before it adds it: an instruction for each.
    assert counts["baseline"] > 2 * MULTIPLY_ADDS
    assert counts["neon"] < 0.5 * counts["baseline"]
