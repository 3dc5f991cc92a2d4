"""Checkpoints: what is saved is loaded, and what is unusable is set aside."""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from tests.payouts.transactions import FRIEND, WALLET
from tonwatch.payouts.checkpoints import BEGINNING, Checkpoint, Checkpoints
from tonwatch.samples.account import AccountKey
from tonwatch.samples.payouts import OTHER_CODE, Totals, Trouble, TroubleKind
from tonwatch.state import sqlite
from tonwatch.state.sqlite import KEPT_ASIDE, NAME
from tonwatch.state.state import State
from tonwatch.state.store import Changes, Unreadable
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.networks import ZEROSTATES

KEY: Final = AccountKey("payroll", "native")
MAINNET: Final = ZEROSTATES["mainnet"]
OLD: Final = Checkpoint(cursor=TransactionId(5, b"\x05" * 32), since=1_700_000_000, opening=12)
NEW: Final = Checkpoint(
    cursor=TransactionId(2**63, b"\x06" * 32),
    since=1_700_000_000,
    opening=10**30,
    totals=Totals(
        transactions=3,
        sent_amount=10**30 + 1,
        received_amount=2,
        bounced_amount=3,
        fees_amount=4,
        in_flight_amount=8,
        sent_messages=5,
        skipped_messages=7,
        bounced_messages=6,
        failed_transactions={("compute", -14): 1, ("action", 37): 2},
        compute_skipped={"no_gas": 9},
        history_gaps=1,
        last_gap=1_800_000_005,
        recent=(
            Trouble(1_800_000_000, TroubleKind.FAILED, "action", 37, 77),
            Trouble(1_800_000_001, TroubleKind.BOUNCED, "", None, 78),
            Trouble(1_800_000_001, TroubleKind.MESSAGE_SKIPPED, "action", None, 78),
            Trouble(1_800_000_002, TroubleKind.COMPUTE_SKIPPED, "compute", None, 79, "no_gas"),
        ),
        last_time=1_800_000_000,
    ),
)


LARGEST: Final = Checkpoint(
    cursor=TransactionId(2**64 - 1, b"\xff" * 32),
    since=253402300799,
    totals=Totals(
        in_flight_amount=-(10**30),
        failed_transactions={("compute", -(2**31)): 1, ("compute", OTHER_CODE): 2},
        last_time=2**32 - 1,
        last_gap=253402300799,
        recent=(Trouble(2**32 - 1, TroubleKind.FAILED, "compute", 2**31 - 1, 2**64 - 1),),
    ),
)


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    made = State(tmp_path, lambda: 5.0)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def checkpoints(state: State) -> Checkpoints:
    return Checkpoints(state, MAINNET)


def aside(state: State) -> list[tuple[bytes, str]]:
    """Content and reason of what is set aside, the oldest first."""
    assert state.path is not None
    with sqlite3.connect(state.path / NAME) as connection:
        query = "SELECT content, reason FROM checkpoints_set_aside WHERE at = 5.0 ORDER BY id"
        found = connection.execute(query).fetchall()
    connection.close()
    return found


async def written(state: State) -> bytes:
    content = await state.checkpoint(KEY)
    assert content is not None
    return content


async def test_nothing_saved(checkpoints: Checkpoints) -> None:
    with capture_logs() as logs:
        assert await checkpoints.load(KEY, WALLET) is None
    assert not logs


@pytest.mark.parametrize("checkpoint", [OLD, NEW, LARGEST, Checkpoint(cursor=BEGINNING, since=0)])
async def test_what_is_saved_is_loaded(checkpoints: Checkpoints, checkpoint: Checkpoint) -> None:
    assert await checkpoints.save(KEY, WALLET, checkpoint)
    assert await checkpoints.load(KEY, WALLET) == checkpoint


async def test_the_first_format_has_nothing_in_flight(
    checkpoints: Checkpoints, state: State
) -> None:
    """What was counted before stays counted."""
    await checkpoints.save(KEY, WALLET, NEW)
    whole = json.loads(await written(state))
    del whole["totals"]["in_flight_amount"]
    await state.write(Changes({KEY: json.dumps(whole).encode()}))
    assert await checkpoints.load(KEY, WALLET) == replace(
        NEW, totals=replace(NEW.totals, in_flight_amount=0)
    )


async def test_a_file_of_the_version_before_is_counted_on(tmp_path: Path) -> None:
    def text(number: int) -> dict[str, str]:
        return {"lt": str(number), "hash": "05" * 32}

    sums = ("transactions", "sent_amount", "received_amount", "bounced_amount", "fees_amount")
    counts = ("sent_messages", "skipped_messages", "bounced_messages", "history_gaps")
    lists: dict[str, Any] = {"failed_transactions": [], "compute_skipped": {}, "recent": []}
    totals = dict.fromkeys((*sums, *counts, "in_flight_amount"), "7")
    whole = {
        "version": 1,
        "network": MAINNET.hex(),
        "address": str(WALLET),
        "cursor": text(5),
        "since": "1700000000",
        "opening": "12",
        "totals": totals | lists | {"last_time": None, "last_gap": None},
    }
    (tmp_path / "payroll@native.json").write_text(json.dumps(whole, indent=1))
    state = State(tmp_path)
    with capture_logs() as logs:
        await state.open()
        loaded = await Checkpoints(state, MAINNET).load(KEY, WALLET)
        await state.close()
    assert loaded is not None
    assert loaded == replace(OLD, totals=loaded.totals)
    assert loaded.totals.sent_amount == loaded.totals.in_flight_amount == 7
    assert [line["log_level"] for line in logs] == ["info"]


async def test_integers_are_strings(checkpoints: Checkpoints, state: State) -> None:
    await checkpoints.save(KEY, WALLET, NEW)

    def numbers(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [each for item in value.values() for each in numbers(item)]
        if isinstance(value, list):
            return [each for item in value for each in numbers(item)]
        return [value] if isinstance(value, int | float) else []

    assert numbers(json.loads(await written(state))) == [1]  # the format's version


async def test_each_account_has_its_own(checkpoints: Checkpoints) -> None:
    keys = [AccountKey(*names) for names in (("a", "b"), ("a.b", "c"), ("a", "b.c"), ("a-b", "c"))]
    for number, key in enumerate(keys):
        await checkpoints.save(key, WALLET, replace(OLD, since=number))
    for number, key in enumerate(keys):
        assert await checkpoints.load(key, WALLET) == replace(OLD, since=number)


def changed(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps(json.loads(content) | fields).encode()


def in_totals(**fields: Any) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        whole = json.loads(content)
        whole["totals"] |= fields
        return json.dumps(whole).encode()

    return change


DAMAGED: Final[dict[str, Callable[[bytes], bytes]]] = {
    "empty": lambda _: b"",
    "zeros": lambda content: bytes(len(content)),
    "cut short": lambda content: content[: len(content) // 2],
    "last brace missing": lambda content: content[:-1],
    "something behind": lambda content: content + b"x",
    "not text": lambda _: b"\xff\xfe\x00",
    "a list": lambda _: b"[]",
    "null": lambda _: b"null",
    "an empty object": lambda _: b"{}",
    "nested": lambda _: b"[" * 60_000,
    "a giant number": lambda _: b'{"version":' + b"9" * 5000 + b"}",
    "another version": changed(version=2),
    "another network": changed(network="00" * 32),
    "another address": changed(address=str(FRIEND)),
    "no cursor": changed(cursor=None),
    "a short hash": changed(cursor={"lt": "5", "hash": "00"}),
    "a number for a string": changed(since=5),
    "a float": changed(since="1.5"),
    "other digits": changed(since="٣"),
    "a giant amount": changed(opening="9" * 100),
    "below zero": in_totals(sent_amount="-1"),
    "an opening below zero": changed(opening="-1"),
    "since the year 10000": changed(since="253402300800"),
    "since before 1970": changed(since="-1"),
    "a last transaction in the year 10000": in_totals(last_time="253402300800"),
    "a last transaction before 1970": in_totals(last_time="-1"),
    "a gap beyond all time": in_totals(last_gap="9" * 60),
    "a cursor of more than 64 bits": changed(cursor={"lt": str(2**64), "hash": "00" * 32}),
    "a code of more than 32 bits": in_totals(failed_transactions=[["action", str(2**31 + 1), "1"]]),
    "a code of more than 32 bits below zero": in_totals(
        failed_transactions=[["action", str(-(2**32)), "1"]]
    ),
    "a trouble beyond all time": lambda content: content.replace(
        b'"time":"1800000001"', b'"time":"253402300800"'
    ),
    "a trouble's lt of more than 64 bits": lambda content: content.replace(
        b'"lt":"78"', b'"lt":"18446744073709551616"'
    ),
    "coins in flight that are no number": in_totals(in_flight_amount="all"),
    "a sum missing": lambda content: content.replace(b'"fees_amount"', b'"fee"'),
    "an unknown phase": in_totals(failed_transactions=[["credit", "1", "1"]]),
    "failures are no list": in_totals(failed_transactions="abc"),
    "many failures": in_totals(
        failed_transactions=[["action", str(code), "1"] for code in range(100)]
    ),
    "many troubles": lambda content: in_totals(
        recent=json.loads(content)["totals"]["recent"] * 20
    )(content),
    "an unknown trouble": lambda content: content.replace(b'"bounced",', b'"sprung",'),
    "markup for a reason": in_totals(compute_skipped={"<b>": "1"}),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
async def test_an_unusable_one_is_set_aside(
    checkpoints: Checkpoints, state: State, damage: Callable[[bytes], bytes]
) -> None:
    await checkpoints.save(KEY, WALLET, NEW)
    content = damage(await written(state))
    await state.write(Changes({KEY: content}))
    with capture_logs() as logs:
        assert await checkpoints.load(KEY, WALLET) is None
    assert [line["log_level"] for line in logs] == ["warning"]
    assert "set aside" in logs[0]["event"]
    assert aside(state) == [(content, logs[0]["reason"])]
    assert await checkpoints.load(KEY, WALLET) is None, "and that is that"
    assert await checkpoints.save(KEY, WALLET, OLD)
    assert await checkpoints.load(KEY, WALLET) == OLD
    assert len(aside(state)) == 1


async def test_few_are_kept_aside(checkpoints: Checkpoints, state: State) -> None:
    other = AccountKey("payroll", "usdt")
    await state.write(Changes({other: b"broken"}))
    await checkpoints.load(other, WALLET)
    for number in range(KEPT_ASIDE + 3):
        await state.write(Changes({KEY: b"broken %d" % number}))
        await checkpoints.load(KEY, WALLET)
    kept = [content for content, _ in aside(state)]
    assert kept == [b"broken", *(b"broken %d" % number for number in range(3, KEPT_ASIDE + 3))]


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's connections from now on."""
    real = sqlite._connect

    def connect(path: Path) -> sqlite3.Connection:
        connection = real(path)
        connection.execute("PRAGMA query_only = ON")
        return connection

    monkeypatch.setattr(sqlite, "_connect", connect)


async def test_where_it_cannot_be_set_aside(
    checkpoints: Checkpoints, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next save would overwrite it once the disk is writable again."""
    await state.write(Changes({KEY: b"broken"}))
    state._store.close()
    with capture_logs() as logs, monkeypatch.context() as patch:
        read_only(patch)
        for _ in range(3):
            with pytest.raises(Unreadable, match=r"damaged.*readonly database"):
                await checkpoints.load(KEY, WALLET)
    assert [line["event"].split(":")[0] for line in logs] == ["payouts cannot be counted"]
    assert await checkpoints.load(KEY, WALLET) is None
    assert len(aside(state)) == 1


async def test_one_that_cannot_be_read_for_now(
    checkpoints: Checkpoints, state: State, tmp_path: Path
) -> None:
    """It may be intact: counting does not begin anew."""
    await checkpoints.save(KEY, WALLET, NEW)
    state._store.close()
    database, elsewhere = tmp_path / NAME, tmp_path / "elsewhere"
    database.rename(elsewhere)
    database.mkdir()
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(Unreadable, match="a directory where a file is expected"):
                await checkpoints.load(KEY, WALLET)
        database.rmdir()
        elsewhere.rename(database)
        assert await checkpoints.load(KEY, WALLET) == NEW
        assert await checkpoints.load(KEY, WALLET) == NEW
    assert [line["event"].split(":")[0] for line in logs] == [
        "payouts cannot be counted",
        "what is counted already can be read again",
    ]


async def test_a_disk_that_cannot_be_written_is_logged_once_for_each_account(
    checkpoints: Checkpoints, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = AccountKey("payroll", "usdt")
    await checkpoints.save(KEY, WALLET, OLD)
    state._store.close()
    with capture_logs() as logs, monkeypatch.context() as patch:
        read_only(patch)
        for _ in range(3):
            assert not await checkpoints.save(KEY, WALLET, NEW)
            assert not await checkpoints.save(other, WALLET, NEW)
    assert [(line["asset"], line["reason"]) for line in logs] == [
        ("native", "attempt to write a readonly database"),
        ("usdt", "attempt to write a readonly database"),
    ]
    assert await checkpoints.load(KEY, WALLET) == OLD
    with capture_logs() as logs:
        for _ in range(2):
            assert await checkpoints.save(KEY, WALLET, NEW)
            assert await checkpoints.save(other, WALLET, NEW)
    assert [(line["event"], line["asset"]) for line in logs] == [
        ("payouts are saved again", "native"),
        ("payouts are saved again", "usdt"),
    ]
    assert await checkpoints.load(KEY, WALLET) == NEW


async def test_lost_ones_are_noticed(
    checkpoints: Checkpoints, state: State, tmp_path: Path
) -> None:
    """So that those which are known are saved again."""
    await checkpoints.save(KEY, WALLET, NEW)
    assert not checkpoints.were_lost()
    state._store.close()
    (tmp_path / NAME).unlink()
    with capture_logs() as logs:
        await checkpoints.save(AccountKey("payroll", "usdt"), WALLET, NEW)
    assert [line["event"] for line in logs] == ["the database was removed: a new one is written"]
    assert checkpoints.were_lost()
    assert not checkpoints.were_lost()
