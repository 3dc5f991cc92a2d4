"""The /health page for people: one View as HTML, without a script or anything from elsewhere."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from tonwatch.config import Config, Thresholds
from tonwatch.probes.sample import Sample
from tonwatch.serve import words
from tonwatch.serve.health import VERSION, status
from tonwatch.serve.sparkline import Sparkline, sparkline
from tonwatch.watch.board import FAILURES, HISTORY, Record
from tonwatch.watch.diagnosis import duration
from tonwatch.watch.judge import State, Verdict
from tonwatch.watch.readiness import Standing
from tonwatch.watch.watcher import View

REFRESH: Final = 5
"""Seconds until the page loads itself anew."""

MAX_FAILURES: Final = 20
"""Lines of failures on the page; equal ones in a row share a line."""

_BAD_STATES: Final = frozenset(
    {
        State.DOWN,
        State.UNAUTHORIZED,
        State.NOT_SYNCED,
        State.WRONG_NETWORK,
        State.STALLED,
    }
)


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One line of the table of targets."""

    verdict: Verdict
    level: str
    note: str
    latency: Sparkline
    block_age: Sparkline
    answered: float | None


@dataclass(slots=True)
class FailureRow:
    """Failures of one target in a row that say the same."""

    sample: Sample
    age: float
    first: float
    count: int = 1


def render(view: View, config: Config, *, alive: bool, refresh: bool) -> str:
    """The page. Reads its template on first use, so call it in a thread."""
    return _template().render(**context(view, config, alive=alive), refresh=refresh)


@cache
def content_security_policy() -> str:
    """Forbids everything but the page's own style and its icon."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def context(view: View, config: Config, *, alive: bool) -> dict[str, Any]:
    """What the template is filled with."""
    rows = [
        _target_row(view, config, record, view.judgement.verdicts[name])
        for name, record in view.snapshot.records.items()
    ]
    return {
        "alive": alive,
        "config": config,
        "failures": _failure_rows(view),
        "kept": FAILURES,
        "now": view.snapshot.wall,
        "readiness_count": words.readiness_count(view.readiness),
        "refresh_interval": REFRESH,
        "rows": rows,
        "status": status(view, alive=alive),
        "style": Markup(_style()),  # noqa: S704 - a file of this package
        "thresholds": [
            (name, value, Thresholds.model_fields[name].description)
            for name, value in config.thresholds
        ],
        "version": VERSION,
        "view": view,
        "window": _window(config),
    }


@cache
def _style() -> str:
    return files("tonwatch.serve").joinpath("health.css").read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("tonwatch.serve", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "blocks": words.blocks,
        "clock": _clock,
        "date": _date,
        "duration": duration,
        "offset": words.offset,
        "plain": words.plain,
        "rfc3339": words.rfc3339,
        "short_time": words.short_time,
    }
    environment.globals |= {"duration": duration, "short_time": words.short_time}
    return environment.get_template("health.html")


def _target_row(view: View, config: Config, record: Record, verdict: Verdict) -> TargetRow:
    now, window = view.snapshot.monotonic, _window(config)
    answered = [sample.finished for sample in record.heads if sample.ok]
    return TargetRow(
        verdict=verdict,
        level=level(verdict),
        note=_note(verdict, view.readiness.standings.get(verdict.target.name), config),
        latency=sparkline(
            [(now - sample.finished, _query(sample)) for sample in record.heads],
            window=window,
            floor=0.002,
            limit=config.thresholds.slow,
        ),
        block_age=sparkline(
            [(now - sample.finished, _block_age(sample)) for sample in record.heads],
            window=window,
            floor=config.thresholds.behind_warn,
            limit=config.thresholds.behind_warn,
        ),
        answered=now - answered[-1] if answered else None,
    )


def _note(verdict: Verdict, standing: Standing | None, config: Config) -> str:
    """What the numbers of the row do not say: why, and how far from leaving or returning."""
    parts = [words.explain(verdict), words.progress(standing, config.readiness)]
    text = "; ".join(part for part in parts if part)
    return text and f"{text[0].upper()}{text[1:]}."


def level(verdict: Verdict) -> str:
    """How bad a target's state is: ok, warn, bad or unknown; colour and shape follow it."""
    if verdict.state in {State.OK, State.UNKNOWN}:
        return verdict.state.value
    if verdict.state is State.THROTTLED:
        return "warn"  # it works; we are only asked to ask less
    return "bad" if verdict.state in _BAD_STATES or not verdict.usable else "warn"


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


def _clock(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%H:%M:%S")


def _date(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d")
