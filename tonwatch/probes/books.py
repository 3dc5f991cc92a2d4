"""Books: how far each account's transactions are counted, kept over restarts.

One small file for each account. A crash at any moment leaves the old or the new one; a file
that makes no sense, or is about something else, is set aside and never stops the daemon.
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

from tonwatch import regular_file
from tonwatch.probes.reading import AccountKey
from tonwatch.probes.tally import (
    ACTION,
    COMPUTE,
    MAX_CODES,
    OTHER_CODE,
    RECENT,
    Tally,
    Trouble,
    TroubleKind,
)
from tonwatch.ton.address import Address
from tonwatch.ton.transactions import TransactionId

log = structlog.get_logger(__name__)

VERSION: Final = 1
"""Of the file's format."""

KEPT_ASIDE: Final = 3
"""Files set aside that are kept for each account."""

BEGINNING: Final = TransactionId(0, bytes(32))
"""Comes before an account's first transaction."""

DISK_WITHIN: Final = 10.0
"""Seconds after which a disk that has not answered counts as hanging."""

_MAX_SIZE: Final = 64 * 1024
_NUMBER: Final = re.compile(r"-?[0-9]{1,60}")
_END_OF_TIME: Final = 253_402_300_800
"""The first second of the year 10000, Unix time."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """How far an account is counted.

    Attributes:
        cursor: the newest transaction that is counted; all before it are too.
        since: when counting began, Unix seconds.
        opening: what the account held then, in smallest units; None where nobody told.
        tally: what the transactions since then come to.
    """

    cursor: TransactionId
    since: int
    opening: int | None = None
    tally: Tally = field(default_factory=Tally)


class DiskHangs(Exception):
    """The disk does not answer: what stands on it is not known."""


class _Unusable(Exception):
    """A file's content is no book of this account; the text says why."""


class Books:
    """The files of all accounts.

    Args:
        state_dir: where the files are.
        network: root hash of the network's zerostate.
        wall: our clock, Unix seconds.
        thread: reads and writes, one file after another: a disk that hangs then holds up nothing
            but the counting.
    """

    def __init__(
        self, state_dir: Path, network: bytes, wall: Callable[[], float], thread: Executor
    ) -> None:
        self._dir = state_dir
        self._network = network
        self._wall = wall
        self._thread = thread
        self._hanging: asyncio.Future[Any] | None = None
        self._failing = False

    def path(self, key: AccountKey) -> Path:
        """The file of an account. Names hold no ``@``, so no two accounts share one."""
        return self._dir / f"{key.name}@{key.asset}.json"

    async def load(self, key: AccountKey, address: Address) -> Book | None:
        """The account's book; None where there is none that can be used.

        Args:
            key: what the account is called.
            address: the account that the book must be about.

        Raises:
            DiskHangs: nobody knows whether there is one.
        """
        try:
            return await self._in_thread(lambda: self._load(self.path(key), address))
        except DiskHangs as error:
            if not self._failing:
                log.warning(
                    "payouts cannot be counted: what is counted already cannot be read",
                    file=str(self.path(key)),
                    reason=str(error),
                )
            self._failing = True
            raise

    async def save(self, key: AccountKey, address: Address, book: Book) -> bool:
        """Write the account's book; False where that failed. Arguments as for `load`.

        Failures are logged when they begin and when they end. Where it is cancelled, the
        book may or may not be written.
        """
        content = json.dumps(_encode(book, self._network, address), indent=1).encode()
        try:
            trouble = await self._in_thread(lambda: _written(self.path(key), content))
        except DiskHangs as error:
            trouble = str(error)
        if trouble and not self._failing:
            log.warning(
                "payouts cannot be saved: counting goes on, but a restart would count them again",
                file=str(self.path(key)),
                reason=trouble,
            )
        elif self._failing and not trouble:
            log.info("payouts are saved again", file=str(self.path(key)))
        self._failing = bool(trouble)
        return not trouble

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # While one call hangs no other is begun: they would pile up behind it.
        if self._hanging is None or self._hanging.done():
            call = asyncio.get_running_loop().run_in_executor(self._thread, work)
            done, _ = await asyncio.wait({call}, timeout=DISK_WITHIN)
            if done:
                return call.result()
            self._hanging = call
        raise DiskHangs("the disk does not answer")

    def _load(self, path: Path, address: Address) -> Book | None:
        try:
            content = _content(path)
            return _decode(content, self._network, address)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._set_aside(path, f"cannot be read: {error.strerror or error}")
        except _Unusable as error:
            self._set_aside(path, str(error))
        return None

    def _set_aside(self, path: Path, reason: str) -> None:
        aside = path.with_name(f"{path.name}.corrupt-{int(self._wall())}")
        try:
            path.replace(aside)
            _forget_oldest(path)
        except OSError as error:
            reason = f"{reason}; it cannot be set aside: {error.strerror or error}"
        log.warning(
            "payouts are counted from now on: the file with what was counted before is set aside",
            file=str(path),
            aside=str(aside),
            reason=reason,
        )


def _forget_oldest(path: Path) -> None:
    prefix = f"{path.name}.corrupt-"
    found = [
        (int(entry.name.removeprefix(prefix)), entry)
        for entry in path.parent.iterdir()
        if re.fullmatch(re.escape(prefix) + "[0-9]{1,15}", entry.name)
    ]
    for _, entry in sorted(found)[:-KEPT_ASIDE]:
        entry.unlink()


def _written(path: Path, content: bytes) -> str:
    """Replace the file in one step; what went wrong, empty for nothing."""
    # One writer at a time: one name is enough, and a crash leaves one such file at most.
    fresh = path.with_name(f"{path.name}.new")
    try:
        # What stands there may be no file of ours: opening a named pipe would not end.
        with suppress(FileNotFoundError):
            os.unlink(fresh)  # noqa: PTH108
        with fresh.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)  # noqa: PTH105  next to the calls that make it last
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        return error.strerror or str(error)
    return ""


def _encode(book: Book, network: bytes, address: Address) -> dict[str, Any]:
    """Integers as strings: amounts exceed what most readers of JSON keep exact."""
    tally = book.tally
    return {
        "version": VERSION,
        "network": network.hex(),
        "address": str(address),
        "cursor": {"lt": str(book.cursor.lt), "hash": book.cursor.hash.hex()},
        "since": str(book.since),
        "opening": _text(book.opening),
        "tally": {
            **{name: str(getattr(tally, name)) for name in _SUMS},
            "in_flight": str(tally.in_flight),
            "failures": [
                [phase, str(code), str(number)] for (phase, code), number in tally.failures.items()
            ],
            "skipped": {reason: str(number) for reason, number in tally.skipped.items()},
            "recent": [
                {
                    "time": str(trouble.time),
                    "kind": trouble.kind,
                    "phase": trouble.phase,
                    "code": _text(trouble.code),
                    "lt": str(trouble.lt),
                    "skipped": trouble.skipped,
                }
                for trouble in tally.recent
            ],
            "last_time": _text(tally.last_time),
            "last_gap": _text(tally.last_gap),
        },
    }


_SUMS: Final = (
    "transactions",
    "sent",
    "received",
    "returned",
    "fees",
    "messages_sent",
    "unsent",
    "bounced",
    "gaps",
)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _content(path: Path) -> bytes:
    try:
        return regular_file.read(path, _MAX_SIZE)
    except ValueError as error:
        raise _Unusable(str(error)) from None


def _decode(content: bytes, network: bytes, address: Address) -> Book:
    """Read what `_encode` made.

    Raises:
        _Unusable: it is something else, or about something else.
    """
    try:
        fields = json.loads(content)
        if fields["version"] != VERSION:
            raise _Unusable("written by another version of tonwatch")
        if fields["network"] != network.hex():
            raise _Unusable("about another network")
        if fields["address"] != str(address):
            raise _Unusable("about another address")
        return _book(fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _Unusable(f"damaged: {type(error).__name__}") from error


def _book(fields: Any) -> Book:
    cursor, tally = fields["cursor"], fields["tally"]
    failures = {
        (_phase(phase), _code(code)): _count(number) for phase, code, number in tally["failures"]
    }
    if len(failures) > MAX_CODES + 2 or len(tally["recent"]) > RECENT:
        raise ValueError("more than is ever written")
    return Book(
        cursor=TransactionId(_lt(cursor["lt"]), _hash(cursor["hash"])),
        since=_time(fields["since"]),
        opening=_maybe(_count, fields["opening"]),
        tally=Tally(
            **{name: _count(tally[name]) for name in _SUMS},
            # Files of 0.1.0 have none, and count it as sent and received.
            in_flight=_number(tally.get("in_flight", "0")),
            failures=failures,
            skipped={_word(reason): _count(n) for reason, n in tally["skipped"].items()},
            recent=tuple(
                Trouble(
                    time=_time(trouble["time"]),
                    kind=TroubleKind(trouble["kind"]),
                    phase=_phase(trouble["phase"]),
                    code=_maybe(_code, trouble["code"]),
                    lt=_lt(trouble["lt"]),
                    skipped=_word(trouble["skipped"]),
                )
                for trouble in tally["recent"]
            ),
            last_time=_maybe(_time, tally["last_time"]),
            last_gap=_maybe(_time, tally["last_gap"]),
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
    return _below(_END_OF_TIME, _count(text))


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


def _word(text: Any) -> str:
    if not isinstance(text, str) or not re.fullmatch(r"[a-z_]{0,32}", text):
        raise ValueError("not a word")
    return text
