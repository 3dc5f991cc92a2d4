"""What a row of the matrix leads to: alerts that are notified, and alerts that are inhibited."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tests.e2e import shortened
from tests.matrix.situations import MatrixStep, Situation
from tonwatch.simulator.network import CHAIN
from tonwatch.watch.findings import Cause, alert_of
from tonwatch.watch.states import MEANINGS, State

RUNBOOKS: Final = "https://github.com/tonwatch/tonwatch/blob/main/docs/runbooks"

_INHIBITS: Final[Mapping[Cause, Collection[Cause]]] = {
    Cause.LOCAL_RESOURCES: {Cause.NO_DATA},
    Cause.EGRESS_BROKEN: {
        *(Cause.NODE_DOWN, Cause.NODE_FLAPPING),
        *(Cause.PROVIDER_DOWN, Cause.PROVIDER_FLAPPING),
    },
    Cause.EGRESS_LOSSY: {Cause.NODE_FLAPPING, Cause.PROVIDER_FLAPPING},
    Cause.ALL_LAGGING: {Cause.NODE_LAGGING, Cause.NODE_CATCHING_UP, Cause.PROVIDER_LAGGING},
    Cause.CHAIN_STALLED: {
        *(Cause.NODE_STALLED, Cause.NODE_LAGGING, Cause.NODE_CATCHING_UP),
        *(Cause.PROVIDER_STALLED, Cause.PROVIDER_LAGGING),
    },
    Cause.WALLET_FROZEN: {Cause.WALLET_LOW, Cause.PAYOUTS_FAILING},
}
"""Causes whose alerts are inhibited while another one of the same row lasts; an egress that
is broken or lossy inhibits only those of external targets."""

_OF_EGRESS: Final = frozenset({Cause.EGRESS_BROKEN, Cause.EGRESS_LOSSY})

_COMPANIONS: Final[Mapping[Cause, Collection[str]]] = {
    **dict.fromkeys(
        (
            Cause.NODE_LAGGING,
            Cause.NODE_CATCHING_UP,
            Cause.NODE_SHARD_LAGGING,
            Cause.PROVIDER_LAGGING,
            Cause.PROVIDER_SHARD_LAGGING,
        ),
        ("LagCritical", "NodeFreshnessBurn", "ProviderFreshnessBurn", "NodeLagging"),
    ),
    Cause.NODE_FLAPPING: ("NodeDown", "NodeNotSynced", "NodeAvailabilityBurn", "NodeFreshnessBurn"),
    Cause.PROVIDER_FLAPPING: (
        "ProviderDown",
        "ProviderAvailabilityBurn",
        "ProviderFreshnessBurn",
    ),
}
"""Alerts that may be notified beside a cause's own: other symptoms of the same fault."""

_ABOUT: Final[Mapping[Cause, str]] = {
    Cause.CONTRACT_CHANGED: "contract",
    Cause.WALLET_FROZEN: "wallet",
    Cause.WALLET_LOW: "wallet",
    Cause.PAYOUTS_FAILING: "wallet",
    Cause.PAYOUTS_BOUNCING: "wallet",
    Cause.WRITE_PROBE_IDLE: "wallet",
}
"""The label of whatever a cause is about, where that is no target and a step names it."""

BUSY: Final = frozenset({"TonwatchAbsent", "TonwatchProbesOverrunning"})
"""Alerts that a busy machine may cause."""

_PAYING: Final = frozenset({"TonwatchWalletRunwayShort", "TonwatchWalletRunwayCritical"})
"""Alerts that may be notified of wallets that pay: their history is cut short as well."""


@dataclass(frozen=True)
class Awaited:
    """An alert, by its name and some of its labels."""

    alert: str
    labels: Mapping[str, str]

    def __str__(self) -> str:
        labels = ", ".join(f"{name}={value}" for name, value in self.labels.items())
        return f"{self.alert}{{{labels}}}"


@dataclass(frozen=True)
class Outcome:
    """What a step leads to.

    Attributes:
        notified: alerts that are notified.
        inhibited: alerts that fire and are inhibited while the step lasts.
    """

    notified: tuple[Awaited, ...]
    inhibited: tuple[Awaited, ...]


def outcome(row: Situation, number: int, config: Mapping[str, Any]) -> Outcome:
    """What step `number` of `row` leads to under tonwatch's `config`."""
    step = row.steps[number]
    if not step.expect.alert:
        return Outcome((), ())
    causes = [step.expect.cause, *dict.fromkeys(step.expect.also)]
    named = {cause: tuple(_alerts_of(cause, row, number, config)) for cause in causes}
    notified: list[Awaited] = []
    inhibited: list[Awaited] = []
    for cause, signs in named.items():
        for sign in signs:
            (inhibited if _is_inhibited(cause, sign, causes, config) else notified).append(sign)
    # Symptoms seen before their cause may be notified before it.
    early = {alert_of(cause) for cause in step.expect.on_the_way}
    inhibited = [sign for sign in inhibited if sign.alert not in early]
    others = [
        (cause, _on_target(cause, target, config))
        for target, cause in _explained(step, config)
        if cause not in causes
    ]
    inhibited += (sign for cause, sign in others if _is_inhibited(cause, sign, causes, config))
    return Outcome(tuple(notified), tuple(inhibited))


def may_be_notified(row: Situation) -> Collection[str]:
    """All alerts but `BUSY` that may be notified during `row`."""
    named = {
        cause
        for step in row.steps
        for cause in (step.expect.cause, *step.expect.also, *step.expect.on_the_way)
    }
    names = {f"Tonwatch{name}" for cause in named for name in _COMPANIONS.get(cause, ())}
    if row.network.wallets:
        names |= _PAYING
    for step in row.steps[:-1]:
        # When an inhibition ends, its alerts may be notified until the next evaluation.
        for state in (step.expect.states or {}).values():
            meaning = MEANINGS[state]
            named |= {cause for cause in (meaning.node, meaning.provider) if cause}
    return names | {alert for cause in named if (alert := alert_of(cause))}


def may_be_about(row: Situation, config: Mapping[str, Any]) -> Collection[str]:
    """The targets that notifications during `row` may be about."""
    if any(CHAIN in step.set or step.local_clock is not None for step in row.steps):
        return [entry["name"] for entry in (*config["liteservers"], *config["providers"])]
    return {name for step in row.steps for name in (*step.set, *(step.expect.states or ()))}


def has_symptoms(row: Situation) -> bool:
    """Whether alerts inhibit each other in it."""
    causes = {cause for step in row.steps for cause in (step.expect.cause, *step.expect.also)}
    return any(causes & set(_INHIBITS.get(cause, ())) for cause in causes)


@cache
def severities() -> Mapping[str, Mapping[str, frozenset[str]]]:
    """Those of the shipped rules, by the alert's name and the role that a rule is about."""
    found: dict[str, dict[str, set[str]]] = {}
    for content in shortened.rule_files().values():
        for group in content["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    role = re.search(r'role="(\w+)"', rule["expr"])
                    roles = found.setdefault(rule["alert"], {})
                    severity = rule["labels"]["severity"]
                    roles.setdefault(role[1] if role else "", set()).add(severity)
    return {
        name: {role: frozenset(each) for role, each in roles.items()}
        for name, roles in found.items()
    }


def _alerts_of(
    cause: Cause, row: Situation, number: int, config: Mapping[str, Any]
) -> Iterator[Awaited]:
    """The alert of a cause, once for each target, wallet or contract that it is about."""
    about = [target for target, each in _explained(row.steps[number], config) if each is cause]
    if about:
        yield from (_on_target(cause, target, config) for target in about)
        return
    wallet_status = {entry["name"]: "wallet" for entry in config.get("wallets", ())}
    wallet_status |= {entry["name"]: "contract" for entry in config.get("contracts", ())}
    touched = _touched(row, number)
    kind = _ABOUT.get(cause)
    labels = [
        {kind: name} for name in wallet_status if name in touched and wallet_status[name] == kind
    ]
    yield from (Awaited(_alert(cause), each) for each in labels or [{}])


def _is_inhibited(
    cause: Cause, sign: Awaited, causes: Collection[Cause], config: Mapping[str, Any]
) -> bool:
    """Whether another cause of a step inhibits the alert of this one."""
    # All listen on loopback: external ones are configured so.
    external = {
        entry["name"]
        for entry in (*config["liteservers"], *config["providers"])
        if entry.get("local") is False
    }
    return any(
        cause in _INHIBITS.get(other, ())
        and (other not in _OF_EGRESS or sign.labels.get("target") in external)
        for other in causes
    )


def _alert(cause: Cause) -> str:
    name = alert_of(cause)
    assert name, f"no alert for {cause}"
    return name


def _touched(row: Situation, number: int) -> set[str]:
    """Everything that has had a fault so far."""
    touched: set[str] = set()
    for step in row.steps[: number + 1]:
        touched |= {*step.set, *step.pay, *(step.config or {}).get("wallets", ())}
    return touched


def _explained(step: MatrixStep, config: Mapping[str, Any]) -> Iterator[tuple[str, Cause]]:
    """The cause of each target's state on its own."""
    nodes = {entry["name"] for entry in config["liteservers"]}
    for target, state in (step.expect.states or {}).items():
        meaning = MEANINGS[state]
        cause = meaning.node if target in nodes else meaning.provider
        if state is State.LAGGING and step.expect.cause is Cause.NODE_CATCHING_UP:
            yield target, Cause.NODE_CATCHING_UP
        else:
            assert cause is not None, state
            yield target, cause


def _on_target(cause: Cause, target: str, config: Mapping[str, Any]) -> Awaited:
    """The alert of a cause about a target; where its role decides the severity, with that."""
    name = _alert(cause)
    labels = {"target": target}
    entries = (*config["liteservers"], *config["providers"])
    role = next(entry["role"] for entry in entries if entry["name"] == target)
    possible = severities().get(name, {}).get(role, frozenset())
    if len(possible) == 1:
        labels["severity"] = min(possible)
    return Awaited(name, labels)
