"""Rules, routes, dashboards and runbooks with other names in them.

Only the characters that have to change do: comments and layout stay as they were written.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urljoin

import yaml

from tonwatch.commands.bundle.options import RUNBOOKS_URL, SIMPLE, Names

_PROMQL: Final = r"""(?xs)
    (?P<skipped>\s+|\#[^\n]*)
    | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
    | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    | (?P<operator>=~|!~|!=|=)
    | (?P<other>.)"""
_ROUTE_MATCHER: Final = r'(?s)(\w+)(\s*(?:=~|!~|!=|=)\s*)("(?:\\.|[^"\\])*"|.*)'
_ROUTE_MATCHERS: Final = frozenset({"matchers", "source_matchers", "target_matchers"})


def in_promql(expression: str, names: Names) -> str:
    """An expression whose matchers of job and severity have the new values.

    Strings elsewhere (such as those of label_replace) and comments stay.
    """
    written: list[str] = []
    before: list[tuple[str | None, str]] = [(None, ""), (None, "")]
    in_braces = False
    for token in re.finditer(_PROMQL, expression):
        kind, text = token.lastgroup, token[0]
        (_, label), (operation, operator) = before
        if kind == "string" and in_braces and operation == "operator":
            text = _value(label, operator, text, names)
        elif kind == "other" and text in "{}":
            in_braces = text == "{"
        written.append(text)
        if kind != "skipped":
            before = [before[1], (kind, text)]
    return "".join(written)


def in_rules(text: str, names: Names) -> str:
    """A file of recording and alerting rules."""
    edits: list[_Edit] = []
    for group in _items(_entry(yaml.compose(text, yaml.SafeLoader), "groups")):
        for rule in _items(_entry(group, "rules")):
            edits += _scalar(text, _entry(rule, "expr"), lambda e: in_promql(e, names), names)
            labels = _entry(rule, "labels")
            severity = _entry(labels, "severity")
            edits += _scalar(text, severity, lambda s: names.severities.get(s, s), names)
            if _entry(rule, "alert") is not None:
                edits += _labelled(rule, labels, names)
    return _with_url(_apply(text, edits), names)


def in_alertmanager(text: str, names: Names) -> str:
    """An Alertmanager configuration: the matchers of its routes and inhibitions."""

    def renamed(matcher: str) -> str:
        match = re.search(_ROUTE_MATCHER, matcher)
        if match is None:
            return matcher
        label, operator, value = match.groups()
        value = _value(label, operator.strip(), value, names)
        return f"{matcher[: match.start()]}{label}{operator}{value}{matcher[match.end() :]}"

    edits = [
        edit
        for key, value in _entries(yaml.compose(text, yaml.SafeLoader))
        if key in _ROUTE_MATCHERS
        for matcher in _items(value)
        for edit in _scalar(text, matcher, renamed, names)
    ]
    return _with_url(_apply(text, edits), names)


def in_dashboard(text: str, names: Names) -> str:
    """A dashboard: its queries, the defaults of its variables, how severities are shown."""
    text = _with_url(text, names)
    old = json.loads(text)
    new = _panels(old, names)
    for variable in new.get("templating", {}).get("list", []):
        for key in _CHOSEN & variable.keys():
            variable[key] = _values(variable[key], {**names.jobs, **names.severities})
    return text if new == old else json.dumps(new, indent=2, ensure_ascii=False) + "\n"


def in_runbook(text: str, names: Names) -> str:
    """A runbook: the matchers in its queries and its text, and where it links to."""

    def renamed(match: re.Match[str]) -> str:
        label, operator, value = match.groups()
        return f"{label}{operator}{_value(label, operator, value, names)}"

    text = re.sub(r'\b(job|severity)(=~|!~|!=|=)("[^"\n]*")', renamed, text)
    # Only the runbooks go along: what they link to beyond their folder stays where it is.
    text = re.sub(r"(?<=\]\()\.\./[^)]*", lambda m: urljoin(f"{RUNBOOKS_URL}/", m[0]), text)
    return _with_url(text, names)


def prometheus_rule(
    texts: Mapping[str, str], *, name: str, namespace: str | None, labels: Mapping[str, str]
) -> str:
    """All groups as one PrometheusRule of the Prometheus operator.

    Args:
        texts: files of rules, by their names.
        name: of the object.
        namespace: of the object; None for the one it is applied to.
        labels: of the object, in addition to ours; operators select rules by them.
    """
    metadata: dict[str, Any] = {"name": name}
    if namespace is not None:
        metadata["namespace"] = namespace
    metadata["labels"] = {"app.kubernetes.io/name": "tonwatch", **labels}
    head = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata,
    }
    lines = [yaml.safe_dump(head, sort_keys=False), "spec:\n", "  groups:\n"]
    for file, text in texts.items():
        groups = _entry(yaml.compose(text, yaml.SafeLoader), "groups")
        assert groups is not None
        start, column = groups.start_mark.index, groups.start_mark.column
        body = text[start - column : groups.end_mark.index].rstrip()
        margin = " " * (4 - column)
        lines += [f"    # {file}\n", re.sub(r"(?m)^(?=.*\S)", margin, body), "\n"]
    return "".join(lines)


def severities(text: str) -> set[str]:
    """The severities that the alerts in a file of rules have."""
    groups = yaml.safe_load(text)["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    return {rule["labels"]["severity"] for rule in rules if "severity" in rule.get("labels", {})}


def _value(label: str, operator: str, written: str, names: Names) -> str:
    """The value of a matcher, in quotes or not, as it is written with the new names."""
    quoted = written[:1] in {'"', "'", "`"}
    value = written[1:-1] if quoted else written
    table = names.of(label)
    if "~" in operator:
        parts = re.split(r"([|()])", value)
        new = "".join(_escaped(table[part]) if part in table else part for part in parts)
    else:
        new = table.get(value, value)
    if new == value:
        return written
    return json.dumps(new, ensure_ascii=False) if quoted or not re.fullmatch(SIMPLE, new) else new


def _escaped(value: str) -> str:
    """A value as a regular expression; `re.escape` would make a dash harder to read, too."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", value)


def _with_url(text: str, names: Names) -> str:
    return text.replace(RUNBOOKS_URL, names.runbooks_url)


# --- YAML, by the places in the text that its nodes come from -------------------------------

_Edit = tuple[int, int, str]


def _apply(text: str, edits: list[_Edit]) -> str:
    # What an alias stands for is met once for each time that it is named.
    for start, end, new in sorted(set(edits), reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _entries(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """Every key below a node, however deep, with its value."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key.value, value
            yield from _entries(value)
    for item in _items(node):
        yield from _entries(item)


def _entry(node: yaml.Node | None, key: str) -> yaml.Node | None:
    entries = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for name, value in entries if name.value == key), None)


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _scalar(
    text: str, node: yaml.Node | None, change: Callable[[str], str], names: Names
) -> Iterator[_Edit]:
    """The edit that makes a scalar's value what `change` makes of it; none where it stays."""
    if not isinstance(node, yaml.ScalarNode) or (new := change(node.value)) == node.value:
        return
    start, end = node.start_mark.index, node.end_mark.index
    if node.style in {"|", ">"} or (node.style is None and names.all_simple()):
        yield start, end, change(text[start:end])
    else:
        yield start, end, "'" + new.replace("'", "''") + "'"


def _labelled(rule: yaml.Node, labels: yaml.Node | None, names: Names) -> Iterator[_Edit]:
    """The edits that put the labels of `names` on an alert."""
    added = {key: _quoted(value) for key, value in names.labels.items()}
    entries, flow = [], False
    if isinstance(labels, yaml.MappingNode):
        entries, flow = labels.value, labels.flow_style
    for key, value in entries:
        if key.value in added:
            yield value.start_mark.index, value.end_mark.index, added.pop(key.value)
    if not added:
        return
    # Before what is there already: behind it may be a comment that belongs to it.
    at = entries[0][0].start_mark if entries else rule.start_mark
    margin = "\n" + " " * at.column
    if not entries:
        pairs = ", ".join(f"{key}: {value}" for key, value in added.items())
        yield at.index, at.index, f"labels: {{{pairs}}}{margin}"
    elif flow:
        yield at.index, at.index, "".join(f"{key}: {value}, " for key, value in added.items())
    else:
        yield at.index, at.index, "".join(f"{key}: {value}{margin}" for key, value in added.items())


def _quoted(value: str) -> str:
    plain = re.fullmatch(SIMPLE, value) and yaml.safe_load(value) == value
    return value if plain else json.dumps(value, ensure_ascii=False)


# --- JSON -----------------------------------------------------------------------------------

_QUERIES: Final = frozenset({"expr", "query", "definition"})
_CHOSEN: Final = frozenset({"current", "options", "query"})


def _panels(node: Any, names: Names) -> Any:
    """Anything of a dashboard, with other queries, legends and mappings of severities."""
    if isinstance(node, list):
        return [_panels(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    new = {key: _panels(value, names) for key, value in node.items()}
    for key in _QUERIES & node.keys():
        if isinstance(node[key], str):
            new[key] = in_promql(node[key], names)
    if "severity" in str(node.get("expr")) and "legendFormat" in node:
        new["legendFormat"] = _values(node["legendFormat"], names.severities)
    if node.get("type") == "value" and "options" in node:
        new["options"] = _values(node["options"], names.severities)
    return new


def _values(node: Any, table: Mapping[str, str]) -> Any:
    """Keys and strings that are exactly an old name, wherever they are below a node."""
    if isinstance(node, list):
        return [_values(item, table) for item in node]
    if isinstance(node, dict):
        return {table.get(key, key): _values(value, table) for key, value in node.items()}
    return table.get(node, node) if isinstance(node, str) else node
