"""The metrics of targets and their probes.

What is not known is left out: a value that is too old is no longer exposed.
"""

from collections.abc import Iterable
from typing import Final

from tonwatch.samples.sample import Probe
from tonwatch.serve.metrics import contexts
from tonwatch.serve.metrics.contexts import TargetContext
from tonwatch.serve.metrics.family import Group, Metric, Point, one_of
from tonwatch.ton.errors import Reason
from tonwatch.watch.states import State
from tonwatch.watch.store import Histogram

_TIMED: Final = frozenset({Probe.HEAD, Probe.CONNECT})
"""Probes with a histogram: the others repeat the same queries, or send many at a time."""


def _of_known(context: TargetContext, value: float) -> float | None:
    """A value that means something only while the target's state is known."""
    return None if context.verdict.state is State.UNKNOWN else value


def _info(context: TargetContext) -> Iterable[Point]:
    """Kind, role and locality of a target, as labels."""
    target = context.record.target
    yield (target.kind, target.role, str(target.local).lower()), 1


def _version(context: TargetContext) -> Iterable[Point]:
    """The liteserver protocol's, as a label."""
    version = context.verdict.head.version if context.verdict.head else None
    if version is not None:
        yield (f"{version >> 8}.{version & 255}",), 1


def _probes(context: TargetContext) -> Iterable[Point]:
    """By probe and outcome, all from 0."""
    record = context.record
    for probe in record.target.probes:
        ok = record.results.get((probe, Reason.OK), 0)
        ended = sum(count for (asked, _), count in record.results.items() if asked is probe)
        yield (probe.value, "ok"), ok
        yield (probe.value, "failed"), ended - ok


def _failures(context: TargetContext) -> Iterable[Point]:
    """By probe and reason, of those that have occurred."""
    for (probe, reason), count in context.record.results.items():
        if reason is not Reason.OK:
            yield (probe.value, reason.value), count


def _durations(context: TargetContext) -> Iterable[Point]:
    """By probe."""
    for probe in context.record.target.probes:
        if probe in _TIMED:
            yield (probe.value,), context.record.durations.get(probe, Histogram())


def _phases(context: TargetContext) -> Iterable[Point]:
    """By probe and phase, of samples that are recent enough."""
    for probe, sample in context.record.latest.items():
        if context.scrape.fresh(sample):
            for phase, seconds in sample.phases.items():
                yield (probe.value, phase), seconds


def _accepts_messages(context: TargetContext) -> float | None:
    """Whether the last probe message was rejected as it must be, while that is recent enough."""
    sent = context.record.latest.get(Probe.WRITE)
    return None if sent is None or not context.scrape.fresh(sent) else float(sent.ok)


def _out_queue(context: TargetContext) -> tuple[int, int] | None:
    """Size and limit, as last reported, while that is recent enough."""
    read = context.record.latest.get(Probe.ACCOUNT)
    return read.out_queue if read is not None and context.scrape.fresh(read) else None


_TARGET: Final[tuple[Metric[TargetContext], ...]] = (
    Metric(
        "tonwatch_target_info",
        "info",
        "Always 1: kind and role of a target, and whether it is on this machine (`true`, `false`).",
        _info,
        labels=("kind", "role", "local"),
        lasting=True,
    ),
    Metric(
        "tonwatch_target_up",
        "gauge",
        "1 while it answers probes, else 0.",
        lambda s: _of_known(s, float(s.verdict.up)),
    ),
    Metric(
        "tonwatch_target_state",
        "gauge",
        "1 for the state of the target, 0 for every other.",
        lambda s: one_of(State, s.verdict.state),
        labels=("state",),
    ),
    Metric(
        "tonwatch_target_usable",
        "gauge",
        "1 while it is in sync within the limits of readiness, else 0; before hysteresis.",
        lambda s: _of_known(s, float(s.verdict.usable)),
    ),
    Metric(
        "tonwatch_target_seqno",
        "gauge",
        "Seqno of its last masterchain block.",
        lambda s: s.verdict.head.seqno if s.verdict.head else None,
    ),
    Metric(
        "tonwatch_target_block_timestamp_seconds",
        "gauge",
        "Time of its last masterchain block (gen_utime, whole seconds), Unix time in seconds.",
        lambda s: s.verdict.head.gen_utime if s.verdict.head else None,
    ),
    Metric(
        "tonwatch_target_shard_client_seqno",
        "gauge",
        "Seqno of the last masterchain block whose shard blocks it has applied: accounts are read"
        " at this block.",
        lambda s: s.verdict.head.shard_client_seqno if s.verdict.head else None,
    ),
    Metric(
        "tonwatch_target_shard_client_lag_blocks",
        "gauge",
        "Lag of its shard client to its own last masterchain block, in blocks.",
        lambda s: s.verdict.shard_client_lag,
    ),
    Metric(
        "tonwatch_target_shard_lag_seconds",
        "gauge",
        "Lag of the shards, from which accounts are read, to its own last masterchain block, in"
        " seconds; what is usual counts as 0.",
        lambda s: s.verdict.shard_lag_seconds,
    ),
    Metric(
        "tonwatch_target_lag_seconds",
        "gauge",
        "Lag of its last masterchain block to the head of the chain, in seconds of block time; or"
        " to the clock less what is usual, where that is more and counts as lagging.",
        lambda s: s.verdict.lag_seconds,
    ),
    Metric(
        "tonwatch_target_lag_blocks",
        "gauge",
        "Lag of its last masterchain block to the head of the chain, in blocks.",
        lambda s: s.verdict.lag_blocks,
    ),
    Metric(
        "tonwatch_target_sync_eta_seconds",
        "gauge",
        "Estimated seconds until it is in sync, at the rate at which its lag shrinks. Only present"
        " while it is lagging and catching up.",
        lambda s: s.verdict.in_sync_in,
    ),
    Metric(
        "tonwatch_target_recent_interruptions",
        "gauge",
        "Interruptions within the threshold `flapping_window`: it stopped answering and answered"
        " again. A single lost answer counts a third.",
        lambda s: _of_known(s, s.verdict.interruptions),
    ),
    Metric(
        "tonwatch_target_clock_offset_seconds",
        "gauge",
        "Offset of its clock from the local clock, in seconds, exact to half a second: positive"
        " where its clock is fast.",
        lambda s: s.verdict.head.clock_offset if s.verdict.head else None,
    ),
    Metric(
        "tonwatch_target_latency_seconds",
        "gauge",
        "Median latency of its last answers, in seconds, without connecting.",
        lambda s: s.verdict.latency,
    ),
    Metric(
        "tonwatch_target_accepts_external_messages",
        "gauge",
        "1 while external messages are accepted: the wallet itself rejected the last probe message,"
        " which it must; else 0. Absent where none is sent, and 2.5 `probe.write_interval` after"
        " the last.",
        _accepts_messages,
    ),
    Metric(
        "tonwatch_target_out_queue_messages",
        "gauge",
        "Messages in the longest outbound queue of a shard, as it reports them.",
        lambda s: queue[0] if (queue := _out_queue(s)) else None,
    ),
    Metric(
        "tonwatch_target_out_queue_limit_messages",
        "gauge",
        "Messages in an outbound queue above which blocks include no external messages.",
        lambda s: queue[1] if (queue := _out_queue(s)) else None,
    ),
    Metric(
        "tonwatch_target_protocol_version_info",
        "info",
        "Always 1: the version of its liteserver protocol.",
        _version,
        labels=("protocol_version",),
    ),
    Metric(
        "tonwatch_target_last_success_timestamp_seconds",
        "gauge",
        "When a probe last succeeded, Unix time in seconds.",
        lambda s: s.record.answered,
        lasting=True,
    ),
    Metric(
        "tonwatch_target_seqno_regressions_total",
        "counter",
        "Times that its seqno went back, as it does behind load balancers.",
        lambda s: s.record.steps_back,
    ),
    Metric(
        "tonwatch_target_dropped_answers_total",
        "counter",
        "Answers that were dropped: too late, or to no query.",
        lambda s: s.record.dropped_answers,
    ),
)

_PROBE: Final[tuple[Metric[TargetContext], ...]] = (
    Metric(
        "tonwatch_probes_total",
        "counter",
        "Probes that ended, by outcome (`ok`, `failed`).",
        _probes,
        labels=("probe", "outcome"),
    ),
    Metric(
        "tonwatch_probe_failures_total",
        "counter",
        "Probes that failed, by reason. Each reason appears with its first failure.",
        _failures,
        labels=("probe", "reason"),
    ),
    Metric(
        "tonwatch_probe_duration_seconds",
        "histogram",
        "Duration of probes `head` and `connect`, successful or not, in seconds, without waiting"
        " for the configured rate limit.",
        _durations,
        labels=("probe",),
    ),
    Metric(
        "tonwatch_probe_phase_duration_seconds",
        "gauge",
        "Duration of each phase of the last probe, in seconds, as far as it came.",
        _phases,
        labels=("probe", "phase"),
    ),
    Metric(
        "tonwatch_probe_overruns_total",
        "counter",
        "Probes skipped because the one before was still running.",
        lambda s: (
            ((probe.value,), s.record.overruns.get(probe, 0)) for probe in s.record.target.probes
        ),
        labels=("probe",),
    ),
)

TARGETS: Final = Group("Targets", ("target",), _TARGET, contexts.targets)
PROBES: Final = Group("Probes", ("target",), _PROBE, contexts.targets)
