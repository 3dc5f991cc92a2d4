"""Each fault of the simulator, through real sockets: its own state, reason and sentence."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests import virtual_time
from tests.matrix.playing import LocalClock, watched
from tests.matrix.situations import situations
from tests.virtual_time import VirtualLoop
from tonwatch.runtime.watcher import Watcher
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.ton.errors import Reason
from tonwatch.watch.findings import Cause
from tonwatch.watch.readiness import Phase
from tonwatch.watch.states import State
from tonwatch.watch.view import INTERVAL, View


def case(
    target: str,
    fault: Fault,
    state: State,
    reason: Reason,
    cause: Cause,
    words: str,
    *,
    ready: bool = False,
) -> Any:
    return pytest.param(target, fault, state, reason, cause, words, ready, id=f"{target} {fault}")


NODE = [
    case(
        "node-1",
        Fault.REFUSE,
        State.DOWN,
        Reason.CONNECT_REFUSED,
        Cause.NODE_DOWN,
        "node-1 refuses connections",
    ),
    case(
        "node-1",
        Fault.HANG,
        State.DOWN,
        Reason.HANDSHAKE_TIMEOUT,
        Cause.NODE_DOWN,
        "node-1 accepts TCP but does not answer",
    ),
    case(
        "node-1",
        Fault.NOT_SYNCED,
        State.NOT_SYNCED,
        Reason.NOT_SYNCED,
        Cause.NODE_NOT_SYNCED,
        "node-1 is alive but not in sync",
    ),
    case(
        "node-1",
        Fault.SLOW,
        State.SLOW,
        Reason.OK,
        Cause.NODE_SLOW,
        "node-1 takes",
        ready=True,
    ),
    case(
        "node-1",
        Fault.GARBAGE,
        State.DOWN,
        Reason.PROTOCOL_ERROR,
        Cause.NODE_DOWN,
        "node-1 violates the protocol",
    ),
    case(
        "node-1",
        Fault.WRONG_KEY,
        State.DOWN,
        Reason.HANDSHAKE_FAILED,
        Cause.NODE_DOWN,
        "its key is not the configured one",
    ),
    case(
        "node-1",
        Fault.LAG,
        State.LAGGING,
        Reason.OK,
        Cause.NODE_LAGGING,
        "behind the head of the chain",
    ),
    case(
        "node-1",
        Fault.SHARD_LAG,
        State.SHARD_LAGGING,
        Reason.OK,
        Cause.NODE_SHARD_LAGGING,
        "shards lag it by 60 blocks",
    ),
    case(
        "node-1",
        Fault.STALL,
        State.STALLED,
        Reason.OK,
        Cause.NODE_STALLED,
        "node-1 answers, but has had no new block",
    ),
    case(
        "node-1",
        Fault.WRONG_NETWORK,
        State.WRONG_NETWORK,
        Reason.WRONG_NETWORK,
        Cause.WRONG_NETWORK,
        "node-1 serves another network",
    ),
    case(
        "node-1",
        Fault.CLOCK_SKEW,
        State.CLOCK_SKEWED,
        Reason.OK,
        Cause.NODE_CLOCK_SKEWED,
        "ahead of the local clock",
        ready=True,
    ),
    case(
        "node-1",
        Fault.DROP_MID_FRAME,
        State.DOWN,
        Reason.CONNECTION_LOST,
        Cause.NODE_DOWN,
        "node-1 closes connections",
    ),
    case(
        "node-1",
        Fault.THROTTLE,
        State.THROTTLED,
        Reason.RATE_LIMITED,
        Cause.NODE_THROTTLED,
        "node-1 is up, but rate-limits requests",
    ),
]

PROVIDER = [
    case(
        "provider-1",
        Fault.REFUSE,
        State.DOWN,
        Reason.CONNECT_REFUSED,
        Cause.PROVIDER_DOWN,
        "provider-1 refuses connections",
    ),
    case(
        "provider-1",
        Fault.HANG,
        State.DOWN,
        Reason.QUERY_TIMEOUT,
        Cause.PROVIDER_DOWN,
        "provider-1 does not answer",
    ),
    case(
        "provider-1",
        Fault.SLOW,
        State.SLOW,
        Reason.OK,
        Cause.PROVIDER_SLOW,
        "provider-1 takes",
    ),
    case(
        "provider-1",
        Fault.GARBAGE,
        State.DOWN,
        Reason.PROTOCOL_ERROR,
        Cause.PROVIDER_DOWN,
        "not HTTP",
    ),
    case(
        "provider-1",
        Fault.LAG,
        State.LAGGING,
        Reason.OK,
        Cause.PROVIDER_LAGGING,
        "behind the head of the chain",
    ),
    case(
        "provider-1",
        Fault.STALL,
        State.STALLED,
        Reason.OK,
        Cause.PROVIDER_STALLED,
        "provider-1 answers, but has had no new block",
    ),
    case(
        "provider-1",
        Fault.WRONG_NETWORK,
        State.WRONG_NETWORK,
        Reason.WRONG_NETWORK,
        Cause.WRONG_NETWORK,
        "provider-1 serves another network",
    ),
    case(
        "provider-1",
        Fault.THROTTLE,
        State.THROTTLED,
        Reason.RATE_LIMITED,
        Cause.PROVIDER_THROTTLED,
        "provider-1 is up, but rate-limits requests",
    ),
    case(
        "provider-1",
        Fault.UNAUTHORIZED,
        State.UNAUTHORIZED,
        Reason.FORBIDDEN,
        Cause.PROVIDER_UNAUTHORIZED,
        "provider-1 rejects requests, which carry no API key",
    ),
    case(
        "provider-1",
        Fault.BAD_JSON,
        State.DOWN,
        Reason.BAD_ANSWER,
        Cause.PROVIDER_DOWN,
        "provider-1 sends answers that cannot be parsed",
    ),
    case(
        "provider-1",
        Fault.DROP_MID_FRAME,
        State.DOWN,
        Reason.CONNECTION_LOST,
        Cause.PROVIDER_DOWN,
        "provider-1 closes connections",
    ),
]


@pytest.mark.parametrize(
    ("target", "fault", "state", "reason", "cause", "words", "ready"), NODE + PROVIDER
)
def test_fault(
    target: str,
    fault: Fault,
    state: State,
    reason: Reason,
    cause: Cause,
    words: str,
    ready: bool,
) -> None:
    async def play(loop: VirtualLoop) -> None:
        simulator = Simulator(liteservers=2, providers=1, clock=loop.wall)
        async with simulator, watched(simulator, LocalClock(loop), seed=1) as parts:
            await until(parts.watcher, lambda view: view.diagnosis.cause is Cause.HEALTHY)
            await simulator.set_fault(target, fault)
            view = await until(
                parts.watcher,
                lambda view: (
                    view.judgement.verdicts[target].state is state
                    and view.judgement.verdicts[target].reason is reason
                ),
            )
            assert view.diagnosis.cause is cause
            assert words in view.diagnosis.sentence
            assert view.diagnosis.also == ()
            # Only the primary decides about readiness, and only where it is not usable.
            expected = Phase.READY if ready or target != "node-1" else Phase.UNREADY
            await until(parts.watcher, lambda view: view.readiness.phase is expected)
            await simulator.clear(target)
            await until(parts.watcher, lambda view: view.diagnosis.cause is Cause.HEALTHY)
            await until(parts.watcher, lambda view: view.readiness.phase is Phase.READY)

    virtual_time.run(play)


async def until(watcher: Watcher, condition: Callable[[View], bool]) -> View:
    """Judge until `condition` holds; the last view is in the failure's text."""
    for _ in range(120):
        if condition(watcher.evaluate()):
            return watcher.view
        await asyncio.sleep(INTERVAL)
    pytest.fail(f"still not so after {120 * INTERVAL:g} s: {watcher.view.judgement}")


def test_no_fault_is_left_out() -> None:
    here = {parameters.values[1] for parameters in NODE + PROVIDER}
    played = {
        fault for row in situations() for step in row.steps for _, fault, _ in step.assignments()
    }
    assert here | played == set(Fault)
