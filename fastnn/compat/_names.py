"""What the names in a Python file stand for: something of a library, a module beside the file, or anything else."""

import ast
import builtins
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from fastnn.compat.layers import LackingError, find

__all__ = ["OTHER", "Library", "Scope", "Source", "Unknown", "Value"]


@dataclass(frozen=True)
class Library:
    """Something of a library, by the name that it has there: `torch.nn.Linear`."""

    name: str


@dataclass(frozen=True)
class Unknown:
    """Anything else. `is_module`: a library that is of no interest."""

    is_module: bool = False


OTHER = Unknown()


@dataclass(frozen=True)
class Exported:
    """What a name of another file stands for there. It is looked up when it is used: that file may import this one."""

    source: "Source"
    name: str


Value: TypeAlias = "Library | Source | Unknown"
# Finds the file of a module from its name and the number of dots before it, for the file that imports it.
FindSource: TypeAlias = "Callable[[str, int], Source | None]"


@dataclass(eq=False)
class Scope:
    """The names of a module, class, function or comprehension.

    `bound` has the ways in which each name gets a value: an expression, or what an import gives.
    """

    parent: "Scope | None" = None
    is_class: bool = False
    bound: dict[str, list["ast.expr | Value | Exported"]] = field(default_factory=dict)
    stars: list[Value] = field(default_factory=list)
    elsewhere: dict[str, "Scope"] = field(default_factory=dict)

    def bind(self, name: str, value: "ast.expr | Value | Exported") -> None:
        scope = self.elsewhere.get(name, self)
        scope.bound.setdefault(name, []).append(value)

    def top(self) -> "Scope":
        return self if self.parent is None else self.parent.top()

    def owner(self, name: str) -> "Scope | None":
        """The scope whose name this is here; functions in a class do not see its names."""
        scope: Scope | None = self.elsewhere.get(name, self)
        while scope is not None:
            if name in scope.bound and (scope is self or not scope.is_class):
                return scope
            scope = scope.parent
        return None


class Source:
    """A file, parsed, with its scopes.

    Args:
        path: of the file.
        tree: of its text.
        text: as it is in the file.
        layers: a library -> the package that stands for it.
    """

    def __init__(self, path: str, tree: ast.Module, text: bytes, layers: Mapping[str, str]) -> None:
        self.path, self.tree, self.text, self.layers = path, tree, text, layers
        self.scope = Scope()
        self.scopes: dict[ast.AST, Scope] = {tree: self.scope}
        self._resolving: set[tuple[Scope, str]] = set()

    def bind(self, find_source: FindSource) -> None:
        """Fill the scopes; `find_source` finds the files of modules that it imports."""
        self.find_source = find_source
        _Binder(self, find_source).visit(self.tree)

    def value(self, node: ast.AST, scope: Scope) -> Value:
        """What an expression stands for."""
        if isinstance(node, ast.Name):
            return self.named(node.id, scope)
        if isinstance(node, ast.Attribute):
            of = self.value(node.value, scope)
            if isinstance(of, Library):
                return Library(f"{of.name}.{node.attr}")
            if isinstance(of, Source):
                return of.named(node.attr, of.scope)
        return OTHER

    def named(self, name: str, scope: Scope) -> Value:
        """What a name stands for, if all assignments of a value to it agree; None does not count."""
        owner = scope.owner(name)
        key = (owner or self.scope, name)
        if key in self._resolving:  # x = x.y, or files that import each other
            return OTHER
        self._resolving.add(key)
        try:
            if owner is None:
                return self._by_star(name)
            ways = [how for how in owner.bound[name] if not (isinstance(how, ast.Constant) and how.value is None)]
            values = {self._bound(how, owner) for how in ways}
        finally:
            self._resolving.discard(key)
        return values.pop() if len(values) == 1 else OTHER

    def _bound(self, how: "ast.expr | Value | Exported", scope: Scope) -> Value:
        if isinstance(how, Exported):
            return how.source.named(how.name, how.source.scope)
        return self.value(how, scope) if isinstance(how, ast.expr) else how

    def _by_star(self, name: str) -> Value:
        """What a name stands for that only an import of all names can have brought."""
        if hasattr(builtins, name) or name.startswith("_"):
            return OTHER
        for star in reversed(self.scope.stars):
            if isinstance(star, Library) and self._has(f"{star.name}.{name}"):
                return Library(f"{star.name}.{name}")
            if isinstance(star, Source):
                value = star.named(name, star.scope)
                if value != OTHER or star.scope.owner(name) is not None:
                    return value
            elif not isinstance(star, Library):
                return OTHER
        # No star has it, but under PyTorch one must.
        libraries = [star for star in self.scope.stars if isinstance(star, Library)]
        return Library(f"{libraries[-1].name}.{name}") if libraries else OTHER

    def _has(self, name: str) -> bool:
        try:
            find(name, self.layers)
        except LackingError:
            return False
        return True


class _Binder(ast.NodeVisitor):
    """Fills the scopes of a source."""

    def __init__(self, source: Source, find_source: FindSource) -> None:
        self._source, self._find = source, find_source
        self._scope = source.scope

    # ---- scopes
    def _within(self, node: ast.AST, parts: Iterator[ast.AST], is_class: bool = False) -> None:
        outer, self._scope = self._scope, Scope(self._scope, is_class)
        self._source.scopes[node] = self._scope
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            arguments = node.args
            for argument in (
                *arguments.posonlyargs,
                *arguments.args,
                *arguments.kwonlyargs,
                *(star for star in (arguments.vararg, arguments.kwarg) if star is not None),
            ):
                self._scope.bind(argument.arg, OTHER)
        for part in parts:
            self.visit(part)
        self._scope = outer

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scope.bind(node.name, OTHER)
        for part in (*node.decorator_list, node.args, *([node.returns] if node.returns else [])):
            self.visit(part)
        self._within(node, iter(node.body))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        self._within(node, iter([node.body]))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._scope.bind(node.name, OTHER)
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self._within(node, iter(node.body), is_class=True)

    def _comprehension(self, node: ast.AST) -> None:
        self._within(node, ast.iter_child_nodes(node))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_Global(self, node: ast.Global) -> None:
        for name in node.names:
            self._scope.elsewhere[name] = self._source.scope

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        for name in node.names:
            owner = self._scope.parent.owner(name) if self._scope.parent is not None else None
            if owner is not None:
                self._scope.elsewhere[name] = owner

    # ---- names
    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._scope.bind(node.id, OTHER)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._assign(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._assign(node.target, node.value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._assign(node.target, node.value)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._scope.bind(target.id, value)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, its_value in zip(target.elts, value.elts, strict=True):
                self._assign(one, its_value)
        else:
            self.visit(target)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name is not None:
            self._scope.bind(node.name, OTHER)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name is not None:
            self._scope.bind(node.name, OTHER)
        self.generic_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest is not None:
            self._scope.bind(node.rest, OTHER)
        self.generic_visit(node)

    # ---- imports
    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            whole = alias.asname is not None
            module = self._module(alias.name, 0)
            self._scope.bind(alias.asname or top, module if whole else self._module(top, 0))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        of = self._module(module, node.level)
        for alias in node.names:
            if alias.name == "*":
                self._scope.top().stars.append(of)
                continue
            value: Value | Exported = Unknown(is_module=True)
            if isinstance(of, Library):
                value = Library(f"{of.name}.{alias.name}")
            else:
                submodule = self._find(f"{module}.{alias.name}" if module else alias.name, node.level)
                if submodule is not None:
                    value = submodule
                elif isinstance(of, Source):
                    value = Exported(of, alias.name)
            self._scope.bind(alias.asname or alias.name, value)

    def _module(self, name: str, level: int) -> Value:
        if level == 0 and name.partition(".")[0] in self._source.layers:
            return Library(name)
        return self._find(name, level) or Unknown(is_module=True)
