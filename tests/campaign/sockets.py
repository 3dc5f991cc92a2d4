"""Plays a situation on real sockets in virtual time: simulated servers, and all of tonwatch.

What is wrong is decided by the same oracle as for made samples.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import patch

from tests import virtual_time
from tests.campaign.checks import Checks
from tests.campaign.minimal import network, steps
from tests.campaign.served import here
from tests.campaign.situation import (
    EGRESS_BROKEN,
    EGRESS_LOSSY,
    LOCAL,
    NO_DESCRIPTORS,
    Situation,
    Unplayable,
)
from tests.matrix.playing import LocalClock, views, watched
from tests.virtual_time import VirtualLoop
from tonwatch.config.wallets import NATIVE
from tonwatch.runtime.runtime import Runtime
from tonwatch.simulator.contracts.jetton import USDT
from tonwatch.simulator.contracts.wallets.wallet import INITIAL_BALANCE, INITIAL_JETTONS
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.simulator.scenarios.scenario import Scenario, Step, apply_step, parse

_LISTENS_ANEW: Final = frozenset({Fault.REFUSE, Fault.FLAP, Fault.UNREACHABLE, "refuse_new"})
"""After these a simulated server opens its port again, and needs a descriptor for it."""


def played(situation: Situation) -> Checks:
    """Play a situation; returns what was wrong.

    Raises:
        Unplayable: see there.
    """
    _check(situation)
    checks = Checks(situation, {NATIVE: INITIAL_BALANCE, USDT: INITIAL_JETTONS})
    content = {
        "network": network(situation),
        "steps": [{"at": f"{time * 1000:g}ms"} | step for time, step in _all_steps(situation)],
    }
    try:
        scenario = parse(Scenario, content, f"seed {situation.seed}")
        scenario.simulator()
    except ValueError as impossible:
        raise Unplayable(str(impossible)) from None
    with TemporaryDirectory() as state:
        virtual_time.run(lambda loop: _play(loop, situation, scenario, checks, Path(state)))
    return checks


def _check(situation: Situation) -> None:
    """Raise `Unplayable` where two faults cannot be played together."""
    faults = {episode.fault for episode in situation.episodes}
    if NO_DESCRIPTORS in faults and faults & _LISTENS_ANEW:
        raise Unplayable("a simulated server needs descriptors too")


def _all_steps(situation: Situation) -> list[tuple[float, dict[str, Any]]]:
    """The steps, with broken egress as faults of the external targets."""
    found = steps(situation)
    egress = [e for e in situation.of(LOCAL) if e.fault in {EGRESS_BROKEN, EGRESS_LOSSY}]
    if not egress:
        return found
    external = {server.name for server in situation.external}
    if any(episode.target in external for episode in situation.episodes):
        raise Unplayable("faults of an external target, and of the way to it")
    for episode in egress:
        fault = "unreachable" if episode.fault == EGRESS_BROKEN else f"lossy:{episode.number:g}"
        found.append((episode.begins, {"set": dict.fromkeys(sorted(external), fault)}))
        found.append((episode.ends, {"clear": sorted(external)}))
    return sorted(found, key=lambda step: step[0])


async def _play(
    loop: VirtualLoop, situation: Situation, scenario: Scenario, checks: Checks, state_dir: Path
) -> None:
    simulator = scenario.simulator(clock=loop.wall)
    clock = LocalClock(loop)
    roles = {
        server.name: {"role": "primary" if server.primary else "reference"}
        for server in situation.servers
    }
    providers = {name: role for name, role in roles.items() if name.startswith("provider")}
    overlay = {"providers": providers} if providers else {}
    async with simulator, watched(simulator, clock, situation.seed, state_dir, overlay) as parts:
        changing = asyncio.create_task(_change(loop, scenario, simulator))
        try:
            with _descriptors(situation, loop):
                await _look(loop, situation, checks, parts, clock)
        finally:
            changing.cancel()
            await asyncio.gather(changing, return_exceptions=True)


async def _change(loop: VirtualLoop, scenario: Scenario, simulator: Simulator) -> None:
    for step in scenario.steps:
        await asyncio.sleep(max(0.0, step.at - loop.time()))
        await apply_step(_without_time(step), simulator)


def _without_time(step: Step) -> Step:
    return step.model_copy(update={"at": 0.0})


async def _look(
    loop: VirtualLoop, situation: Situation, checks: Checks, parts: Runtime, clock: LocalClock
) -> None:
    async for view in views(parts):
        now = loop.time()
        if now > situation.lasts:
            return
        machine = here(situation, now)
        clock.ahead = machine.clock
        checks.look(now, view)


@contextmanager
def _descriptors(situation: Situation, loop: VirtualLoop) -> Iterator[None]:
    """New sockets of this process fail while there are no descriptors; accepted ones do not."""
    make = socket.socket.__init__

    def made(self: socket.socket, *args: Any, **options: Any) -> None:
        fileno = options.get("fileno", args[3] if len(args) > 3 else None)
        if fileno is None and not here(situation, loop.time()).descriptors:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        make(self, *args, **options)

    with patch.object(socket.socket, "__init__", made):
        yield
