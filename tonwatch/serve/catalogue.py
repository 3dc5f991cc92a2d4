"""Every metric that is exposed: name, type, meaning, labels, and where its values are read off.

The exposition and docs/metrics.md are both made from this, so neither can say
what the other does not.
"""

from typing import Any, Final

from tonwatch.serve import reading, wallet_metrics
from tonwatch.serve.reading import Group, Metric, current_state, of_known, one_of
from tonwatch.serve.scene import Scene, Seen, targets
from tonwatch.serve.thresholds import UNITS, Unit
from tonwatch.watch.finding import Cause
from tonwatch.watch.readiness import Phase
from tonwatch.watch.states import State

_CHAIN: Final[tuple[Metric[Scene], ...]] = (
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
        reading.egress,
    ),
)

_VERDICT: Final[tuple[Metric[Scene], ...]] = (
    Metric(
        "tonwatch_diagnosis",
        "gauge",
        "1 for the cause that is diagnosed; `sources_disagree` is also there at 0.",
        lambda s: current_state(s.view.diagnosis.cause, Cause.SOURCES_DISAGREE),
        labels=("cause",),
    ),
    Metric(
        "tonwatch_diagnosis_since_timestamp_seconds",
        "gauge",
        "When the cause was first diagnosed, Unix time in seconds.",
        lambda s: s.view.diagnosis.since,
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

_TARGET: Final[tuple[Metric[Seen], ...]] = (
    Metric(
        "tonwatch_target_info",
        "info",
        "Always 1: kind and role of a target, and whether it is on this machine (`true`, `false`).",
        reading.info,
        labels=("kind", "role", "local"),
        lasting=True,
    ),
    Metric(
        "tonwatch_target_up",
        "gauge",
        "1 while it answers probes, else 0.",
        lambda s: of_known(s, float(s.verdict.up)),
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
        lambda s: of_known(s, float(s.verdict.usable)),
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
        lambda s: s.verdict.shard_gap,
    ),
    Metric(
        "tonwatch_target_lag_seconds",
        "gauge",
        "Lag of its last masterchain block to the head of the chain, in seconds of block time.",
        lambda s: s.verdict.behind_seconds,
    ),
    Metric(
        "tonwatch_target_lag_blocks",
        "gauge",
        "Lag of its last masterchain block to the head of the chain, in blocks.",
        lambda s: s.verdict.behind_blocks,
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
        lambda s: of_known(s, s.verdict.interruptions),
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
        reading.write_path,
    ),
    Metric(
        "tonwatch_target_protocol_version_info",
        "info",
        "Always 1: the version of its liteserver protocol.",
        reading.version,
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

_PROBE: Final[tuple[Metric[Seen], ...]] = (
    Metric(
        "tonwatch_probes_total",
        "counter",
        "Probes that ended, by outcome (`ok`, `failed`).",
        reading.probes,
        labels=("probe", "outcome"),
    ),
    Metric(
        "tonwatch_probe_failures_total",
        "counter",
        "Probes that failed, by reason. Each reason appears with its first failure.",
        reading.failures,
        labels=("probe", "reason"),
    ),
    Metric(
        "tonwatch_probe_duration_seconds",
        "histogram",
        "Duration of probes `head` and `connect`, successful or not, in seconds, without waiting"
        " for the configured rate limit.",
        reading.durations,
        labels=("probe",),
    ),
    Metric(
        "tonwatch_probe_phase_duration_seconds",
        "gauge",
        "Duration of each phase of the last probe, in seconds, as far as it came.",
        reading.phases,
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

_MEASURED: Final[dict[Unit, str]] = {
    "seconds": "Configured thresholds of time, in seconds.",
    "blocks": "Configured thresholds of distance, in blocks.",
    "interruptions": "Configured thresholds that count interruptions.",
    "payouts": "Configured thresholds that count payouts.",
    "transactions": "Configured thresholds that count transactions.",
}


def _threshold(unit: Unit) -> Metric[Scene]:
    return Metric(
        f"tonwatch_threshold_{unit}",
        "gauge",
        _MEASURED[unit],
        lambda s: reading.thresholds(s, unit),
        labels=("threshold",),
        lasting=True,
    )


_ITSELF: Final[tuple[Metric[Scene], ...]] = (
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


def _once(scene: Scene) -> tuple[tuple[tuple[()], Scene]]:
    """The scene itself."""
    return (((), scene),)


CHAIN: Final = Group("The chain", (), _CHAIN, _once)
VERDICT: Final = Group("Diagnosis and readiness", (), _VERDICT, _once)
TARGETS: Final = Group("Targets", ("target",), _TARGET, targets)
PROBES: Final = Group("Probes", ("target",), _PROBE, targets)
ITSELF: Final = Group("tonwatch itself", (), _ITSELF, _once)

GROUPS: Final[tuple[Group[Any], ...]] = (
    CHAIN,
    VERDICT,
    TARGETS,
    PROBES,
    wallet_metrics.WALLETS,
    wallet_metrics.ASSETS,
    wallet_metrics.PAYOUTS,
    wallet_metrics.CONTRACTS,
    ITSELF,
)
"""In the order of the exposition and of the documentation."""
