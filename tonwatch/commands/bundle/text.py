"""Rules, routes, dashboards and runbooks with the user's names in them.

The shipped files are templates that Prometheus, Alertmanager and Grafana read as they are: in each
named place stands its default. A place is known by how it is written, which is always the same:

    job="wallet-api"                selects a scrape job, in a query
    severity="critical"             selects a severity, in a query or a route
    labels: {severity: critical}    the labels of an alert
    https://.../docs/runbooks       where the runbooks are read

Only what stands in a place changes: comments and layout stay as they were written.
"""

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin

import yaml

from tonwatch.commands.bundle.options import RUNBOOKS_URL, SEVERITIES, Names

# Where dashboards show names by themselves: choices of variables, and texts in place of values.
_SHOWN: Final = frozenset({"text", "value"})
# What can stand in YAML without quotes, unless it is a word such as `yes`.
_SIMPLE: Final = r"[A-Za-z][\w./-]*"


def in_rules(text: str, names: Names) -> str:
    """A file of recording and alerting rules.

    Queries with a place are written as literal blocks, in which YAML needs no quotes.
    """
    labels = {
        f"labels: {{severity: {severity}}}": f"labels: {{{_labels(severity, names)}}}"
        for severity in SEVERITIES
    }
    return _filled(text, _matchers(names) | labels | _url(names))


def in_alertmanager(text: str, names: Names) -> str:
    """An Alertmanager configuration, in which each matcher is a YAML string without quotes."""
    matchers = {
        old: new if re.fullmatch(rf'\w+="{_SIMPLE}"', new) else "'" + new.replace("'", "''") + "'"
        for old, new in _matchers(names).items()
    }
    return _filled(text, matchers | _url(names))


def in_dashboard(text: str, names: Names) -> str:
    """A dashboard: its queries and links, and where it shows the name of a job or a severity."""
    old = json.loads(text)
    new = _in_json(old, _matchers(names) | _url(names), {**names.jobs, **names.severities})
    return text if new == old else json.dumps(new, indent=2, ensure_ascii=False) + "\n"


def in_runbook(text: str, names: Names) -> str:
    """A runbook: its queries, and what it links to."""
    # Only the runbooks go along: what they link to beyond their folder stays where it is.
    text = re.sub(r"(?<=\]\()\.\./[^)]*", lambda m: urljoin(f"{RUNBOOKS_URL}/", m[0]), text)
    return _filled(text, _matchers(names) | _url(names))


def prometheus_rule(
    texts: Mapping[str, str], *, name: str, namespace: str | None, labels: Mapping[str, str]
) -> str:
    """All groups as one PrometheusRule of the Prometheus operator.

    Args:
        texts: files of rules, by their names; the groups in them are indented by two.
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
        _, _, groups = text.partition("groups:\n")
        lines += [f"    # {file}\n", textwrap.indent(groups, "  ")]
    return "".join(lines)


def _filled(text: str, places: Mapping[str, str]) -> str:
    """A text with other things in its places, all at once: two names may be exchanged."""
    written = "|".join(map(re.escape, places))
    return re.sub(rf"\b(?:{written})", lambda place: places[place[0]], text)


def _matchers(names: Names) -> dict[str, str]:
    """The matchers that change, as PromQL writes them; routes are written the same way."""
    return {
        f'{label}="{old}"': f"{label}={_quoted(new)}"
        for label, table in (("job", names.jobs), ("severity", names.severities))
        for old, new in table.items()
    }


def _labels(severity: str, names: Names) -> str:
    """The labels of an alert that has one of our severities."""
    pairs = {"severity": names.severities.get(severity, severity), **names.labels}
    return ", ".join(f"{key}: {_in_yaml(value)}" for key, value in pairs.items())


def _url(names: Names) -> dict[str, str]:
    return {RUNBOOKS_URL: names.runbooks_url}


def _quoted(value: str) -> str:
    """A string of printable characters, as PromQL, YAML and JSON alike write it."""
    return json.dumps(value, ensure_ascii=False)


def _in_yaml(value: str) -> str:
    """The same for YAML, without quotes where none are needed."""
    plain = re.fullmatch(_SIMPLE, value) and yaml.safe_load(value) == value
    return value if plain else _quoted(value)


def _in_json(
    node: Any, places: Mapping[str, str], names: Mapping[str, str], *, shown: bool = False
) -> Any:
    """Anything of a dashboard.

    Args:
        node: as parsed.
        places: what is filled in, in every text.
        names: of jobs and severities, new ones by old ones, for texts that are nothing else.
        shown: whether this may be such a text.
    """
    if isinstance(node, str):
        return names[node] if shown and node in names else _filled(node, places)
    if isinstance(node, list):
        return [_in_json(item, places, names, shown=shown) for item in node]
    if not isinstance(node, dict):
        return node
    new = {}
    for key, value in node.items():
        # A series that is called like a severity may be a limit of that name instead.
        selected = key == "legendFormat" and f'severity="{value}"' in node.get("expr", "")
        new[key] = _in_json(value, places, names, shown=selected or key in _SHOWN)
    return new
