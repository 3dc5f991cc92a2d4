"""Every metric that is exposed: name, type, meaning, labels, and how its values are read.

The exposition and docs/metrics.md are both made from this, so they agree.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from tonwatch.serve.metrics import targets, wallets
from tonwatch.serve.metrics.contexts import ScrapeContext
from tonwatch.serve.metrics.family import Group, Metric, Point, one_of
from tonwatch.serve.thresholds import UNITS, Unit, unit_of
from tonwatch.watch.findings import Cause, alert_of
from tonwatch.watch.pace import Pace
from tonwatch.watch.readiness import Phase
from tonwatch.watch.states import State


def _egress(context: ScrapeContext) -> float | None:
    """Known while all external targets have been probed, two at least."""
    judgement = context.view.judgement
    outside = [verdict for verdict in judgement.verdicts.values() if not verdict.target.local]
    if len(outside) > 1 and all(verdict.state is not State.UNKNOWN for verdict in outside):
        return float(bool(judgement.unreachable))
    return None


def _pace(context: ScrapeContext) -> Pace:
    """How fast blocks come; known while a target reports them."""
    judgement = context.view.judgement
    return judgement.pace if judgement.head is not None else Pace()


_CHAIN: Final[tuple[Metric[ScrapeContext], ...]] = (
    Metric(
        "tonwatch_head_seqno",
        "gauge",
        "Seqno of the highest masterchain block that two targets confirm, or the only one that"
        " answers: the head of the chain.",
        lambda s: s.view.judgement.head.seqno if s.view.judgement.head else None,
    ),
    Metric(
        "tonwatch_head_timestamp_seconds",
        "gauge",
        "Time of the head (gen_utime, whole seconds), Unix time in seconds.",
        lambda s: s.view.judgement.head.gen_utime if s.view.judgement.head else None,
    ),
    Metric(
        "tonwatch_chain_stalled",
        "gauge",
        "1 while at least two targets answer and none has had a new block for the threshold"
        " `stalled`, else 0. Absent while none answers.",
        lambda s: None if s.view.judgement.idle is None else float(s.view.judgement.stalled),
    ),
    Metric(
        "tonwatch_chain_block_interval_seconds",
        "gauge",
        "Seconds from one masterchain block to the next, by the block times of the last ones.",
        lambda s: _pace(s).recent,
    ),
    Metric(
        "tonwatch_chain_usual_block_interval_seconds",
        "gauge",
        "Seconds from one masterchain block to the next that are usual, learnt over a day.",
        lambda s: _pace(s).usual,
    ),
    Metric(
        "tonwatch_independent_sources",
        "gauge",
        "Independent sources among the targets that answer: those of one operator, or that are one"
        " server, are one.",
        lambda s: s.view.judgement.sources,
    ),
    Metric(
        "tonwatch_local_clock_offset_seconds",
        "gauge",
        "Offset of the servers' clocks and block times from the local clock, in seconds: positive"
        " where the local clock is slow. Only present while it is at least the threshold"
        " `clock_warn` and most servers agree.",
        lambda s: s.view.judgement.clock_offset,
    ),
    Metric(
        "tonwatch_egress_broken",
        "gauge",
        "1 while no external target can be reached, else 0. Absent where fewer than two are"
        " configured, or one has not been probed.",
        _egress,
    ),
)

_SELECTED: Final = (
    Cause.LOCAL_RESOURCES,
    Cause.EGRESS_LOSSY,
    Cause.CHAIN_ROLLED_BACK,
    Cause.ALL_LAGGING,
    Cause.SOURCES_DISAGREE,
    Cause.MESSAGES_QUEUED,
    Cause.STATE_DIR_FAILING,
    Cause.CHAIN_SLOW,
)
"""Causes whose alert rules select findings, as no other metric shows them."""


def _findings(context: ScrapeContext) -> Iterable[Point]:
    diagnosis = context.view.diagnosis
    counts = Counter(dict.fromkeys(_SELECTED, 0))
    for finding in (diagnosis.finding, *diagnosis.also):
        if alert_of(finding.cause) is not None:
            counts[finding.cause] += len(finding.others) or 1
    for cause, count in counts.items():
        yield (cause.value,), count


def _since(context: ScrapeContext) -> Iterable[Point]:
    diagnosis, status = context.view.diagnosis, context.view.judgement.wallet_status
    finding = diagnosis.finding
    is_contract = finding.account in status.contracts
    wallet, contract = ("", finding.account) if is_contract else (finding.account, "")
    yield (finding.cause.value, finding.target, wallet, contract), diagnosis.since


_VERDICT: Final[tuple[Metric[ScrapeContext], ...]] = (
    Metric(
        "tonwatch_diagnosis",
        "gauge",
        "1 for the cause that is diagnosed.",
        lambda s: [((s.view.diagnosis.cause.value,), 1)],
        labels=("cause",),
    ),
    Metric(
        "tonwatch_diagnosis_since_timestamp_seconds",
        "gauge",
        "When the cause was first diagnosed, Unix time in seconds, with the target, wallet or"
        " contract that it is about now; labels that do not apply are empty.",
        _since,
        labels=("cause", "target", "wallet", "contract"),
    ),
    Metric(
        "tonwatch_findings",
        "gauge",
        "What is wrong, by cause, the diagnosis and all else: how many targets, wallets and"
        " contracts, and 1 for what is about all of them. Causes that alert rules select are also"
        " there at 0.",
        _findings,
        labels=("cause",),
    ),
    Metric(
        "tonwatch_ready",
        "gauge",
        "1 while /ready answers 200, else 0.",
        lambda s: float(s.view.readiness.ready),
    ),
    Metric(
        "tonwatch_readiness",
        "gauge",
        "1 for the readiness that /ready answers, 0 for every other.",
        lambda s: one_of(Phase, s.view.readiness.phase),
        labels=("readiness",),
    ),
)

_MEASURED: Final[dict[Unit, str]] = {
    "seconds": "Configured thresholds of time, in seconds.",
    "blocks": "Configured thresholds of distance, in blocks.",
    "interruptions": "Configured thresholds that count interruptions.",
    "payouts": "Configured thresholds that count payouts.",
    "transactions": "Configured thresholds that count transactions.",
}


def _thresholds(context: ScrapeContext, unit: Unit) -> Iterable[Point]:
    """The configured ones that are measured in `unit`."""
    for name, value in context.view.config.thresholds:
        if unit_of(name) == unit:
            yield (name,), value


def _threshold(unit: Unit) -> Metric[ScrapeContext]:
    return Metric(
        f"tonwatch_threshold_{unit}",
        "gauge",
        _MEASURED[unit],
        lambda s: _thresholds(s, unit),
        labels=("threshold",),
        lasting=True,
    )


_ITSELF: Final[tuple[Metric[ScrapeContext], ...]] = (
    Metric(
        "tonwatch_build_info",
        "info",
        "Always 1: the version of tonwatch.",
        lambda s: [((s.version,), 1)],
        labels=("version",),
        lasting=True,
    ),
    Metric(
        "tonwatch_start_timestamp_seconds",
        "gauge",
        "When tonwatch started, Unix time in seconds.",
        lambda s: s.view.started,
        lasting=True,
    ),
    Metric(
        "tonwatch_last_evaluation_timestamp_seconds",
        "gauge",
        "When targets and wallets were last evaluated: the time that all other values belong to;"
        " Unix time in seconds. While it does not change, tonwatch itself hangs.",
        lambda s: s.view.judgement.wall,
        lasting=True,
    ),
    Metric(
        "tonwatch_payout_overruns_total",
        "counter",
        "Intervals at which transactions of wallets were still being counted since the interval"
        " before, as they are while history is caught up.",
        lambda s: s.view.snapshot.payout_overruns,
        lasting=True,
    ),
    Metric(
        "tonwatch_http_connections",
        "gauge",
        "Open connections to tonwatch's own HTTP server.",
        lambda s: s.traffic.connections,
        lasting=True,
    ),
    Metric(
        "tonwatch_http_connections_refused_total",
        "counter",
        "Connections to tonwatch's own HTTP server that were refused or closed early.",
        lambda s: (((why.value,), count) for why, count in s.traffic.refused.items()),
        labels=("refusal",),
    ),
    *(_threshold(unit) for unit in UNITS),
)


def _once(context: ScrapeContext) -> tuple[tuple[tuple[()], ScrapeContext]]:
    """The one source of a group without labels: the context itself."""
    return (((), context),)


CHAIN: Final = Group("The chain", (), _CHAIN, _once)
VERDICT: Final = Group("Diagnosis and readiness", (), _VERDICT, _once)
ITSELF: Final = Group("tonwatch itself", (), _ITSELF, _once)

GROUPS: Final[tuple[Group[Any], ...]] = (
    CHAIN,
    VERDICT,
    targets.TARGETS,
    targets.PROBES,
    wallets.WALLETS,
    wallets.ASSETS,
    wallets.PAYOUTS,
    wallets.CONTRACTS,
    ITSELF,
)
"""In the order of the exposition and of the documentation."""
