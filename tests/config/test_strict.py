"""YAML and JSON, read strictly: duplicate keys, and input that exhausts a parser."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonwatch.config.strict import NotReadable, read_json, read_yaml

DOUBLING = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Ten lines that stand for a thousand million values."""

DEEPER = "a: &a " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 30 + "*a" + "]" * 30


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("a: 1\nb: 2\na: 3", ["f:3: a: this key is", "first on line 1"], id="top"),
        pytest.param("a:\n  b: 1\n  b: 2", ["f:3: a.b: this key", "on line 2"], id="in a mapping"),
        pytest.param("- x\n- a: 1\n  a: 2", ["f:3: [1].a: this", "on line 2"], id="in a list"),
        pytest.param("{a: [{b: 1,\n b: 2}]}", ["f:2: a[0].b: this", "on line 1"], id="flow style"),
        pytest.param("a: 1\n'a': 2", ["f:2: a: this", "on line 1"], id="plain and quoted"),
        pytest.param('a: 1\n"\\x61": 2', ["f:2: a: this", "on line 1"], id="escaped"),
        pytest.param("16: a\n0x10: b", ["f:2: 0x10: this", "on line 1"], id="numbers"),
        pytest.param("yes: a\ntrue: b", ["f:2: true: this", "on line 1"], id="booleans"),
        pytest.param("1: a\ntrue: b", ["f:2: true: this", "on line 1"], id="equal to a dict"),
        pytest.param("null: a\n~: b", ["f:2: ~: this", "on line 1"], id="nothing"),
        pytest.param("'': a\n'': b", ['f:2: "": this', "on line 1"], id="empty"),
        pytest.param("&k a: 1\n*k : 2", ["f:2: a: this", "on line 1"], id="by an alias"),
        pytest.param("a: !!set {b, b}", ["f:1: a.b: this"], id="a set"),
        pytest.param(
            "a: &a {x: 1, x: 2}\nb: *a", ["f:1: a.x: this", "on line 1"], id="where it is written"
        ),
        pytest.param(
            "a: &a {x: 1}\nb: {<<: *a,\n x: 2,\n x: 3}", ["f:4: b.x", "line 3"], id="beside a merge"
        ),
        pytest.param(
            "a: &a {x: 1}\nb: {<<: *a,\n <<: *a}",
            ["f:3: b.<<: merged twice, first on line 2", "<<: [*first, *second]"],
            id="two merges",
        ),
        pytest.param("'<<': 1\n'<<': 2", ["f:2: <<: this key"], id="a key that is no merge"),
        pytest.param(
            "a: 1\nb: {c: 1, c: 2}\na: 2",
            ["f:2: b.c: this key", "\nf:3: a: this key"],
            id="all at once",
        ),
        pytest.param("a: 1\na: 2\na: 3", ["f:2: a", "f:3: a", "on line 1"], id="three times"),
        pytest.param("a: [\n", ["f:2: not YAML: while parsing"], id="no YAML"),
        pytest.param("a: 1\nb: \0", ["f:2: not YAML: special characters"], id="no text"),
        pytest.param("a: 1\n---\nb: 1", ["f:2: not YAML", "another document"], id="two documents"),
        pytest.param("a: 1\nb: *c", ["f:2: not YAML", "undefined alias"], id="no such anchor"),
        pytest.param("a: 1\nb: 2026-02-31", ["f:2: not YAML", "in quotes"], id="no such day"),
        pytest.param("a: " + "9" * 5000, ["f:1: not YAML", "in quotes"], id="a number too long"),
        pytest.param("a: !!bool b", ["f:1: not YAML", "in quotes"], id="no boolean"),
        pytest.param("? [a]\n: 1", ["f:1: not YAML", "unhashable key"], id="a list for a key"),
        pytest.param("\n" + "[" * 100_000, ["f:2: ", "more than 50 levels"], id="brackets"),
        pytest.param("- " * 3000, ["f:1: ", "more than 50 levels"], id="dashes"),
        pytest.param("? " * 3000, ["f:1: ", "more than 50 levels"], id="keys of keys"),
        pytest.param(DEEPER, ["f:2: ", "more than 50 levels"], id="deep by an alias"),
        pytest.param("a: 1\nb: &b [*b]", ["f:2: ", "alias *b contains itself"], id="in itself"),
        pytest.param(
            "a: &a {<<: *a}", ["f:1: ", "alias *a contains itself"], id="merged into itself"
        ),
        pytest.param("a: &a\n  b: {c: *a}", ["f:2: ", "alias *a"], id="below itself"),
        pytest.param(DOUBLING, ["f:6: ", "more than 1000000"], id="aliases that multiply"),
    ],
)
def test_yaml_that_is_refused(text: str, words: list[str]) -> None:
    with pytest.raises(NotReadable) as caught:
        read_yaml(text, "f")
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("text", "content"),
    [
        pytest.param("", None, id="nothing"),
        pytest.param("a: &a {x: 1, y: 1}\nb: {<<: *a, x: 2}", {"x": 2, "y": 1}, id="overridden"),
        pytest.param("a: &a {x: 1}\nb: {x: 2, <<: *a}", {"x": 2}, id="overridden before it"),
        pytest.param(
            "a: [&a {x: 1}, &b {x: 2, y: 2}]\nb: {<<: [*a, *b]}", {"x": 1, "y": 2}, id="merged list"
        ),
        pytest.param("a: &a [1]\nb: [*a, *a]", [[1], [1]], id="an alias twice"),
        pytest.param("b: {1: a, '1': b}", {1: "a", "1": "b"}, id="a number and a text"),
        pytest.param("b: " + "[" * 49 + "]" * 49, json.loads("[" * 49 + "]" * 49), id="deep"),
    ],
)
def test_yaml_that_is_read(text: str, content: object) -> None:
    read = read_yaml(text, "f").content
    assert (read["b"] if read else None) == content


def test_lines_of_what_is_merged_are_those_where_it_is_written() -> None:
    lines = read_yaml("a: &a\n  x: 1\nb:\n  <<: *a\n  y: [1,\n    2]", "f").lines
    assert lines["b", "x"] == 2
    assert lines["b", "y"] == 5
    assert lines["b", "y", 1] == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param('{"a": 1,\n"a": 2}', ["f:2: a: this key", "first on line 1"], id="top"),
        pytest.param('[{}, {"a": {"b": 1, "b": 1}}]', ["f:1: [1].a.b: this"], id="below"),
        pytest.param('{"a": 1,\n"\\u0061": 2}', ["f:2: a: this", "on line 1"], id="escaped"),
        pytest.param('{"a\\"": 1,\n"a\\"" : 2}', ["f:2: ", "on line 1"], id="with a quote in it"),
        pytest.param('{"": 1, "": 2}', ['f:1: "": this'], id="empty"),
        pytest.param('{"a": 1, "b": [{"a": 1}], "a": 2}', ["f:1: a: this"], id="after a list"),
        pytest.param("[" * 100_000, ["more than 50 levels"], id="brackets"),
        pytest.param("\n" + "[" * 60 + "]" * 60, ["f:2: ", "more than 50 levels"], id="deep"),
        pytest.param("{\n", ["f:2: not JSON"], id="no JSON"),
        pytest.param("9" * 5000, ["f: not JSON", "digits"], id="a number too long"),
    ],
)
def test_json_that_is_refused(text: str, words: list[str]) -> None:
    with pytest.raises(NotReadable) as caught:
        read_json(text, "f")
    assert [word for word in words if word not in str(caught.value)] == []


VALUES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.sampled_from([None, 1]))
def test_other_json_is_read_as_by_the_standard_library(value: object, indent: int | None) -> None:
    assert read_json(json.dumps(value, indent=indent), "f") == value


def test_json_whose_keys_are_read_in_any_case() -> None:
    text = '{"level": "info", "LEVEL": "debug"}'
    assert read_json(text, "a file") == {"level": "info", "LEVEL": "debug"}
    with pytest.raises(NotReadable, match="LEVEL: this key is written twice"):
        read_json(text, "TONWATCH_LOG", any_case=True)
