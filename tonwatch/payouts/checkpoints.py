"""Checkpoints: how far each account's transactions are counted, kept across restarts.

One that is damaged, or is about another account or network, is set aside, and counting begins
anew. One that cannot be read may be intact: nothing is counted until it can be read.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from tonwatch.samples.account import AccountKey
from tonwatch.samples.payouts import (
    ACTION,
    COMPUTE,
    MAX_CODES,
    OTHER_CODE,
    RECENT,
    Totals,
    Trouble,
    TroubleKind,
)
from tonwatch.state.state import State
from tonwatch.state.store import Changes, Unreadable
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.transactions import TransactionId

log = structlog.get_logger(__name__)

VERSION: Final = 1
"""Of the format."""

BEGINNING: Final = TransactionId(0, bytes(32))
"""The cursor before an account's first transaction."""

_NUMBER: Final = re.compile(r"-?[0-9]{1,60}")
_YEAR_10000: Final = 253_402_300_800
"""Unix seconds; later times have no date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far an account is counted.

    Attributes:
        cursor: the newest counted transaction; all before it are counted too.
        since: when counting began, Unix seconds.
        opening: the balance then, in smallest units; None where unknown.
        totals: of the transactions since then.
    """

    cursor: TransactionId
    since: int
    opening: int | None = None
    totals: Totals = field(default_factory=Totals)


class _Unusable(Exception):
    """It is not a checkpoint of this account; the text says why."""


class Checkpoints:
    """The checkpoints of all accounts.

    Args:
        state: where they are kept.
        network: root hash of the network's zerostate.
    """

    def __init__(self, state: State, network: bytes) -> None:
        self._state = state
        self._network = network
        self._lost = state.lost
        self._read_failing: set[AccountKey] = set()
        self._unsaved: set[AccountKey] = set()

    async def load(self, key: AccountKey, address: Address) -> Checkpoint | None:
        """The account's checkpoint; None where there is no usable one.

        Args:
            key: the account's key.
            address: the account that the checkpoint must be about.

        Raises:
            Unreadable: unknown whether there is one. Logged when that begins and when it ends.
        """
        names = {"wallet": key.name, "asset": key.asset}
        try:
            checkpoint = await self._load(key, address)
        except Unreadable as error:
            if key not in self._read_failing:
                log.warning(
                    "payouts cannot be counted: what is counted already cannot be read",
                    **names,
                    reason=str(error),
                )
            self._read_failing.add(key)
            raise
        if key in self._read_failing:
            self._read_failing.remove(key)
            log.info("what is counted already can be read again", **names)
        return checkpoint

    async def _load(self, key: AccountKey, address: Address) -> Checkpoint | None:
        content = await self._state.checkpoint(key)
        if content is None:
            return None
        try:
            return _decode(content, self._network, address)
        except _Unusable as error:
            reason = str(error)
        # Otherwise the next one would overwrite it.
        if error_text := await self._state.write(Changes(set_aside={key: reason})):
            raise Unreadable(f"{reason}; it cannot be set aside: {error_text}")
        log.warning(
            "payouts are counted from now on: the unusable checkpoint is set aside",
            wallet=key.name,
            asset=key.asset,
            reason=reason,
        )
        return None

    async def save(self, key: AccountKey, address: Address, checkpoint: Checkpoint) -> bool:
        """Write the account's checkpoint; False where that failed. Arguments as for `load`.

        An account's failures are logged when they begin and when they end. If cancelled, the
        checkpoint may or may not be written.
        """
        content = json.dumps(_encode(checkpoint, self._network, address), separators=(",", ":"))
        error_text = await self._state.write(Changes(checkpoints={key: content.encode()}))
        if error_text and key not in self._unsaved:
            self._unsaved.add(key)
            log.warning(
                "payouts cannot be saved: counting goes on, but a restart would count them again",
                wallet=key.name,
                asset=key.asset,
                reason=error_text,
            )
        elif key in self._unsaved and not error_text:
            self._unsaved.remove(key)
            log.info("payouts are saved again", wallet=key.name, asset=key.asset)
        return not error_text

    def were_lost(self) -> bool:
        """Whether checkpoints that had been saved were lost since the last call."""
        before, self._lost = self._lost, self._state.lost
        return self._lost != before


def _encode(checkpoint: Checkpoint, network: bytes, address: Address) -> dict[str, Any]:
    """Integers as strings: many JSON parsers lose the precision of large amounts."""
    totals = checkpoint.totals
    return {
        "version": VERSION,
        "network": network.hex(),
        "address": str(address),
        "cursor": {"lt": str(checkpoint.cursor.lt), "hash": checkpoint.cursor.hash.hex()},
        "since": str(checkpoint.since),
        "opening": _text(checkpoint.opening),
        "totals": {
            **{name: str(getattr(totals, name)) for name in _SUMS},
            "in_flight_amount": str(totals.in_flight_amount),
            "failed_transactions": [
                [phase, str(code), str(number)]
                for (phase, code), number in totals.failed_transactions.items()
            ],
            "compute_skipped": {
                reason: str(number) for reason, number in totals.compute_skipped.items()
            },
            "recent": [
                {
                    "time": str(trouble.time),
                    "kind": trouble.kind,
                    "phase": trouble.phase,
                    "code": _text(trouble.code),
                    "lt": str(trouble.lt),
                    "skipped": trouble.skipped,
                }
                for trouble in totals.recent
            ],
            "last_time": _text(totals.last_time),
            "last_gap": _text(totals.last_gap),
        },
    }


_SUMS: Final = (
    "transactions",
    "sent_amount",
    "received_amount",
    "bounced_amount",
    "fees_amount",
    "sent_messages",
    "skipped_messages",
    "bounced_messages",
    "history_gaps",
)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _decode(content: bytes, network: bytes, address: Address) -> Checkpoint:
    """Parse the output of `_encode`.

    Raises:
        _Unusable: it is damaged, or about another account or network.
    """
    try:
        fields = json.loads(content)
        if fields["version"] != VERSION:
            raise _Unusable("written by another version of tonwatch")
        if fields["network"] != network.hex():
            raise _Unusable("about another network")
        if fields["address"] != str(address):
            raise _Unusable("about another address")
        return _checkpoint(fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _Unusable(f"damaged: {type(error).__name__}") from error


def _checkpoint(fields: Any) -> Checkpoint:
    cursor, totals = fields["cursor"], fields["totals"]
    failures = {
        (_phase(phase), _code(code)): _count(number)
        for phase, code, number in totals["failed_transactions"]
    }
    if len(failures) > MAX_CODES + 2 or len(totals["recent"]) > RECENT:
        raise ValueError("more entries than the limits allow")
    return Checkpoint(
        cursor=TransactionId(_lt(cursor["lt"]), _hash(cursor["hash"])),
        since=_time(fields["since"]),
        opening=_maybe(_count, fields["opening"]),
        totals=Totals(
            **{name: _count(totals[name]) for name in _SUMS},
            # Files of 0.1.0 do not have it, and count it as sent and received.
            in_flight_amount=_number(totals.get("in_flight_amount", "0")),
            failed_transactions=failures,
            compute_skipped={
                _identifier(reason): _count(n) for reason, n in totals["compute_skipped"].items()
            },
            recent=tuple(
                Trouble(
                    time=_time(trouble["time"]),
                    kind=TroubleKind(trouble["kind"]),
                    phase=_phase(trouble["phase"]),
                    code=_maybe(_code, trouble["code"]),
                    lt=_lt(trouble["lt"]),
                    skipped=_identifier(trouble["skipped"]),
                )
                for trouble in totals["recent"]
            ),
            last_time=_maybe(_time, totals["last_time"]),
            last_gap=_maybe(_time, totals["last_gap"]),
        ),
    )


def _number(text: Any) -> int:
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    return int(text)


def _count(text: Any) -> int:
    number = _number(text)
    if number < 0:
        raise ValueError("below zero")
    return number


def _time(text: Any) -> int:
    """Unix seconds of a year that has a date."""
    return _below(_YEAR_10000, _count(text))


def _lt(text: Any) -> int:
    return _below(1 << 64, _count(text))


def _code(text: Any) -> int:
    """An exit code, or `OTHER_CODE`."""
    number = _below(OTHER_CODE + 1, _number(text))
    if number < -OTHER_CODE:
        raise ValueError("too small")
    return number


def _below(end: int, number: int) -> int:
    if number >= end:
        raise ValueError("too large")
    return number


def _maybe(read: Callable[[Any], int], text: Any) -> int | None:
    return None if text is None else read(text)


def _hash(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != 32:
        raise ValueError("not a hash")
    return value


def _phase(text: Any) -> str:
    if text not in {COMPUTE, ACTION, ""}:
        raise ValueError("not a phase")
    return str(text)


def _identifier(text: Any) -> str:
    if not isinstance(text, str) or not re.fullmatch(r"[a-z_]{0,32}", text):
        raise ValueError("not an identifier")
    return text
