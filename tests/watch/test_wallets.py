"""Wallets, payouts and contracts: what is said of them, and what is not."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.configs import configured
from tests.watch.conftest import NODE, OTHER, PROVIDER, ScrapeContext
from tests.watch.purses import (
    COIN,
    CONFIG,
    USDT,
    failure,
    key,
    reading,
    trouble,
    walked,
)
from tonwatch.runtime.jobs.accounts import watched
from tonwatch.samples.payouts import Tally
from tonwatch.samples.sample import Probe
from tonwatch.samples.target import Target
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.errors import Reason
from tonwatch.watch.findings import Cause
from tonwatch.watch.planner import readable
from tonwatch.watch.states import State

NATIVE, JETTON, CONTRACT = key(), key(asset="usdt"), key("escrow", "")


class Purse(ScrapeContext):
    """A scene with a wallet, another without demands, and a contract; all of it well."""

    def __init__(self, clock: Any, *targets: Target, **more: Any) -> None:
        config = configured(CONFIG | more)
        super().__init__(clock, *targets, config=config, accounts=watched(config))

    def well(self) -> None:
        """Every target answers, everything is read."""
        for target in self.targets:
            self.answer(target)
        self.read()

    def read(self, **native: Any) -> None:
        """Everything is read; of the wallet's coins as told."""
        told = {"amount": 1000 * COIN} | native
        self.store.add(reading(self.clock, NATIVE, **told))
        self.store.add(reading(self.clock, JETTON, 5000 * USDT))
        self.store.add(reading(self.clock, key("spare"), 0))
        self.store.add(reading(self.clock, CONTRACT, COIN))

    def causes(self) -> list[Cause]:
        """All that is found now, the first first."""
        self.look()
        return [self.diagnosis.cause, *(finding.cause for finding in self.diagnosis.also)]

    @property
    def sentence(self) -> str:
        return self.diagnosis.sentence


@pytest.fixture
def purse(clock: Any) -> Purse:
    scene = Purse(clock)
    scene.well()
    return scene


class TestHoldings:
    """What a wallet holds, against what it must hold."""

    def test_all_well(self, purse: Purse) -> None:
        assert purse.causes() == [Cause.HEALTHY]

    @pytest.mark.parametrize(
        ("of", "amount", "low"),
        [
            pytest.param(NATIVE, 250_500_000_000, False, id="exactly the minimum is enough"),
            pytest.param(NATIVE, 250_499_999_999, True, id="one nano less is not"),
            pytest.param(JETTON, 1000 * USDT, False, id="jettons, exactly"),
            pytest.param(JETTON, 1000 * USDT - 1, True, id="jettons, one unit less"),
            pytest.param(JETTON, 0, True, id="a jetton wallet that is not deployed reads 0"),
            pytest.param(key("spare"), 0, False, id="without a minimum nothing is low"),
        ],
    )
    def test_minimum(self, purse: Purse, of: Any, amount: int, low: bool) -> None:
        purse.store.add(reading(purse.clock, of, amount))
        assert (Cause.WALLET_LOW in purse.causes()) is low

    def test_the_sentence_has_exact_amounts(self, purse: Purse) -> None:
        purse.store.add(reading(purse.clock, NATIVE, 1_250_499_999_999 - 1000 * COIN))
        purse.store.add(reading(purse.clock, JETTON, 12_345_678))
        assert purse.causes() == [Cause.WALLET_LOW]
        assert purse.sentence == (
            "Wallet payouts is low: it holds 250.499999999 coins where 250.5 coins are needed"
            " and 12.345678 usdt where 1,000 usdt are needed."
        )

    def test_an_unknown_amount_is_not_low(self, purse: Purse) -> None:
        """Past its time to live a low balance is unknown, and unknown is not low."""
        purse.store.add(reading(purse.clock, NATIVE, 0))
        assert Cause.WALLET_LOW in purse.causes()
        purse.clock.advance(36.0)
        for target in purse.targets:
            purse.answer(target)
        assert purse.causes() == [Cause.HEALTHY]
        assert purse.judgement.purses.wallets["payouts"].reading is None

    def test_since_when(self, purse: Purse) -> None:
        began = purse.clock.wall_time
        for _ in range(3):
            purse.read(amount=0)
            for target in purse.targets:
                purse.answer(target)
            purse.look()
            purse.clock.advance(5.0)
        assert purse.diagnosis.since == began

    def test_frozen_comes_before_low(self, purse: Purse) -> None:
        purse.read(status=AccountStatus.FROZEN, amount=0)
        assert purse.causes() == [Cause.WALLET_FROZEN, Cause.WALLET_LOW]

    @pytest.mark.parametrize("status", [AccountStatus.UNINITIALIZED, AccountStatus.MISSING])
    def test_not_deployed_is_a_state_and_no_error(
        self, purse: Purse, status: AccountStatus
    ) -> None:
        purse.read(status=status)
        assert purse.causes() == [Cause.HEALTHY]


class TestUnread:
    """Balances that cannot be read, and who is to blame."""

    def test_one_failure_changes_nothing(self, purse: Purse) -> None:
        purse.store.add(failure(purse.clock, NATIVE, Reason.QUERY_TIMEOUT))
        assert purse.causes() == [Cause.HEALTHY]

    def test_a_master_that_is_none(self, clock: Any) -> None:
        fresh = Purse(clock)
        for target in fresh.targets:
            fresh.answer(target)
        fresh.store.add(reading(clock, NATIVE, 1000 * COIN))
        fresh.store.add(failure(clock, JETTON, Reason.METHOD_FAILED, "no jetton's master"))
        assert fresh.causes() == [Cause.WALLET_UNREAD]
        assert fresh.sentence == (
            "The usdt of wallet payouts cannot be read (node: method_failed: no jetton's master)."
        )

    def test_nothing_is_said_before_anybody_was_asked(self, clock: Any) -> None:
        fresh = Purse(clock)
        for target in fresh.targets:
            fresh.answer(target)
        assert fresh.causes() == [Cause.HEALTHY]

    def test_not_blamed_while_no_source_can_be_believed(self, purse: Purse) -> None:
        purse.store.add(failure(purse.clock, NATIVE, Reason.CONNECT_REFUSED))

        def beat() -> None:
            for target in purse.targets:
                purse.fail(target, Reason.NOT_SYNCED)

        purse.beats(10, beat)
        assert Cause.WALLET_UNREAD not in purse.causes()

    def test_not_blamed_where_the_only_source_comes_and_goes(self, clock: Any) -> None:
        purse = Purse(clock, NODE)
        purse.well()

        def beat() -> None:
            for _ in range(2):
                purse.fail(NODE, Reason.QUERY_TIMEOUT)
                clock.advance(1.0)
            purse.answer(NODE)

        purse.beats(12, beat)
        purse.store.add(failure(clock, NATIVE, Reason.QUERY_TIMEOUT))
        assert purse.causes() == [Cause.NODE_FLAPPING]
        assert purse.judgement.purses.wallets["payouts"].reading is None

    def test_low_is_not_blamed_for_a_broken_egress(self, purse: Purse) -> None:
        """Low while it is known to be, then unknown; the egress is named first in any case."""
        purse.read(amount=0)
        seen = []

        def beat() -> None:
            for target in purse.targets:
                purse.fail(target, Reason.CONNECT_TIMEOUT)
            purse.store.add(failure(purse.clock, NATIVE, Reason.CONNECT_TIMEOUT))
            seen.append(purse.causes())

        purse.beats(12, beat)
        assert all(causes[0] in {Cause.WALLET_LOW, Cause.EGRESS_BROKEN} for causes in seen)
        assert seen[3][0] is Cause.EGRESS_BROKEN
        assert seen[-1] == [Cause.EGRESS_BROKEN]


class TestPayouts:
    """Payouts that fail, come back, or cannot be counted."""

    @pytest.mark.parametrize(
        ("troubles", "expected", "words"),
        [
            pytest.param(
                [("failed", 10.0, {})],
                Cause.PAYOUTS_FAILING,
                "1 in the last 10 min, action phase 37: not enough coins (1)",
                id="one that failed",
            ),
            pytest.param(
                [("failed", 599.0, {}), ("failed", 10.0, {"phase": "compute", "code": 35})],
                Cause.PAYOUTS_FAILING,
                "2 in the last 10 min",
                id="two that failed",
            ),
            pytest.param(
                [("skipped", 5.0, {"skipped": "no_gas"})],
                Cause.PAYOUTS_FAILING,
                "not computed: no_gas (1)",
                id="not even computed",
            ),
            pytest.param([("failed", 601.0, {})], Cause.HEALTHY, "", id="failed long ago"),
            pytest.param([("bounced", 9.0, {})] * 2, Cause.HEALTHY, "", id="two came back"),
            pytest.param(
                [("bounced", 9.0, {})] * 3,
                Cause.PAYOUTS_BOUNCING,
                "3 in the last 10 min were refused by their receivers",
                id="three came back",
            ),
        ],
    )
    def test_within_the_window(
        self, purse: Purse, troubles: Any, expected: Cause, words: str
    ) -> None:
        events = [trouble(purse.clock, kind, age, **more) for kind, age, more in troubles]
        purse.store.add(walked(purse.clock, NATIVE, *events))
        assert purse.causes() == [expected]
        assert words in purse.sentence

    def test_of_all_assets_together(self, purse: Purse) -> None:
        purse.store.add(walked(purse.clock, NATIVE, trouble(purse.clock, "bounced")))
        events = [trouble(purse.clock, "bounced"), trouble(purse.clock, "bounced")]
        purse.store.add(walked(purse.clock, JETTON, *events))
        assert purse.causes() == [Cause.PAYOUTS_BOUNCING]

    def test_low_explains_failing(self, purse: Purse) -> None:
        purse.read(amount=0)
        purse.store.add(walked(purse.clock, NATIVE, trouble(purse.clock, "failed")))
        assert purse.causes() == [Cause.WALLET_LOW, Cause.PAYOUTS_FAILING]

    @pytest.mark.parametrize(
        ("backlog", "expected"), [(499, Cause.HEALTHY), (500, Cause.PAYOUTS_BEHIND)]
    )
    def test_behind(self, purse: Purse, backlog: int, expected: Cause) -> None:
        purse.store.add(walked(purse.clock, NATIVE, backlog=backlog))
        assert purse.causes() == [expected]

    @pytest.mark.parametrize(
        ("hours", "expected"), [(23.9, Cause.PAYOUTS_GAP), (24.1, Cause.HEALTHY)]
    )
    def test_a_gap_is_news_for_a_day(self, purse: Purse, hours: float, expected: Cause) -> None:
        found = int(purse.clock.wall_time - hours * 3600)
        purse.store.add(walked(purse.clock, NATIVE, tally=Tally(gaps=1, last_gap=found)))
        assert purse.causes() == [expected]


class TestMany:
    """A thousand wallets in the same trouble are not a thousand findings."""

    def test_five_are_named_and_one_stands_for_the_others(self, clock: Any) -> None:
        names = [f"w{number:03}" for number in range(30)]
        wallets = [
            {"name": name, "address": str(Address(0, name.encode() * 8)), "minimum": 1}
            for name in names
        ]
        purse = Purse(clock, wallets=wallets, contracts=[])
        for target in purse.targets:
            purse.answer(target)
        for name in names:
            purse.store.add(reading(clock, key(name), 0))
        assert purse.causes() == [Cause.WALLET_LOW] * 6
        last = purse.diagnosis.also[-1]
        assert last.others == tuple(names[5:])
        assert last.sentence.startswith("25 more wallets are in the same trouble: w005, w006")


class TestContracts:
    @pytest.mark.parametrize(
        ("told", "expected", "words"),
        [
            pytest.param({}, Cause.HEALTHY, "", id="as it must be"),
            pytest.param(
                {"code_hash": b"\xee" * 32},
                Cause.CONTRACT_CHANGED,
                "Contract escrow has other code than it must: eeee",
                id="other code",
            ),
            pytest.param(
                {"code_hash": None, "status": AccountStatus.FROZEN},
                Cause.CONTRACT_CHANGED,
                "Contract escrow has no code (it is frozen).",
                id="frozen",
            ),
        ],
    )
    def test_code(self, purse: Purse, told: Any, expected: Cause, words: str) -> None:
        purse.store.add(reading(purse.clock, CONTRACT, COIN, **told))
        assert purse.causes() == [expected]
        assert words in purse.sentence


class TestSources:
    """What is found about targets when accounts are read through them."""

    @pytest.mark.parametrize(
        ("probe", "reason", "target", "cause"),
        [
            (Probe.BALANCE, Reason.PROOF_INVALID, NODE, Cause.PROOF_INVALID),
            (Probe.COMPARE, Reason.PROOF_INVALID, NODE, Cause.PROOF_INVALID),
            (Probe.COMPARE, Reason.DISPROVED, PROVIDER, Cause.PROVIDER_DISPROVED),
            (Probe.WRITE, Reason.MESSAGE_REJECTED, NODE, Cause.WRITE_PATH_BROKEN),
            (Probe.WRITE, Reason.OVERLOADED, PROVIDER, Cause.WRITE_PATH_BROKEN),
            (Probe.WRITE, Reason.BAD_ANSWER, PROVIDER, Cause.WRITE_PATH_BROKEN),
        ],
    )
    def test_named_at_once(
        self, purse: Purse, probe: Probe, reason: Reason, target: Target, cause: Cause
    ) -> None:
        purse.ask(target, probe, reason)
        assert purse.causes() == [cause]
        assert target.name in purse.sentence
        assert "as the test says" in purse.sentence

    @pytest.mark.parametrize(
        ("probe", "reason"),
        [
            (Probe.BALANCE, Reason.QUERY_TIMEOUT),
            (Probe.BALANCE, Reason.SHARD_LAG),
            (Probe.COMPARE, Reason.NOT_FOUND),
            (Probe.WRITE, Reason.RATE_LIMITED),
        ],
    )
    def test_says_nothing_of_wallets(self, purse: Purse, probe: Probe, reason: Reason) -> None:
        purse.ask(NODE, probe, reason)
        assert purse.causes() == [Cause.HEALTHY]

    @pytest.mark.parametrize(
        "reason",
        [
            Reason.QUERY_TIMEOUT,
            Reason.CONNECTION_LOST,
            Reason.HANDSHAKE_TIMEOUT,
            Reason.PROTOCOL_ERROR,
            Reason.NOT_READY,
            Reason.SERVER_ERROR,
        ],
    )
    def test_a_lost_message_is_lost_twice(self, purse: Purse, reason: Reason) -> None:
        purse.ask(NODE, Probe.WRITE, reason)
        assert purse.causes() == [Cause.HEALTHY]
        purse.ask(NODE, Probe.WRITE, reason)
        assert purse.causes() == [Cause.WRITE_PATH_BROKEN]

    @pytest.mark.parametrize(
        ("broken", "probe", "reason", "mended"),
        [
            (Probe.BALANCE, Probe.BALANCE, Reason.PROOF_INVALID, True),
            (Probe.BALANCE, Probe.COMPARE, Reason.PROOF_INVALID, True),
            (Probe.COMPARE, Probe.COMPARE, Reason.DISPROVED, True),
            (Probe.COMPARE, Probe.BALANCE, Reason.DISPROVED, False),
            (Probe.WRITE, Probe.WRITE, Reason.MESSAGE_REJECTED, True),
        ],
    )
    def test_until_it_has_told_better(
        self, purse: Purse, broken: Probe, probe: Probe, reason: Reason, mended: bool
    ) -> None:
        target = PROVIDER if reason is Reason.DISPROVED else NODE
        purse.ask(target, broken, reason)
        purse.clock.advance(1.0)
        purse.ask(target, probe)
        assert (purse.causes() == [Cause.HEALTHY]) is mended

    @pytest.mark.parametrize(
        ("target", "told"), [(NODE, Reason.PROOF_INVALID), (PROVIDER, Reason.DISPROVED)]
    )
    def test_a_lost_answer_is_no_better(self, purse: Purse, target: Target, told: Reason) -> None:
        purse.ask(target, Probe.COMPARE, told)
        before = purse.causes()
        for reason in (Reason.QUERY_TIMEOUT, Reason.OVERLOADED):
            purse.clock.advance(1.0)
            purse.ask(target, Probe.COMPARE, reason)
            assert purse.causes() == before

    def test_forgotten_when_nobody_asks_any_more(self, purse: Purse) -> None:
        purse.ask(NODE, Probe.WRITE, Reason.MESSAGE_REJECTED)
        assert purse.causes() == [Cause.WRITE_PATH_BROKEN]
        purse.clock.advance(151.0)
        purse.well()
        assert purse.causes() == [Cause.HEALTHY]

    @pytest.mark.parametrize(
        ("setting", "ready"), [({}, False), ({"proof_invalid": False}, True)], ids=["on", "off"]
    )
    def test_a_liar_is_not_ready(self, clock: Any, setting: Any, ready: bool) -> None:
        purse = Purse(clock, readiness={"gates": setting})
        purse.well()
        purse.look()
        purse.ask(NODE, Probe.COMPARE, Reason.PROOF_INVALID)
        purse.beats(5, purse.well)
        assert purse.readiness.ready is ready

    @pytest.mark.parametrize(
        ("setting", "ready"), [({}, True), ({"wallet_low": True}, False)], ids=["off", "on"]
    )
    def test_a_low_wallet_takes_nothing_out_of_service(
        self, clock: Any, setting: Any, ready: bool
    ) -> None:
        purse = Purse(clock, readiness={"gates": setting})
        purse.well()
        purse.read(amount=0)
        purse.look()
        assert purse.readiness.ready is ready


class TestWhomToAsk:
    """Accounts are read from the best there is, in the configured order."""

    def names(self, purse: Purse) -> list[str]:
        purse.look()
        return [verdict.target.name for verdict in readable(purse.judgement)]

    def test_in_order(self, purse: Purse) -> None:
        assert self.names(purse) == ["node", "other", "provider"]

    @pytest.mark.parametrize(
        ("spoil", "expected"),
        [
            pytest.param(
                lambda p: p.ask(NODE, Probe.COMPARE, Reason.PROOF_INVALID),
                ["other", "provider"],
                id="never a liar",
            ),
            pytest.param(
                lambda p: p.answer(OTHER, zerostate=bytes(32)),
                ["node", "provider"],
                id="never of another network",
            ),
            pytest.param(
                lambda p: p.answer(NODE, behind=30.0),
                ["other", "provider", "node"],
                id="last who is behind",
            ),
            pytest.param(
                lambda p: [p.fail(NODE, Reason.CONNECT_REFUSED) for _ in range(2)],
                ["other", "provider"],
                id="not who is down",
            ),
            pytest.param(
                lambda p: p.ask(NODE, Probe.WRITE, Reason.OVERLOADED),
                ["node", "other", "provider"],
                id="who takes no messages can still be read",
            ),
        ],
    )
    def test_by_state(
        self, purse: Purse, spoil: Callable[[Purse], object], expected: list[str]
    ) -> None:
        purse.look()
        purse.clock.advance(1.0)
        for target in (OTHER, PROVIDER, NODE):
            purse.answer(target)
        spoil(purse)
        assert self.names(purse) == expected

    def test_states_are_all_decided(self) -> None:
        """Whoever adds a state decides whether accounts may be read in it."""
        decided = {
            State.OK, State.WRITE_BROKEN, State.CLOCK_SKEWED, State.SLOW, State.FLAPPING,
            State.STALLED, State.LAGGING,
            State.UNKNOWN, State.DOWN, State.UNAUTHORIZED, State.THROTTLED, State.NOT_SYNCED,
            State.WRONG_NETWORK, State.FORKED, State.PROOF_INVALID, State.DISPROVED,
            State.SHARD_LAGGING,
        }  # fmt: skip
        assert decided == set(State)


class TestBacklog:
    """A count of 0 is not shown for new transactions that nobody has counted yet."""

    @pytest.mark.parametrize(
        ("counted_to", "newest", "left", "backlog"),
        [
            pytest.param(7, 7, 0, 0, id="all is counted"),
            pytest.param(7, 9, 0, 1, id="one more was read since"),
            pytest.param(7, 9, 5, 5, id="more are known"),
            pytest.param(9, 7, 0, 0, id="read at an older block"),
        ],
    )
    def test_of_what_is_read(
        self, clock: Any, counted_to: int, newest: int, left: int, backlog: int
    ) -> None:
        purse = Purse(clock)
        cursor, last = TransactionId(counted_to, bytes(32)), TransactionId(newest, bytes(32))
        purse.store.add(walked(clock, NATIVE, cursor=cursor, backlog=left))
        purse.store.add(reading(clock, NATIVE, 5, last=last))
        purse.look()
        holding = purse.judgement.purses.wallets["payouts"].holdings["native"]
        assert holding.backlog == backlog

    def test_what_is_not_counted_has_none(self, clock: Any) -> None:
        purse = Purse(clock)
        purse.look()
        assert purse.judgement.purses.wallets["payouts"].holdings["native"].backlog is None
