"""Becomes `__mp_main__` in a process that a script has started, and runs the script there."""

from fastnn.compat.processes import run_again

if __name__ == "__mp_main__":
    run_again(globals())
