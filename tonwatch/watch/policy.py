"""The settings by which /ready differs from how targets are, or agrees. Pure."""

from collections.abc import Mapping
from typing import Final

from tonwatch.config.models import Gates
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.readiness import Readiness
from tonwatch.watch.states import State
from tonwatch.watch.verdicts import Judgement, Verdict

_LIMITS: Final[Mapping[State, str]] = {
    State.LAGGING: "thresholds.lag_unready",
    State.SHARD_LAGGING: "thresholds.shard_client_lag_unready",
    State.CLOCK_SKEWED: "thresholds.clock_critical",
    State.THROTTLED: "probe.stale_after",
}
"""Below which limit a target in a state can be used although the state's gate is on."""

_WITHOUT_GATE: Final = frozenset({Cause.CHAIN_ROLLED_BACK, Cause.MESSAGES_QUEUED})
"""Causes that are about every target, whatever its state, and that no gate is for."""


def barring_gates(verdict: Verdict, judgement: Judgement) -> list[str]:
    """The gates by which a target cannot be used, as keys of the configuration.

    A target that does not answer needs no gate, except where its rate limit is the reason.
    """
    states = (each for each in State if each in verdict.barred)
    return [
        f"readiness.gates.{name}"
        for state in states
        if (verdict.up or state is State.THROTTLED) and (name := _gate(state, judgement))
    ]


def by_policy(finding: Finding, judgement: Judgement, readiness: Readiness, gates: Gates) -> str:
    """Why /ready says yes although a finding is about a target that decides, or about a wallet.

    Returns:
        A sentence that names the setting. Empty where there is nothing to explain: /ready says no,
        the finding is about others, or bad probes are still being counted.
    """
    if not readiness.ready:
        return ""
    if finding.cause in _WITHOUT_GATE:
        return "Ready by policy: no gate is for it."
    if finding.cause is Cause.WALLET_LOW:
        return "Ready by policy: `readiness.gates.wallet_low` is off."
    if finding.account or finding.others or not (finding.target or finding.primary):
        return ""
    affected = [
        judgement.verdicts[name]
        for name in readiness.standings
        if finding.target in ("", name) and judgement.verdicts[name].state is not State.OK
    ]
    kept = [each for each in affected if each.usable]
    settings = dict.fromkeys(_setting(verdict, judgement, gates) for verdict in kept)
    if words := ", ".join(filter(None, settings)):
        return f"Ready by policy: {words}."
    if affected and not any(readiness.standings[each.target.name].ready for each in affected):
        return "Ready by policy: the quorum is met by the others."
    return ""


def _gate(state: State, judgement: Judgement) -> str:
    """The gate that decides whether a state bars a target; empty where it always does."""
    if state is State.STALLED and judgement.stalled:
        return "chain_stalled"
    return state.value if state.value in Gates.model_fields else ""


def _setting(verdict: Verdict, judgement: Judgement, gates: Gates) -> str:
    """Why a target that is not ok can be used; empty where its state has no such setting."""
    name = _gate(verdict.state, judgement)
    if name and not getattr(gates, name):
        return f"`readiness.gates.{name}` is off"
    limit = _LIMITS.get(verdict.state)
    return f"within `{limit}`" if limit else ""
