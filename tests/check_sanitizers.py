"""The sanitizer that is loaded looks into the kernels: it finds what it must (make test-memory, make test-threads)."""

import os

from oracle import run_python

BEHIND_THE_END = """
import ctypes, numpy as np
from fastnn import _native
x, short = np.zeros(1000, np.float32), np.zeros(900, np.float32)
y = np.ndarray((1000,), np.float32, buffer=(ctypes.c_char * 4000).from_address(short.ctypes.data))
_native.add(x, x, y, 1)
"""

TWO_WRITERS = """
import threading, numpy as np
from fastnn import _native
x, y = np.zeros(1 << 16, np.float32), np.zeros(1 << 16, np.float32)
threads = [threading.Thread(target=lambda: [_native.add(x, x, y, 1) for _ in range(200)]) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_sanitizer_finds_a_race_of_threads_or_a_write_behind_the_end():
    library = os.path.basename(os.environ["LD_PRELOAD"])
    code, words = {
        "libasan.so": (BEHIND_THE_END, "ERROR: AddressSanitizer"),
        "libtsan.so": (TWO_WRITERS, "WARNING: ThreadSanitizer: data race"),
    }[library]
    done = run_python(code, TSAN_OPTIONS="halt_on_error=1")
    assert done.returncode != 0
    assert words in done.stderr
