"""`fastnn run`: a script runs as it does in Python, but for what it gets for torch."""

import builtins
import importlib
import importlib.util
import json
import multiprocessing.spawn
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fastnn
from fastnn import cli
from fastnn.compat import layers, notes

STANDINS = {"torch": "standin_torch", "torchvision": "standin_torchvision"}
# Runs the command in a process of its own, with the stand-ins.
COMMAND = f"""
import sys
from fastnn.compat import layers
layers.LAYERS.update({STANDINS!r})
from fastnn import cli
sys.exit(cli.main(sys.argv[1:]))
"""
FOUND = [Path(fastnn.__file__).parents[1], Path(__file__).parent]


@pytest.fixture(autouse=True)
def _process(tmp_path, monkeypatch):
    """A script may leave the process as it likes; the next test has it as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DEBUG", raising=False)
    for library, layer in STANDINS.items():
        monkeypatch.setitem(layers.LAYERS, library, layer)
    for module, name in (
        (importlib, "import_module"),
        (importlib.util, "find_spec"),
        (sys, "argv"),
        (sys, "excepthook"),
        (notes, "is_quiet"),
        (multiprocessing.spawn, "get_preparation_data"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(sys, "path", ["the command's folder", *sys.path])  # as Python begins it, unless with -P
    monkeypatch.setattr("fastnn.compat.run._has_safe_path", lambda: False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(notes, "_said", [])
    main, kind = sys.modules["__main__"], builtins.__class__
    yield
    builtins.__class__ = kind
    sys.modules["__main__"] = main
    for name, module in list(sys.modules.items()):
        is_of_script = str(getattr(module, "__file__", None) or "").startswith(str(tmp_path))
        if is_of_script or name.split(".")[0] in STANDINS.values():
            del sys.modules[name]


def write(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def run(*arguments):
    return cli.main(["run", *map(str, arguments)])


def ran(text, capsys, *arguments):
    """What a script prints that runs in this process and ends well."""
    write("script.py", text)
    code = run("--quiet", "script.py", *arguments)
    captured = capsys.readouterr()
    assert (code, captured.err) == (0, "")
    return captured.out.splitlines()


def process(*command, folder=None, standard_input="", **environment):
    """A process of Python; what it wrote and its exit code."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, FOUND)), **environment}
    environment.pop("PYTHONUNBUFFERED", None)
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True, text=True, timeout=60, cwd=folder, input=standard_input, env=environment, check=False,
    )  # fmt: skip


def run_process(*arguments, **settings):
    return process("-c", COMMAND, "run", *arguments, **settings)


def same_as_python(*arguments, **settings):
    """Runs a script that imports no library, in Python and by the command: everything must be equal."""
    ours, theirs = run_process("--quiet", *arguments, **settings), process(*arguments, **settings)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    return ours


# ---- what is imported ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("statement", "expression", "module"),
    [
        ("import torch", "torch", "torch"),
        ("import torch as T", "T", "torch"),
        ("import torch.nn", "torch", "torch"),
        ("import torch.nn as nn", "nn", "torch.nn"),
        ("import torch.nn.functional", "torch.nn.functional", "torch.nn.functional"),
        ("import torch.nn.functional as F", "F", "torch.nn.functional"),
        ("import torch.utils.data", "torch", "torch"),
        ("import torch.utils.tensorboard", "torch.utils.tensorboard", "torch.utils.tensorboard"),
        ("from torch import nn", "nn", "torch.nn"),
        ("from torch.nn import functional as F", "F", "torch.nn.functional"),
        ("from torch.utils import tensorboard", "tensorboard", "torch.utils.tensorboard"),
        ("import os, torchvision.transforms as T", "T", "torchvision.transforms"),
        ("import importlib", "importlib.import_module('torch.nn')", "torch.nn"),
        ("from importlib import import_module", "import_module('torchvision')", "torchvision"),
        ("pass", "__import__('torch.nn', fromlist=['Linear'])", "torch.nn"),
        ("pass", "__import__('torch.nn')", "torch"),
        ("import sys, torch.nn", "sys.modules['torch.nn']", "torch.nn"),
        ("import torch; from sys import modules", "modules.get('torch')", "torch"),
        ("import torch.nn, sys as system", "dict(system.modules)['torch.nn']", "torch.nn"),
        ("exec('import torch as t')", "t", "torch"),
        ("space = {}; exec('import torch as t', space)", "space['t']", "torch"),
        ("pass", "eval('__import__(\"torch\")')", "torch"),
        ("pass", "(lambda: __import__('torch'))()", "torch"),
        ("try: import torch\nexcept ImportError: torch = None", "torch", "torch"),
        ("class A:\n    import torch", "A.torch", "torch"),
        ("class A:\n    def f(self):\n        import torch.nn as n\n        return n", "A().f()", "torch.nn"),
    ],
)  # fmt: skip
def test_import_gives_the_layer(statement, expression, module, capsys):
    before = set(sys.modules)
    (name,) = ran(f"{statement}\nprint(({expression}).__name__)\n", capsys)
    assert name == layers.in_layer(module, STANDINS)
    assert not [new for new in set(sys.modules) - before if new.split(".")[0] in STANDINS]


def test_import_of_names_and_of_all_names(capsys):
    text = """
        from torch import Tensor, nn, tensor
        from torch.nn import *
        from torch.utils.tensorboard import SummaryWriter
        print(Tensor.__module__, Linear is nn.Linear, SummaryWriter.__name__, tensor([1, 2]).sum())
    """
    assert ran(text, capsys) == ["standin_torch True SummaryWriter 3"]


def test_find_spec_and_sys_modules_tell_the_script_that_torch_is_there(capsys):
    text = """
        import importlib.util, sys
        print(importlib.util.find_spec("torch") is not None, importlib.util.find_spec("torch.utils.none"))
        print(importlib.util.find_spec("importlib.machinery").name)
        print("torchvision" in sys.modules)
        import torchvision
        print("torchvision" in sys.modules, sys.modules[__name__].__file__ == __file__, sys.argv)
        del sys.modules["torchvision"]
        print("torchvision" in sys.modules, "torchvision" in list(sys.modules), len(sys.modules) > 10)
        sys.modules["torch.mine"] = torchvision
        import torch.mine as mine
        print(mine is torchvision)
        sys.stdout.write("as ever\\n")
        sys.ps1 = "mine"
        del sys.ps1
        print(hasattr(sys, "ps1"), "path" in dir(sys))
    """
    assert ran(text, capsys) == [
        "True None", "importlib.machinery", "False", "True True ['script.py']", "False False True", "True", "as ever",
        "False True",
    ]  # fmt: skip


def test_modules_of_the_folder_get_the_layer_and_others_do_not(tmp_path, capsys, monkeypatch):
    library = (
        "import sys\nfound = 'torch' in sys.modules\ntry:\n    import torch\nexcept ImportError:\n    torch = None\n"
    )
    asks = "import importlib, importlib.util\nspec = importlib.util.find_spec('torch')\n"
    write("elsewhere/a_library.py", library + asks)
    write("project/.venv/pyvenv.cfg", "")
    write("project/.venv/lib/in_an_environment.py", library)
    write("project/site-packages/an_installed_one.py", library)
    write("project/helper.py", "import torch\nfrom blocks import conv\n")
    write("project/blocks/__init__.py", "")
    write("project/blocks/conv.py", "import torch\nfrom . import norm\n")
    write("project/blocks/norm.py", "from torch import nn\n")
    script = """
        import sys
        here = sys.path[0]
        sys.path += [f"{here}/.venv/lib", f"{here}/site-packages"]
        import torch, helper
        print(helper.torch is torch, helper.conv.torch is torch, helper.conv.norm.nn is torch.nn)
        import a_library, in_an_environment, an_installed_one
        for module in (a_library, in_an_environment, an_installed_one):
            print(module.found, module.torch is torch)
        print(a_library.spec and a_library.spec.name)
    """
    write("project/script.py", script)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "elsewhere")])
    assert run("--quiet", "project/script.py") == 0
    real = "torch" if importlib.util.find_spec("torch") else None
    found = capsys.readouterr().out.splitlines()
    assert found[0] == "True True True"
    assert found[4] == str(real)
    if real is None:
        assert found[1:4] == ["False False"] * 3


def test_import_calls_of_libraries_in_the_scripts_stead_do_not_see_the_layer(tmp_path, capsys):
    """`import_module`, called by a library on whose behalf ever, is the library's."""
    text = """
        import importlib.util, json
        import torch
        print(json.torch_spec())
    """
    import json

    json.torch_spec = lambda: importlib.util.find_spec("standin_torch.none")
    try:
        assert ran(text, capsys) == ["None"]
    finally:
        del json.torch_spec


def test_builtins_are_pythons_own_and_follow_what_is_put_there(capsys):
    write("helper.py", "def shout():\n    print('hello')\n    return louder\n")
    text = """
        import builtins
        import helper
        said = builtins.print
        builtins.print = lambda *words: said("loud:", *words)
        builtins.louder = 3
        print(helper.shout(), __builtins__.louder, type(builtins).__name__)
        builtins.print = said
        del builtins.louder
        try:
            louder
        except NameError as error:
            print(error)
        print(builtins.__import__ is __import__, builtins.len is len)
    """
    expected = ["loud: hello", "loud: 3 3 Builtins", "name 'louder' is not defined", "False True"]
    assert ran(text, capsys) == expected


def test_modules_named_as_pythons_built_in_ones_are_not_taken_from_the_folder(capsys):
    write("time.py", "mine = True\n")
    write("colour.py", "mine = True\n")
    assert ran("import time, colour\nprint(hasattr(time, 'mine'), colour.mine)\n", capsys) == ["False True"]


def test_threads_get_the_layer_and_are_waited_for(capsys):
    text = """
        import threading, time
        def work():
            time.sleep(0.05)
            import torch
            print(torch.__version__)
        threading.Thread(target=work).start()
        print("end")
    """
    assert ran(text, capsys) == ["end", "stand-in"]


def test_threads_are_waited_for_after_an_exception_too(capsys):
    write("script.py", """
        import threading, time
        threading.Thread(target=lambda: (time.sleep(0.05), print("done"))).start()
        raise SystemExit(3)
    """)  # fmt: skip
    assert run("--quiet", "script.py") == 3
    assert capsys.readouterr().out == "done\n"


def test_pools_that_a_script_leaves_open_end_with_the_process():
    write("script.py", """
        import time
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1)
        print(pool.submit(int, 3).result(), flush=True)
        pool.submit(lambda: (time.sleep(0.05), print("done", flush=True)))
    """)  # fmt: skip
    assert same_as_python("script.py").stdout == "3\ndone\n"


def test_classes_of_the_script_are_pickled(capsys):
    text = """
        import copy, pickle, dataclasses
        from torch import nn
        class Net(nn.Module):
            pass
        @dataclasses.dataclass
        class Settings:
            rate: float = 0.1
        print(type(pickle.loads(pickle.dumps(Net()))) is Net, pickle.loads(pickle.dumps(Settings())), Net.__module__)
    """
    assert ran(text, capsys) == ["True Settings(rate=0.1) __main__"]


def test_processes_that_fork_get_the_layer(capfd):
    write("script.py", """
        import multiprocessing
        import torch
        def work(n):
            import torch.nn
            return n, torch.nn.Linear.__name__
        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(1) as pool:
                print(pool.map(work, [1, 2]), flush=True)
    """)  # fmt: skip
    assert run("--quiet", "script.py") == 0
    assert capfd.readouterr().out == "[(1, 'Linear'), (2, 'Linear')]\n"


PROCESSES = """
    import multiprocessing, os, sys, threading
    import torch, helper
    class Net(torch.nn.Module):
        rate = 0.5
    def work(net):
        import torch.nn
        return type(net) is Net, net.rate, torch.nn.__name__, helper.torch is torch, sys.argv[1:], __name__
    if __name__ == "__main__":
        torch.manual_seed(0)
        context = multiprocessing.get_context(sys.argv[1])
        with context.Pool(1) as pool:
            print(pool.map(work, [Net()]), flush=True)
"""


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
@pytest.mark.parametrize("program", ["script.py", "-m script", "-m package.part", "-m package"])
def test_processes_that_begin_anew_get_the_layer(start, program):
    write("helper.py", "import torch\ntorch.manual_seed(1)\n")
    write("script.py", PROCESSES)
    write("package/__init__.py", "")
    write("package/part.py", PROCESSES)
    write("package/__main__.py", """
        import multiprocessing, sys
        from package import part
        if __name__ == "__main__":
            with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
                print(pool.map(part.work, [part.Net()]))
    """)  # fmt: skip
    done = run_process(*program.split(), start)
    assert done.returncode == 0, done.stderr
    name = "package.part" if program.endswith("package") else "__mp_main__"
    assert done.stdout == f"[(True, 0.5, 'standin_torch.nn', True, ['{start}'], '{name}')]\n"
    assert done.stderr.count(notes.SEEDS) == 1
    assert done.stderr.count("\n") == 2


# ---- names that the layer lacks --------------------------------------------------------------------------------------
COMPILE = "torch.compile: leave it out; fastnn is compiled already"
POOL = "nn.FractionalMaxPool2d is not in fastnn: use nn.MaxPool2d"


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("import torch; torch.compile", "AttributeError", COMPILE),
        ("from torch import compile", "ImportError", COMPILE),
        ("import torch.compile", "ModuleNotFoundError", COMPILE),
        ("from torch.compile import a", "ModuleNotFoundError", COMPILE),
        ("from torch.nn import Linear, FractionalMaxPool2d", "ImportError", POOL),
        ("from torch import fft", "ImportError", "cannot import name 'fft' from 'torch' in fastnn"),
        ("import torch.fft", "ModuleNotFoundError", "No module named 'torch.fft' in fastnn"),
        ("import torch.nn.functional.relu", "ModuleNotFoundError", "torch.nn.functional.relu is no module in fastnn"),
        ("from importlib import *; import_module('torch.a')", "ModuleNotFoundError",
         "No module named 'torch.a' in fastnn"),
    ],
)  # fmt: skip
def test_lacking_names_end_the_script_with_the_layers_words(statement, kind, words, capsys):
    path = write("script.py", f"{statement}\n")
    assert run("--quiet", "script.py") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if set(line) - set(" ^~")]
    assert lines[:3] == [
        "Traceback (most recent call last):", f'  File "{path.absolute()}", line 1, in <module>', f"    {statement}",
    ]  # fmt: skip
    assert lines[-1] == f"{kind}: {words}"
    own = str(Path(fastnn.__file__).parent / "compat")
    assert not [line for line in lines if own in line or "<frozen" in line]


def test_error_of_a_lacking_module_can_be_caught_by_its_name(capsys):
    text = """
        try:
            import torch.fft
        except ModuleNotFoundError as error:
            print(error.name)
        try:
            from torch import fft
        except ImportError as error:
            print(error.name)
    """
    assert ran(text, capsys) == ["torch.fft", "torch"]


def test_torch_asked_for_outside_of_the_folder_is_explained(tmp_path, capsys, monkeypatch):
    if importlib.util.find_spec("torch") is not None:
        return  # then it is the real one
    write("tools/script.py", "import shared\nprint(shared.torch.__name__)\n")
    write("parts/shared.py", "import torch\n")
    path = ["the command's folder", *sys.path, str(tmp_path / "parts")]
    monkeypatch.setattr(sys, "path", list(path))
    assert run("--quiet", "tools/script.py") == 1
    last = capsys.readouterr().err.splitlines()[-2:]
    assert last[0] == "ModuleNotFoundError: No module named 'torch'"
    shared = Path(tmp_path, "parts", "shared.py")
    assert last[1] == (
        f"fastnn run: {shared} is not below {tmp_path / 'tools'}, whose code alone gets fastnn for torch. "
        "If it is yours, add a folder above both to PYTHONPATH."
    )
    monkeypatch.setattr(sys, "path", [*path, str(tmp_path)])
    assert run("--quiet", "tools/script.py") == 0
    assert capsys.readouterr().out == "standin_torch\n"


@pytest.mark.parametrize("entry", ["'.'", "os.path.dirname(__file__) + '/../..'", "str(Path(__file__).parents[2])"])
def test_modules_in_folders_that_the_script_adds_to_its_path_get_the_layer(entry, capsys):
    write("net.py", "import torch\nfrom parts import shared\n")
    write("parts/__init__.py", "")
    write("parts/shared.py", "import torch\n")
    write("site-packages/installed.py", "try:\n    import torch\nexcept ImportError:\n    torch = None\n")
    write("parts/tools/script.py", f"""
        import os, sys
        from pathlib import Path
        sys.path.insert(0, {entry})
        sys.path += ["site-packages", os.path.dirname(__file__) + "/../../beside"]
        import installed, net, sibling, torch
        print(net.torch is torch, net.shared.torch is torch, sibling.torch is torch, installed.torch is torch)
    """)  # fmt: skip
    write("beside/sibling.py", "import torch\n")
    assert run("--quiet", "parts/tools/script.py") == 0
    assert capsys.readouterr().out == "True True True False\n"


GUEST = """
    import sys
    import torch
    def sees(): return torch.__name__, "torch" in sys.modules
"""


@pytest.mark.parametrize("start", ["", "spawn"])
def test_installed_packages_get_the_layer_if_it_is_asked_for(start, tmp_path):
    write("site-packages/guest/__init__.py", "from guest.inner import sees\n")
    write("site-packages/guest/inner.py", GUEST)
    write("site-packages/single.py", GUEST)
    write("site-packages/other.py", GUEST)
    write("project/script.py", f"""
        import multiprocessing, sys
        import guest, single
        def work(_): return guest.sees(), single.sees()
        if __name__ == "__main__":
            print(work(0))
            if {start!r}:
                with multiprocessing.get_context({start!r}).Pool(1) as pool:
                    print(*pool.map(work, [0]))
            try:
                import other
            except ImportError:
                raise
            else:
                assert other.torch.__name__ == "torch"
                raise ModuleNotFoundError("No module named 'torch'")
    """)  # fmt: skip
    path = os.pathsep.join(map(str, [*FOUND, tmp_path / "site-packages"]))
    done = run_process("--quiet", "--with", "guest", "--with=single", "project/script.py", PYTHONPATH=path)
    assert done.returncode == 1
    line = "(('standin_torch', True), ('standin_torch', True))\n"
    assert done.stdout == line * (2 if start else 1)
    errors = done.stderr.splitlines()
    assert "ModuleNotFoundError: No module named 'torch'" in errors
    if importlib.util.find_spec("torch") is None:
        assert errors[-1] == (
            "fastnn run: other is installed, and gets fastnn for torch if it is asked for: fastnn run --with other ..."
        )


def notebook(*sources):
    """A notebook of cells of code, after one of text."""
    cells = [{"cell_type": "code", "source": source, "outputs": []} for source in sources]
    return json.dumps({"cells": [{"cell_type": "markdown", "source": ["# Title"]}, *cells], "nbformat": 4})


def test_notebook_runs_cell_by_cell_without_commands(capsys):
    text = """
        %matplotlib inline
        !pip install torch
        import sys, torch
        if True:
            %load_ext autoreload
            print(torch.__name__)
        print(10
        % 4)
    """
    timed = "%%time\n%time x = 3\nprint(x, __name__, sys.argv)"
    write("book.ipynb", notebook(textwrap.dedent(text), ["%%bash\n", "rm -r ("], timed, "1 / 0"))
    assert run("book.ipynb", "--epochs") == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["standin_torch", "2", "3 __main__ ['book.ipynb', '--epochs']"]
    lines = [line for line in captured.err.splitlines() if set(line) - set(" ^~")]
    commands = ["%matplotlib inline", "!pip install torch", "%load_ext autoreload", "%%bash", "%%time", "%time x = 3"]
    assert lines[: len(commands)] == [
        f"fastnn: {command} is left out: it is a command of IPython" for command in commands
    ]
    book = Path("book.ipynb").absolute()
    assert lines[len(commands) : -1] == [
        "Traceback (most recent call last):", f'  File "{book}, cell 5", line 1, in <module>', "    1 / 0",
        "ZeroDivisionError: division by zero",
    ]  # fmt: skip


def test_notebook_of_an_old_format_runs_and_lines_that_begin_with_a_percent_sign_stay(capsys):
    cells = [{"cell_type": "code", "input": ["print(10\n", "% 4)"]}, {"cell_type": "heading", "source": "%"}]
    write("book.ipynb", json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3}))
    assert run("--quiet", "book.ipynb") == 0
    assert capsys.readouterr().out == "2\n"


def test_notebook_with_a_syntax_error_runs_up_to_that_cell(capsys):
    write("book.ipynb", notebook("print(1)", "print(2", "print(3)"))
    assert run("--quiet", "book.ipynb") == 1
    captured = capsys.readouterr()
    assert captured.out == "1\n"
    book = Path("book.ipynb").absolute()
    assert captured.err.splitlines() == [
        f'  File "{book}, cell 3", line 1', "    print(2", "         ^", "SyntaxError: '(' was never closed",
    ]  # fmt: skip


def test_commands_of_notebooks_are_explained(capsys):
    write("script.py", "get_ipython().run_line_magic('matplotlib', 'inline')\n")
    assert run("--quiet", "script.py") == 1
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "NameError: name 'get_ipython' is not defined",
        "fastnn run: get_ipython() is there in notebooks only; leave this line out",
    ]


# ---- as Python runs it -----------------------------------------------------------------------------------------------
TELLS = """
    import os, sys
    for name in ("__name__", "__file__", "__package__", "__spec__", "__doc__", "__cached__", "__annotations__"):
        print(name, getattr(globals()[name], "name", globals()[name]))
    print(sys.argv, sys.path[0], os.getcwd(), type(__builtins__), sorted(globals()))
    print(type(__loader__).__name__, sys.modules["__main__"].__dict__ is globals(), sys.stdin.readline())
"""


@pytest.mark.parametrize("name", ["script.py", "./script.py", "in a folder/größe.py", "no_suffix", "folder/link.py"])
def test_script_finds_its_surroundings_as_in_python(name, tmp_path):
    write(name, "#!/usr/bin/env python\n" + textwrap.dedent(TELLS))
    if "link" in name:
        Path(name).rename("target.py")
        Path(name).symlink_to("../target.py")
    same_as_python(name, "--epochs", "3", "--quiet", "-m", "--", "ä b", standard_input="a line\n")
    absolute = tmp_path / name
    (tmp_path / "elsewhere").mkdir()
    same_as_python(absolute, folder=tmp_path / "elsewhere")


def test_module_finds_its_surroundings_as_in_python(tmp_path):
    write("package/__init__.py", "import sys\nprint('package')\n")
    write("package/train.py", textwrap.dedent(TELLS).replace("print(type(__loader__).__name__, ", "print("))
    write("package/other.py", "value = 4\n")
    write("package/__main__.py", "from .other import value\nfrom . import other\nprint(value, __spec__.name)\n")
    same_as_python("-m", "package.train", "--epochs", "3", "-m", standard_input="a line\n")
    same_as_python("-m", "package", "x")
    same_as_python("-m", "package.other")


def test_module_and_its_package_get_the_layer(capsys):
    write("package/__init__.py", "import torch\n")
    write("package/train.py", "import torch\nfrom . import torch as other\nprint(torch is other, torch.__name__)\n")
    assert run("--quiet", "-m", "package.train", "--wings") == 0
    assert capsys.readouterr().out == "True standin_torch\n"


def test_installed_module_gets_the_layer_and_its_neighbours_do_not(tmp_path, monkeypatch, capsys):
    write("site/package/__init__.py", "")
    write("site/package/train.py", "import neighbour, torch\nprint(torch.__name__, neighbour.has_layer)\n")
    write("site/neighbour.py", "try:\n    import torch\n    has_layer = 'standin' in torch.__name__\n"
          "except ImportError:\n    has_layer = False\n")  # fmt: skip
    write("site/single.py", "import neighbour, torch\nprint(torch.__name__, neighbour.has_layer)\n")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(sys, "path", ["the command's folder", str(tmp_path / "site"), *sys.path])
    assert run("--quiet", "-m", "package.train") == 0
    assert run("--quiet", "-m", "single") == 0
    assert capsys.readouterr().out == "standin_torch False\n" * 2


@pytest.mark.parametrize("declaration", ["# -*- coding: latin-1 -*-", "# vim: set fileencoding=latin-1 :"])
def test_script_in_another_encoding(declaration, capsys):
    Path("script.py").write_bytes(f"{declaration}\nprint(ascii('größe'))\n".encode("latin-1"))
    assert run("--quiet", "script.py") == 0
    assert capsys.readouterr().out == "'gr\\xf6\\xdfe'\n"


def test_script_with_a_byte_order_mark(capsys):
    Path("script.py").write_text("\ufeffprint('ö')\n", encoding="utf-8")
    assert run("--quiet", "script.py") == 0
    assert capsys.readouterr().out == "ö\n"


@pytest.mark.parametrize(
    "text",
    [
        "pass",
        "import sys; sys.exit()",
        "import sys; sys.exit(7)",
        "import sys; sys.exit(True)",
        "import sys; sys.exit(300)",
        "import sys; sys.exit(-1)",
        "import sys; sys.exit('enough')",
        "import sys; sys.exit(['a', 1])",
        "raise SystemExit",
        "import os; os._exit(4)",
        "1 / 0",
        "def f():\n    g()\ndef g():\n    raise ValueError('größe')\nf()",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise KeyError('a') from error",
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    import nothing_of_this_name",
        "import helper",
        "import helper_of_helper",
        "import broken",
        "try:\n    import helper\nexcept KeyError:\n    import traceback\n    traceback.print_exc()",
        "import importlib\nimportlib.import_module('helper')",
        "from helper_of_helper import a",
        "from math import nothing",
        "exec('1 / 0')",
        "exec(compile('x = 1\\n1 / 0', 'made up', 'exec'))",
        "def f(:\n    pass",
        "print('a'\n",
        "  x = 1",
        "x = '\\ud800'; print(x)",
        "import sys\nsys.excepthook = lambda kind, error, tb: print('hook', kind.__name__, tb.tb_lineno)\n1 / 0",
        "import atexit; atexit.register(lambda: print('at the end')); print('first')",
        "import sys, atexit; atexit.register(print, 'at the end'); sys.exit(2)",
        "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
        "import warnings; warnings.warn('careful')",
        "print(undefined_name)",
        "pritn(1)",
        "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='T')\nt.start(); t.join()",
        "class A:\n    def __del__(self): print('deleted', A)\na = A()",
        "assert __name__ == '__main__', 'no'\nassert False, 'text'",
    ],
)
def test_script_ends_as_in_python(text):
    write("helper.py", "def f():\n    raise KeyError('of helper')\n\nf()\n")
    write("helper_of_helper.py", "import helper\n")
    write("broken.py", "def f(:\n    pass\n")
    write("script.py", f"{text}\n")
    same_as_python("script.py")


def test_package_that_fails_ends_with_its_own_traceback(capsys):
    package = write("package/__init__.py", "1 / 0\n")
    write("package/train.py", "")
    assert run("--quiet", "-m", "package.train") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Traceback (most recent call last):", f'  File "{package.absolute()}", line 1, in <module>']
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_frames_of_the_layer_stay_in_the_traceback(capsys):
    path = write("script.py", "import torch\ntorch.fails()\n")
    assert run("--quiet", "script.py") == 1
    import standin_torch

    lines = [line for line in capsys.readouterr().err.splitlines() if set(line) - set(" ^~")]
    number = standin_torch.fails.__code__.co_firstlineno + 1
    assert lines == [
        "Traceback (most recent call last):",
        f'  File "{path.absolute()}", line 2, in <module>',
        "    torch.fails()",
        f'  File "{standin_torch.__file__}", line {number}, in fails',
        '    raise RuntimeError("in the layer")',
        "RuntimeError: in the layer",
    ]


def test_interrupt_exits_with_130_and_the_scripts_traceback(capsys):
    path = write("script.py", "import signal\nsignal.raise_signal(signal.SIGINT)\n")
    assert run("script.py") == 130
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Traceback (most recent call last):", f'  File "{path.absolute()}", line 2, in <module>']
    assert "KeyboardInterrupt" in lines
    assert lines[-1].startswith("fastnn run: script.py did not import torch or torchvision; it ran in ")


def test_hook_for_exceptions_that_fails_shows_both(capsys):
    write("script.py", "import sys\ndef hook(*_): raise KeyError('hook')\nsys.excepthook = hook\n1 / 0\n")
    assert run("--quiet", "script.py") == 1
    err = capsys.readouterr().err
    assert err.index("Error in sys.excepthook:") < err.index("KeyError: 'hook'") < err.index("ZeroDivisionError")


# ---- what is said ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("end", "code"), [("", 0), ("sys.exit(3)", 3), ("1 / 0", 1)])
def test_last_line_says_what_the_script_ran_on(end, code, capsys):
    write("script.py", f"import sys, torch\nprint('out')\n{end}\n")
    with fastnn.num_threads(2):
        assert run("script.py") == code
    captured = capsys.readouterr()
    assert captured.out == "out\n"
    last = captured.err.splitlines()[-1]
    isa = {"avx512": "AVX-512", "avx2": "AVX2", "neon": "NEON"}.get(fastnn.isa(), fastnn.isa())
    start = f"fastnn run: script.py ran on fastnn {fastnn.__version__} ({isa}, 2 threads) in "
    assert last.startswith(start)
    assert last.endswith(" s, not on PyTorch")
    assert float(last.removeprefix(start).split()[0]) < 30


def test_notes_are_said_once_and_not_when_quiet(capsys):
    write("script.py", "import torch\ntorch.manual_seed(1)\ntorch.manual_seed(2)\n")
    assert run("script.py") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"fastnn: {notes.SEEDS}"
    assert len(lines) == 2
    notes._said.clear()
    assert run("--quiet", "script.py") == 0
    assert capsys.readouterr().err == ""
    assert notes.notes() == [notes.SEEDS]


def test_last_line_comes_after_the_output():
    write("script.py", "import torch\nprint('out')\n")
    command = [sys.executable, "-c", COMMAND, "run", "script.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, FOUND))}
    both = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, env=environment, check=True
    ).stdout.splitlines()
    assert both[0] == "out"
    assert both[1].startswith("fastnn run: script.py ran on fastnn")


# ---- what cannot be run ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say which script to run"),
        (["-m"], "say which module to run"),
        (["nothing.py"], "there is no file nothing.py"),
        (["package.train"], "there is no file package.train; for a module: -m package.train"),
        (["folder"], "folder is a folder; run a file in it, or a package of modules with -m"),
        (["package"], "package is a folder; run package/__main__.py"),
        (["book.ipynb"], "book.ipynb is no notebook that can be read (JSONDecodeError: "),
        (["-m", "nothing.train"], "there is no module 'nothing.train' in "),
        (["-m", "package.nothing"], "there is no module 'package.nothing'"),
        (["-m", "package.sub"], "package.sub is a package without __main__"),
        (["-m", "script.py"], "'script.py' is no name of a module; for a file, leave out -m: script.py"),
        (["-m", "..a"], "'..a' is no name of a module"),
        (["--wings", "script.py"], "unrecognized arguments: --wings"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_one_sentence(arguments, words, capsys):
    for name in ("package/__init__.py", "package/__main__.py", "package/sub/__init__.py", "script.py", "book.ipynb"):
        write(name, "")
    Path("folder").mkdir()
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err
    if arguments and arguments != ["-m", "script.py"] and "--wings" not in arguments:
        assert "Traceback" not in captured.err


def test_importing_fastnn_does_not_import_the_layers():
    code = "import sys, fastnn, fastnn.cli; print([name for name in sys.modules if name.startswith('fastnn.compat')])"
    assert process("-c", code).stdout == "[]\n"
