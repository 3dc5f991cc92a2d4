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
        "Seqno of the highest masterchain block that two targets support, or the only one"
        " that answers.",
        lambda s: s.view.judgement.head.seqno if s.view.judgement.head else None,
    ),
    Metric(
        "tonwatch_head_timestamp_seconds",
        "gauge",
        "When that block was made (gen_utime, whole seconds), Unix time in seconds.",
        lambda s: s.view.judgement.head.gen_utime if s.view.judgement.head else None,
    ),
    Metric(
        "tonwatch_chain_stalled",
        "gauge",
        "1 while at least two targets answer and none has had a new block for the threshold"
        " `stalled`. Absent while none answers.",
        lambda s: None if s.view.judgement.idle is None else float(s.view.judgement.stalled),
    ),
    Metric(
        "tonwatch_clock_offset_seconds",
        "gauge",
        "Seconds that our clock is behind the servers' clocks and the times in the blocks. Only"
        " present while that is at least the threshold `clock_warn` and it is ours that is off.",
        lambda s: s.view.judgement.clock_offset,
    ),
    Metric(
        "tonwatch_egress_broken",
        "gauge",
        "1 while none of the external targets can be reached, else 0. Absent where fewer than two"
        " are configured, or one has not been asked.",
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
        "When that cause was first named, Unix time in seconds.",
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
        "1 for the phase that /ready tells, 0 for every other.",
        lambda s: one_of(Phase, s.view.readiness.phase),
        labels=("phase",),
    ),
)

_TARGET: Final[tuple[Metric[Seen], ...]] = (
    Metric(
        "tonwatch_target_info",
        "info",
        "Always 1: what a target is, what for, and whether it is reached without a network"
        " (`true`, `false`).",
        reading.info,
        labels=("kind", "role", "local"),
        lasting=True,
    ),
    Metric(
        "tonwatch_target_up",
        "gauge",
        "1 while it answers our questions, else 0.",
        lambda s: of_known(s, float(s.verdict.up)),
    ),
    Metric(
        "tonwatch_target_state",
        "gauge",
        "1 for the state it is in, 0 for every other.",
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
        "When that block was made (gen_utime, whole seconds), Unix time in seconds.",
        lambda s: s.verdict.head.gen_utime if s.verdict.head else None,
    ),
    Metric(
        "tonwatch_target_shard_client_seqno",
        "gauge",
        "Masterchain seqno up to which it has applied shards: what accounts are read at.",
        lambda s: s.verdict.head.shard_client_seqno if s.verdict.head else None,
    ),
    Metric(
        "tonwatch_target_shard_gap_blocks",
        "gauge",
        "Blocks that its shard client is behind its own masterchain.",
        lambda s: s.verdict.shard_gap,
    ),
    Metric(
        "tonwatch_target_behind_seconds",
        "gauge",
        "Seconds that its last block is older than the head of the chain.",
        lambda s: s.verdict.behind_seconds,
    ),
    Metric(
        "tonwatch_target_behind_blocks",
        "gauge",
        "Blocks that it misses to the head of the chain.",
        lambda s: s.verdict.behind_blocks,
    ),
    Metric(
        "tonwatch_target_catch_up_seconds",
        "gauge",
        "Seconds until it is in sync, by the rate at which it has caught up so far. Only present"
        " while it is lagging and catches up.",
        lambda s: s.verdict.in_sync_in,
    ),
    Metric(
        "tonwatch_target_interruptions",
        "gauge",
        "How often it stopped answering and came back within the threshold `flapping_window`;"
        " a single lost answer counts a third.",
        lambda s: of_known(s, s.verdict.interruptions),
    ),
    Metric(
        "tonwatch_target_clock_offset_seconds",
        "gauge",
        "Seconds that its clock is ahead of ours; exact to half a second.",
        lambda s: s.verdict.head.clock_offset if s.verdict.head else None,
    ),
    Metric(
        "tonwatch_target_latency_seconds",
        "gauge",
        "Median seconds of its last answers, connecting not counted.",
        lambda s: s.verdict.latency,
    ),
    Metric(
        "tonwatch_target_write_path",
        "gauge",
        "1 while the newest message that a wallet must refuse was refused by the wallet itself,"
        " 0 while it was not. Absent where none is sent, or for 2.5 `probe.write_interval`.",
        reading.write_path,
    ),
    Metric(
        "tonwatch_target_protocol_version_info",
        "info",
        "Always 1: the version of the liteserver protocol that it speaks.",
        reading.version,
        labels=("version",),
    ),
    Metric(
        "tonwatch_target_last_answer_timestamp_seconds",
        "gauge",
        "When it was last asked something that it answered well, Unix time in seconds.",
        lambda s: s.record.answered,
        lasting=True,
    ),
    Metric(
        "tonwatch_target_steps_back_total",
        "counter",
        "How often its seqno went back; load balancers do that.",
        lambda s: s.record.steps_back,
    ),
    Metric(
        "tonwatch_target_dropped_answers_total",
        "counter",
        "Answers that came too late or that nobody asked for.",
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
        "Seconds from the start of a probe to its end, good or bad; waiting for our own"
        " rate limit not counted. Of the probes `head` and `connect`.",
        reading.durations,
        labels=("probe",),
    ),
    Metric(
        "tonwatch_probe_phase_seconds",
        "gauge",
        "Seconds that each step of the newest probe took, as far as it came.",
        reading.phases,
        labels=("probe", "phase"),
    ),
    Metric(
        "tonwatch_probe_overruns_total",
        "counter",
        "Beats skipped because the probe before was still running.",
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
    "failures": "Configured thresholds that count failed payouts.",
    "bounces": "Configured thresholds that count payouts that came back.",
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
        "tonwatch_view_timestamp_seconds",
        "gauge",
        "When the targets were last judged together, which all other values belong to; Unix time"
        " in seconds. Where it stays behind, tonwatch itself hangs.",
        lambda s: s.view.judgement.wall,
        lasting=True,
    ),
    Metric(
        "tonwatch_http_connections",
        "gauge",
        "Connections to tonwatch's own HTTP server that are open now.",
        lambda s: s.traffic.connections,
        lasting=True,
    ),
    Metric(
        "tonwatch_http_connections_refused_total",
        "counter",
        "Connections to tonwatch's own HTTP server that were refused or cut off, by why.",
        lambda s: (((why.value,), count) for why, count in s.traffic.refused.items()),
        labels=("reason",),
    ),
    *(_threshold(unit) for unit in UNITS),
)


def _once(scene: Scene) -> tuple[tuple[tuple[()], Scene]]:
    """The whole house, of which there is one."""
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
