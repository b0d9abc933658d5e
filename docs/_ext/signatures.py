"""Signatures as they are written in the source, so that `ArrayLike` stays one word."""

import ast
import dataclasses
import inspect
import re
import textwrap
from types import FunctionType
from typing import Any


class _Unquoted(ast.NodeTransformer):
    """Annotations that are texts, as the expressions in them."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.parse(node.value, mode="eval").body if isinstance(node.value, str) else node


def _shown(annotation: ast.expr | None) -> str | None:
    return None if annotation is None else ast.unparse(_Unquoted().visit(annotation))


def _definition(obj: Any) -> ast.FunctionDef | None:
    """What defines the arguments of a function, a method or a class; None if that is not in a Python source."""
    function = obj.__init__ if inspect.isclass(obj) else inspect.unwrap(obj)
    if not isinstance(function, FunctionType) or function.__code__.co_filename.startswith("<"):
        return None  # of a dataclass or a named tuple
    found = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    return found if isinstance(found, ast.FunctionDef) else None


def _is_bound(what: str, obj: Any, definition: ast.FunctionDef) -> bool:
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in definition.decorator_list)
    return what in ("class", "exception", "method") and not static


def _of_dataclass(described: type) -> str:
    """The arguments of a dataclass, in the words of its source."""
    annotations = {}
    for kind in reversed([kind for kind in described.__mro__ if dataclasses.is_dataclass(kind)]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        for node in definition.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                annotations[node.target.id] = _shown(node.annotation)
    arguments = []
    for field in dataclasses.fields(described):
        if not field.init:
            continue
        if field.kw_only and "*" not in arguments:
            arguments.append("*")
        default = ""
        if field.default is not dataclasses.MISSING:
            default = f" = {field.default!r}"
        elif field.default_factory is not dataclasses.MISSING:
            default = f" = {field.default_factory.__name__}()"
        arguments.append(f"{field.name}: {annotations[field.name]}{default}")
    return f"({', '.join(arguments)})"


def process(app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returns: str) -> tuple | None:
    if what not in ("class", "exception", "function", "method") or not signature:
        return None
    definition = _definition(obj)
    if definition is None:
        own = inspect.isclass(obj) and dataclasses.is_dataclass(obj) and "<" not in _of_dataclass(obj)
        return (_of_dataclass(obj), None) if own else None
    arguments = definition.args
    every = [*arguments.posonlyargs, *arguments.args]
    if _is_bound(what, obj, definition):
        (arguments.posonlyargs or arguments.args).pop(0)
    for argument in [*every, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if argument is not None and argument.annotation is not None:
            argument.annotation = _Unquoted().visit(argument.annotation)
    result = None if what in ("class", "exception") else _shown(definition.returns)
    return f"({ast.unparse(arguments)})", None if result in (None, "None") else result


def skip(app: Any, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what others tell.

    Those are fields of named tuples, which the docstring tells; functions that have a page of their own; and methods
    that scikit-learn adds to an estimator for its routing of metadata.
    """
    if type(obj).__name__ == "_tuplegetter" or re.fullmatch(r"set_\w+_request", name):
        return True
    return (
        True if (getattr(obj, "__module__", None) or "").startswith("fastnn.functional") and what == "class" else None
    )


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-signature", process)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
