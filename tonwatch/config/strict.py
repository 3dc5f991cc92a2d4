"""Strict YAML and JSON: duplicate keys are errors.

So is what would make a parser run for ever or fail: deep nesting, and aliases that multiply or
contain themselves.
"""

import json
import re
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import yaml

_MAX_DEPTH: Final = 50
"""Levels; a configuration has six."""

_MAX_NODES: Final = 1_000_000
"""Keys and values with every alias expanded."""

_MERGE: Final = "tag:yaml.org,2002:merge"
_MERGE_KEY: Final = object()

Place = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


class NotReadable(ValueError):
    """Invalid content; the text has a line for each mistake, with file and line."""


class Malformed(NotReadable):
    """It is not even YAML or JSON."""


class Document(NamedTuple):
    """Content of a YAML file; `lines` has the line of each key and of each entry of a list."""

    content: Any
    lines: dict[Place, int]


def read_yaml(text: str, source: str) -> Document:
    """Read the one document in `text`; merge keys (``<<: *anchor``) are allowed.

    Args:
        text: YAML.
        source: the file's name, for errors.

    Raises:
        NotReadable: invalid YAML, a key twice, nested too deeply, or recursive aliases.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            content = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Malformed(f"{source}:{line}: not YAML: {error.reason}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}" if mark else source
        problem = ", ".join(filter(None, (error.context, error.problem)))
        raise Malformed(f"{where}: not YAML: {problem}") from None
    _refuse(loader.repeated, source)
    return Document(content, dict(_lines(node, ())))


def read_json(text: str, source: str, *, any_case: bool = False) -> Any:
    """Read `text` as JSON.

    Args:
        text: JSON.
        source: the name of the file or variable, for errors.
        any_case: keys that differ only in case are duplicates.

    Raises:
        NotReadable: invalid JSON, a key twice, or nested too deeply.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise NotReadable(f"{source}: nested more than {_MAX_DEPTH} levels deep") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"{source}:{error.lineno}: not JSON: {error.msg}") from None
    except ValueError:
        raise Malformed(f"{source}: not JSON: a number with too many digits") from None
    _refuse(list(_repeated_in_json(text, source, any_case=any_case)), source)
    return content


def dotted(place: Place) -> str:
    """A place as text: ``liteservers[0].port``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part or '""'
    return text


@dataclass(frozen=True, slots=True)
class _Repeated:
    place: Place
    line: int
    first: int
    merge: bool = False

    def __str__(self) -> str:
        if self.merge:
            return (
                f"{dotted(self.place)}: merged twice, first on line {self.first};"
                " write both into one list: <<: [*first, *second], of which the first counts more"
            )
        return (
            f"{dotted(self.place)}: this key is written twice, first on line {self.first};"
            " keep one of them, with all that belongs there"
        )


def _refuse(repeated: list[_Repeated], source: str) -> None:
    if repeated:
        ordered = sorted(repeated, key=lambda each: each.line)
        raise NotReadable("\n".join(f"{source}:{each.line}: {each}" for each in ordered))


class _Extent(NamedTuple):
    """Size of a node: keys and values in it, and levels below it."""

    nodes: int
    depth: int


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader; `repeated` are the duplicate keys."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.repeated: list[_Repeated] = []
        self._place: list[str | int] = []
        self._extents: dict[yaml.Node, _Extent] = {}
        self._key_lines: dict[yaml.Node, list[int]] = defaultdict(list)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if len(self._place) > _MAX_DEPTH:
            raise _mistake(f"nested more than {_MAX_DEPTH} levels deep", event.start_mark)
        if index is None and parent is not None:
            self._key_lines[parent].append(event.start_mark.line + 1)
        # The index is a list's, or the node of a mapping's key; a key itself has none.
        step = index.value if isinstance(index, yaml.ScalarNode) else index
        self._place.append(step if isinstance(step, str | int) else "?")
        node = super().compose_node(parent, index)
        self._place.pop()
        assert node is not None
        if node not in self._extents:
            if isinstance(event, yaml.AliasEvent):
                raise _mistake(
                    f"the alias *{event.anchor} contains itself",
                    event.start_mark,
                )
            self._extents[node] = self._extent(node)
        nodes, depth = self._extents[node]
        if len(self._place) + depth > _MAX_DEPTH:
            raise _mistake(f"nested more than {_MAX_DEPTH} levels deep", event.start_mark)
        if nodes > _MAX_NODES:
            raise _mistake(
                f"aliases make more than {_MAX_NODES} keys and values of it", event.start_mark
            )
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[Hashable, int] = {}
        for (key, _), line in zip(node.value, self._key_lines.pop(node, ()), strict=True):
            merge = key.tag == _MERGE
            # Compared in Python: of two equal keys one would be lost.
            value = _MERGE_KEY if merge else self._simple(key)
            if value in first:
                place = (*self._place[1:], key.value)
                self.repeated.append(_Repeated(place, line, first[value], merge))
            first.setdefault(value, line)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            # PyYAML does not catch errors of its conversions, such as of the date 2026-02-31.
            kind = node.tag.rpartition(":")[2]
            raise _mistake(
                f"this looks like a YAML {kind} and is none; in quotes it is text", node.start_mark
            ) from None

    def _simple(self, key: yaml.Node) -> Hashable:
        """A key's value; lists and mappings as keys are reported elsewhere."""
        value = self.construct_object(key) if isinstance(key, yaml.ScalarNode) else key
        return value if isinstance(value, Hashable) else key

    def _extent(self, node: yaml.Node) -> _Extent:
        below: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            below = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            below = node.value
        extents = [self._extents[each] for each in below]
        return _Extent(
            1 + sum(each.nodes for each in extents),
            1 + max((each.depth for each in extents), default=-1),
        )


def _mistake(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _lines(node: yaml.Node | None, place: Place) -> Iterator[tuple[Place, int]]:
    """After construction, so that merged keys have the lines that they were merged from."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield (*place, key.value), key.start_mark.line + 1
                yield from _lines(value, (*place, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*place, index), value.start_mark.line + 1
            yield from _lines(value, (*place, index))


_TOKEN: Final = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[\[\]{},]')
"""In valid JSON a string before a colon is a key."""


@dataclass(slots=True)
class _Open:
    """An open list or object: the current index or key, and the offsets of its keys."""

    step: str | int
    keys: dict[str, int] = field(default_factory=dict)


def _repeated_in_json(text: str, source: str, *, any_case: bool) -> Iterator[_Repeated]:
    stack: list[_Open] = []
    for token in _TOKEN.finditer(text):
        if token[0] in {"{", "["}:
            if len(stack) == _MAX_DEPTH:
                line = text.count("\n", 0, token.start()) + 1
                raise NotReadable(f"{source}:{line}: nested more than {_MAX_DEPTH} levels deep")
            stack.append(_Open("" if token[0] == "{" else 0))
        elif token[0] in {"}", "]"}:
            stack.pop()
        elif token[0] == ",":
            if isinstance(stack[-1].step, int):
                stack[-1].step += 1
        elif token[2]:
            key = stack[-1].step = json.loads(token[1])
            same = key.lower() if any_case else key
            first = stack[-1].keys.setdefault(same, token.start())
            if first != token.start():
                yield _Repeated(
                    tuple(each.step for each in stack),
                    text.count("\n", 0, token.start()) + 1,
                    text.count("\n", 0, first) + 1,
                )
