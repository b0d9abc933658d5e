"""Interrupts at any moment of a user's own loop, by a signal or another thread, with forks in between: nothing is left
half done.

FASTNN_INTERRUPTS: how many (default 1000); ten thousand take a few minutes.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("interrupted_training.py")
INTERRUPTS = int(os.environ.get("FASTNN_INTERRUPTS", "1000"))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["signal", "thread"])
def test_interrupts_leave_nothing_half_done(way):
    command = [sys.executable, str(SCRIPT), way, str(INTERRUPTS), "50", "1"]
    environment = {**os.environ, "FASTNN_NUM_THREADS": "2"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + INTERRUPTS // 10, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    assert re.fullmatch(rf"{INTERRUPTS} interrupts in \d+ steps, \d+ lost\n", done.stdout)
