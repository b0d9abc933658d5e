"""`fastnn check`: what a script uses that is lacking, where, and nothing else."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fastnn
from fastnn import cli
from fastnn.compat import _installed, check, layers

STANDINS = {"torch": "standin_torch", "torchvision": "standin_torchvision"}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DEBUG", raising=False)
    for library, layer in STANDINS.items():
        monkeypatch.setitem(layers.LAYERS, library, layer)


def write(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")


def found(text):
    """What is lacking in a script, as `line:column name`, with a ? if it may not be."""
    write("script.py", text)
    _, findings = check.findings(["script.py"])
    return [f"{one.line}:{one.column} {one.name}{'' if one.is_certain else '?'}" for one in findings]


def run(*arguments):
    return cli.main(["check", *map(str, arguments)])


# ---- names -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch.nn.Linear(1, 2, bias=False)\ntorch.nn.functional.relu",
        "import torch.nn as nn, torch as T\nnn.Linear, T.optim.SGD, T.nn.Module",
        "import torch.utils.tensorboard\ntorch.utils.tensorboard.SummaryWriter",
        "from torch.utils.tensorboard import SummaryWriter",
        "from torch.utils import tensorboard\ntensorboard.SummaryWriter()",
        "from torch.nn import *\nLinear(1, 2), functional.relu",
        "import torch\ntorch.backends.cudnn.deterministic = True\ntorch.backends.cudnn.benchmark",
        "import torch\ntorch.nn.functional.pad(1, whatever=2)",
        "import torch\nsettings = {}\ntorch.nn.Linear(1, 2, **settings)",
        "torch = object()\ntorch.fft",
        "def f(torch): return torch.fft",
        "import torch\ndef f(torch): return torch.fft",
        "import torch\nf = lambda torch: torch.fft",
        "import torch\n[torch.fft for torch in []]",
        "import torch\ndef f():\n    for torch in []: torch.fft",
        "import torch\ndef f():\n    with open('a') as torch: torch.fft",
        "import torch\nmodel = torch.nn.Linear\nmodel = model(1, 2)\nmodel.whatever",
        "import torch.nn as nn\nclass nn2: fft = 1\nnn2.fft",
        "import torch\ntorch.tensor([1]).whatever()",
        "import math, os.path, numpy as np\nmath.fft, np.nothing",
    ],
)
def test_check_says_nothing_of_what_is_there(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("import torch\ntorch.fft", "2:1 torch.fft"),
        ("import torch\ntorch.fft.rfft(torch.fft)", "2:1 torch.fft 2:16 torch.fft"),
        ("import torch\n(torch\n .fft)", "2:2 torch.fft"),
        ("import torch.nn as nn\nx = nn.Bilinear(1)", "2:5 torch.nn.Bilinear"),
        ("import torch as T\nT.nn.Bilinear", "2:1 torch.nn.Bilinear"),
        ("import torchvision.transforms as T\nT.Compose([T.Lambda(int)])", "2:12 torchvision.transforms.Lambda"),
        ("from torch import optim as o\no.Adadelta", "2:1 torch.optim.Adadelta"),
        ("from torch.nn import functional as F\nF.celu", "2:1 torch.nn.functional.celu"),
        ("from torch import (tensor,\n    fft, nn)\nfft.rfft()", "2:5 torch.fft"),
        ("import torch.fft", "1:8 torch.fft"),
        ("import os, torch.distributed.rpc as rpc\nrpc.f()", "1:12 torch.distributed"),
        ("from torch.fft import rfft\nrfft(1)", "1:1 torch.fft"),
        ("import torch.nn.functional.relu", "1:8 torch.nn.functional.relu"),
        ("import torch\nF = torch.nn.functional\nF.celu", "3:1 torch.nn.functional.celu"),
        ("import torch\nF: object = torch.nn.functional\nF.celu", "3:1 torch.nn.functional.celu"),
        ("import torch\nif (F := torch.nn.functional): F.celu", "2:32 torch.nn.functional.celu"),
        ("import torch\nnn, F = torch.nn, torch.nn.functional\nF.celu, nn.Bilinear",
         "3:1 torch.nn.functional.celu 3:9 torch.nn.Bilinear"),
        ("import torch\nG = torch.fft\nG.rfft", "2:5 torch.fft"),
        ("from torch.nn import *\nBilinear(1)", "2:1 torch.nn.Bilinear"),
        ("from torch.nn import *\nfrom torch.nn.functional import *\nLinear, relu, print, celu",
         "3:22 torch.nn.functional.celu"),
        ("from torch import nn\nclass Net(nn.Bilinear):\n    pass", "2:11 torch.nn.Bilinear"),
        ("import torch\n@torch.inference_mode()\ndef f(): pass", "2:2 torch.inference_mode"),
        ("import torch\nclass A:\n    @torch.jit.export\n    def f(self, x=torch.fft): pass",
         "3:6 torch.jit 4:19 torch.fft"),
        ("import torch\ndef f(x: torch.LongTensor) -> torch.Size: pass", "2:10 torch.LongTensor 2:31 torch.Size"),
        ("import torch\nf'{torch.fft}'", "2:4 torch.fft"),
        ("import torch\nf = lambda x: torch.fft", "2:15 torch.fft"),
        ("import torch\n[torch.fft for x in torch.range(3)]", "2:2 torch.fft 2:21 torch.range"),
        ("import torch\ndef f():\n    global nn\n    nn = torch.nn\ndef g(): nn.Bilinear", "5:10 torch.nn.Bilinear"),
        ("def f():\n    import torch\n    def g():\n        torch.fft", "4:9 torch.fft"),
        ("class A:\n    import torch\n    torch.fft\n    def f(self): torch.fft", "3:5 torch.fft"),
        ("import torch\ntorch.fft.x = 1\ndel torch.fft.y\ntorch.x += 1", "2:1 torch.fft 3:5 torch.fft"),
        ("import torch\nö = 'ö'; torch.fft", "2:10 torch.fft"),
        ("import torch\nasync def f():\n    async with torch.fft: pass", "3:16 torch.fft"),
        ("import torch\nmatch 1:\n    case torch.fft: pass", "3:10 torch.fft"),
        ("import torch\ntorch = None\ntorch.fft", "3:1 torch.fft"),
        ("import torch\ntorch.nn.Linear.nothing", "2:1 torch.nn.Linear.nothing"),
    ],
)  # fmt: skip
def test_check_finds_names(text, lacking):
    assert " ".join(found(text)) == lacking


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("import torch\ntorch.nn.Linear(1, 2, device=3)", "2:23 torch.nn.Linear(device=)"),
        ("from torch.nn import Conv2d as C\nC(1, 2, 3,\n  padding_mode='zeros', bias=True, groups=2)",
         "3:3 torch.nn.Conv2d(padding_mode=) 3:36 torch.nn.Conv2d(groups=)"),
        ("from torch.nn import functional as F\nF.relu(1, inplac=True, **{})",
         "2:11 torch.nn.functional.relu(inplac=)"),
        ("import torchvision\ntorchvision.transforms.ToTensor(a=1)", "2:33 torchvision.transforms.ToTensor(a=)"),
    ],
)  # fmt: skip
def test_check_finds_keywords(text, lacking):
    assert " ".join(found(text)) == lacking


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("def f(x): return x.unfold(2, 3, 1).view(3)", ["1:18 .unfold()?"]),
        ("import torch\ntorch.tensor([1.0]).lgamma()", ["2:1 .lgamma()?"]),
        ("def f(x): return x.view(3), x.sum(), x.split(), x.nothing(), x.unfold", []),  # a class has it; none; no call
        ("class A:\n    def unfold(self): pass\ndef f(x): x.unfold()", []),
        ("class A:\n    def __init__(self): self.lgamma = 1\ndef f(x): x.lgamma()", []),
        ("import math, numpy as np, scipy_of_mine\nmath.lgamma(2)\nnp.unfold(1)", ["1:27 scipy_of_mine"]),
        ("from numpy import special\nspecial.lgamma()", []),
        ("import torch\ntorch.Tensor.unfold(1)", ["2:1 torch.Tensor.unfold"]),
    ],
)
def test_check_finds_methods_that_only_tensors_of_pytorch_have(text, lacking):
    assert found(text) == lacking


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("import torch\ntry:\n    torch.fft\nexcept AttributeError:\n    torch.a", "3:5 torch.fft? 5:5 torch.a"),
        ("try:\n    from torch import fft\nexcept ImportError:\n    fft = None\nfft.rfft", "2:23 torch.fft?"),
        ("try:\n    import torch.fft\nexcept:\n    pass", "2:12 torch.fft?"),
        ("try:\n    import torch.fft\nexcept (OSError, Exception):\n    pass", "2:12 torch.fft?"),
        ("try:\n    import torch.fft\nexcept OSError:\n    import torch.a", "2:12 torch.fft 4:12 torch.a"),
        ("try:\n    import torch.fft\nfinally:\n    pass", "2:12 torch.fft"),
        ("import torch\ntry:\n    pass\nexcept torch.a:\n    torch.b", "4:8 torch.a? 5:5 torch.b"),
        ("import torch\nif torch.cuda.is_available():\n    torch.a\nelse:\n    torch.b", "3:5 torch.a? 5:5 torch.b"),
        ("import torch\nif not torch.cuda.is_available():\n    torch.a\nelse:\n    torch.b",
         "3:5 torch.a 5:5 torch.b?"),
        ("import torch\nx = torch.a if torch.cuda.is_available() else torch.b", "2:5 torch.a? 2:47 torch.b"),
        ("import torch\nif hasattr(torch, 'a') and 1:\n    torch.a", "3:5 torch.a?"),
        ("import torch\nif torch.__version__ >= '2':\n    torch.a", "3:5 torch.a?"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch.a", "3:12 torch.a?"),
        ("from __future__ import annotations\nimport torch\ndef f(x: torch.a) -> torch.b: y: torch.c = torch.d",
         "3:10 torch.a? 3:22 torch.b? 3:34 torch.c? 3:44 torch.d"),
        ("import torch\ndef f():\n    y: torch.c = torch.d\nz: torch.e", "3:8 torch.c? 3:18 torch.d 4:4 torch.e"),
    ],
)  # fmt: skip
def test_check_marks_what_may_never_run(text, lacking):
    assert " ".join(found(text)) == lacking


# ---- other files and packages ----------------------------------------------------------------------------------------
def test_check_follows_imports_of_modules_beside_the_script():
    write("folder/script.py", """
        import helper, package.deep.inner
        from package import part as p, nothing
        from package.names import F, Linear as L
        from everything import *
        F.celu, L, nn.Bilinear
    """)  # fmt: skip
    write("folder/helper.py", "import torch, script\ntorch.a\n")
    write("folder/everything.py", "from torch import nn\nfrom helper import torch\n")
    write("folder/unused.py", "import torch\ntorch.unused\n")
    write("folder/package/__init__.py", "from torch import b\n")
    write("folder/package/deep/__init__.py", "")
    write("folder/package/deep/inner.py", "from .. import part\nfrom ..names import F\nF.inner\n")
    write("folder/package/part.py", "from .names import F\nF.part\n")
    write("folder/package/names.py", "import torch.nn.functional as F\nfrom torch.nn import Linear\n")
    files, findings = check.findings(["folder/script.py"])
    where = ["script", "helper", "package/__init__", "package/deep/__init__", "package/deep/inner", "package/part",
             "package/names", "everything"]  # fmt: skip
    assert sorted(files) == sorted(f"folder/{name}.py" for name in where)
    assert sorted((one.file.removeprefix("folder/"), one.line, one.name) for one in findings) == [
        ("helper.py", 2, "torch.a"),
        ("package/__init__.py", 1, "torch.b"),
        ("package/deep/inner.py", 3, "torch.nn.functional.inner"),
        ("package/part.py", 2, "torch.nn.functional.part"),
        ("script.py", 6, "torch.nn.Bilinear"),
        ("script.py", 6, "torch.nn.functional.celu"),
    ]


def test_check_of_files_that_import_each_others_names_ends():
    write("a.py", "from b import *\nfrom b import x\nx.celu, y.celu\ny = y.z\n")
    write("b.py", "from a import *\nfrom a import x, y\nx.celu, q\n")
    assert check.findings(["a.py", "b.py"]) == (["a.py", "b.py"], [])


def test_check_of_a_folder_reads_all_of_its_own_files():
    write("project/a.py", "import torch\ntorch.a\n")
    write("project/sub/b.py", "import torch, c, a, sub.c\ntorch.b\n")
    write("project/sub/c.py", "import torch\ntorch.c\n")
    write("project/.venv/pyvenv.cfg", "")
    write("project/.venv/d.py", "import torch\ntorch.d\n")
    write("project/lib/site-packages/e.py", "import torch\ntorch.e\n")
    files, findings = check.findings(["project"])
    assert files == ["project/a.py", "project/sub/b.py", "project/sub/c.py"]
    assert [one.name for one in findings] == ["torch.a", "torch.b", "torch.c"]


def test_check_tells_which_packages_are_not_installed():
    text = """
        import os, numpy.linalg, no_such_package.part
        from another_one import a
        from . import b
        try:
            import a_third
        except ImportError:
            pass
    """
    assert found(text) == ["2:26 no_such_package", "3:1 another_one", "6:12 a_third?"]


def test_check_follows_imports_from_a_folder_above_if_the_path_is_changed():
    write("project/tools/deep/script.py", "import sys\nsys.path.append('../..')\nimport net\nnet.F.celu\n")
    write("project/net.py", "import parts.block, numpy\nfrom torch.nn import functional as F\n")
    write("project/parts/block.py", "import torch\ntorch.a\n")
    write("project/tools/numpy.py", "import torch\ntorch.never\n")
    files, findings = check.findings(["project/tools/deep/script.py"])
    assert files == ["project/tools/deep/script.py", "project/net.py", "project/parts/block.py"]
    assert [one.name for one in findings] == ["torch.nn.functional.celu", "torch.a"]
    write("project/tools/deep/script.py", "import net\n")
    files, findings = check.findings(["project/tools/deep/script.py"])
    assert (len(files), [one.name for one in findings]) == (1, ["net"])


def test_check_tells_of_packages_that_need_the_library_itself(tmp_path, monkeypatch):
    write("site/needy/__init__.py", "")
    write(
        "site/needy-1.dist-info/METADATA", "Name: needy\nVersion: 1\nRequires-Dist: numpy\nRequires-Dist: torch >= 2\n"
    )
    write("site/needy-1.dist-info/top_level.txt", "needy\n")
    write("site/modest/__init__.py", "")
    write("site/modest-1.dist-info/METADATA", "Name: modest\nVersion: 1\nRequires-Dist: torch; extra == 'all'\n")
    write("site/modest-1.dist-info/top_level.txt", "modest\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    _installed._distributions.cache_clear()
    write("site/einops.py", "")
    write("script.py", "import needy.part, modest, timm\nfrom einops import rearrange\nimport needy, timm.models\n")
    _, (needy, timm, einops) = check.findings(["script.py"])
    assert einops.text == "einops imports torch itself; it gets fastnn for it, too, by fastnn run --with einops"
    assert (needy.name, needy.is_certain) == ("needy", False)
    assert needy.text == "needy imports torch itself; it gets fastnn for it, too, by fastnn run --with needy"
    assert timm.text == (
        "timm is not installed; it is built on PyTorch: pip install --no-deps timm, then fastnn run --with timm"
    )
    _installed._distributions.cache_clear()


def test_check_reads_notebooks_cell_by_cell():
    write("helper.py", "import torch\ntorch.b\n")
    sources = [
        "# Title",
        ["%matplotlib inline\n", "import torch, helper\n", "x = 1"],
        "if x:\n    torch.fft",
        ["torch.a"],
    ]
    kinds = ["markdown", "code", "code", "code"]
    both = zip(kinds, sources, strict=True)
    write("book.ipynb", json.dumps({"cells": [{"cell_type": kind, "source": source} for kind, source in both]}))
    files, findings = check.findings(["book.ipynb"])
    assert files == ["book.ipynb", "helper.py"]
    assert [(one.file, one.line, one.column, one.name) for one in findings] == [
        ("book.ipynb, cell 3", 2, 5, "torch.fft"),
        ("book.ipynb, cell 4", 1, 1, "torch.a"),
        ("helper.py", 2, 1, "torch.b"),
    ]


def test_check_tells_of_commands_of_notebooks():
    assert found("get_ipython().run_line_magic('matplotlib', 'inline')\n") == ["1:1 get_ipython"]
    assert found("def get_ipython(): pass\nget_ipython()\n") == []


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (b"import torch\ndef f(:\n", 2, 7, "invalid syntax"),
        (b"print 'a'\n", 1, 1, "Missing parentheses"),
        (b"# coding: nothing\n", 1, 1, "unknown encoding: nothing"),
        (b"x = '\xff'\n", 1, 1, "codec can't decode"),
        (b"x = 1\0\n", 1, 1, "null byte"),
        (b"x = x.cuda(async=True)\n", 1, 12, "since Python 3.7 the argument `async` of PyTorch is called non_blocking"),
        (b"%matplotlib inline\n", 1, 1, "it is a command of IPython, for notebooks: leave it out"),
    ],
)
def test_check_tells_the_line_of_a_syntax_error(text, line, column, words, capsys):
    Path("broken.py").write_bytes(text)
    write("script.py", "import broken, torch\nbroken.torch\ntorch.fft\n")
    assert run("script.py") == 1
    broken, lacking, summary = capsys.readouterr().out.splitlines()
    assert broken.startswith(f"broken.py:{line}:")
    assert words in broken
    assert "syntax error: " in broken
    assert lacking == "script.py:3:1: torch.fft: fastnn has no torch.fft"
    assert summary == "2 files read: 2 lacking"
    if column > 1:
        assert f":{line}:{column}: " in broken


def test_check_reads_other_encodings():
    Path("script.py").write_bytes("# coding: latin-1\nimport torch\nö = 'öö'; torch.fft\n".encode("latin-1"))
    (finding,) = check.findings(["script.py"])[1]
    assert (finding.line, finding.column) == (3, 11)


# ---- the command -----------------------------------------------------------------------------------------------------
def test_check_prints_lines_with_advice_and_exits_with_1(capsys):
    write("script.py", """\
        import torch
        torch.compile, torch.nn.FractionalMaxPool2d, torch.fft
        torch.nn.Linear(1, 2, device=3).unfold()
    """)  # fmt: skip
    assert run("script.py") == 1
    assert capsys.readouterr().out.splitlines() == [
        "script.py:2:1: torch.compile: torch.compile: leave it out; fastnn is compiled already",
        "script.py:2:16: torch.nn.FractionalMaxPool2d: nn.FractionalMaxPool2d is not in fastnn: use nn.MaxPool2d",
        "script.py:2:46: torch.fft: fastnn has no torch.fft",
        "script.py:3:1: maybe .unfold(): if this is a tensor: PyTorch's have this method, and fastnn's do not",
        "script.py:3:23: torch.nn.Linear(device=): fastnn's torch.nn.Linear takes no 'device'; it takes in_features, "
        "out_features, bias",
        "1 file read: 4 lacking, 1 maybe",
    ]


def test_check_exits_with_0_if_nothing_is_lacking_for_certain(capsys):
    write("script.py", "import torch\ntorch.nn\n")
    write("other.py", "def f(x): x.unfold()\n")
    assert run("script.py") == 0
    assert capsys.readouterr().out == "1 file read: nothing is lacking\n"
    assert run("script.py", "other.py") == 0
    assert capsys.readouterr().out.endswith("\n2 files read: nothing lacking for certain, 1 maybe\n")


def test_check_prints_json(capsys):
    write("script.py", "import torch\ntorch.fft\n")
    assert run("--json", "script.py") == 1
    assert json.loads(capsys.readouterr().out) == {
        "files": ["script.py"],
        "findings": [
            {
                "file": "script.py", "line": 2, "column": 1, "kind": "name", "name": "torch.fft",
                "text": "fastnn has no torch.fft", "is_certain": True,
            }
        ],
    }  # fmt: skip


def test_check_does_not_run_the_script(capsys):
    write("script.py", "import helper\nopen('ran', 'w')\n")
    write("helper.py", "open('ran', 'w')\n")
    assert run("script.py") == 0
    assert not Path("ran").exists()
    assert "helper" not in sys.modules


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required: SCRIPT"),
        (["nothing.py"], "there is no file nothing.py"),
        (["empty"], "there is no .py file in empty"),
        (["book.ipynb"], "book.ipynb is no notebook that can be read (JSONDecodeError: "),
        (["script.py", "--wings"], "unrecognized arguments: --wings"),
    ],
)
def test_check_of_what_it_cannot_read_is_one_sentence(arguments, words, capsys):
    Path("empty").mkdir()
    write("book.ipynb", "")
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert words in captured.err


def test_check_runs_as_a_command():
    write("script.py", "import torch\ntorch.compile\n")
    code = f"import sys\nfrom fastnn.compat import layers\nlayers.LAYERS.update({STANDINS!r})\n"
    code += "from fastnn import cli\nsys.exit(cli.main(['check', 'script.py']))\n"
    folders = [str(Path(fastnn.__file__).parents[1]), str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {folders!r}\n{code}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith("1 file read: 1 lacking\n")


def test_check_needs_no_package_that_is_an_extra():
    write("script.py", "import torch\nimport torchvision\nprint(torch.zeros(2), torchvision.transforms.ToTensor())")
    program = """
        import sys
        for name in ("PIL", "tensorboardX", "optuna"):
            sys.modules[name] = None  # whoever imports it is told that it is not installed
        from fastnn import cli
        sys.exit(cli.main(["check", "script.py"]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 file read: nothing is lacking\n", "")
