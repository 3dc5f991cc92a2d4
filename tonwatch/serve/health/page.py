"""The /health page for people: one View as HTML, without a script or anything from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from tonwatch.config.models import Config
from tonwatch.samples.sample import Probe, Sample
from tonwatch.serve import text, thresholds
from tonwatch.serve.health.document import VERSION, status
from tonwatch.serve.health.sparkline import Sparkline, sparkline
from tonwatch.serve.health.wallet_rows import account_rows
from tonwatch.system.internal_errors import InternalError
from tonwatch.watch.fork_evidence import disputes
from tonwatch.watch.lifetimes import lifetime
from tonwatch.watch.sentences import blocks, duration, rfc3339
from tonwatch.watch.states import MEANINGS, State
from tonwatch.watch.store import FAILURES, HISTORY, Record
from tonwatch.watch.verdicts import Verdict
from tonwatch.watch.view import View

REFRESH: Final = 5
"""Seconds until the page loads itself anew."""

MAX_FAILURES: Final = 20
"""Lines of failures on the page; equal ones in a row share a line."""

MAX_FINDINGS: Final = 8
"""Further findings, and lines of evidence, before the rest is left to the table of targets."""

MAX_BEFORE: Final = 10
"""Ended diagnoses on the page."""

_HASH: Final = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One line of the table of targets."""

    verdict: Verdict
    level: str
    note: str
    latency: Sparkline
    block_age: Sparkline
    answered: float | None
    writes: str


@dataclass(slots=True)
class FailureRow:
    """Failures of one target in a row that say the same."""

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
    """The page. Reads its template on first use, so call it in a thread."""
    return _template().render(**context(view, errors, alive=alive), refresh=refresh)


@cache
def content_security_policy() -> str:
    """Forbids everything but the page's own style and its icon."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def context(view: View, errors: Sequence[InternalError] = (), *, alive: bool) -> dict[str, Any]:
    """What the template is filled with."""
    also, further = view.diagnosis.also[:MAX_FINDINGS], view.diagnosis.also[MAX_FINDINGS:]
    unsaid = frozenset(finding.target for finding in further)
    rows = [
        _target_row(view, record, view.judgement.verdicts[name], unsaid)
        for name, record in view.snapshot.records.items()
    ]
    return {
        "alive": alive,
        "also": also,
        "before": view.history[:MAX_BEFORE],
        "config": view.config,
        "disputes": disputes(view, view.config.zerostate),
        "errors": errors,
        "evidence": text.evidence(view.diagnosis.finding, MAX_FINDINGS),
        "failures": _failure_rows(view),
        "kept": FAILURES,
        "now": view.snapshot.wall,
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


def _target_row(view: View, record: Record, verdict: Verdict, unsaid: frozenset[str]) -> TargetRow:
    now, window = view.snapshot.monotonic, _window(view.config)
    answered = [sample.finished for sample in record.heads if sample.ok]
    return TargetRow(
        verdict=verdict,
        level=level(verdict),
        note=_note(view, verdict, unsaid),
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
        writes=_writes(record, view),
    )


def _writes(record: Record, view: View) -> str:
    """Whether messages get through a target; empty where it is sent none."""
    if Probe.WRITE not in record.target.probes:
        return ""
    last = record.latest.get(Probe.WRITE)
    now, limit = view.snapshot.monotonic, lifetime(Probe.WRITE, view.config.probe)
    if last is None or now - last.finished > limit:
        return "messages unknown"
    return "messages accepted" if last.ok else "messages failing"


def _note(view: View, verdict: Verdict, unsaid: frozenset[str]) -> str:
    """What neither the row's numbers say nor the sentences above the table."""
    name = verdict.target.name
    disputed = view.judgement.forks.undecided.get(name)
    parts = [
        text.why(verdict) if name in unsaid else "",
        "" if disputed is None else f"Its block {disputed} is disputed.",
        _interrupted(verdict, view.config),
        text.progress(view.readiness.standings.get(name), view.config.readiness),
    ]
    return " ".join(part for part in parts if part)


def _interrupted(verdict: Verdict, config: Config) -> str:
    times = int(verdict.interruptions)
    if verdict.state is State.FLAPPING or not times:
        return ""
    counted = "once" if times == 1 else f"{times} times"
    return f"Interrupted {counted} in the last {duration(config.thresholds.flapping_window)}."


def short_hashes(text: str) -> str:
    """Cut hashes to what tells them apart."""
    return _HASH.sub(r"\1…", text)


def level(verdict: Verdict) -> str:
    """How bad a target's state is: ok, warn, bad or unknown; colour and shape follow it."""
    meaning = MEANINGS[verdict.state]
    return meaning.level if verdict.usable else meaning.unusable


def _window(config: Config) -> float:
    return HISTORY * config.probe.interval


def _query(sample: Sample) -> float | None:
    return sample.phases.get("query") if sample.ok else None


def _block_age(sample: Sample) -> float | None:
    """How old its last block was when it was asked, by our clock."""
    if not sample.ok or sample.head is None or sample.head.gen_utime is None:
        return None
    return max(0.0, sample.started - sample.head.gen_utime)


def _failure_rows(view: View) -> Sequence[FailureRow]:
    """The failures that were kept, newest first, over all targets."""
    rows: list[FailureRow] = []
    for record in view.snapshot.records.values():
        rows += _grouped(reversed(record.failures), view.snapshot.monotonic)
    return sorted(rows, key=lambda row: row.age)[:MAX_FAILURES]


def _grouped(failures: Iterable[Sample], now: float) -> Iterable[FailureRow]:
    row: FailureRow | None = None
    for sample in failures:
        if row is not None and _says(sample) == _says(row.sample):
            row.count += 1
            row.first = sample.started
            continue
        if row is not None:
            yield row
        row = FailureRow(sample, now - sample.finished, sample.started)
    if row is not None:
        yield row


def _says(sample: Sample) -> tuple[str, str, str]:
    return sample.probe, sample.reason, sample.detail
