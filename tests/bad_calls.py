"""Random bad calls of everything that is public: `python tests/bad_calls.py 15000 [area]`.

One or two arguments of a good call are replaced by what no caller should give. Whatever happens, the process must
survive it in little time, and an exception must name the function or the argument.
"""

import inspect
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastnn

GIGABYTES = 6
SECONDS = 5  # for one call

# These would end well, after a time that the caller asked for.
ASKS_FOR_WORK = {"epochs", "rounds", "warmup", "n_trials", "steps", "max_entries", "n", "ns_steps", "epoch", "levels"}
HUGE = (2**40, 2**62, 2**64, -(2**63))

# Not to be tried: True would ask the servers.
LEFT_ALONE = {"download"}

# Errors of the interpreter that say that nobody has checked: these must begin with the name.
RAW = (AttributeError, LookupError, NameError, AssertionError, ArithmeticError, RecursionError)


class TooLong(BaseException):
    """A call that does not come back."""


def bad_values(good: Any) -> list[tuple[str, Any]]:
    """What to put in the place of a good value, with the words for it."""
    ragged = [[1.0], [1.0, 2.0]]
    values: list[tuple[str, Any]] = [(repr(v), v) for v in HUGE]
    values += [
        (repr(v), v) for v in (None, "a", "", "same", b"a", -1, -0.5, 0, 2.5, 1j, True, [], (), {}, {1: "a"}, ragged)
    ]
    values += [(repr(v), v) for v in (float("nan"), float("inf"), [None], ["a", "b"], (1, 2, 3, 4, 5), [2**62] * 2)]
    values += [("object()", object()), ("a class", int), ("a function", len)]
    values += [
        ("0-d array", np.array(1.0)),
        ("0-d text", np.array("a")),
        ("objects", np.array([None, 1, "a"], object)),
        ("complex array", np.ones((2, 2), complex)),
        ("float16 array", np.ones((2, 3), np.float16)),
        ("bool array", np.ones((7, 5), bool)),
        ("uint8 array", np.ones((7, 5), np.uint8)),
        ("NaN array", np.full((7, 5), np.nan, np.float32)),
        ("empty array", np.zeros((0, 5), np.float32)),
        ("2**62 array", np.array([2**62, -(2**62)])),
        ("6-d array", np.ones((1,) * 6, np.float32)),
        ("strings", np.array(["a", "b"])),
        ("dates", np.array(["2020-01-01"], "M8[D]")),
    ]
    if isinstance(good, np.ndarray):
        for dtype in (object, complex, np.float16, bool, np.uint8, np.int64, "U3"):
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                values.append((f"as {np.dtype(dtype)}", good.astype(dtype)))
        values += [("one axis more", good[None]), ("one axis less", good[0] if good.ndim else good)]
        values += [
            ("less rows", good[:-1] if good.ndim else good),
            ("read-only zeros", np.broadcast_to(0.0, good.shape)),
        ]
    return values


def parameters_of(function: Any) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def names_it(error: BaseException, name: str, spoiled: list[str]) -> bool:
    """Whether the text of the error names the function, its class, or one of the spoiled arguments."""
    text = str(error)
    if isinstance(error, MemoryError):
        return True
    owners = [part for part in name.split(".")[1:] if part not in ("forward", "init", "__call__")]
    first = re.match(r"([\w.]+):", text)
    if first is not None:
        stems = [_stem(part) for part in first.group(1).split(".")]
        # A layer may go by the name of the function that it calls, and a variant by that of its function.
        if any(_stem(owner).startswith(stem) or stem.startswith(_stem(owner)) for owner in owners for stem in stems):
            return True
    if isinstance(error, RAW):
        return False
    words = [word for word in [*owners, *spoiled] if len(word) > 1]
    if any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in words):
        return True
    # One letter may be a word of its own: "x has dtype int64", "x.shape=(2, 3)", "missing argument 'x'".
    letters = "|".join(word for word in spoiled if len(word) == 1)
    return (
        bool(letters)
        and re.search(rf"'({letters})'|(?<!\w)({letters})( has| must| needs| cannot|=|\[|\.)", text) is not None
    )


def _stem(name: str) -> str:
    return name.lower().replace("_", "")


def place(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{os.path.basename(frame.filename)}:{frame.lineno}"


def spoil(name: str, make: Any, rng: np.random.Generator) -> tuple[Any, dict[str, Any], list[str], str]:
    """A call with one or two bad arguments: the function, its arguments, which are bad, and words for them."""
    function, arguments = make()
    known = list(dict.fromkeys([*arguments, *parameters_of(function)]))
    known = [key for key in known if not key.startswith("_") and key not in LEFT_ALONE]
    if not known:
        return function, {}, [], ""
    count = min(len(known), 1 + int(rng.random() < 0.3))
    spoiled = [known[i] for i in rng.choice(len(known), count, replace=False)]
    words = []
    for key in spoiled:
        values = bad_values(arguments.get(key))
        while True:
            word, value = values[rng.integers(len(values))]
            asks = key in ASKS_FOR_WORK and isinstance(value, int | float) and abs(value) >= 2**40
            if not asks:
                break
        arguments[key] = value
        words.append(f"{key}={word}")
    return function, arguments, spoiled, ", ".join(words)


def run(first: int, last: int, area: str, seed: int, log: int, tell: Callable[[str, str], None]) -> None:
    """Make calls number `first` to `last` - 1, and `tell` what came of them.

    What each is going to be is written to the file `log` before.
    """
    from bad_calls_table import GOOD

    import fastnn

    names = sorted(name for name, (where, _) in GOOD.items() if area in ("", where))
    isa, threads, state = fastnn.isa(), fastnn.num_threads(), fastnn.random_state()

    def stop(*_: Any) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    for number in range(first, last):
        name = names[number % len(names)]
        rng = np.random.default_rng([seed, number])  # of its own, so that one can go on behind a crash
        fastnn.manual_seed(1)
        function, arguments, spoiled, words = spoil(name, GOOD[name][1], rng)
        line = f"{name}({words})"
        os.pwrite(log, f"{number:9}{line:2000.2000}".encode("ascii", "replace"), 0)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            function(**arguments)
        except TooLong:
            tell("hangs", line)
        except Exception as error:
            tell("refused", "")
            if not names_it(error, name, spoiled):
                text = re.sub(r"0x[0-9a-f]+", "0x", str(error)).replace("\n", " ")[:110]
                tell("unnamed", f"{name:38} {words:60.60} {type(error).__name__} at {place(error)}: {text}")
        except BaseException as error:
            tell("unnamed", f"{name:38} {words:60.60} {type(error).__name__}, which is no Exception")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if name.startswith("fastnn."):
            fastnn.set_isa(isa)
            fastnn.set_num_threads(threads)
            fastnn.set_flush_denormal(True)
            fastnn.set_random_state(state)
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")


def child(first: int, last: int, area: str, seed: int, folder: str) -> None:
    """What runs in a process of its own, in a folder of its own, with an end to its memory."""
    resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES << 30, GIGABYTES << 30))
    warnings.simplefilter("ignore")
    log = os.open(os.path.join(folder, "log"), os.O_WRONLY | os.O_CREAT)
    os.makedirs(os.path.join(folder, "here"), exist_ok=True)
    os.chdir(os.path.join(folder, "here"))
    with open(os.path.join(folder, "told"), "a") as told, np.errstate(all="ignore"):

        def tell(kind: str, text: str) -> None:
            print(json.dumps([kind, text]), file=told, flush=True)

        run(first, last, area, seed, log, tell)
        tell("done", "")


def survey(calls: int, area: str = "", seed: int = 0, seconds: float = 600) -> dict[str, list[str]]:
    """The outcome of so many calls: how many were refused, what was not named, what hung, what ended the process."""
    total: dict[str, list[str]] = {"refused": [], "unnamed": [], "hangs": [], "crashes": [], "done": []}
    first = 0
    environment = os.environ | {"OMP_NUM_THREADS": "1", "FASTNN_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    environment["PYTHONPATH"] = str(Path(fastnn.__file__).parents[1])  # the one that the caller has
    while first < calls:
        with tempfile.TemporaryDirectory() as folder:
            arguments = [sys.executable, __file__, "--child", str(first), str(calls), area, str(seed), folder]
            process = subprocess.run(
                arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env=environment, timeout=seconds, check=False, text=True,
            )  # fmt: skip
            try:
                text = Path(folder, "log").read_text()
                for line in Path(folder, "told").read_text().splitlines():
                    kind, words = json.loads(line)
                    total[kind].append(words)
            except FileNotFoundError:
                text = ""
        if not text:  # it did not get as far as the first call
            raise RuntimeError(process.stderr)
        if total["done"]:
            break
        total["crashes"].append(f"{text[9:].strip()}: exit {process.returncode} {process.stderr[-300:]}")
        first = int(text[:9]) + 1
    return total


def main() -> None:
    if sys.argv[1] == "--child":
        child(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]), sys.argv[6])
        return
    calls, area = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    result = survey(calls, area, int(os.environ.get("FASTNN_FUZZ_SEED", "0")))
    print("\n".join(sorted(set(result["unnamed"]))))
    for key in ("hangs", "crashes"):
        print(*(f"{key}: {line}" for line in result[key]), sep="\n")
    print(f"{len(result['refused'])} of {calls} calls are refused, {len(result['unnamed'])} in words that name nothing")


if __name__ == "__main__":
    main()
