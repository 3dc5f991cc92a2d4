"""The faults of simulated servers, wallets and contracts, and how they are written."""

import math
from enum import StrEnum
from typing import Final, NamedTuple, Self


class Fault(StrEnum):
    """A fault; see `describe` for what it does."""

    REFUSE = "refuse"
    HANG = "hang"
    NOT_SYNCED = "not_synced"
    SLOW = "slow"
    GARBAGE = "garbage"
    WRONG_KEY = "wrong_key"
    LAG = "lag"
    SHARD_LAG = "shard_lag"
    STALL = "stall"
    WRONG_NETWORK = "wrong_network"
    CLOCK_SKEW = "clock_skew"
    THROTTLE = "throttle"
    UNAUTHORIZED = "unauthorized"
    BAD_JSON = "bad_json"
    DROP_MID_FRAME = "drop_mid_frame"
    FORK = "fork"
    UNREACHABLE = "unreachable"
    STEP_BACK = "step_back"
    FLAP = "flap"
    CATCH_UP = "catch_up"
    LOSSY = "lossy"
    SLOW_DRIP = "slow_drip"
    GIANT_ANSWER = "giant_answer"
    BAD_PROOF = "bad_proof"
    FALSE_BALANCE = "false_balance"
    PRUNE_HISTORY = "prune_history"
    REJECT_EXTERNALS = "reject_externals"
    DRAIN = "drain"
    BOUNCE_PAYOUTS = "bounce_payouts"
    FAILING_PAYOUTS = "failing_payouts"
    FROZEN = "frozen"
    CHANGED_CODE = "changed_code"
    ACCOUNTS_FAIL = "accounts_fail"
    REFUSE_NEW = "refuse_new"
    KEPT_STALE = "kept_stale"
    FALSE_TIME = "false_time"
    UNDECIDED_EXTERNALS = "undecided_externals"
    OUT_QUEUE = "out_queue"
    SLOW_CONNECT = "slow_connect"
    SLOW_BLOCKS = "slow_blocks"
    REWIND = "rewind"


class _Value(NamedTuple):
    """The number that a fault takes: its default, its unit, and its bounds or the only ones."""

    default: float
    unit: str
    least: float = 0.0
    most: float = math.inf
    only: tuple[float, ...] = ()


_VALUES: Final = {
    Fault.SLOW: _Value(2.0, "seconds"),
    Fault.LAG: _Value(30.0, "seconds"),
    Fault.SHARD_LAG: _Value(60.0, "blocks"),
    Fault.CLOCK_SKEW: _Value(30.0, "seconds", least=-math.inf),
    Fault.STEP_BACK: _Value(5.0, "blocks"),
    Fault.FLAP: _Value(15.0, "seconds", least=0.01),
    Fault.CATCH_UP: _Value(120.0, "seconds"),
    Fault.LOSSY: _Value(0.1, "lost answers per query", most=1.0),
    Fault.SLOW_DRIP: _Value(0.5, "seconds"),
    Fault.PRUNE_HISTORY: _Value(60.0, "seconds"),
    Fault.ACCOUNTS_FAIL: _Value(652.0, "code", least=-math.inf, only=(-400, 500, 651, 652)),
    Fault.FALSE_TIME: _Value(25.0, "seconds", least=-math.inf),
    Fault.OUT_QUEUE: _Value(9000.0, "messages"),
    Fault.SLOW_CONNECT: _Value(2.0, "seconds"),
    Fault.SLOW_BLOCKS: _Value(12.0, "seconds", least=0.01),
    Fault.REWIND: _Value(500.0, "blocks", least=1.0),
}

_DESCRIPTIONS: Final = {
    Fault.REFUSE: "nothing listens, open connections are reset",
    Fault.HANG: "connections are accepted and never answered, not even pings",
    Fault.NOT_SYNCED: "handshakes and pings are answered, queries never",
    Fault.SLOW: "queries are answered late",
    Fault.GARBAGE: "answers are random bytes",
    Fault.WRONG_KEY: "the server has another key: it closes connections at the handshake",
    Fault.LAG: "the node follows the chain, but late",
    Fault.SHARD_LAG: "the shard client is behind the masterchain",
    Fault.STALL: "the node stays at the block it has now",
    Fault.WRONG_NETWORK: "the node belongs to another network",
    Fault.CLOCK_SKEW: "the server's clock is wrong",
    Fault.THROTTLE: "every request is over the rate limit, of a liteserver over that of its proxy",
    Fault.UNAUTHORIZED: "no API key is accepted",
    Fault.BAD_JSON: "bodies are cut short under status 200",
    Fault.DROP_MID_FRAME: "connections are closed in the middle of an answer",
    Fault.FORK: "the node follows a fork: its blocks have other hashes from now on",
    Fault.UNREACHABLE: "packets are lost: connecting times out, open connections get no answers",
    Fault.STEP_BACK: "every other answer comes from a node that is behind",
    Fault.FLAP: "the server refuses and answers in turn",
    Fault.CATCH_UP: "the node is behind and catches up, four seconds of blocks a second",
    Fault.LOSSY: "some queries get no answer",
    Fault.SLOW_DRIP: "answers arrive byte by byte, with a pause before each",
    Fault.GIANT_ANSWER: "answers are far longer than any real one",
    Fault.BAD_PROOF: "proofs are well-formed and belong to another block",
    Fault.FALSE_BALANCE: "accounts have another balance than on the chain",
    Fault.PRUNE_HISTORY: "older transactions are pruned",
    Fault.REJECT_EXTERNALS: "all external messages are rejected",
    Fault.DRAIN: "nearly all coins are sent away at once, and no more come in",
    Fault.BOUNCE_PAYOUTS: "recipients bounce payouts",
    Fault.FAILING_PAYOUTS: "payouts fail in the action phase with code 37, and cost fees",
    Fault.FROZEN: "the account is frozen and makes no payouts",
    Fault.CHANGED_CODE: "the contract has other code",
    Fault.ACCOUNTS_FAIL: "account states, get methods and transactions fail, blocks are served",
    Fault.REFUSE_NEW: "nothing listens, open connections are served",
    Fault.KEPT_STALE: "connections that are open now stay at the present block, new ones are fresh",
    Fault.FALSE_TIME: "the block times that the server reports are later than they are",
    Fault.UNDECIDED_EXTERNALS: "external messages are rejected before their contract runs",
    Fault.OUT_QUEUE: "the outbound message queue of the basechain is this long",
    Fault.SLOW_CONNECT: "new connections are served late, open ones at once",
    Fault.SLOW_BLOCKS: "blocks are this far apart",
    Fault.REWIND: "the network goes back once, by so many blocks, and goes on with other ones",
}


class ActiveFault(NamedTuple):
    """A fault and its number, 0 for a fault that takes none."""

    fault: Fault
    value: float

    @classmethod
    def of(cls, fault: Fault, value: float | None = None) -> Self:
        """A fault with `value`, or with its default.

        Raises:
            ValueError: the fault takes no number, or not this one.
        """
        takes = _VALUES.get(fault)
        if takes is None:
            if value is not None:
                raise ValueError(f"{fault} takes no number")
            return cls(fault, 0.0)
        if value is None:
            return cls(fault, takes.default)
        if not math.isfinite(value) or not takes.least <= value <= takes.most:
            least = f" from {takes.least:g}" if math.isfinite(takes.least) else ""
            most = f" to {takes.most:g}" if math.isfinite(takes.most) else ""
            raise ValueError(f"{fault} takes a number of {takes.unit}{least}{most}, not {value:g}")
        if takes.only and value not in takes.only:
            known = ", ".join(f"{each:g}" for each in takes.only)
            raise ValueError(f"{fault} takes one of the numbers {known}, not {value:g}")
        return cls(fault, value)

    def __str__(self) -> str:
        return f"{self.fault}:{self.value:g}" if self.fault in _VALUES else str(self.fault)


def describe(fault: Fault) -> str:
    """What the fault does, in one clause, with its number and default."""
    takes = _VALUES.get(fault)
    if takes is None:
        return _DESCRIPTIONS[fault]
    unit = " ".join([takes.unit, " or ".join(f"{each:g}" for each in takes.only)]).strip()
    return f"{_DESCRIPTIONS[fault]} ({unit}, default {takes.default:g})"


def parse_fault(name: str) -> Fault:
    """The fault called `name`.

    Raises:
        ValueError: there is none; the text names all.
    """
    try:
        return Fault(name)
    except ValueError:
        raise ValueError(f"no fault {name!r}; faults are: {', '.join(Fault)}") from None


def parse_faults(text: str) -> list[tuple[Fault, float | None]]:
    """Read ``FAULT`` or ``FAULT:NUMBER``, or several of these with ``+`` between them.

    Raises:
        ValueError: the text has another form, or there is no such fault.
    """
    return [_parse(one.strip()) for one in text.split("+")]


def _parse(text: str) -> tuple[Fault, float | None]:
    name, colon, number = text.partition(":")
    if not name:
        raise ValueError(f"{text!r} is not FAULT or FAULT:NUMBER")
    fault = parse_fault(name)
    if not colon:
        return fault, None
    try:
        return fault, float(number)
    except ValueError:
        raise ValueError(f"{text!r}: {number!r} is not a number") from None
