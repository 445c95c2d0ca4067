"""The tree of errors: what its docstring draws is what there is."""

import inspect
import re

from core import errors


def test_the_docstring_draws_the_whole_tree() -> None:
    kinds = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind)}
    drawn: list[tuple[int, str]] = []
    parents: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([│├└─ ]*)([A-Z]\w+)( |$)", line):
            depth, name = len(match[1]) // 4, match[2]
            if name in kinds:
                if depth:
                    parents[name] = [n for d, n in drawn if d == depth - 1][-1]
                drawn.append((depth, name))
    assert {name for _, name in drawn} == kinds.keys()
    assert parents == {name: kind.__base__.__name__ for name, kind in kinds.items() if name != "GanfoundryError"}
