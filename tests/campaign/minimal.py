"""The simplest situation in which the same is still wrong, written down to be played again."""

from collections.abc import Callable
from typing import Any, Final

import yaml

from tests.campaign.checks import Checks, Invariant
from tests.campaign.situation import LOCAL, Situation, Unplayable, smaller
from tonwatch.simulator.scenarios.scenario import Scenario, parse

_TRIES: Final = 150
"""Situations that are played at most to find a simpler one."""


def minimal(
    situation: Situation, invariant: Invariant, play: Callable[[Situation], Checks]
) -> Situation:
    """Simplify a situation as long as it violates `invariant`."""
    tries = 0
    simplest = situation
    while True:
        for simpler in smaller(simplest):
            tries += 1
            if tries > _TRIES:
                return simplest
            if _is_wrong(simpler, invariant, play):
                simplest = simpler
                break
        else:
            return simplest


def _is_wrong(
    situation: Situation, invariant: Invariant, play: Callable[[Situation], Checks]
) -> bool:
    try:
        return invariant in play(situation).wrong
    except Unplayable:
        return False


def network(situation: Situation) -> dict[str, Any]:
    """The network as scenarios write it."""
    nodes = [server for server in situation.servers if server.is_node]
    return {
        "liteservers": len(nodes),
        "providers": len(situation.servers) - len(nodes),
        "primaries": sum(server.primary for server in nodes),
        "wallets": ["payouts"] if situation.wallets else 0,
        "external": [server.name for server in situation.external],
        "block_interval": f"{situation.pace * 1000:g}ms",
    }


def steps(situation: Situation) -> list[tuple[float, dict[str, Any]]]:
    """The changes of faults, as steps of a scenario, each with its time in seconds."""
    episodes = [episode for episode in situation.episodes if episode.target != LOCAL]
    times = {time for episode in episodes for time in (episode.begins, episode.ends)}
    found: list[tuple[float, dict[str, Any]]] = []
    for time in sorted(times):
        changed = [e.target for e in episodes if time in {e.begins, e.ends}]
        step: dict[str, Any] = {}
        for target in dict.fromkeys(changed):
            now = [e.written for e in episodes if e.target == target and e.at(time)]
            if now:
                step.setdefault("set", {})[target] = " + ".join(now)
            else:
                step.setdefault("clear", []).append(target)
        found.append((time, step))
    return found


def scenario(situation: Situation) -> dict[str, Any]:
    """A file for ``tonwatch simulate``.

    Raises:
        ValueError: the simulator does not have a fault, or it is one of this machine.
    """
    if situation.of(LOCAL):
        raise ValueError("tonwatch simulate has no faults of its own machine")
    written = {
        "name": f"seed {situation.seed}",
        "network": network(situation),
        "steps": [{"at": f"{time * 1000:g}ms"} | step for time, step in steps(situation)],
        "duration": f"{situation.lasts:g}s",
    }
    parse(Scenario, written, "campaign").simulator()
    return written


def written(situation: Situation) -> str:
    """The scenario; where there is none, the situation in words."""
    try:
        return yaml.safe_dump(scenario(situation), sort_keys=False)
    except ValueError as impossible:
        return f"{situation}\n({impossible})\n"
