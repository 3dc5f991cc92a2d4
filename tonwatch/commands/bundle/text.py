"""Rules, routes, dashboards and runbooks with the user's names in them.

The shipped files are valid for Prometheus, Alertmanager and Grafana, and templates too: each place
has its default. Places are recognised by their spelling, which is always the same:

    job="wallet-api"                selects a scrape job, in a query
    severity="critical"             selects a severity, in a query or a route
    labels: {severity: critical}    the labels of an alert
    https://.../docs/runbooks       the URL of the runbooks

Only places change: comments and layout stay.
"""

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin

import yaml

from tonwatch.commands.bundle.options import RUNBOOKS_URL, SEVERITIES, Names

# Keys of dashboards whose value may be a name: choices of variables, and value mappings.
_SHOWN: Final = frozenset({"text", "value"})
# Plain scalars in YAML, except for keywords such as `yes`.
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
    """A dashboard: its queries and links, and names of jobs and severities."""
    old = json.loads(text)
    new = _in_json(old, _matchers(names) | _url(names), {**names.jobs, **names.severities})
    return text if new == old else json.dumps(new, indent=2, ensure_ascii=False) + "\n"


def in_runbook(text: str, names: Names) -> str:
    """A runbook: its queries and links."""
    # Only runbooks are exported: links beyond their folder become absolute.
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
        labels: of the object, in addition to the default; operators select rules by them.
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
    """A text with its places replaced, all at once: two names may be swapped."""
    written = "|".join(map(re.escape, places))
    return re.sub(rf"\b(?:{written})", lambda place: places[place[0]], text)


def _matchers(names: Names) -> dict[str, str]:
    """The matchers to replace, in PromQL; routes use the same spelling."""
    return {
        f'{label}="{old}"': f"{label}={_quoted(new)}"
        for label, table in (("job", names.jobs), ("severity", names.severities))
        for old, new in table.items()
    }


def _labels(severity: str, names: Names) -> str:
    """The labels of an alert with this severity."""
    pairs = {"severity": names.severities.get(severity, severity), **names.labels}
    return ", ".join(f"{key}: {_in_yaml(value)}" for key, value in pairs.items())


def _url(names: Names) -> dict[str, str]:
    return {RUNBOOKS_URL: names.runbooks_url}


def _quoted(value: str) -> str:
    """A quoted string of printable characters, valid in PromQL, YAML and JSON."""
    return json.dumps(value, ensure_ascii=False)


def _in_yaml(value: str) -> str:
    """The same for YAML, without quotes where none are needed."""
    plain = re.fullmatch(_SIMPLE, value) and yaml.safe_load(value) == value
    return value if plain else _quoted(value)


def _in_json(
    node: Any, places: Mapping[str, str], names: Mapping[str, str], *, shown: bool = False
) -> Any:
    """Replace places and names in a part of a dashboard.

    Args:
        node: as parsed.
        places: replacements in every text.
        names: new names of jobs and severities by old ones, for texts that are only a name.
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
        # A legend that equals a severity may be the name of a limit instead.
        selected = key == "legendFormat" and f'severity="{value}"' in node.get("expr", "")
        new[key] = _in_json(value, places, names, shown=selected or key in _SHOWN)
    return new
