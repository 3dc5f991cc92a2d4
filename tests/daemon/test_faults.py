"""Each fault of the simulator, through real sockets: its own state, reason and diagnosis."""

from typing import Any

import pytest

from tonwatch.simulator.faults import Fault
from tonwatch.ton.errors import Reason
from tonwatch.watch.diagnosis import Cause
from tonwatch.watch.judge import State
from tonwatch.watch.readiness import Phase


def case(
    target: str,
    fault: Fault,
    state: State,
    reason: Reason,
    cause: Cause,
    words: str,
    value: float | None = None,
    *,
    ready: bool = False,
) -> Any:
    return pytest.param(
        target, fault, value, state, reason, cause, words, ready, id=f"{target} {fault}"
    )


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
        "node-1 accepts TCP but stays silent",
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
        0.05,
        ready=True,
    ),
    case(
        "node-1",
        Fault.GARBAGE,
        State.DOWN,
        Reason.PROTOCOL_ERROR,
        Cause.NODE_DOWN,
        "node-1 sends bytes that break the protocol",
    ),
    case(
        "node-1",
        Fault.WRONG_KEY,
        State.DOWN,
        Reason.HANDSHAKE_FAILED,
        Cause.NODE_DOWN,
        "its key is another than configured",
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
        "blocks behind it",
        80,
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
        "ahead of ours",
        ready=True,
    ),
    case(
        "node-1",
        Fault.DROP_MID_FRAME,
        State.DOWN,
        Reason.CONNECTION_LOST,
        Cause.NODE_DOWN,
        "node-1 cuts connections",
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
        0.1,
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
        "provider-1 works, but limits our requests",
    ),
    case(
        "provider-1",
        Fault.UNAUTHORIZED,
        State.UNAUTHORIZED,
        Reason.UNAUTHORIZED,
        Cause.PROVIDER_UNAUTHORIZED,
        "provider-1 refuses our API key",
    ),
    case(
        "provider-1",
        Fault.BAD_JSON,
        State.DOWN,
        Reason.BAD_ANSWER,
        Cause.PROVIDER_DOWN,
        "provider-1 answers what cannot be read",
    ),
    case(
        "provider-1",
        Fault.DROP_MID_FRAME,
        State.DOWN,
        Reason.CONNECTION_LOST,
        Cause.PROVIDER_DOWN,
        "provider-1 cuts connections",
    ),
]


@pytest.mark.parametrize(
    ("target", "fault", "value", "state", "reason", "cause", "words", "ready"), NODE + PROVIDER
)
async def test_fault(
    watched: Any,
    target: str,
    fault: Fault,
    value: float | None,
    state: State,
    reason: Reason,
    cause: Cause,
    words: str,
    ready: bool,
) -> None:
    await watched.simulator.set_fault(target, fault, value)
    view = await watched.until(
        lambda view: (
            view.judgement.verdicts[target].state is state
            and view.judgement.verdicts[target].reason is reason
        )
    )
    assert view.diagnosis.cause is cause
    assert words in view.diagnosis.sentence
    assert view.diagnosis.also == ()

    # Only the primary decides about readiness, and only where it is not usable.
    expected = Phase.READY if ready or target != "node-1" else Phase.UNREADY
    await watched.until(lambda view: view.readiness.phase is expected)

    await watched.simulator.clear(target)
    view = await watched.until(lambda view: view.diagnosis.cause is Cause.HEALTHY)
    await watched.until(lambda view: view.readiness.phase is Phase.READY)


async def test_the_whole_chain_stalls(watched: Any) -> None:
    await watched.simulator.set_fault("chain", Fault.STALL)
    view = await watched.until(lambda view: view.judgement.stalled)
    assert view.diagnosis.cause is Cause.CHAIN_STALLED
    assert view.diagnosis.also == ()
    assert view.readiness.phase is Phase.READY
    await watched.simulator.clear("chain")
    await watched.until(lambda view: view.diagnosis.cause is Cause.HEALTHY)


def test_no_fault_is_left_out() -> None:
    seen = {parameters.values[1] for parameters in NODE + PROVIDER}
    assert seen == set(Fault)
