"""The /health document: everything that is known and judged, as plain values with their units."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from tonwatch.samples.sample import Probe, Sample
from tonwatch.serve.health import wallet_status
from tonwatch.serve.text import evidence, why
from tonwatch.system.internal_errors import InternalError
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.fork_evidence import ForkEvidence, fork_evidence
from tonwatch.watch.lifetimes import lifetime
from tonwatch.watch.policy import barring_gates, by_policy
from tonwatch.watch.readiness import Phase, Standing
from tonwatch.watch.sentences import rfc3339
from tonwatch.watch.store import Record, ServerChange
from tonwatch.watch.verdicts import Verdict
from tonwatch.watch.view import Ended, View


def _own_version() -> str:
    try:
        return version("tonwatch")
    except PackageNotFoundError:
        return "unknown"  # a source tree that is not installed


VERSION: Final = _own_version()

ALSO_EVIDENCE: Final = 10
"""Lines of evidence of each further finding: with hundreds of findings the document would take
megabytes."""

_LONG: Final = frozenset({"wallets", "also"})
"""Keys of the document whose entries take a line each."""


def status(view: View, errors: Sequence[InternalError] = (), *, alive: bool = True) -> str:
    """``pass``, ``warn`` or ``fail``, as in the health+json draft.

    fail: the primaries are not in sync, the chain is stalled, or tonwatch itself hangs. warn: any
    other problem, those of wallets and bugs in tonwatch included: these are no failures of nodes,
    unless a gate of readiness makes them one.
    """
    if not alive or view.readiness.phase is Phase.UNREADY or view.judgement.stalled:
        return "fail"
    healthy = view.diagnosis.cause is Cause.HEALTHY and view.readiness.phase is Phase.READY
    fails = any(error.ongoing for error in errors)
    return "pass" if healthy and not fails else "warn"


def document(
    view: View, errors: Sequence[InternalError] = (), *, alive: bool = True
) -> dict[str, Any]:
    """The /health document, ready for `json.dumps`. Keys name their unit; None is not known.

    Args:
        view: what is described.
        errors: what has failed in tonwatch itself.
        alive: whether views are still made; if not, the view is of the past.
    """
    now, judgement = view.snapshot.wall, view.judgement
    diagnosis, readiness, head = view.diagnosis, view.readiness, judgement.head
    return {
        "status": status(view, errors, alive=alive),
        "version": VERSION,
        "time": rfc3339(now),
        "uptime_seconds": _rounded(now - view.started, 0),
        "alive": alive,
        "internal_errors": [_internal_error(error) for error in errors],
        "network": view.config.network,
        "diagnosis": {
            "cause": diagnosis.cause,
            "sentence": diagnosis.sentence,
            "since": rfc3339(diagnosis.since),
            "for_seconds": _rounded(now - diagnosis.since, 0),
            "target": diagnosis.finding.target or None,
            "account": diagnosis.finding.account or None,
            "impact": diagnosis.finding.impact or None,
            "runbook": diagnosis.finding.runbook,
            "evidence": list(diagnosis.finding.evidence),
        },
        "also": [_finding(finding) for finding in diagnosis.also],
        "history": [_ended(ended) for ended in view.history],
        "server_changes": [_server_change(change) for change in view.server_changes],
        "head": head
        and {
            "seqno": head.seqno,
            "time": None if head.gen_utime is None else rfc3339(head.gen_utime),
            "reported_by": head.target,
            "idle_seconds": _rounded(judgement.idle, 1),
            "stalled": judgement.stalled,
            "block_interval_seconds": _rounded(judgement.pace.recent, 2),
            "usual_block_interval_seconds": _rounded(judgement.pace.usual, 2),
        },
        "independent_sources": judgement.sources,
        "clock_offset_seconds": _rounded(judgement.clock_offset, 1),
        "unreachable": list(judgement.unreachable),
        "forks": [_fork(fork) for fork in fork_evidence(view, view.config.zerostate)],
        "readiness": {
            "phase": readiness.phase,
            "ready": readiness.ready,
            "since": rfc3339(readiness.since),
            "needed": readiness.needed,
            "by_policy": by_policy(
                diagnosis.finding, judgement, readiness, view.config.readiness.gates
            )
            or None,
            "targets": {
                name: _standing(standing) for name, standing in readiness.standings.items()
            },
        },
        "targets": [
            _target(judgement.verdicts[name], record, view)
            for name, record in view.snapshot.records.items()
        ],
        "wallets": wallet_status.wallets(view),
        "contracts": wallet_status.contracts(view),
        "thresholds": view.config.thresholds.model_dump(),
    }


def as_text(content: Mapping[str, Any]) -> str:
    """The document as JSON: indented, but each wallet and each further finding in one line.

    There may be thousands of these, and indenting is slow.
    """
    parts = (
        f"  {json.dumps(key)}: {_lines(value) if key in _LONG else _indented(value)}"
        for key, value in content.items()
    )
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n  ")


def _lines(values: Sequence[Any]) -> str:
    lines = ",\n    ".join(json.dumps(value, ensure_ascii=False) for value in values)
    return f"[\n    {lines}\n  ]" if values else "[]"


def _internal_error(error: InternalError) -> dict[str, Any]:
    return {
        "component": error.component,
        "count": error.count,
        "since": rfc3339(error.since),
        "last": rfc3339(error.last),
        "ongoing": error.ongoing,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "cause": finding.cause,
        "sentence": finding.sentence,
        "since": rfc3339(finding.since),
        "target": finding.target or None,
        "account": finding.account or None,
        "primary": finding.primary,
        "impact": finding.impact or None,
        "runbook": finding.runbook,
        "evidence": evidence(finding, ALSO_EVIDENCE),
    }


def _ended(ended: Ended) -> dict[str, Any]:
    return {
        "cause": ended.finding.cause,
        "sentence": ended.finding.sentence,
        "since": rfc3339(ended.since),
        "until": rfc3339(ended.until),
        "for_seconds": _rounded(ended.until - ended.since, 0),
        "target": ended.finding.target or None,
        "account": ended.finding.account or None,
    }


def _server_change(change: ServerChange) -> dict[str, Any]:
    return {
        "time": rfc3339(change.at),
        "target": change.target,
        "trait": change.trait,
        "was": change.was,
        "now": change.now,
    }


def _fork(fork: ForkEvidence) -> dict[str, Any]:
    return {
        "seqno": fork.seqno,
        "root_hashes": {name: value.hex() for name, value in fork.root_hashes.items()},
        "minority": list(fork.minority),
    }


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "ready": standing.ready,
        "good_in_a_row": standing.good,
        "bad_in_a_row": standing.bad,
    }


def _target(verdict: Verdict, record: Record, view: View) -> dict[str, Any]:
    known = verdict.head
    protocol = known.version if known else None
    return {
        "name": verdict.target.name,
        "kind": verdict.target.kind,
        "role": verdict.target.role,
        "state": verdict.state,
        "since": rfc3339(verdict.since),
        "why": why(verdict) or None,
        "up": verdict.up,
        "usable": verdict.usable,
        "barred_by": sorted(verdict.barred),
        "gates": barring_gates(verdict, view.judgement),
        "reason": verdict.reason,
        "detail": verdict.detail or None,
        "seqno": known.seqno if known else None,
        "root_hash": known.root_hash.hex() if known else None,
        "block_time": None if not known or known.gen_utime is None else rfc3339(known.gen_utime),
        "lag_seconds": _rounded(verdict.lag_seconds, 1),
        "lag_blocks": verdict.lag_blocks,
        "in_sync_in_seconds": _rounded(verdict.in_sync_in, 0),
        "shard_client_seqno": known.shard_client_seqno if known else None,
        "shard_client_lag_blocks": verdict.shard_client_lag,
        "shard_lag_seconds": _rounded(verdict.shard_lag_seconds, 1),
        "clock_offset_seconds": _rounded(known.clock_offset if known else None, 1),
        "latency_ms": _milliseconds(verdict.latency),
        "idle_seconds": _rounded(verdict.idle, 1),
        "interruptions": _rounded(verdict.interruptions, 1),
        "out_queue": _out_queue(record, view),
        "protocol_version": None if protocol is None else f"{protocol >> 8}.{protocol & 255}",
        "steps_back": record.steps_back,
        "dropped_answers": record.dropped_answers,
        "probes": {
            probe: {**_sample(sample, view), "phases_ms": _phases(sample)}
            for probe, sample in record.latest.items()
        },
        "failures": [
            {"probe": sample.probe, **_sample(sample, view)} for sample in reversed(record.failures)
        ],
    }


def _out_queue(record: Record, view: View) -> dict[str, int] | None:
    """The longest outbound queue of a shard, as last reported; None where that is too old."""
    read = record.latest.get(Probe.ACCOUNT)
    oldest = view.snapshot.monotonic - lifetime(Probe.ACCOUNT, view.config.probe)
    if read is None or read.out_queue is None or read.finished < oldest:
        return None
    size, limit = read.out_queue
    return {"messages": size, "limit_messages": limit}


def _sample(sample: Sample, view: View) -> dict[str, Any]:
    return {
        "time": rfc3339(sample.started),
        "age_seconds": _rounded(view.snapshot.monotonic - sample.finished, 1),
        "reason": sample.reason,
        "detail": sample.detail or None,
        "duration_ms": _milliseconds(sample.duration),
    }


def _phases(sample: Sample) -> dict[str, float | None]:
    return {phase: _milliseconds(seconds) for phase, seconds in sample.phases.items()}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _rounded(value: float | None, digits: int) -> float | int | None:
    if value is None:
        return None
    return round(value, digits) if digits else round(value)
