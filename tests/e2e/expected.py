"""What a row of the matrix leads to: of what somebody hears, and of what nobody."""

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

_SILENCES: Final[Mapping[Cause, Collection[Cause]]] = {
    Cause.EGRESS_BROKEN: {
        *(Cause.NODE_DOWN, Cause.NODE_FLAPPING),
        *(Cause.PROVIDER_DOWN, Cause.PROVIDER_FLAPPING),
    },
    Cause.CHAIN_STALLED: {
        *(Cause.NODE_STALLED, Cause.NODE_LAGGING, Cause.NODE_CATCHING_UP),
        *(Cause.PROVIDER_STALLED, Cause.PROVIDER_LAGGING),
    },
    Cause.WALLET_FROZEN: {Cause.WALLET_LOW, Cause.PAYOUTS_FAILING},
}
"""Causes of which nothing is heard while another one of the same row lasts; where that is a broken
egress, only of external targets."""

_COMPANIONS: Final[Mapping[Cause, Collection[str]]] = {
    **dict.fromkeys(
        (
            Cause.NODE_LAGGING,
            Cause.NODE_CATCHING_UP,
            Cause.NODE_SHARD_LAGGING,
            Cause.PROVIDER_LAGGING,
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
"""Alerts that may be heard beside a cause's own: another side of the same trouble."""

_ABOUT: Final[Mapping[Cause, str]] = {
    Cause.CONTRACT_CHANGED: "contract",
    Cause.WALLET_FROZEN: "wallet",
    Cause.WALLET_LOW: "wallet",
    Cause.PAYOUTS_FAILING: "wallet",
    Cause.PAYOUTS_BOUNCING: "wallet",
}
"""The label of whatever a cause is about, where that is no target and a step names it."""

BUSY: Final = frozenset({"TonwatchAbsent", "TonwatchProbesOverrunning"})
"""Alerts that a machine brings about which has more to do than this."""

_PAYING: Final = frozenset({"TonwatchWalletRunwayShort", "TonwatchWalletRunwayCritical"})
"""Alerts that may be heard of wallets that pay: their history is cut short as well."""


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
        heard: alerts that reach somebody.
        silenced: alerts that fire and reach nobody while the step lasts.
    """

    heard: tuple[Awaited, ...]
    silenced: tuple[Awaited, ...]


def outcome(row: Situation, number: int, config: Mapping[str, Any]) -> Outcome:
    """What step `number` of `row` leads to under tonwatch's `config`."""
    step = row.steps[number]
    if not step.expect.alert:
        return Outcome((), ())
    causes = [step.expect.cause, *dict.fromkeys(step.expect.also)]
    named = {cause: tuple(_signs(cause, row, number, config)) for cause in causes}
    heard: list[Awaited] = []
    silenced: list[Awaited] = []
    for cause, signs in named.items():
        for sign in signs:
            (silenced if _is_silenced(cause, sign, causes, config) else heard).append(sign)
    # What is seen before its cause is may be heard before, too.
    early = {alert_of(cause) for cause in step.expect.on_the_way}
    silenced = [sign for sign in silenced if sign.alert not in early]
    others = [
        (cause, _on_target(cause, target, config))
        for target, cause in _explained(step, config)
        if cause not in causes
    ]
    silenced += (sign for cause, sign in others if _is_silenced(cause, sign, causes, config))
    return Outcome(tuple(heard), tuple(silenced))


def may_be_heard(row: Situation) -> Collection[str]:
    """All alerts but `BUSY` that somebody may hear of in the course of `row`."""
    named = {
        cause
        for step in row.steps
        for cause in (step.expect.cause, *step.expect.also, *step.expect.on_the_way)
    }
    names = {f"Tonwatch{name}" for cause in named for name in _COMPANIONS.get(cause, ())}
    if row.network.wallets:
        names |= _PAYING
    for step in row.steps[:-1]:
        # Where a silence ends, what it covered may be heard until it is judged again.
        for state in step.expect.states.values():
            meaning = MEANINGS[state]
            named |= {cause for cause in (meaning.node, meaning.provider) if cause}
    return names | {alert for cause in named if (alert := alert_of(cause))}


def may_be_about(row: Situation, config: Mapping[str, Any]) -> Collection[str]:
    """The targets of which somebody may hear something in the course of `row`."""
    if any(CHAIN in step.set or step.our_clock is not None for step in row.steps):
        return [entry["name"] for entry in (*config["liteservers"], *config["providers"])]
    return {name for step in row.steps for name in (*step.set, *step.expect.states)}


def has_symptoms(row: Situation) -> bool:
    """Whether it shows that alerts silence each other."""
    causes = {cause for step in row.steps for cause in (step.expect.cause, *step.expect.also)}
    return any(causes & set(_SILENCES.get(cause, ())) for cause in causes)


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


def _signs(
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


def _is_silenced(
    cause: Cause, sign: Awaited, causes: Collection[Cause], config: Mapping[str, Any]
) -> bool:
    """Whether another of the causes of a step explains the sign of this one."""
    # All of them listen on loopback: only what is said to be elsewhere is.
    external = {
        entry["name"]
        for entry in (*config["liteservers"], *config["providers"])
        if entry.get("local") is False
    }
    return any(
        cause in _SILENCES.get(other, ())
        and (other is not Cause.EGRESS_BROKEN or sign.labels.get("target") in external)
        for other in causes
    )


def _alert(cause: Cause) -> str:
    name = alert_of(cause)
    assert name, f"nobody is called for {cause}"
    return name


def _touched(row: Situation, number: int) -> set[str]:
    """Everything that something has been done to so far."""
    touched: set[str] = set()
    for step in row.steps[: number + 1]:
        touched |= {*step.set, *step.pay, *(step.config or {}).get("wallets", ())}
    return touched


def _explained(step: MatrixStep, config: Mapping[str, Any]) -> Iterator[tuple[str, Cause]]:
    """What each target's state would be called if nothing else explained it."""
    nodes = {entry["name"] for entry in config["liteservers"]}
    for target, state in step.expect.states.items():
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
