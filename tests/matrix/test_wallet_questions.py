"""How queries about wallets end on a target with a fault, while it is still queried."""

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from tests import virtual_time
from tests.configs import REASONS
from tests.matrix.playing import LocalClock, watched
from tests.virtual_time import VirtualLoop
from tonwatch.samples.sample import Probe
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.ton.errors import Reason
from tonwatch.watch.findings import Cause
from tonwatch.watch.view import INTERVAL

ABOUT_WALLETS: Final = (Probe.BALANCE, Probe.COMPARE, Probe.WRITE)

OFTEN: Final = {
    "probe": {"wallet_interval": "5s", "compare_interval": "5s", "write_interval": "5s"}
}
"""Laid over the configuration, so that all queries are sent soon."""


def asked(
    target: str, fault: Fault, balance: Reason, compare: Reason, write: Reason, *, nodes: int = 0
) -> Any:
    """The results of queries about wallets on a target with this fault.

    Beside a provider there are `nodes` liteservers, from which balances are read first.
    """
    ends = dict(zip(ABOUT_WALLETS, (balance, compare, write), strict=True))
    return pytest.param(target, fault, nodes, ends, id=f"{target} {fault}")


def all_end(target: str, fault: Fault, reason: Reason) -> Any:
    return asked(target, fault, reason, reason, reason)


QUESTIONS: Final = [
    all_end("node-1", Fault.REFUSE, Reason.CONNECT_REFUSED),
    all_end("node-1", Fault.UNREACHABLE, Reason.CONNECT_TIMEOUT),
    all_end("node-1", Fault.HANG, Reason.HANDSHAKE_TIMEOUT),
    all_end("node-1", Fault.WRONG_KEY, Reason.HANDSHAKE_FAILED),
    all_end("node-1", Fault.DROP_MID_FRAME, Reason.CONNECTION_LOST),
    all_end("node-1", Fault.GARBAGE, Reason.PROTOCOL_ERROR),
    all_end("node-1", Fault.GIANT_ANSWER, Reason.ANSWER_TOO_LARGE),
    asked("node-1", Fault.NOT_SYNCED, Reason.QUERY_TIMEOUT, Reason.CONNECTION_LOST,
          Reason.QUERY_TIMEOUT),
    all_end("node-1", Fault.THROTTLE, Reason.RATE_LIMITED),
    asked("node-1", Fault.SHARD_LAG, Reason.SHARD_LAG, Reason.SHARD_LAG, Reason.OK),
    asked("node-1", Fault.LAG, Reason.OK, Reason.NOT_FOUND, Reason.OK),
    asked("node-1", Fault.STEP_BACK, Reason.OK, Reason.OK, Reason.OK),
    asked("node-1", Fault.BAD_PROOF, Reason.PROOF_INVALID, Reason.PROOF_INVALID, Reason.OK),
    asked("node-1", Fault.FALSE_BALANCE, Reason.PROOF_INVALID, Reason.PROOF_INVALID, Reason.OK),
    asked("node-1", Fault.REJECT_EXTERNALS, Reason.OK, Reason.OK, Reason.MESSAGE_REJECTED),
    all_end("provider-1", Fault.REFUSE, Reason.CONNECT_REFUSED),
    all_end("provider-1", Fault.UNREACHABLE, Reason.CONNECT_TIMEOUT),
    all_end("provider-1", Fault.HANG, Reason.QUERY_TIMEOUT),
    all_end("provider-1", Fault.DROP_MID_FRAME, Reason.CONNECTION_LOST),
    all_end("provider-1", Fault.GARBAGE, Reason.PROTOCOL_ERROR),
    all_end("provider-1", Fault.GIANT_ANSWER, Reason.ANSWER_TOO_LARGE),
    all_end("provider-1", Fault.THROTTLE, Reason.RATE_LIMITED),
    all_end("provider-1", Fault.UNAUTHORIZED, Reason.FORBIDDEN),
    # A refusal that is cut short is still recognised.
    asked("provider-1", Fault.BAD_JSON, Reason.BAD_ANSWER, Reason.BAD_ANSWER,
          Reason.MESSAGE_REJECTED),
    asked("provider-1", Fault.REJECT_EXTERNALS, Reason.OK, Reason.OK, Reason.MESSAGE_REJECTED,
          nodes=1),
    asked("provider-1", Fault.LAG, Reason.OK, Reason.UPSTREAM_FAILED, Reason.OK),
    asked("provider-1", Fault.FALSE_BALANCE, Reason.OK, Reason.DISPROVED, Reason.OK, nodes=1),
]  # fmt: skip

NO_FAULT_LEADS_TO: Final = frozenset(
    {
        # About local files, names, certificates and limits.
        Reason.KEY_UNAVAILABLE,
        Reason.RESOLVE_FAILED,
        Reason.CONNECT_FAILED,
        Reason.LOCAL_RESOURCES,
        Reason.TLS_FAILED,
        Reason.PROBE_FAILED,
        # What no simulated server answers, or not to each of these queries.
        Reason.UNAUTHORIZED,
        Reason.BAD_ANSWER,
        Reason.NOT_FOUND,
        Reason.NOT_READY,
        Reason.OVERLOADED,
        Reason.PRUNED,
        Reason.SERVER_ERROR,
        Reason.UNSUPPORTED,
        Reason.UPSTREAM_FAILED,
        Reason.UPSTREAM_TIMEOUT,
    }
)
"""Reasons that are tested where they are made, in tests/ton."""

UNREACHED: Final[dict[Probe, set[Reason]]] = {
    # The accounts of simulated providers do not lag.
    Probe.BALANCE: {Reason.SHARD_LAG},
    # Balances are read on the same connection, which the first timeout closes for all.
    Probe.COMPARE: {Reason.QUERY_TIMEOUT, Reason.SHARD_LAG},
    # Reasons of all liteserver probes that a message cannot end with.
    Probe.WRITE: {Reason.PROOF_INVALID, Reason.SHARD_LAG},
}


@pytest.mark.parametrize(("target", "fault", "nodes", "ends"), QUESTIONS)
def test_questions_about_wallets(
    tmp_path: Path, target: str, fault: Fault, nodes: int, ends: dict[Probe, Reason]
) -> None:
    provider = target.startswith("provider")

    async def play(loop: VirtualLoop) -> None:
        simulator = Simulator(
            liteservers=nodes if provider else 1,
            providers=int(provider),
            wallets=1,
            contracts=1,
            clock=loop.wall,
        )
        async with simulator, watched(simulator, LocalClock(loop), 1, tmp_path, OFTEN) as parts:
            for _ in range(20):
                await asyncio.sleep(INTERVAL)
                parts.watcher.evaluate()
            assert parts.watcher.view.diagnosis.cause is Cause.HEALTHY
            await simulator.set_fault(target, fault)
            # Without a new judgement the target stays healthy, and is still queried.
            await asyncio.sleep(30.0)
            record = parts.watcher.evaluate().snapshot.records[target]
        seen = {probe: set[Reason]() for probe in ABOUT_WALLETS}
        for probe, reason in record.results:
            seen.get(probe, set()).add(reason)
        for probe, reason in ends.items():
            assert seen[probe] <= set(REASONS[record.target.kind][probe])
            assert reason is Reason.OK or reason in seen[probe]

    virtual_time.run(play)


@pytest.mark.parametrize(("kind", "stem"), [("liteserver", "node"), ("toncenter-v2", "provider")])
@pytest.mark.parametrize("probe", ABOUT_WALLETS)
def test_every_result_of_a_question_is_covered(kind: str, stem: str, probe: Probe) -> None:
    seen = {
        parameters.values[3][probe]
        for parameters in QUESTIONS
        if parameters.values[0].startswith(stem)
    }
    assert set(REASONS[kind][probe]) - seen - NO_FAULT_LEADS_TO <= UNREACHED[probe]
