"""The stub of the compiled module describes the module that was built."""

import ast
import inspect
from pathlib import Path

import fastnn
from fastnn import _native


def test_native_stub_has_the_functions_of_the_module_and_their_parameters():
    tree = ast.parse(Path(fastnn.__file__).with_name("_native.pyi").read_text())
    described = {f.name: [a.arg for a in f.args.args] for f in tree.body if isinstance(f, ast.FunctionDef)}
    functions = {
        name: value
        for name, value in vars(_native).items()
        if callable(value) and not (isinstance(value, type) or name.startswith("_"))
    }
    assert described == {name: list(inspect.signature(value).parameters) for name, value in functions.items()}


def test_native_stub_has_all_other_names_of_the_module():
    tree = ast.parse(Path(fastnn.__file__).with_name("_native.pyi").read_text())
    others = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    others |= {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert others == {n for n, v in vars(_native).items() if n[0] != "_" and (not callable(v) or isinstance(v, type))}
