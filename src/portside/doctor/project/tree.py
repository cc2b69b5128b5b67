"""A parsed Python file, asked: what is defined, what is called, by its full name.

`np.save(...)` after `import numpy as np` is a call of `numpy.save`; a method of something that
nothing is known of is a call of `.method`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call: the full name of what is called, and the node."""

    name: str
    node: ast.Call

    @property
    def line(self) -> int:
        """Where it stands."""
        return self.node.lineno

    def argument(self, position: int, keyword: str = "") -> ast.expr | None:
        """An argument by its position or else its name."""
        if position < len(self.node.args):
            return self.node.args[position]
        return self.keyword(keyword)

    def keyword(self, name: str) -> ast.expr | None:
        """An argument by its name."""
        return next((each.value for each in self.node.keywords if each.arg == name), None)


class Tree:
    """A module's tree with the names that its imports gave, as an instance sees it.

    That is without what stands under `if __name__ == "__main__"`, unless it `is_script`.
    """

    def __init__(self, module: ast.Module, *, is_script: bool = False) -> None:
        body = [node for node in module.body if is_script or not _is_for_scripts(node)]
        self.module = ast.Module(body=body, type_ignores=[])
        self._full = dict(_imported(self.module))

    def name(self, node: ast.expr) -> str:
        """The full name of an expression: `numpy.save`, `.method` of an unknown, or nothing."""
        match node:
            case ast.Name(id=name):
                return self._full.get(name, name)
            case ast.Attribute(value=value, attr=attribute):
                return f"{self.name(value)}.{attribute}"
            case _:
                return ""

    def calls(self, under: ast.AST | None = None) -> Iterator[Call]:
        """Every call in the module, or under a node of it, in the order of the lines."""
        found = [node for node in ast.walk(under or self.module) if isinstance(node, ast.Call)]
        for node in sorted(found, key=lambda node: (node.lineno, node.col_offset)):
            yield Call(name=self.name(node.func), node=node)

    @property
    def functions(self) -> dict[str, Function]:
        """The functions of the module itself."""
        return {
            node.name: node
            for node in _statements(self.module)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }

    @property
    def defined(self) -> frozenset[str]:
        """All names that the module defines: functions, imports, assignments."""
        names = set(self.functions) | set(self._full)
        for node in _statements(self.module):
            match node:
                case ast.Assign(targets=targets):
                    names |= {target.id for target in targets if isinstance(target, ast.Name)}
                case ast.AnnAssign(target=ast.Name(id=name)) | ast.ClassDef(name=name):
                    names.add(name)
                case _:
                    pass
        return frozenset(names)

    @property
    def imports_everything(self) -> bool:
        """Whether names come from a `from x import *`, so that nobody can tell which."""
        return any(
            alias.name == "*"
            for node in ast.walk(self.module)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        )

    def reached_from(self, *names: str) -> frozenset[str]:
        """The module's functions that these call, directly or not, and they themselves."""
        functions, reached = self.functions, set[str]()
        waiting = [name for name in names if name in functions]
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += [
                    call.name for call in self.calls(functions[name]) if call.name in functions
                ]
        return frozenset(reached)

    def required_imports(self) -> Iterator[tuple[str, int]]:
        """Full names of the modules that have to be there, with lines.

        Without those that a `try` or `if TYPE_CHECKING` guards.
        """
        for node in _unguarded(self.module):
            match node:
                case ast.Import(names=aliases):
                    for alias in aliases:
                        yield alias.name, node.lineno
                case ast.ImportFrom(module=str(module), level=0):
                    yield module, node.lineno
                case _:
                    pass

    def relative_imports(self) -> Iterator[ast.ImportFrom]:
        """Those with a dot, without those that are guarded."""
        for node in _unguarded(self.module):
            if isinstance(node, ast.ImportFrom) and node.level > 0:
                yield node


def text_of(node: ast.expr | None) -> str | None:
    """The text of a literal."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def texts_in(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Every literal text under a node, with its line."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value, each.lineno


def positional(function: Function) -> tuple[int, int | None]:
    """The least and the most positional arguments of a function; None for any number."""
    arguments = function.args
    named = len(arguments.posonlyargs) + len(arguments.args)
    least = named - len(arguments.defaults)
    return least, None if arguments.vararg else named


def parameters(function: Function) -> tuple[str, ...]:
    """The names of a function's positional parameters."""
    return tuple(each.arg for each in (*function.args.posonlyargs, *function.args.args))


def _is_for_scripts(node: ast.stmt) -> bool:
    match node:
        case ast.If(
            test=ast.Compare(
                left=ast.Name(id="__name__"), comparators=[ast.Constant(value="__main__")]
            )
        ):
            return True
        case _:
            return False


def _statements(module: ast.Module) -> Iterator[ast.stmt]:
    """Those of the module itself, also under `if` and `try`."""
    waiting = list(module.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        match node:
            case ast.If(body=body, orelse=orelse):
                waiting += [*body, *orelse]
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
                caught = [each for handler in handlers for each in handler.body]
                waiting += [*body, *caught, *orelse, *final]
            case _:
                pass


def _unguarded(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Try():
                continue
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                continue
            case _:
                yield child
                yield from _unguarded(child)


def _imported(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(module):
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    first = alias.name.partition(".")[0]
                    yield (alias.asname, alias.name) if alias.asname else (first, first)
            case ast.ImportFrom(module=str(source), names=aliases):
                for alias in aliases:
                    yield alias.asname or alias.name, f"{source}.{alias.name}"
            case _:
                pass
