"""The stub of the compiled module describes the module that was built."""

import ast
import inspect
from pathlib import Path

import fastnn
from fastnn import _native

STUB = ast.parse(Path(fastnn.__file__).with_name("_native.pyi").read_text()).body
PUBLIC = {name: value for name, value in vars(_native).items() if not name.startswith("_")}
FUNCTIONS = {name for name, value in PUBLIC.items() if callable(value) and not isinstance(value, type)}


def test_native_stub_has_the_functions_of_the_module_and_their_parameters():
    described = {item.name: [a.arg for a in item.args.args] for item in STUB if isinstance(item, ast.FunctionDef)}
    assert described == {name: list(inspect.signature(PUBLIC[name]).parameters) for name in FUNCTIONS}


def test_native_stub_has_all_other_names_of_the_module():
    described = {item.target.id for item in STUB if isinstance(item, ast.AnnAssign)}
    described |= {item.name for item in STUB if isinstance(item, ast.ClassDef)}
    assert described == set(PUBLIC) - FUNCTIONS
