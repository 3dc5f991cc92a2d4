"""The transaction walker counts each transaction once and in order, whatever fails."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.payouts.transactions import FRIEND, WALLET, History, counted, message, transaction
from tonwatch.payouts import backfill
from tonwatch.payouts import walker as payouts
from tonwatch.payouts.backfill import CHUNK
from tonwatch.payouts.checkpoints import BEGINNING, Checkpoint
from tonwatch.payouts.paging import PAGE, PageSource
from tonwatch.payouts.totals import count_native
from tonwatch.payouts.walker import PATIENCE, START_OVER, TransactionWalker
from tonwatch.samples.account import AccountKey
from tonwatch.samples.payouts import PayoutProgress, Totals
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.errors import (
    BadAnswer,
    ConnectionLost,
    LiteServerError,
    ProofInvalid,
    QueryTimeout,
    Reason,
    TonError,
)

KEY: Final = AccountKey("payroll", "native")
PRUNED: Final = LiteServerError(Reason.PRUNED, -400, "lt not in db")
LIMITED: Final = LiteServerError(Reason.RATE_LIMITED, 429, "slow down")


class Source:
    """Pages of a history from number `kept` on; `fault` is raised instead of an answer."""

    def __init__(self, history: History | None = None, *, kept: int = 0) -> None:
        self.history = history or History()
        self.kept = kept
        self.fault: TonError | None = None
        self.asked: list[TransactionId] = []

    async def __call__(
        self, address: Address, last: TransactionId, count: int
    ) -> list[Transaction]:
        assert address == WALLET
        assert 1 <= count <= PAGE
        self.asked.append(last)
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault
        page = [
            one for one in self.history.page(last, count) if one.id >= self.history.id(self.kept)
        ]
        if not page:
            raise PRUNED
        return page


class Disk:
    """The checkpoint as saved, which outlives a restart."""

    def __init__(self, checkpoint: Checkpoint | None = None) -> None:
        self.checkpoint = checkpoint
        self.full = False
        self.saves = 0

    async def save(self, checkpoint: Checkpoint) -> bool:
        await asyncio.sleep(0)
        self.saves += 1
        if not self.full:
            self.checkpoint = checkpoint
        return not self.full


def in_order(totals: Totals, one: Transaction) -> Totals:
    assert one.time > (totals.last_time or 0)
    return count_native(totals, one, ())


def walker(disk: Disk, **options: Any) -> TransactionWalker:
    return TransactionWalker(
        KEY, WALLET, disk.checkpoint, count=in_order, save=disk.save, wall=lambda: 1.8e9, **options
    )


def checkpoint(number: int, history: History | None = None) -> Checkpoint:
    """A checkpoint with all transactions up to this number counted."""
    cursor = (history or History()).id(number) if number >= 0 else BEGINNING
    return Checkpoint(cursor=cursor, since=1_700_000_000)


async def step(
    it: TransactionWalker, newest: int | None, *sources: PageSource, history: History | None = None
) -> PayoutProgress:
    at = None if newest is None else (history or History()).id(newest)
    return without_bug(await it.step(at, 7, sources, proven=True))


def without_bug(progress: PayoutProgress) -> PayoutProgress:
    """Raise what a step only records: a bug, or a failed assertion of the test."""
    assert not progress.bug, progress.bug
    return progress


async def steps(
    times: int, it: TransactionWalker, newest: int, *sources: PageSource
) -> PayoutProgress:
    """Run several steps; returns the last progress."""
    for _ in range(times - 1):
        await step(it, newest, *sources)
    return await step(it, newest, *sources)


def numbers(totals: Totals) -> list[int]:
    """The numbers of the counted transactions; fails where one is counted twice."""
    times = counted(totals.received_amount)
    assert set(times) <= {0, 1}
    assert sum(times) == totals.transactions
    return [number for number, once in enumerate(times) if once]


async def test_a_new_account_starts_at_zero_with_a_log_line() -> None:
    disk, source = Disk(), Source()
    it = walker(disk)
    with capture_logs() as logs:
        progress = await step(it, 99, source)
    assert progress.ok
    assert (progress.cursor, progress.since, progress.opening) == (
        History().id(99),
        1_800_000_000,
        7,
    )
    assert (progress.totals, progress.backlog, source.asked) == (Totals(), 0, [])
    assert disk.checkpoint == it.checkpoint
    assert [(line["event"], line["lt"]) for line in logs] == [
        ("payouts are counted from here on", 1000)
    ]


async def test_an_account_that_does_not_exist_yet_is_counted_from_its_first_transaction() -> None:
    disk = Disk()
    it = walker(disk)
    assert (await step(it, None)).cursor == BEGINNING
    assert (await step(walker(disk), None)).backlog == 0
    assert numbers((await step(it, 40, Source())).totals) == list(range(41))
    assert (await step(it, None)).totals.transactions == 41, "gone again"


async def test_without_new_transactions_nothing_is_queried_or_saved() -> None:
    disk, source = Disk(checkpoint(9)), Source()
    it = walker(disk)
    for newest in (9, 9, None, 4):
        assert (await step(it, newest, source)).cursor == History().id(9)
    assert (source.asked, disk.saves) == ([], 0)


@pytest.mark.parametrize("new", [1, 2, PAGE - 1, PAGE])
async def test_a_short_backlog_is_one_page(new: int) -> None:
    disk, source = Disk(checkpoint(9)), Source(kept=10)
    progress = await step(walker(disk), 9 + new, source)
    assert numbers(progress.totals) == list(range(10, 10 + new))
    assert (len(source.asked), disk.saves) == (1, 1)
    assert disk.checkpoint is not None
    assert disk.checkpoint.cursor == progress.cursor == History().id(9 + new)


@pytest.mark.parametrize("new", [PAGE + 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 3])
@pytest.mark.parametrize("budget", [1, 3, 1000])
async def test_a_long_backlog(new: int, budget: int) -> None:
    disk, source = Disk(checkpoint(9)), Source()
    it = walker(disk, budget=budget)
    backlogs = []
    for _ in range(2 * new):
        asked = len(source.asked)
        progress = await step(it, 9 + new, source)
        assert len(source.asked) - asked <= budget
        assert progress.backlog == it.backlog
        backlogs.append(progress.backlog)
        if not progress.backlog:
            break
    assert numbers(it.checkpoint.totals) == list(range(10, 10 + new))
    peak = backlogs.index(max(backlogs))
    assert backlogs[:peak] == sorted(backlogs[:peak]), "known better and better"
    assert backlogs[peak:] == sorted(backlogs[peak:], reverse=True), "then counted"
    assert len(source.asked) <= 2 * (new // PAGE + 2) + len(backlogs)
    assert disk.saves <= new // PAGE + 2


async def test_the_backlog_while_catching_up() -> None:
    it = walker(Disk(checkpoint(0)), budget=20)
    source = Source()
    while not it.checkpoint.totals.transactions:
        await step(it, 3000, source)
    assert it.backlog == 3000 - it.checkpoint.totals.transactions


async def test_transactions_during_a_backfill_are_counted_too() -> None:
    it, source = walker(Disk(checkpoint(0)), budget=2), Source()
    for newest in range(100, 160):
        await step(it, newest, source)
    assert numbers((await step(it, 160, source)).totals) == list(range(1, 161))


async def test_a_lagging_source_changes_nothing() -> None:
    it, source = walker(Disk(checkpoint(50)), budget=2), Source()
    assert (await step(it, 200, source)).backlog > 0
    progress = await steps(40, it, 30, source)
    assert numbers(progress.totals) == list(range(51, 201)), "the backfill goes on"
    assert (await step(it, 30, source)).cursor == History().id(200)


async def test_another_transaction_at_the_cursors_time_changes_nothing() -> None:
    fork = History(fork=9)
    it = walker(Disk(checkpoint(9)))
    progress = await step(it, 9, Source(fork), history=fork)
    assert (progress.cursor, progress.totals.history_gaps, progress.backlog) == (
        History().id(9),
        0,
        0,
    )


async def test_an_unknown_newest_transaction_is_dropped() -> None:
    it, source = walker(Disk(checkpoint(9))), Source()
    fork = History(fork=0)
    for _ in range(3):
        assert (await step(it, 10**6, source, history=fork)).reason is Reason.PRUNED
    assert numbers((await step(it, 12, source)).totals) == [10, 11, 12]
    assert it.checkpoint.totals.history_gaps == 0


async def test_an_unproven_newest_transaction_never_moves_the_cursor_by_itself() -> None:
    it = walker(Disk(checkpoint(9)))
    for _ in range(3 * PATIENCE):
        at = TransactionId(2**63, b"?" * 32)
        progress = without_bug(await it.step(at, 7, [Source()], proven=False))
        assert (progress.reason, progress.cursor) == (Reason.PRUNED, History().id(9))


async def test_a_backfill_that_leads_nowhere_is_restarted() -> None:
    """The backfill began on a fork that is gone."""
    fork, source = History(fork=50), Source()
    it = walker(Disk(checkpoint(9)), budget=4)
    await step(it, 200, Source(fork), history=fork)
    source.fault = BadAnswer("no such transaction")
    for _ in range(START_OVER):
        assert not (await step(it, 210, source)).ok
    source.fault = None
    progress = await steps(20, it, 210, source)
    assert (numbers(progress.totals), progress.totals.history_gaps) == (list(range(10, 211)), 0)


class TestGaps:
    async def test_is_counted_and_logged(self) -> None:
        disk = Disk(checkpoint(9))
        with capture_logs() as logs:
            progress = await step(walker(disk, budget=100), 99, Source(kept=60))
        assert (progress.reason, progress.totals.history_gaps) == (Reason.OK, 1)
        assert numbers(progress.totals) == list(range(60, 100))
        assert [(line["log_level"], line["after_lt"], line["to_lt"]) for line in logs] == [
            ("warning", 100, 600)
        ]
        assert disk.checkpoint is not None
        assert disk.checkpoint.totals.history_gaps == 1

    async def test_no_gap_where_history_ends_at_the_cursor(self) -> None:
        progress = await step(walker(Disk(checkpoint(9))), 99, Source(kept=10))
        assert (numbers(progress.totals), progress.totals.history_gaps) == (list(range(10, 100)), 0)

    async def test_another_source_has_what_the_first_has_pruned(self) -> None:
        node, archive = Source(kept=990), Source()
        progress = await step(walker(Disk(checkpoint(9)), budget=1000), 999, node, archive)
        assert (numbers(progress.totals), progress.totals.history_gaps) == (
            list(range(10, 1000)),
            0,
        )
        assert len(node.asked) < 5, "what it has not it is not asked again and again"

    @pytest.mark.parametrize(
        "fault", [LIMITED, QueryTimeout("silence"), ProofInvalid("no"), BadAnswer("?")], ids=str
    )
    async def test_waits_for_a_source_that_may_have_it(self, fault: TonError) -> None:
        node, archive = Source(kept=60), Source()
        archive.fault = fault
        it = walker(Disk(checkpoint(9)))
        for _ in range(PATIENCE - 1):
            progress = await step(it, 99, node, archive)
            assert (progress.reason, progress.totals, progress.backlog) == (
                Reason.PRUNED,
                Totals(),
                41,
            )
            assert fault.detail in progress.detail
        archive.fault = None
        progress = await step(it, 99, node, archive)
        assert (numbers(progress.totals), progress.totals.history_gaps) == (list(range(10, 100)), 0)

    async def test_waits_a_limited_time(self) -> None:
        node, archive = Source(kept=60), Source()
        archive.fault = QueryTimeout("silence")
        it = walker(Disk(checkpoint(9)))
        progress = await steps(PATIENCE, it, 99, node, archive)
        assert (numbers(progress.totals), progress.totals.history_gaps) == (list(range(60, 100)), 1)

    async def test_an_outage_is_no_gap(self) -> None:
        node, archive = Source(), Source()
        node.fault = archive.fault = QueryTimeout("silence")
        it = walker(Disk(checkpoint(9)))
        for _ in range(3 * PATIENCE):
            assert (await step(it, 99, node, archive)).reason is Reason.QUERY_TIMEOUT
        node.fault = PRUNED
        assert (await step(it, 99, node, archive)).totals.history_gaps == 0, (
            "patience starts only here"
        )

    async def test_the_newest_transaction_itself(self) -> None:
        """An idle account after a long downtime; or a source that lags for a moment."""
        it, source = walker(Disk(checkpoint(9))), Source(kept=1000)
        for _ in range(PATIENCE - 1):
            progress = await step(it, 99, source)
            assert (progress.reason, progress.backlog) == (Reason.PRUNED, 1)
        progress = await step(it, 99, source)
        assert (progress.totals.history_gaps, progress.cursor, progress.ok) == (
            1,
            History().id(99),
            True,
        )
        assert (await step(it, 101, Source(kept=100))).totals.history_gaps == 1

    async def test_history_pruned_during_a_backfill(self) -> None:
        """Found in several steps, it is one gap."""
        it, source = walker(Disk(checkpoint(9)), budget=40), Source()
        await step(it, 1500, source)
        assert it.backlog > 600
        source.kept = 1400
        with capture_logs() as logs:
            while it.backlog:
                await step(it, 1500, source)
        assert (numbers(it.checkpoint.totals), it.checkpoint.totals.history_gaps) == (
            list(range(1400, 1501)),
            1,
        )
        ranges = [(line["after_lt"], line["to_lt"]) for line in logs if "after_lt" in line]
        assert (ranges[0][0], ranges[-1][1]) == (100, 14_000)
        assert [end for _, end in ranges[:-1]] == [start for start, _ in ranges[1:]]

    async def test_two_gaps_count_as_two(self) -> None:
        it, source = walker(Disk(checkpoint(9)), budget=100), Source(kept=60)
        assert (await step(it, 99, source)).totals.history_gaps == 1
        source.kept = 150
        assert (await step(it, 199, source)).totals.history_gaps == 2

    async def test_a_second_gap_after_counted_transactions(self) -> None:
        it, source = walker(Disk(checkpoint(9)), budget=100), Source(kept=1000)
        assert (await steps(PATIENCE, it, 99, source)).totals.history_gaps == 1
        source.kept = 100
        assert (await step(it, 120, source)).totals.transactions == 21
        source.kept = 150
        assert (await step(it, 199, source)).totals.history_gaps == 2

    async def test_patience_is_for_consecutive_steps(self) -> None:
        node, archive = Source(kept=60), Source()
        archive.fault = QueryTimeout("silence")
        it = walker(Disk(checkpoint(9)))
        for _ in range(3):
            await steps(PATIENCE - 1, it, 99, node, archive)
            node.fault = QueryTimeout("silence")
            assert (await step(it, 99, node, archive)).reason is Reason.QUERY_TIMEOUT
            node.fault = None
        assert it.checkpoint.totals.history_gaps == 0

    async def test_a_cursor_that_is_not_in_the_history(self) -> None:
        fork = History(fork=5)
        with capture_logs() as logs:
            progress = await step(walker(Disk(checkpoint(9))), 99, Source(fork), history=fork)
        assert (numbers(progress.totals), progress.totals.history_gaps) == (list(range(10, 100)), 1)
        assert "another one" in logs[0]["event"]
        assert (logs[0]["cursor_lt"], logs[0]["from_lt"]) == (100, 110)

    async def test_a_recreated_account(self) -> None:
        first = transaction(message(4), id=TransactionId(500, b"n" * 32), time=500)

        async def source(*_: Any) -> list[Transaction]:
            return [first]

        it = walker(Disk(checkpoint(9)))
        progress = without_bug(await it.step(first.id, 0, [source], proven=True))
        assert (progress.totals.transactions, progress.totals.history_gaps, progress.cursor) == (
            1,
            1,
            first.id,
        )


def replies(page: Callable[[list[Transaction]], list[Transaction]]) -> PageSource:
    async def source(address: Address, last: TransactionId, count: int) -> list[Transaction]:
        return page(await Source()(address, last, count))

    return source


BAD_PAGES: Final[dict[str, tuple[Callable[[list[Transaction]], list[Transaction]], Reason]]] = {
    "nothing": (lambda _: [], Reason.BAD_ANSWER),
    "too many": (lambda page: page * 20, Reason.BAD_ANSWER),
    "one left out": (lambda page: [page[0], *page[2:]], Reason.PROOF_INVALID),
    "the first left out": (lambda page: page[1:], Reason.PROOF_INVALID),
    "one twice": (lambda page: [page[0], *page[:-1]], Reason.PROOF_INVALID),
    "oldest first": (lambda page: page[::-1], Reason.PROOF_INVALID),
    "something after the first one": (
        lambda page: [transaction(id=page[0].id), *page[1:]],
        Reason.PROOF_INVALID,
    ),
    "a circle": (
        lambda page: [transaction(id=page[0].id, previous=page[0].id)],
        Reason.PROOF_INVALID,
    ),
    "another account": (
        lambda page: [transaction(id=page[0].id, account=FRIEND.hash)],
        Reason.BAD_ANSWER,
    ),
}


@pytest.mark.parametrize(("spoil", "reason"), BAD_PAGES.values(), ids=BAD_PAGES.keys())
async def test_a_bad_page_never_changes_the_checkpoint(
    spoil: Callable[[list[Transaction]], list[Transaction]], reason: Reason
) -> None:
    disk = Disk(checkpoint(9))
    it = walker(disk)
    with capture_logs() as logs:
        progress = await steps(3 * PATIENCE, it, 99, replies(spoil))
    assert (progress.reason, progress.totals, disk.saves) == (reason, Totals(), 0)
    assert len(logs) == 1, "logged once"
    progress = await step(it, 99, replies(spoil), Source())
    assert (progress.ok, numbers(progress.totals)) == (True, list(range(10, 100)))


async def test_a_page_that_is_too_large_is_asked_for_in_parts() -> None:
    async def source(address: Address, last: TransactionId, count: int) -> list[Transaction]:
        if count > 1:
            raise BadAnswer("large", Reason.ANSWER_TOO_LARGE)
        return await Source()(address, last, count)

    assert numbers((await step(walker(Disk(checkpoint(9))), 20, source)).totals) == list(
        range(10, 21)
    )


async def test_no_source() -> None:
    progress = await step(walker(Disk(checkpoint(9))), 20)
    assert (progress.reason, progress.backlog) == (Reason.NOT_READY, 1)


async def test_a_full_disk_does_not_stop_counting() -> None:
    disk, source = Disk(checkpoint(9)), Source()
    it = walker(disk)
    disk.full = True
    assert numbers((await step(it, 20, source)).totals) == list(range(10, 21))
    assert disk.checkpoint == checkpoint(9)
    disk.full = False
    await step(it, 20, source)
    assert disk.checkpoint == it.checkpoint, "saved by the next step though nothing is new"
    saves = disk.saves
    await step(it, 20, source)
    assert disk.saves == saves


async def test_what_was_cancelled_while_it_was_saved_is_saved_again() -> None:
    disk, source = Disk(checkpoint(9)), Source()
    it = walker(disk)
    save = it._save

    async def cancelled(_: Checkpoint) -> bool:
        raise asyncio.CancelledError

    it._save = cancelled
    with pytest.raises(asyncio.CancelledError):
        await step(it, 20, source)
    it._save = save
    assert disk.checkpoint == checkpoint(9)
    assert numbers((await step(it, 20, source)).totals) == list(range(10, 21))
    assert disk.checkpoint == it.checkpoint


async def test_progress_is_logged_in_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payouts, "PROGRESS", 500)
    it, source = walker(Disk(checkpoint(-1)), budget=10), Source()
    with capture_logs() as logs:
        while not it.checkpoint.totals.transactions or it.backlog:
            await step(it, 1999, source)
        await step(it, 2000, source)
    events = [line["event"] for line in logs]
    assert 6 <= events.count("catching up on payouts") <= 9
    assert events[-1] == "caught up on payouts"
    assert events.count("caught up on payouts") == 1


async def test_memory_is_bounded_however_long_the_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "MAX_ANCHORS", 32)
    length = 30_000
    disk, source = Disk(checkpoint(-1)), Source(History(many=True))
    it = walker(disk, budget=50)
    most = 0

    async def looking(address: Address, last: TransactionId, count: int) -> list[Transaction]:
        nonlocal most
        assert it._backfill is not None
        most = max(most, len(it._backfill.held))
        assert len(it._backfill._anchors) <= 33
        return await source(address, last, count)

    while it.checkpoint.totals.transactions < length:
        await step(it, length - 1, looking)
        assert it._backfill is None or not it._backfill.held, "nothing is held between steps"
    assert it.checkpoint.totals.received_amount == it.checkpoint.totals.transactions == length
    assert most < CHUNK + PAGE
    assert len(source.asked) < 8 * length / PAGE, "about twice the backlog"


class Restart(BaseException):
    """The process ends here."""


class RandomFaults:
    """Random faults at each await."""

    def __init__(self, seed: int, trouble: float, restarts: float) -> None:
        self.random = random.Random(seed)
        self.trouble = trouble
        self.restarts = restarts

    def end(self) -> None:
        if self.random.random() < self.restarts:
            raise Restart if self.random.random() < 0.5 else asyncio.CancelledError

    def source(self, kept: Callable[[], int], reach: Callable[[], int]) -> PageSource:
        """Pages of the history from `kept` to `reach`, with failures, short and wrong pages."""
        history = History()

        async def source(address: Address, last: TransactionId, count: int) -> list[Transaction]:
            del address
            self.end()
            if self.random.random() < self.trouble:
                raise self.random.choice(
                    [LIMITED, QueryTimeout("silence"), ConnectionLost("gone"), BadAnswer("?")]
                )
            number = history.number(last)
            if number is None or not kept() <= number <= reach():
                raise PRUNED
            page = [one for one in history.page(last, count) if one.id >= history.id(kept())]
            if self.random.random() < self.trouble:
                page = page[: self.random.randint(1, PAGE)]
            if self.random.random() < self.trouble / 2:
                del page[self.random.randrange(len(page))]
            return page

        return source

    def save(self, disk: Disk) -> Callable[[Checkpoint], Awaitable[bool]]:
        async def save(checkpoint: Checkpoint) -> bool:
            self.end()
            disk.full = self.random.random() < self.trouble / 2
            done = await disk.save(checkpoint)
            self.end()
            return done

        return save


async def run_with_faults(
    faults: RandomFaults,
    disk: Disk,
    grows: Sequence[int],
    sources: Callable[[Callable[[], int]], Sequence[PageSource]],
    **options: Any,
) -> TransactionWalker:
    """Steps while the history grows, then without faults until all is counted."""
    newest = 0

    def start() -> TransactionWalker:
        made = walker(disk, **options)
        made._save = faults.save(disk)
        return made

    history = History()
    it = start()
    asked = sources(lambda: newest)
    for number in range(2000):
        if number < len(grows):
            newest += grows[number]
        elif number == len(grows):
            faults.trouble = faults.restarts = 0.0
        try:
            progress = without_bug(await it.step(history.id(newest), None, asked, proven=True))
        except Restart:
            it = start()
        except asyncio.CancelledError:
            pass
        else:
            assert len(numbers(progress.totals)) == progress.totals.transactions
            if number > len(grows) and not progress.backlog:
                break
    assert it.checkpoint.cursor == history.id(newest)
    assert disk.checkpoint == it.checkpoint
    assert not it.backlog
    return it


GROWS: Final = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 400)), max_size=25)
OPTIONS: Final = st.fixed_dictionaries({"budget": st.sampled_from([1, 2, 5, 40])})
FAULTS: Final = st.builds(
    RandomFaults,
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.1, 0.4]),
    st.sampled_from([0.0, 0.1]),
)
QUICK: Final = settings(max_examples=60)


@QUICK
@given(FAULTS, GROWS, OPTIONS, st.integers(0, 300), st.booleans())
def test_counts_all_once_and_in_order(
    faults: RandomFaults, grows: list[int], options: dict[str, int], kept: int, anchors: bool
) -> None:
    """Nothing is missed while one source has all of the history, however often it fails."""
    disk = Disk(checkpoint(0))

    async def run() -> TransactionWalker:
        return await run_with_faults(
            faults,
            disk,
            grows,
            lambda reach: [
                faults.source(lambda: max(0, reach() - kept), reach),
                faults.source(lambda: 0, reach),
            ],
            patience=10**9,
            **options,
        )

    with pytest.MonkeyPatch.context() as patch, capture_logs():
        if anchors:
            patch.setattr(backfill, "MAX_ANCHORS", 8)
        it = asyncio.run(run())
    assert numbers(it.checkpoint.totals) == list(range(1, sum(grows) + 1))
    assert it.checkpoint.totals.history_gaps == 0


@QUICK
@given(FAULTS, GROWS, OPTIONS, st.integers(1, 500), st.integers(1, 4))
def test_what_is_not_counted_is_in_a_gap(
    faults: RandomFaults, grows: list[int], options: dict[str, int], keeps: int, patience: int
) -> None:
    disk = Disk(checkpoint(0))
    no_restarts = not faults.restarts

    async def run() -> TransactionWalker:
        def kept(reach: Callable[[], int]) -> PageSource:
            return faults.source(lambda: max(0, reach() - keeps), reach)

        return await run_with_faults(
            faults, disk, grows, lambda r: [kept(r), kept(r)], patience=patience, **options
        )

    with capture_logs() as logs:
        it = asyncio.run(run())
    gone: set[int] = set()
    for line in logs:
        if "after_lt" in line:
            gone |= set(range(line["after_lt"] // 10, line["to_lt"] // 10))
    done = set(numbers(it.checkpoint.totals))
    everything = set(range(1, sum(grows) + 1))
    assert done | gone >= everything
    assert bool(it.checkpoint.totals.history_gaps) == (done != everything)
    if no_restarts:
        assert not done & gone


async def test_a_bug_in_counting_loses_nothing() -> None:
    """It is reported for the account; after a fix counting goes on from where it was."""
    disk, source = Disk(), Source()
    it = walker(disk)
    await step(it, 1, source)
    it._count = lambda *_: 1 / 0  # type: ignore[assignment]
    progress = await it.step(History().id(4), 7, [source], proven=True)
    assert (progress.reason, progress.detail) == (
        Reason.PROBE_FAILED,
        "bug in tonwatch: ZeroDivisionError",
    )
    assert "1 / 0" in progress.bug
    assert progress.backlog > 0
    it._count = in_order
    assert numbers((await step(it, 4, source)).totals) == [2, 3, 4]
