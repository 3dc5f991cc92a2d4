"""Checkpoints: how far each account's transactions are counted, kept across restarts.

One small file for each account, replaced atomically. A file that is damaged, or is about another
account or network, is set aside, and counting begins anew. One that cannot be read may be intact:
it stays where it is, and nothing is counted until it can be read.
"""

import asyncio
import json
import os
import re
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

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
from tonwatch.system import regular_file
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.transactions import TransactionId

log = structlog.get_logger(__name__)

VERSION: Final = 1
"""Of the file's format."""

KEPT_ASIDE: Final = 3
"""Files set aside that are kept for each account."""

BEGINNING: Final = TransactionId(0, bytes(32))
"""The cursor before an account's first transaction."""

DISK_WITHIN: Final = 10.0
"""Seconds after which a disk that does not answer counts as hanging."""

_MAX_SIZE: Final = 64 * 1024
_NUMBER: Final = re.compile(r"-?[0-9]{1,60}")
_YEAR_10000: Final = 253_402_300_800
"""Unix seconds; later times have no date."""


T = TypeVar("T")


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


class Unreadable(Exception):
    """A checkpoint cannot be read for now; the text says why."""


class DiskHangs(Unreadable):
    """The disk does not answer."""


class _Unusable(Exception):
    """A file is not a checkpoint of this account; the text says why."""


class Checkpoints:
    """The files of all accounts.

    Args:
        state_dir: where the files are.
        network: root hash of the network's zerostate.
        wall: local clock, Unix seconds.
        thread: reads and writes, one file after another: a disk that hangs then delays nothing
            but the counting.
        saved: called after each attempt to write, with what failed or an empty text.
    """

    def __init__(
        self,
        state_dir: Path,
        network: bytes,
        wall: Callable[[], float],
        thread: Executor,
        saved: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._dir = state_dir
        self._network = network
        self._wall = wall
        self._thread = thread
        self._saved = saved
        self._hanging: asyncio.Future[Any] | None = None
        self._read_failing: set[AccountKey] = set()
        self._unsaved: set[AccountKey] = set()

    def path(self, key: AccountKey) -> Path:
        """The file of an account. Names hold no ``@``, so no two accounts share one."""
        return self._dir / f"{key.name}@{key.asset}.json"

    async def load(self, key: AccountKey, address: Address) -> Checkpoint | None:
        """The account's checkpoint; None where there is no usable one.

        Args:
            key: the account's key.
            address: the account that the checkpoint must be about.

        Raises:
            Unreadable: unknown whether there is one. Logged when that begins and when it ends.
        """
        file = str(self.path(key))
        try:
            checkpoint = await self._in_thread(lambda: self._load(self.path(key), address))
        except Unreadable as error:
            if key not in self._read_failing:
                log.warning(
                    "payouts cannot be counted: what is counted already cannot be read",
                    file=file,
                    reason=str(error),
                )
            self._read_failing.add(key)
            raise
        if key in self._read_failing:
            self._read_failing.remove(key)
            log.info("what is counted already can be read again", file=file)
        return checkpoint

    async def save(self, key: AccountKey, address: Address, checkpoint: Checkpoint) -> bool:
        """Write the account's checkpoint; False where that failed. Arguments as for `load`.

        An account's failures are logged when they begin and when they end. If cancelled, the
        checkpoint may or may not be written.
        """
        content = json.dumps(_encode(checkpoint, self._network, address), indent=1).encode()
        try:
            error_text = await self._in_thread(lambda: _write(self.path(key), content))
        except DiskHangs as error:
            error_text = str(error)
        self._saved(f"{self._dir}: {error_text}" if error_text else "")
        if error_text and key not in self._unsaved:
            self._unsaved.add(key)
            log.warning(
                "payouts cannot be saved: counting goes on, but a restart would count them again",
                file=str(self.path(key)),
                reason=error_text,
            )
        elif key in self._unsaved and not error_text:
            self._unsaved.remove(key)
            log.info("payouts are saved again", file=str(self.path(key)))
        return not error_text

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # While one call hangs no other is started: they would pile up behind it.
        if self._hanging is None or self._hanging.done():
            call = asyncio.get_running_loop().run_in_executor(self._thread, work)
            done, _ = await asyncio.wait({call}, timeout=DISK_WITHIN)
            if done:
                return call.result()
            self._hanging = call
        raise DiskHangs("the disk does not answer")

    def _load(self, path: Path, address: Address) -> Checkpoint | None:
        try:
            content = _content(path)
        except FileNotFoundError:
            _ensure_missing(path)
            return None
        except (OSError, regular_file.NotRegular) as error:
            raise Unreadable(_reason(error)) from None
        except ValueError as error:
            self._set_aside(path, str(error))
            return None
        try:
            return _decode(content, self._network, address)
        except _Unusable as error:
            self._set_aside(path, str(error))
        return None

    def _set_aside(self, path: Path, reason: str) -> None:
        """Rename a file, so that the next one does not overwrite it.

        Raises:
            Unreadable: it cannot be renamed.
        """
        aside = path.with_name(f"{path.name}.corrupt-{int(self._wall())}")
        try:
            path.replace(aside)
        except OSError as error:
            raise Unreadable(f"{reason}; it cannot be set aside: {_reason(error)}") from None
        try:
            _remove_oldest(path)
        except OSError as error:
            reason = f"{reason}; older ones cannot be removed: {_reason(error)}"
        log.warning(
            "payouts are counted from now on: the unusable checkpoint is set aside",
            file=str(path),
            aside=str(aside),
            reason=reason,
        )


def _ensure_missing(path: Path) -> None:
    """Distinguish an account that was never counted from a volume that is not there.

    Raises:
        Unreadable: the directory is missing, or the file is a broken link.
    """
    try:
        if path.is_symlink():
            raise Unreadable("a broken link")
        path.parent.stat()
    except OSError as error:
        raise Unreadable(f"its directory: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _remove_oldest(path: Path) -> None:
    prefix = f"{path.name}.corrupt-"
    found = [
        (int(entry.name.removeprefix(prefix)), entry)
        for entry in path.parent.iterdir()
        if re.fullmatch(re.escape(prefix) + "[0-9]{1,15}", entry.name)
    ]
    for _, entry in sorted(found)[:-KEPT_ASIDE]:
        entry.unlink()


def _write(path: Path, content: bytes) -> str:
    """Replace the file atomically; returns an error text, empty on success."""
    # One writer at a time: one name is enough, and a crash leaves at most one such file.
    new_file = path.with_name(f"{path.name}.new")
    try:
        regular_file.ensure_regular_or_missing(path)
        # It may be something else: opening a named pipe would block.
        with suppress(FileNotFoundError):
            os.unlink(new_file)  # noqa: PTH108
        with new_file.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new_file, path)  # noqa: PTH105  like the fsync calls
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except regular_file.NotRegular as error:
        return str(error)
    except OSError as error:
        with suppress(OSError):
            new_file.unlink()
        return _reason(error)
    return ""


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


def _content(path: Path) -> bytes:
    return regular_file.read(path, _MAX_SIZE)


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
