"""The ways to break a line: every mutant of a source file, as a replacement of one piece of its text."""

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SWAPPED = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.Pow: "*",
    ast.MatMult: "+",
    ast.BitAnd: "|",
    ast.BitOr: "&",
    ast.BitXor: "&",
    ast.LShift: ">>",
    ast.RShift: "<<",
}
COMPARED = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
# What only speaks to a person or to the type checker. Nothing below such a node is broken.
SPOKEN = (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)
SYMMETRIC = (
    "max",
    "min",
    "torch.maximum",
    "torch.minimum",
    "frozen",
    "code_distance",
)  # whose arguments may come in any order
UNNOTICED = ("device", "encoding", "newline")  # keywords: a machine with one device, on Linux, does the same without
SMALL = 1e-5  # an epsilon: twice as much is as good
WORD = re.compile(r"[\w.-]+")


@dataclass
class Mutant:
    """The text from byte ``start`` to ``end`` of ``path``, on ``line``, becomes ``new``."""

    path: str
    line: int
    place: str
    start: int
    end: int
    old: str
    new: str
    twin: int = 1

    @property
    def name(self) -> str:
        """The same after lines have moved: file, function, and what becomes of what."""
        again = f" | number {self.twin}" if self.twin > 1 else ""
        return f"{self.path} | {self.place} | {_flat(self.old)} -> {_flat(self.new)}{again}"

    def apply(self, source: bytes) -> bytes:
        """The broken source."""
        return source[: self.start] + self.new.encode() + source[self.end :]


def mutants_of(path: Path, root: Path) -> list[Mutant]:
    """Every mutant of the Python file ``path`` that still compiles, by line. Their paths are relative to ``root``."""
    source = path.read_bytes()
    found = [each for each in Breaker(str(path.relative_to(root)), source).mutants() if _compiles(each, source)]
    found.sort(key=lambda each: each.start)
    twins = Counter[str]()
    for each in found:
        twins[each.name] += 1
        if twins[each.name] > 1:  # the same piece stands in the same function once more
            each.twin = twins[each.name]
    return found


class Breaker:
    """Walks a file's syntax tree and yields the mutants of each node."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source = path, source
        lengths = [len(line) for line in source.splitlines(keepends=True)]
        self.starts = [sum(lengths[:count]) for count in range(len(lengths) + 1)]

    def mutants(self) -> Iterator[Mutant]:
        """All of them, in the order of the tree."""
        yield from self._walk(ast.parse(self.source), "module")

    def _walk(self, node: ast.AST, place: str) -> Iterator[Mutant]:
        if isinstance(node, SPOKEN):
            return
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            place = node.name if place == "module" else f"{place}.{node.name}"
        for old, new in self._broken(node):
            start, end = self._span(old)
            yield Mutant(self.path, old.lineno, place, start, end, self._text(old), new)
        for child in _children(node):
            yield from self._walk(child, place)

    def _broken(self, node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
        """Pieces of ``node`` (or itself), each with what replaces it."""
        match node:
            case ast.BinOp(left, op, right):
                ours, theirs = f"({self._text(left)})", f"({self._text(right)})"
                yield node, f"({ours} {SWAPPED[type(op)]} {theirs})"
                yield node, ours
                if isinstance(op, ast.Add | ast.Mult):
                    yield node, theirs
            case ast.Compare(left, [op], [right]):
                for other in COMPARED[type(op)]:
                    yield node, f"(({self._text(left)}) {other} ({self._text(right)}))"
            case ast.BoolOp(op, values):
                other = " or " if isinstance(op, ast.And) else " and "
                yield node, "(" + other.join(f"({self._text(value)})" for value in values) + ")"
            case ast.UnaryOp(ast.Not() | ast.USub(), operand):
                yield node, f"({self._text(operand)})"
            case ast.Constant(value):
                yield from ((node, new) for new in _other_constants(value))
            case ast.IfExp(test, body, orelse):
                yield node, f"({self._text(body)})"
                yield node, f"({self._text(orelse)})"
            case ast.If(test) | ast.While(test) if isinstance(test, ast.Name | ast.Attribute | ast.Call):
                yield test, f"not ({self._text(test)})"
            case ast.Call():
                yield from ((node, new) for new in self._other_calls(node))
            case ast.Expr(ast.Call()):
                yield node, "pass"
            case ast.AugAssign():
                yield node, "pass"
            case ast.With(items):
                yield from (
                    (item.context_expr, "__import__('contextlib').nullcontext()")
                    for item in items
                    if item.optional_vars is None
                )
            case ast.FunctionDef(decorator_list=decorators):
                yield from ((each, "(lambda same: same)") for each in decorators if isinstance(each, ast.Call))

    def _other_calls(self, call: ast.Call) -> Iterator[str]:
        """Without the call, without one keyword, with its first two arguments changed about."""
        positional = [self._text(each) for each in call.args]
        keywords = [self._text(each) for each in call.keywords]
        function = self._text(call.func)
        if isinstance(call.func, ast.Attribute) and not call.args:
            yield f"({self._text(call.func.value)})"
        elif call.args and not isinstance(call.args[0], ast.Starred | ast.GeneratorExp):
            yield f"({positional[0]})"
        for index in range(len(keywords)):
            if call.keywords[index].arg in UNNOTICED:
                continue
            rest = positional + keywords[:index] + keywords[index + 1 :]
            yield f"{function}({', '.join(rest)})"
        if (
            len(positional) > 1
            and function not in SYMMETRIC
            and positional[0] != positional[1]
            and not any(isinstance(each, ast.Starred) for each in call.args[:2])
        ):
            first, second, *rest = positional
            yield f"{function}({', '.join([second, first, *rest, *keywords])})"

    def _span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr | ast.stmt | ast.keyword) -> str:
        start, end = self._span(node)
        return self.source[start:end].decode()


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below that say what happens: neither types nor docstrings."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "type_comment", "bases"):
            continue
        if field == "decorator_list" and isinstance(node, ast.ClassDef):
            continue  # frozen or not, a dataclass computes the same
        for child in value if isinstance(value, list) else [value]:
            text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            alias = (
                isinstance(child, ast.Assign) and isinstance(child.value, ast.Subscript | ast.BinOp) and _type(child)
            )
            if isinstance(child, ast.AST) and not text and not alias:
                yield child


def _type(assignment: ast.Assign) -> bool:
    """Whether it names a type: ``Stats = dict[str, Tensor]``, ``Judge = A | B``."""
    (target, *_), value = assignment.targets, assignment.value
    named = isinstance(target, ast.Name) and target.id[:1].isupper() and not target.id.isupper()
    return named and (isinstance(value, ast.Subscript) or isinstance(getattr(value, "op", None), ast.BitOr))


def _other_constants(value: object) -> Iterator[str]:
    match value:
        case bool():
            yield repr(not value)
        case int():
            yield repr(value + 1)
        case float() if not 0 < abs(value) < SMALL:
            yield repr(value * 2 if value else 1.0)
        case str() if WORD.fullmatch(value):
            yield repr(value + "x")


def _flat(text: str) -> str:
    return " ".join(text.split())


def _compiles(mutant: Mutant, source: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(mutant.apply(source), mutant.path, "exec")
        except SyntaxError:
            return False
    return True
