"""The /health page: one View as HTML, without scripts or external resources."""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from tonwatch.config.models import Config
from tonwatch.samples.sample import Probe, Sample
from tonwatch.serve import text, thresholds
from tonwatch.serve.health.document import VERSION, status
from tonwatch.serve.health.sparkline import Sparkline, sparkline
from tonwatch.serve.health.wallet_rows import account_rows
from tonwatch.system.internal_errors import InternalError
from tonwatch.watch.fork_evidence import fork_evidence
from tonwatch.watch.lifetimes import lifetime
from tonwatch.watch.policy import barring_gates, by_policy
from tonwatch.watch.sentences import blocks, duration, rfc3339
from tonwatch.watch.states import MEANINGS, State
from tonwatch.watch.store import FAILURES, HISTORY, Record
from tonwatch.watch.verdicts import Verdict
from tonwatch.watch.view import View

REFRESH: Final = 5
"""Seconds until the page reloads itself."""

MAX_FAILURES: Final = 20
"""Lines of failures on the page; equal ones in a row share a line."""

MAX_FINDINGS: Final = 8
"""Further findings, and lines of evidence; the others are in the table of targets."""

MAX_HISTORY: Final = 10
"""Ended diagnoses on the page, and changes of servers."""

_CODE: Final = re.compile(r"`([a-z_.]+)`")

_HASH: Final = re.compile(r"\b([0-9A-Fa-f]{8})[0-9A-Fa-f]{56}\b")


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One line of the table of targets."""

    verdict: Verdict
    level: str
    note: str
    latency: Sparkline
    block_age: Sparkline
    answered: float | None
    messages: str


@dataclass(slots=True)
class FailureRow:
    """Consecutive equal failures of one target."""

    sample: Sample
    age: float
    first: float
    count: int = 1


def render(
    view: View,
    errors: Sequence[InternalError] = (),
    *,
    alive: bool,
    refresh: bool,
) -> str:
    """The page. The first call reads the template from disk: call it in a thread."""
    return _template().render(**context(view, errors, alive=alive), refresh=refresh)


@cache
def content_security_policy() -> str:
    """A policy that allows the page's own style and its icon alone."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def context(view: View, errors: Sequence[InternalError] = (), *, alive: bool) -> dict[str, Any]:
    """The variables of the template."""
    also, further = view.diagnosis.also[:MAX_FINDINGS], view.diagnosis.also[MAX_FINDINGS:]
    omitted = frozenset(finding.target for finding in further)
    rows = [
        _target_row(view, record, view.judgement.verdicts[name], omitted)
        for name, record in view.snapshot.records.items()
    ]
    return {
        "alive": alive,
        "also": also,
        "history": view.history[:MAX_HISTORY],
        "server_changes": view.server_changes[:MAX_HISTORY],
        "config": view.config,
        "forks": fork_evidence(view, view.config.zerostate),
        "errors": errors,
        "evidence": text.evidence(view.diagnosis.finding, MAX_FINDINGS),
        "failures": _failure_rows(view),
        "kept": FAILURES,
        "now": view.snapshot.wall,
        "policy": by_policy(
            view.diagnosis.finding,
            view.judgement,
            view.readiness,
            view.config.readiness.gates,
        ),
        "place": "wallet" if any(finding.account for finding in further) else "target",
        "accounts": account_rows(view, further),
        "readiness_count": text.readiness_count(view.readiness),
        "refresh_interval": REFRESH,
        "rows": rows,
        "status": status(view, errors, alive=alive),
        "style": Markup(_style()),  # noqa: S704 - a file of this package
        "thresholds": thresholds.described(view.config.thresholds),
        "version": VERSION,
        "view": view,
        "window": _window(view.config),
    }


@cache
def _style() -> str:
    return files("tonwatch.serve.health").joinpath("page.css").read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("tonwatch.serve.health", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "blocks": blocks,
        "clock": text.time_of_day,
        "code": code,
        "date": text.date,
        "duration": duration,
        "offset": text.offset,
        "plain": text.plain,
        "rfc3339": rfc3339,
        "short_hashes": short_hashes,
        "short_time": text.short_time,
    }
    environment.globals |= {"duration": duration, "short_time": text.short_time}
    return environment.get_template("page.html")


def _target_row(view: View, record: Record, verdict: Verdict, omitted: frozenset[str]) -> TargetRow:
    now, window = view.snapshot.monotonic, _window(view.config)
    answered = [sample.finished for sample in record.heads if sample.ok]
    return TargetRow(
        verdict=verdict,
        level=level(verdict),
        note=_note(view, verdict, omitted),
        latency=sparkline(
            [(now - sample.finished, _query(sample)) for sample in record.heads],
            window=window,
            floor=0.002,
            limit=view.config.thresholds.slow,
        ),
        block_age=sparkline(
            [(now - sample.finished, _block_age(sample)) for sample in record.heads],
            window=window,
            floor=view.config.thresholds.lag_warn,
            limit=view.config.thresholds.lag_warn,
        ),
        answered=now - answered[-1] if answered else None,
        messages=_messages(record, view),
    )


def _messages(record: Record, view: View) -> str:
    """Whether a target accepts external messages; empty where it is sent none."""
    if Probe.WRITE not in record.target.probes:
        return ""
    last = record.latest.get(Probe.WRITE)
    now, limit = view.snapshot.monotonic, lifetime(Probe.WRITE, view.config.probe)
    if last is None or now - last.finished > limit:
        return "messages unknown"
    return "messages accepted" if last.ok else "messages failing"


def _note(view: View, verdict: Verdict, omitted: frozenset[str]) -> str:
    """What is neither in the row's numbers nor in the sentences above the table."""
    name = verdict.target.name
    forked_at = view.judgement.forks.undecided.get(name)
    parts = [
        text.why(verdict) if name in omitted else "",
        "" if forked_at is None else f"Other targets have another block {forked_at}.",
        _interrupted(verdict, view.config),
        text.progress(view.readiness.standings.get(name), view.config.readiness),
        text.by_gates(barring_gates(verdict, view.judgement)),
    ]
    return " ".join(part for part in parts if part)


def _interrupted(verdict: Verdict, config: Config) -> str:
    times = int(verdict.interruptions)
    if verdict.state is State.FLAPPING or not times:
        return ""
    counted = "once" if times == 1 else f"{times} times"
    return f"Interrupted {counted} in the last {duration(config.thresholds.flapping_window)}."


def code(sentence: str) -> Markup:
    """A sentence whose names of settings stand between backticks, as HTML."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(sentence))))  # noqa: S704 - escaped


def short_hashes(text: str) -> str:
    """Cut hashes to their first eight digits."""
    return _HASH.sub(r"\1…", text)


def level(verdict: Verdict) -> str:
    """Severity of a target's state: ok, warn, bad or unknown; shown by colour and shape."""
    meaning = MEANINGS[verdict.state]
    return meaning.level if verdict.usable else meaning.unusable


def _window(config: Config) -> float:
    return HISTORY * config.probe.interval


def _query(sample: Sample) -> float | None:
    return sample.phases.get("query") if sample.ok else None


def _block_age(sample: Sample) -> float | None:
    """Age of its last block when it was queried, by the local clock, seconds."""
    if not sample.ok or sample.head is None or sample.head.gen_utime is None:
        return None
    return max(0.0, sample.started - sample.head.gen_utime)


def _failure_rows(view: View) -> Sequence[FailureRow]:
    """The failures kept of all targets, newest first."""
    rows: list[FailureRow] = []
    for record in view.snapshot.records.values():
        rows += _grouped(reversed(record.failures), view.snapshot.monotonic)
    return sorted(rows, key=lambda row: row.age)[:MAX_FAILURES]


def _grouped(failures: Iterable[Sample], now: float) -> Iterable[FailureRow]:
    row: FailureRow | None = None
    for sample in failures:
        if row is not None and _content(sample) == _content(row.sample):
            row.count += 1
            row.first = sample.started
            continue
        if row is not None:
            yield row
        row = FailureRow(sample, now - sample.finished, sample.started)
    if row is not None:
        yield row


def _content(sample: Sample) -> tuple[str, str, str]:
    return sample.probe, sample.reason, sample.detail
