"""The options of ``tonwatch bundle export``, and their validation.

Every command imports this to know its own options, so it imports little itself.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

# The public runbooks, which the shipped rules and dashboards link to.
RUNBOOKS_URL: Final = "https://github.com/tonwatch/tonwatch/blob/main/docs/runbooks"
# Scrape jobs by the name they have in the shipped files, each with the option that renames it.
JOBS: Final[Mapping[str, str]] = {
    "tonwatch": "--job",
    "payout-helper": "--payout-helper-job",
    "wallet-api": "--wallet-api-job",
    "analytics-api": "--analytics-api-job",
}
# Severities of alerts in the shipped files, the most urgent first.
SEVERITIES: Final = ("critical", "warning", "info")
# Labels that alerts have from the rules, and from the metrics of the services around.
_OF_RULES: Final = ("http_route", "limit", "service", "sli", "slo")
_LABEL: Final = r"[a-zA-Z_][a-zA-Z0-9_]*"
_DNS_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_DNS_NAME: Final = r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_OBJECT_LABEL: Final = r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_OBJECT_VALUE: Final = r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?"
_URL: Final = r"[A-Za-z0-9._~:/@%+-]+"


class Part(StrEnum):
    """What can be exported by itself."""

    RULES = "rules"
    PROMETHEUSRULE = "prometheusrule"
    ALERTMANAGER = "alertmanager"
    DASHBOARDS = "dashboards"
    RUNBOOKS = "runbooks"


_PARTS: Final[Mapping[Part, str]] = {
    Part.RULES: "DIR/rules/*.yaml, for rule_files of Prometheus",
    Part.PROMETHEUSRULE: "DIR/prometheusrule.yaml, the same for the Prometheus operator",
    Part.ALERTMANAGER: "DIR/alertmanager.yaml, a complete example",
    Part.DASHBOARDS: "DIR/dashboards/*.json, for Grafana",
    Part.RUNBOOKS: "DIR/runbooks/*.md",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Replacements of names in the exported files.

    Attributes:
        jobs: scrape jobs, by the name they have in the shipped files.
        severities: values of the label severity, likewise.
        labels: put on every alert.
        runbooks_url: replaces `RUNBOOKS_URL`; without a slash at its end.
    """

    jobs: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    runbooks_url: str = RUNBOOKS_URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to export, and its names.

    Attributes:
        parts: at least one.
        names: replacements of names.
        name: of the PrometheusRule.
        namespace: of the PrometheusRule; None for the one it is applied to.
        object_labels: of the PrometheusRule.
    """

    parts: frozenset[Part]
    names: Names
    name: str
    namespace: str | None
    object_labels: Mapping[str, str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command line."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="made where it is missing")
    parser.add_argument("--force", action="store_true", help="replace files that differ")
    chosen = parser.add_argument_group("what to write (default: everything)")
    for part, text in _PARTS.items():
        chosen.add_argument(
            f"--{part}", action="append_const", dest="parts", const=part, default=[], help=text
        )
    named = parser.add_argument_group("what it is called where it goes")
    for job, option in JOBS.items():
        named.add_argument(
            option,
            action="append",
            dest=job,
            default=[],
            metavar="NAME",
            help=f"scrape job (default: {job})",
        )
    named.add_argument(
        "--severity",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="another name for a severity, such as critical=page; may be repeated",
    )
    named.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a label for every alert, such as team=payments; may be repeated",
    )
    named.add_argument(
        "--runbooks-url",
        default=RUNBOOKS_URL,
        metavar="URL",
        help="where people read the runbooks; alerts and dashboards link to URL/NAME.md",
    )
    named.add_argument(
        "--name", default="tonwatch", help="of the PrometheusRule (default: tonwatch)"
    )
    named.add_argument("--namespace", help="of the PrometheusRule")
    named.add_argument(
        "--object-label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the PrometheusRule, by which operators select it; may be repeated",
    )


def selection(options: argparse.Namespace) -> Selection:
    """The validated options.

    Raises:
        ValueError: one is invalid; the text names it.
    """
    if not re.fullmatch(_DNS_NAME, options.name):
        raise ValueError(f"--name: {options.name!r} cannot be the name of a Kubernetes object")
    if options.namespace is not None and not re.fullmatch(_DNS_LABEL, options.namespace):
        raise ValueError(f"--namespace: {options.namespace!r} cannot be the name of a namespace")
    return Selection(
        parts=frozenset(options.parts or Part),
        names=Names(
            jobs=_jobs({job: getattr(options, job) for job in JOBS}),
            severities=_severities(options.severity),
            labels=_labels(options.label) if options.label else {},
            runbooks_url=_base(options.runbooks_url),
        ),
        name=options.name,
        namespace=options.namespace,
        object_labels=_object_labels(options.object_label),
    )


def _jobs(written: Mapping[str, Sequence[str]]) -> dict[str, str]:
    called = {}
    for job, names in written.items():
        if len(names) > 1:
            raise ValueError(
                f"{JOBS[job]} is given more than once ({', '.join(names)}), and rules select one"
                " job; relabel the scrapes so that they share a job, and name that"
            )
        called[job] = name = names[0] if names else job
        if not name or not name.isprintable():
            raise ValueError(f"{JOBS[job]}: {name!r} cannot be the name of a scrape job")
    for name in called.values():
        same = [JOBS[job] for job, other in called.items() if other == name]
        if len(same) > 1:
            raise ValueError(
                f"{' and '.join(same)}: {name!r} cannot be the job of both, as rules tell them"
                " apart by it; scrape each under a job of its own"
            )
    return {job: name for job, name in called.items() if name != job}


def _severities(written: Sequence[str]) -> dict[str, str]:
    table = _pairs("--severity", written)
    for old, new in table.items():
        if old not in SEVERITIES:
            there_are = ", ".join(SEVERITIES)
            raise ValueError(
                f"--severity: no alert has the severity {old!r}; there are {there_are}"
            )
        if not new or not new.isprintable():
            raise ValueError(f"--severity: {new!r} cannot be a severity")
    # Inhibitions depend on severities: two of one name would inhibit each other.
    called = [table.get(severity, severity) for severity in SEVERITIES]
    for new in table.values():
        if called.count(new) > 1:
            raise ValueError(f"--severity: two severities would be called {new!r}")
    return {old: new for old, new in table.items() if old != new}


def _labels(written: Sequence[str]) -> dict[str, str]:
    from tonwatch.serve.metrics import catalogue

    table = _pairs("--label", written)
    taken = {"alertname", "instance", "job", "severity", *_OF_RULES}
    for group in catalogue.GROUPS:
        taken.update(group.labels, *(metric.labels for metric in group.metrics))
    for label, value in table.items():
        if not re.fullmatch(_LABEL, label) or label.startswith("__"):
            raise ValueError(f"--label: {label!r} cannot be the name of a label")
        if label in taken:
            hint = "; severities are renamed with --severity" if label == "severity" else ""
            raise ValueError(f"--label: {label} is a label that alerts have already{hint}")
        if not value or not value.isprintable():
            raise ValueError(f"--label: {value!r} cannot be the value of a label")
    return table


def _object_labels(written: Sequence[str]) -> dict[str, str]:
    table = _pairs("--object-label", written)
    for label, value in table.items():
        if not re.fullmatch(_OBJECT_LABEL, label) or not re.fullmatch(_OBJECT_VALUE, value):
            raise ValueError(f"--object-label: {label}={value} cannot be a label in Kubernetes")
    return table


def _pairs(option: str, written: Sequence[str]) -> dict[str, str]:
    table: dict[str, str] = {}
    for pair in written:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{option}: {pair!r} is not written key=value")
        if key in table:
            raise ValueError(f"{option}: {key} is given twice")
        table[key] = value
    return table


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and re.fullmatch(_URL, url)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            f"--runbooks-url: {url!r} is not a URL like {RUNBOOKS_URL}, to which /NAME.md is added"
        )
    return url.rstrip("/")
