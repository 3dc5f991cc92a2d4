"""Checkpoints on disk: saving is atomic, and unusable files are set aside."""

import asyncio
import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.conftest import Clock
from tests.payouts.transactions import FRIEND, WALLET
from tonwatch.payouts import checkpoints as module
from tonwatch.payouts.checkpoints import (
    BEGINNING,
    KEPT_ASIDE,
    Checkpoint,
    Checkpoints,
    DiskHangs,
    Unreadable,
)
from tonwatch.samples.account import AccountKey
from tonwatch.samples.payouts import OTHER_CODE, Totals, Trouble, TroubleKind
from tonwatch.system.executors import Threads
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
def thread() -> Iterator[Threads]:
    made = Threads("checkpoints", 1)
    yield made
    made.shutdown()


@pytest.fixture
def checkpoints(tmp_path: Path, clock: Clock, thread: Threads) -> Checkpoints:
    return Checkpoints(tmp_path, MAINNET, clock.wall, thread)


def aside(checkpoints: Checkpoints) -> list[str]:
    folder = checkpoints.path(KEY).parent
    return sorted(path.name for path in folder.iterdir() if ".corrupt-" in path.name)


async def test_no_file(checkpoints: Checkpoints) -> None:
    with capture_logs() as logs:
        assert await checkpoints.load(KEY, WALLET) is None
    assert not logs


@pytest.mark.parametrize("checkpoint", [OLD, NEW, LARGEST, Checkpoint(cursor=BEGINNING, since=0)])
async def test_what_is_saved_is_loaded(checkpoints: Checkpoints, checkpoint: Checkpoint) -> None:
    assert await checkpoints.save(KEY, WALLET, checkpoint)
    assert await checkpoints.load(KEY, WALLET) == checkpoint
    assert [path.name for path in checkpoints.path(KEY).parent.iterdir()] == ["payroll@native.json"]


async def test_the_first_versions_file_has_nothing_in_flight(checkpoints: Checkpoints) -> None:
    """What was counted before stays counted."""
    await checkpoints.save(KEY, WALLET, NEW)
    path = checkpoints.path(KEY)
    whole = json.loads(await asyncio.to_thread(path.read_text))
    del whole["totals"]["in_flight_amount"]
    await asyncio.to_thread(path.write_text, json.dumps(whole))
    assert await checkpoints.load(KEY, WALLET) == replace(
        NEW, totals=replace(NEW.totals, in_flight_amount=0)
    )


async def test_integers_are_strings(checkpoints: Checkpoints) -> None:
    await checkpoints.save(KEY, WALLET, NEW)
    text = await asyncio.to_thread(checkpoints.path(KEY).read_text)

    def numbers(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [each for item in value.values() for each in numbers(item)]
        if isinstance(value, list):
            return [each for item in value for each in numbers(item)]
        return [value] if isinstance(value, int | float) else []

    assert numbers(json.loads(text)) == [1]  # the format's version


async def test_each_account_has_a_file(checkpoints: Checkpoints) -> None:
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
    "large": lambda content: content + b" " * 70_000,
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
        b'"time": "1800000001"', b'"time": "253402300800"'
    ),
    "a trouble's lt of more than 64 bits": lambda content: content.replace(
        b'"lt": "78"', b'"lt": "18446744073709551616"'
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
async def test_an_unusable_file_is_set_aside(
    checkpoints: Checkpoints, clock: Clock, damage: Callable[[bytes], bytes]
) -> None:
    await checkpoints.save(KEY, WALLET, NEW)
    path = checkpoints.path(KEY)
    content = damage(await asyncio.to_thread(path.read_bytes))
    await asyncio.to_thread(path.write_bytes, content)
    with capture_logs() as logs:
        assert await checkpoints.load(KEY, WALLET) is None
    assert [line["log_level"] for line in logs] == ["warning"]
    assert "set aside" in logs[0]["event"]
    assert aside(checkpoints) == [f"payroll@native.json.corrupt-{int(clock.wall())}"]
    kept = path.with_name(aside(checkpoints)[0])
    assert await asyncio.to_thread(kept.read_bytes) == content
    assert await checkpoints.load(KEY, WALLET) is None, "and that is that"
    assert await checkpoints.save(KEY, WALLET, OLD)
    assert await checkpoints.load(KEY, WALLET) == OLD


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_ends_in_a_checkpoint_or_none(
    tmp_path: Path, thread: Threads, data: st.DataObject
) -> None:
    async def damaged() -> None:
        checkpoints = Checkpoints(tmp_path, MAINNET, lambda: 5.0, thread)
        await checkpoints.save(KEY, WALLET, NEW)
        path = checkpoints.path(KEY)
        content = bytearray(await asyncio.to_thread(path.read_bytes))
        place = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 20))
        content[place : place + length] = data.draw(st.binary(max_size=20))
        await asyncio.to_thread(path.write_bytes, bytes(content))
        checkpoint = await checkpoints.load(KEY, WALLET)
        assert checkpoint is None or isinstance(checkpoint, Checkpoint)

    asyncio.run(damaged())


async def test_few_are_kept_aside(checkpoints: Checkpoints, clock: Clock) -> None:
    other = checkpoints.path(KEY).with_name("payroll@native.json.corrupt-mine")
    await asyncio.to_thread(other.write_text, "not ours to remove")
    for _ in range(KEPT_ASIDE + 3):
        clock.advance(10)
        await asyncio.to_thread(checkpoints.path(KEY).write_text, "broken")
        await checkpoints.load(KEY, WALLET)
    now = int(clock.wall())
    names = [f"payroll@native.json.corrupt-{now - 10 * back}" for back in range(KEPT_ASIDE)]
    assert aside(checkpoints) == sorted([*names, other.name])


async def test_where_it_cannot_be_set_aside(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next save would overwrite it once the disk is writable again."""
    await asyncio.to_thread(checkpoints.path(KEY).write_text, "broken")
    with capture_logs() as logs, monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails(OSError(30, "Read-only file system")))
        for _ in range(3):
            with pytest.raises(Unreadable, match=r"damaged.*Read-only file system"):
                await checkpoints.load(KEY, WALLET)
    assert [line["event"].split(":")[0] for line in logs] == ["payouts cannot be counted"]
    assert await checkpoints.load(KEY, WALLET) is None
    assert len(aside(checkpoints)) == 1


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize("call", ["open", "fstat"])
async def test_a_file_that_cannot_be_read_for_now_is_intact(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    await checkpoints.save(KEY, WALLET, NEW)
    with capture_logs() as logs:
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fails(OSError(number, os.strerror(number))))
            for _ in range(3):
                with pytest.raises(Unreadable, match=os.strerror(number)):
                    await checkpoints.load(KEY, WALLET)
        assert await checkpoints.load(KEY, WALLET) == NEW
        assert await checkpoints.load(KEY, WALLET) == NEW
    assert not aside(checkpoints)
    assert [line["event"].split(":")[0] for line in logs] == [
        "payouts cannot be counted",
        "what is counted already can be read again",
    ]


async def test_a_missing_volume(checkpoints: Checkpoints) -> None:
    """The checkpoint may be on it."""
    path = checkpoints.path(KEY)
    await asyncio.to_thread(path.symlink_to, "gone/away")
    with pytest.raises(Unreadable, match="a broken link"):
        await checkpoints.load(KEY, WALLET)
    await asyncio.to_thread(path.unlink)
    await asyncio.to_thread(path.parent.rmdir)
    with pytest.raises(Unreadable, match="No such file"):
        await checkpoints.load(KEY, WALLET)


async def test_each_account_has_its_own_errors(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One account fails and one works, in turn."""
    other, real = AccountKey("payroll", "usdt"), module._write

    def written(path: Path, content: bytes) -> str:
        return "Permission denied" if path == checkpoints.path(KEY) else real(path, content)

    monkeypatch.setattr(module, "_write", written)
    with capture_logs() as logs:
        for _ in range(5):
            assert not await checkpoints.save(KEY, WALLET, NEW)
            assert await checkpoints.save(other, WALLET, NEW)
        monkeypatch.setattr(module, "_write", real)
        for _ in range(2):
            assert await checkpoints.save(KEY, WALLET, NEW)
    assert [(line["event"].split(":")[0], line["file"]) for line in logs] == [
        ("payouts cannot be saved", str(checkpoints.path(KEY))),
        ("payouts are saved again", str(checkpoints.path(KEY))),
    ]


class Killed(BaseException):
    """The process ends here: nothing after this line runs, nothing is cleaned up."""


def fails(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def on_call(number: int, error: BaseException, real: Callable[..., Any]) -> Callable[..., Any]:
    calls = 0

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise error
        return real(*args, **kwargs)

    return call


STEPS: Final[dict[str, tuple[str, int, Checkpoint]]] = {
    "before the new file is on disk": ("fsync", 1, OLD),
    "before it takes the old one's place": ("replace", 1, OLD),
    "before the directory is on disk": ("fsync", 2, NEW),
    "before the directory is opened": ("open", 1, NEW),
}


@pytest.mark.parametrize(("step", "call", "left"), STEPS.values(), ids=STEPS.keys())
async def test_killed_at_any_step(
    checkpoints: Checkpoints,
    thread: Threads,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    call: int,
    left: Checkpoint,
) -> None:
    await checkpoints.save(KEY, WALLET, OLD)
    with monkeypatch.context() as patch:
        patch.setattr(os, step, on_call(call, Killed(), getattr(os, step)))
        patch.setattr(Path, "unlink", fails(Killed()))
        with pytest.raises(RuntimeError) as ended:
            await checkpoints.save(KEY, WALLET, NEW)
    assert isinstance(ended.value.__cause__, Killed)
    restarted = Checkpoints(checkpoints.path(KEY).parent, MAINNET, lambda: 0.0, thread)
    with capture_logs() as logs:
        assert await restarted.load(KEY, WALLET) == left
    assert not logs
    assert await restarted.save(KEY, WALLET, NEW)
    assert await restarted.load(KEY, WALLET) == NEW
    assert len(list(checkpoints.path(KEY).parent.iterdir())) == 1


async def test_killed_while_writing(checkpoints: Checkpoints) -> None:
    await checkpoints.save(KEY, WALLET, OLD)
    half = checkpoints.path(KEY).with_name("payroll@native.json.new")
    await asyncio.to_thread(half.write_bytes, b'{"version": 1, "net')
    assert await checkpoints.load(KEY, WALLET) == OLD
    assert await checkpoints.save(KEY, WALLET, NEW)
    assert await checkpoints.load(KEY, WALLET) == NEW
    assert not await asyncio.to_thread(half.exists)


@pytest.mark.parametrize("step", ["fsync", "replace"])
async def test_a_full_disk_is_logged_once_and_retried(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await checkpoints.save(KEY, WALLET, OLD)
    with capture_logs() as logs, monkeypatch.context() as patch:
        patch.setattr(os, step, fails(OSError(28, "No space left on device")))
        assert not await checkpoints.save(KEY, WALLET, NEW)
        assert not await checkpoints.save(KEY, WALLET, NEW)
    assert [line["reason"] for line in logs] == ["No space left on device"]
    assert await checkpoints.load(KEY, WALLET) == OLD
    assert len(list(checkpoints.path(KEY).parent.iterdir())) == 1, "nothing is left behind"
    with capture_logs() as logs:
        assert await checkpoints.save(KEY, WALLET, NEW)
        assert await checkpoints.save(KEY, WALLET, NEW)
    assert [line["event"] for line in logs] == ["payouts are saved again"]
    assert await checkpoints.load(KEY, WALLET) == NEW


async def test_each_attempt_to_write_is_reported(
    tmp_path: Path, thread: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[str] = []
    checkpoints = Checkpoints(tmp_path, MAINNET, lambda: 0.0, thread, reports.append)
    await checkpoints.save(KEY, WALLET, OLD)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails(OSError(28, "No space left on device")))
        await checkpoints.save(KEY, WALLET, NEW)
    await checkpoints.save(KEY, WALLET, NEW)
    assert reports == ["", f"{tmp_path}: No space left on device", ""]


async def test_a_removed_directory(checkpoints: Checkpoints) -> None:
    await asyncio.to_thread(checkpoints.path(KEY).parent.rmdir)
    with capture_logs() as logs:
        assert not await checkpoints.save(KEY, WALLET, NEW)
    assert [line["reason"] for line in logs] == ["No such file or directory"]


async def test_the_last_save_wins(checkpoints: Checkpoints) -> None:
    saves = [
        asyncio.create_task(checkpoints.save(KEY, WALLET, replace(OLD, since=n))) for n in range(50)
    ]
    await asyncio.sleep(0)
    for task in saves[:40]:
        task.cancel()
    await asyncio.gather(*saves, return_exceptions=True)
    assert await checkpoints.load(KEY, WALLET) == replace(OLD, since=49)


class TestADiskThatHangs:
    """Nothing is lost, nothing piles up, and counting does not begin anew."""

    @pytest.fixture
    def hanging(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        """The disk, until the event is set."""
        gate = threading.Event()

        def hang(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                gate.wait()
                return function(*args)

            return call

        monkeypatch.setattr(module, "DISK_WITHIN", 0.02)
        monkeypatch.setattr(module, "_write", hang(module._write))
        monkeypatch.setattr(module, "_content", hang(module._content))
        yield gate
        gate.set()

    async def test_saving(
        self, checkpoints: Checkpoints, thread: Threads, hanging: threading.Event
    ) -> None:
        with capture_logs() as logs:
            for _ in range(5):
                assert not await checkpoints.save(KEY, WALLET, OLD)
            assert thread._calls == 1
            hanging.set()
            async with asyncio.timeout(10):
                while not await checkpoints.save(KEY, WALLET, NEW):
                    await asyncio.sleep(0.005)
            assert await checkpoints.load(KEY, WALLET) == NEW
        assert [line["event"].split(":")[0] for line in logs] == [
            "payouts cannot be saved",
            "payouts are saved again",
        ]

    @pytest.mark.usefixtures("hanging")
    async def test_loading(self, checkpoints: Checkpoints) -> None:
        """Beginning anew would lose what was counted."""
        with capture_logs() as logs:
            for _ in range(5):
                with pytest.raises(DiskHangs):
                    await checkpoints.load(KEY, WALLET)
        assert len(logs) == 1


def put(kind: str, place: Path) -> None:
    if kind == "a named pipe":
        os.mkfifo(place)
    elif kind == "a device":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()


KINDS: Final = ["a named pipe", "a device", "a directory"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_checkpoint_that_is_no_file(checkpoints: Checkpoints, kind: str) -> None:
    """Such as a wrong mount: it is left for the operator to remove."""
    path = checkpoints.path(KEY)
    await asyncio.to_thread(put, kind, path)
    before = await asyncio.to_thread(path.lstat)
    with capture_logs() as logs:
        with pytest.raises(Unreadable, match=kind):
            await checkpoints.load(KEY, WALLET)
        assert not await checkpoints.save(KEY, WALLET, NEW)
    assert await asyncio.to_thread(path.lstat) == before
    assert await asyncio.to_thread(os.listdir, path.parent) == [path.name]
    assert [kind in line["reason"] for line in logs] == [True, True]


@pytest.mark.parametrize("kind", KINDS)
async def test_no_file_where_the_next_one_is_write(checkpoints: Checkpoints, kind: str) -> None:
    """It is replaced, or saving fails with an error; nothing blocks."""
    path = checkpoints.path(KEY)
    await asyncio.to_thread(put, kind, path.with_name(path.name + ".new"))
    with capture_logs() as logs:
        assert await checkpoints.load(KEY, WALLET) is None
        saved = await checkpoints.save(KEY, WALLET, NEW)
    assert saved == (kind != "a directory")
    assert saved or "cannot be saved" in logs[-1]["event"]
