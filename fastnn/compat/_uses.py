"""What a Python file uses that is lacking: names of a library, keyword arguments, methods of tensors, packages."""

import ast
import builtins
import contextlib
import importlib
import importlib.util
import inspect
import io
import pkgutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.compat._installed import NO_IPYTHON, about_missing, about_needing, is_installed, needed_library
from fastnn.compat._names import Library, Scope, Source, Unknown
from fastnn.compat._tensor_methods import TENSOR_METHODS
from fastnn.compat.layers import LackingError, find, module_of

__all__ = ["Finding", "attributes_of_classes", "known_attributes", "uses"]


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is lacking, where it is used.

    Attributes:
        kind: "name", "keyword", "method", "package" or "syntax".
        is_certain: False if it may not be lacking, or the line may never run.
    """

    file: str
    line: int
    column: int
    kind: str
    name: str
    text: str
    is_certain: bool = True


def uses(source: Source, known: Collection[str]) -> list[Finding]:
    """What a file uses that is lacking, in the order of its lines.

    Args:
        source: the file.
        known: attributes that some class has, and which are no sign of a lacking method.
    """
    finder = _Finder(source, known)
    finder.visit(source.tree)
    return sorted(set(finder.findings))


def attributes_of_classes(tree: ast.Module) -> Iterator[str]:
    """The methods and attributes that classes of a file have, as far as it tells."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield part.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def known_attributes(layers: Mapping[str, str]) -> set[str]:
    """The attributes of all classes of Python, NumPy and the layers."""
    classes: list[type] = []
    for place in (builtins, io, np, np.random):
        classes += _classes(place)
    for layer in layers.values():
        package = importlib.import_module(layer)
        classes += _classes(package)
        for module in pkgutil.walk_packages(getattr(package, "__path__", []), f"{layer}."):
            try:
                classes += _classes(importlib.import_module(module.name))
            except ModuleNotFoundError as error:  # of an extra, such as Pillow, which is not installed
                if error.name is None or error.name.partition(".")[0] == layer.partition(".")[0]:
                    raise
    return {name for kind in classes for name in dir(kind)}


def _classes(place: Any) -> Iterable[type]:
    return [value for value in vars(place).values() if isinstance(value, type)]


# Exceptions that a name which is lacking raises, and those that catch them.
_CAUGHT = ("ImportError", "ModuleNotFoundError", "AttributeError", "Exception", "BaseException")


class _Finder(ast.NodeVisitor):
    def __init__(self, source: Source, known: Collection[str]) -> None:
        self.findings: list[Finding] = []
        self._source, self._known = source, known
        self._lines = importlib.util.decode_source(source.text).split("\n") if source.tree.body else []
        self._layers = source.layers
        self._scope = source.scope
        self._may_not_run = 0
        self._packages: set[tuple[str, bool]] = set()  # that were looked at; each is told once in a file
        self._late_annotations = any(
            isinstance(node, ast.ImportFrom) and node.module == "__future__" and node.names[0].name == "annotations"
            for node in source.tree.body
        )

    def _add(self, node: ast.AST, kind: str, name: str, text: str, is_certain: bool = True) -> None:
        line, offset = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        column = len(self._lines[line - 1].encode()[:offset].decode()) + 1  # the parser counts bytes of UTF-8
        certain = is_certain and not self._may_not_run
        self.findings.append(Finding(self._source.path, line, column, kind, name, text, certain))

    # ---- scopes
    def generic_visit(self, node: ast.AST) -> None:
        scope = self._source.scopes.get(node)
        if scope is None or isinstance(node, ast.Module):
            super().generic_visit(node)
            return
        inner = {"body", "elt", "key", "value", "generators"}
        for field, value in ast.iter_fields(node):
            with self._in(scope) if field in inner else self._doubtful(field == "returns" and self._late_annotations):
                for part in value if isinstance(value, list) else [value]:
                    if isinstance(part, ast.AST):
                        self.visit(part)

    @contextlib.contextmanager
    def _in(self, scope: Scope) -> Iterator[None]:
        outer, self._scope = self._scope, scope
        yield
        self._scope = outer

    # ---- what may never run
    @contextlib.contextmanager
    def _doubtful(self, is_doubtful: bool = True) -> Iterator[None]:
        self._may_not_run += is_doubtful
        yield
        self._may_not_run -= is_doubtful

    def visit_arg(self, node: ast.arg) -> None:
        if node.annotation is not None:
            with self._doubtful(self._late_annotations):
                self.visit(node.annotation)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        # Those of a function's variables are never evaluated.
        of_variable = isinstance(node.target, ast.Name) and not self._scope.is_class and self._scope.parent is not None
        with self._doubtful(self._late_annotations or of_variable):
            self.visit(node.annotation)
        for part in (node.target, *([node.value] if node.value is not None else [])):
            self.visit(part)

    def visit_Try(self, node: ast.Try) -> None:
        with self._doubtful(any(_catches(handler) for handler in node.handlers)):
            for statement in node.body:
                self.visit(statement)
        for handler in node.handlers:
            if handler.type is not None:
                with self._doubtful():  # it is looked at only if there is an exception
                    self.visit(handler.type)
            for statement in handler.body:
                self.visit(statement)
        for part in (*node.orelse, *node.finalbody):
            self.visit(part)

    def visit_If(self, node: ast.If | ast.IfExp) -> None:
        self.visit(node.test)
        test, is_negated = node.test, False
        while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test, is_negated = test.operand, not is_negated
        asks = any(self._asks(part) for part in ast.walk(test))
        for branch, is_doubtful in ((node.body, asks and not is_negated), (node.orelse, asks and is_negated)):
            with self._doubtful(is_doubtful):
                for part in branch if isinstance(branch, list) else [branch]:
                    self.visit(part)

    visit_IfExp = visit_If

    def _asks(self, node: ast.AST) -> bool:
        """Whether this asks what there is: for a device, a name, a version."""
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "hasattr":
                return True
            called = self._source.value(node.func, self._scope)
            return isinstance(called, Library) and called.name.endswith(".is_available")
        if isinstance(node, ast.Name):
            return node.id == "TYPE_CHECKING"
        return isinstance(node, ast.Attribute) and node.attr in ("__version__", "TYPE_CHECKING")

    # ---- names
    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and self._scope.owner(node.id) is None:  # else its origin was looked at
            value = self._source.value(node, self._scope)
            if isinstance(value, Library):
                self._look_up(node, value.name)
            elif node.id == "get_ipython":
                self._add(node, "name", node.id, NO_IPYTHON)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        # Setting an attribute needs only what it is set on.
        looked_at: ast.expr = node if isinstance(node.ctx, ast.Load) else node.value
        value = self._source.value(looked_at, self._scope)
        if not isinstance(value, Library):
            self.visit(node.value)
            return
        root: ast.expr = looked_at
        while isinstance(root, ast.Attribute):
            root = root.value
        origin = self._source.value(root, self._scope)
        self._look_up(node, value.name, origin.name if isinstance(origin, Library) else "")

    def _look_up(self, node: ast.AST, name: str, origin: str = "") -> None:
        """Find a name in the layer. If the part `origin` of it is lacking, that was said where it comes from."""
        try:
            find(name, self._layers)
        except LackingError as error:
            if len(error.name) > len(origin):
                self._add(node, "name", error.name, str(error))

    def visit_Call(self, node: ast.Call) -> None:
        called = self._source.value(node.func, self._scope)
        if isinstance(called, Library):
            self._check_keywords(node, called.name)
        elif isinstance(node.func, ast.Attribute):
            self._check_method(node.func)
        self.generic_visit(node)

    def _check_keywords(self, node: ast.Call, name: str) -> None:
        try:
            function = find(name, self._layers)
            parameters = inspect.signature(function).parameters.values()
        except (LackingError, TypeError, ValueError):  # it is lacking, or no function, or has no signature to see
            return
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return
        taken = [
            parameter.name
            for parameter in parameters
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        synonyms = getattr(function, "synonyms", ())
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg not in taken and keyword.arg not in synonyms:
                text = f"fastnn's {name} takes no {keyword.arg!r}; it takes {', '.join(taken) or 'no names'}"
                self._add(keyword, "keyword", f"{name}({keyword.arg}=)", text)

    def _check_method(self, node: ast.Attribute) -> None:
        if node.attr not in TENSOR_METHODS or node.attr in self._known:
            return
        of = self._source.value(node.value, self._scope)
        if isinstance(of, Unknown) and not of.is_module:
            text = "if this is a tensor: PyTorch's have this method, and fastnn's do not"
            self._add(node, "method", f".{node.attr}()", text, is_certain=False)

    # ---- imports
    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._check_module(alias, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or node.module is None:
            return
        if not self._check_module(node, node.module):
            return
        if node.module.partition(".")[0] in self._layers:
            for alias in node.names:
                if alias.name != "*":
                    self._look_up(alias, f"{node.module}.{alias.name}")

    def _check_module(self, node: ast.AST, name: str) -> bool:
        """Whether a module can be imported, as far as that is of interest."""
        top = name.partition(".")[0]
        if top in self._layers:
            try:
                module_of(name, self._layers)
            except ModuleNotFoundError as error:
                self._add(node, "name", error.name or name, str(error))
                return False
            return True
        once = top, self._may_not_run > 0
        if self._source.find_source(top, 0) is None and once not in self._packages:
            self._packages.add(once)
            if not is_installed(top):
                self._add(node, "package", top, about_missing(top))
            elif library := needed_library(top, self._layers):
                self._add(node, "package", top, about_needing(top, library), is_certain=False)
        return True


def _catches(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches what a lacking name raises."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _CAUGHT) for kind in kinds)
