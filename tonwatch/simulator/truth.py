"""What a user of a simulated server gets, from its faults and the chain: no verdict of tonwatch's.

A user has a connection from before, may open new ones, and reads heads and accounts and sends
messages over them.
"""

from dataclasses import dataclass
from typing import Final, Literal

from tonwatch.simulator.chain.blocks import Block
from tonwatch.simulator.chain.chain import Chain
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.simulator.servers.base import SimulatedServer
from tonwatch.simulator.servers.liteserver.queries import QUEUE_LIMIT
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.simulator.servers.view import View

_ANSWER_BYTES: Final = 200
"""Least bytes of an answer with a head, of any kind of server."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a user gets from a server at some moment.

    Times are by the true clock, that of the chain, in seconds. Where a server has several answers,
    as two backends have, the worse one counts. Noise is left out.

    Attributes:
        reachable: a new connection is established, with its handshake if there is one.
        kept: a connection that was open when the faults began is open, and answers.
        connect_seconds: until a new connection is served, over the usual time.
        answers: queries get well-formed answers, be they errors, on some connection.
        lost: share of the queries that get none nevertheless.
        answer_seconds: until an answer has come, over the usual time.
        head_age: of the newest block.
        kept_head_age: of the newest block on a connection that was open when the faults began.
        behind: by how much the newest block is older than that of the network.
        accounts: "now" where accounts are those of the newest block, otherwise the age of the
            block whose accounts they are; None where they cannot be read.
        messages: external messages are accepted, and no full queue keeps them out of blocks.
        history: seconds for which transactions are kept; None for as long as the chain keeps them.
        truthful: blocks are those of the network, with their own times, balances and proofs.
        clock_error: by how much the server's clock is ahead of the true one.
        authorized: API keys are accepted.
        throttled: requests are refused for their number.
    """

    reachable: bool
    kept: bool
    connect_seconds: float
    answers: bool
    lost: float
    answer_seconds: float
    head_age: float
    kept_head_age: float
    behind: float
    accounts: Literal["now"] | float | None
    messages: bool
    history: float | None
    truthful: bool
    clock_error: float
    authorized: bool
    throttled: bool


def served(server: SimulatedServer, simulator: Simulator) -> Served:
    """What a user of `server`, one of the simulator's, gets now."""
    chain, now = simulator.chain, simulator.chain.clock()
    view, kept_view = _worst(server, server.view()), _worst(server, server.view(kept=True))
    answers = _answers(server)
    return Served(
        reachable=_reachable(server),
        kept=answers and not server.has_fault(Fault.FLAP),
        connect_seconds=server.fault_value(Fault.SLOW_CONNECT) or 0.0,
        answers=answers,
        lost=server.fault_value(Fault.LOSSY) or 0.0,
        answer_seconds=(server.fault_value(Fault.SLOW) or 0.0)
        + (server.fault_value(Fault.SLOW_DRIP) or 0.0) * _ANSWER_BYTES,
        head_age=now - view.head.produced,
        kept_head_age=now - kept_view.head.produced,
        behind=max(chain.head.produced - view.head.produced, 0.0),
        accounts=_accounts(server, view, now),
        messages=_takes_messages(server),
        history=server.fault_value(Fault.PRUNE_HISTORY),
        truthful=_truthful(server, view, chain),
        clock_error=server.fault_value(Fault.CLOCK_SKEW) or 0.0,
        authorized=not server.has_fault(Fault.UNAUTHORIZED),
        throttled=server.has_fault(Fault.THROTTLE),
    )


def _worst(server: SimulatedServer, view: View) -> View:
    step = int(server.fault_value(Fault.STEP_BACK) or 0)
    return view.back(step) if step else view


def _reachable(server: SimulatedServer) -> bool:
    if server.refusing or server.has_fault(Fault.REFUSE_NEW, Fault.UNREACHABLE, Fault.WRONG_KEY):
        return False
    # A liteserver that hangs answers no handshake; HTTP has none.
    return not (server.has_fault(Fault.HANG) and isinstance(server, LiteServer))


def _answers(server: SimulatedServer) -> bool:
    broken = (
        Fault.NOT_SYNCED,
        Fault.GARBAGE,
        Fault.WRONG_KEY,
        Fault.BAD_JSON,
        Fault.DROP_MID_FRAME,
        Fault.GIANT_ANSWER,
    )
    all_lost = (server.fault_value(Fault.LOSSY) or 0.0) >= 1.0
    return not (server.refusing or server.silent or all_lost or server.has_fault(*broken))


def _accounts(server: SimulatedServer, view: View, now: float) -> Literal["now"] | float | None:
    if server.has_fault(Fault.ACCOUNTS_FAIL):
        return None
    return "now" if view.shard_client.id == view.head.id else now - view.shard_client.produced


def _takes_messages(server: SimulatedServer) -> bool:
    if server.has_fault(Fault.REJECT_EXTERNALS, Fault.UNDECIDED_EXTERNALS):
        return False
    return (server.fault_value(Fault.OUT_QUEUE) or 0.0) <= QUEUE_LIMIT


def _truthful(server: SimulatedServer, view: View, chain: Chain) -> bool:
    false = server.has_fault(Fault.FALSE_BALANCE, Fault.BAD_PROOF)
    false = false or bool(server.fault_value(Fault.FALSE_TIME))
    return not false and view.chain.zerostate == chain.zerostate and _is_on(chain, view.head)


def _is_on(chain: Chain, block: Block) -> bool:
    same = chain.block(block.seqno)
    if same is None:
        return block.seqno < chain.oldest.seqno
    return same.id == block.id
