"""Findings about wallets, payouts and contracts."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.configs import configured
from tests.watch.conftest import NODE, OTHER, PROVIDER, Scene
from tests.watch.wallet_samples import (
    COIN,
    CONFIG,
    USDT,
    failure,
    key,
    progress,
    reading,
    trouble,
)
from tonwatch.runtime.jobs.accounts import watched
from tonwatch.samples.payouts import Totals
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


class WalletScene(Scene):
    """A scene with a wallet, another without a minimum, and a contract; all healthy."""

    def __init__(self, clock: Any, *targets: Target, **more: Any) -> None:
        config = configured(CONFIG | more)
        super().__init__(clock, *targets, config=config, accounts=watched(config))

    def healthy(self) -> None:
        """Every target answers, every account is read."""
        for target in self.targets:
            self.answer(target)
        self.read()

    def read(self, **native: Any) -> None:
        """Every account is read; the wallet's coins with these values."""
        values = {"amount": 1000 * COIN} | native
        self.store.add(reading(self.clock, NATIVE, **values))
        self.store.add(reading(self.clock, JETTON, 5000 * USDT))
        self.store.add(reading(self.clock, key("spare"), 0))
        self.store.add(reading(self.clock, CONTRACT, COIN))

    def causes(self) -> list[Cause]:
        """The causes of all findings, in order."""
        self.judge()
        return [self.diagnosis.cause, *(finding.cause for finding in self.diagnosis.also)]

    @property
    def sentence(self) -> str:
        return self.diagnosis.sentence


@pytest.fixture
def wallet_scene(clock: Any) -> WalletScene:
    scene = WalletScene(clock)
    scene.healthy()
    return scene


class TestHoldings:
    """What a wallet holds, against its minimum."""

    def test_healthy(self, wallet_scene: WalletScene) -> None:
        assert wallet_scene.causes() == [Cause.HEALTHY]

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
    def test_minimum(self, wallet_scene: WalletScene, of: Any, amount: int, low: bool) -> None:
        wallet_scene.store.add(reading(wallet_scene.clock, of, amount))
        assert (Cause.WALLET_LOW in wallet_scene.causes()) is low

    def test_the_sentence_has_exact_amounts(self, wallet_scene: WalletScene) -> None:
        wallet_scene.store.add(reading(wallet_scene.clock, NATIVE, 1_250_499_999_999 - 1000 * COIN))
        wallet_scene.store.add(reading(wallet_scene.clock, JETTON, 12_345_678))
        assert wallet_scene.causes() == [Cause.WALLET_LOW]
        assert wallet_scene.sentence == (
            "Wallet payouts is low: it holds 250.499999999 TON where 250.5 TON are needed"
            " and 12.345678 usdt where 1,000 usdt are needed."
        )

    @pytest.mark.parametrize(
        ("setting", "coin"), [({}, "TON"), ({"coin": "Gram"}, "Gram")], ids=["default", "renamed"]
    )
    def test_the_coin_has_its_configured_name(self, clock: Any, setting: Any, coin: str) -> None:
        """In sentences and in evidence; labels say native."""
        scene = WalletScene(clock, **setting)
        scene.healthy()
        scene.read(amount=COIN)
        lost = trouble(clock, "message_skipped")
        scene.store.add(progress(clock, NATIVE, trouble(clock, "failed"), lost))
        assert scene.causes() == [Cause.WALLET_LOW, Cause.PAYOUTS_FAILING]
        low, failing = scene.diagnosis.finding, scene.diagnosis.also[0]
        assert (
            low.sentence
            == f"Wallet payouts is low: it holds 1 {coin} where 250.5 {coin} are needed."
        )
        assert low.evidence[0].startswith(f"native: 1 {coin}, active")
        assert low.evidence[1].startswith("usdt: 5,000 usdt, active")
        assert f"action phase 37: not enough {coin} (1)" in failing.sentence
        assert f"message skipped: not enough {coin}, or" in failing.sentence

    def test_an_unknown_amount_is_not_low(self, wallet_scene: WalletScene) -> None:
        """Past its time to live a low balance is unknown, and unknown is not low."""
        wallet_scene.store.add(reading(wallet_scene.clock, NATIVE, 0))
        assert Cause.WALLET_LOW in wallet_scene.causes()
        wallet_scene.clock.advance(36.0)
        for target in wallet_scene.targets:
            wallet_scene.answer(target)
        assert wallet_scene.causes() == [Cause.HEALTHY]
        assert wallet_scene.judgement.wallet_status.wallets["payouts"].reading is None

    def test_since_when(self, wallet_scene: WalletScene) -> None:
        began = wallet_scene.clock.wall_time
        for _ in range(3):
            wallet_scene.read(amount=0)
            for target in wallet_scene.targets:
                wallet_scene.answer(target)
            wallet_scene.judge()
            wallet_scene.clock.advance(5.0)
        assert wallet_scene.diagnosis.since == began

    def test_frozen_comes_before_low(self, wallet_scene: WalletScene) -> None:
        wallet_scene.read(status=AccountStatus.FROZEN, amount=0)
        assert wallet_scene.causes() == [Cause.WALLET_FROZEN, Cause.WALLET_LOW]

    @pytest.mark.parametrize("status", [AccountStatus.UNINITIALIZED, AccountStatus.MISSING])
    def test_not_deployed_is_a_state_and_no_error(
        self, wallet_scene: WalletScene, status: AccountStatus
    ) -> None:
        wallet_scene.read(status=status)
        assert wallet_scene.causes() == [Cause.HEALTHY]


class TestUnread:
    """Balances that cannot be read, and which cause is named."""

    def test_one_failure_changes_nothing(self, wallet_scene: WalletScene) -> None:
        wallet_scene.store.add(failure(wallet_scene.clock, NATIVE, Reason.QUERY_TIMEOUT))
        assert wallet_scene.causes() == [Cause.HEALTHY]

    def test_a_wrong_jetton_master(self, clock: Any) -> None:
        fresh = WalletScene(clock)
        for target in fresh.targets:
            fresh.answer(target)
        fresh.store.add(reading(clock, NATIVE, 1000 * COIN))
        fresh.store.add(failure(clock, JETTON, Reason.METHOD_FAILED, "no jetton's master"))
        assert fresh.causes() == [Cause.WALLET_READ_FAILING]
        assert fresh.sentence == (
            "The usdt of wallet payouts cannot be read (node: method_failed: no jetton's master)."
        )

    def test_no_finding_before_the_first_reading(self, clock: Any) -> None:
        fresh = WalletScene(clock)
        for target in fresh.targets:
            fresh.answer(target)
        assert fresh.causes() == [Cause.HEALTHY]

    def test_no_finding_without_a_trusted_source(self, wallet_scene: WalletScene) -> None:
        wallet_scene.store.add(failure(wallet_scene.clock, NATIVE, Reason.CONNECT_REFUSED))

        def tick() -> None:
            for target in wallet_scene.targets:
                wallet_scene.fail(target, Reason.NOT_SYNCED)

        wallet_scene.ticks(10, tick)
        assert Cause.WALLET_READ_FAILING not in wallet_scene.causes()

    def test_no_finding_while_the_only_source_flaps(self, clock: Any) -> None:
        wallet_scene = WalletScene(clock, NODE)
        wallet_scene.healthy()

        def tick() -> None:
            for _ in range(2):
                wallet_scene.fail(NODE, Reason.QUERY_TIMEOUT)
                clock.advance(1.0)
            wallet_scene.answer(NODE)

        wallet_scene.ticks(12, tick)
        wallet_scene.store.add(failure(clock, NATIVE, Reason.QUERY_TIMEOUT))
        assert wallet_scene.causes() == [Cause.NODE_FLAPPING]
        assert wallet_scene.judgement.wallet_status.wallets["payouts"].reading is None

    def test_low_with_a_broken_egress(self, wallet_scene: WalletScene) -> None:
        """Low until the balance is stale; the egress is named first in any case."""
        wallet_scene.read(amount=0)
        seen = []

        def tick() -> None:
            for target in wallet_scene.targets:
                wallet_scene.fail(target, Reason.CONNECT_TIMEOUT)
            wallet_scene.store.add(failure(wallet_scene.clock, NATIVE, Reason.CONNECT_TIMEOUT))
            seen.append(wallet_scene.causes())

        wallet_scene.ticks(12, tick)
        assert all(causes[0] in {Cause.WALLET_LOW, Cause.EGRESS_BROKEN} for causes in seen)
        assert seen[3][0] is Cause.EGRESS_BROKEN
        assert seen[-1] == [Cause.EGRESS_BROKEN]


class TestPayouts:
    """Payouts that fail, bounce, or cannot be counted."""

    @pytest.mark.parametrize(
        ("troubles", "expected", "words"),
        [
            pytest.param(
                [("failed", 10.0, {})],
                Cause.PAYOUTS_FAILING,
                "1 in the last 10 min, action phase 37: not enough TON (1)",
                id="one that failed",
            ),
            pytest.param(
                [("failed", 599.0, {}), ("failed", 10.0, {"phase": "compute", "code": 35})],
                Cause.PAYOUTS_FAILING,
                "2 in the last 10 min",
                id="two that failed",
            ),
            pytest.param(
                [("compute_skipped", 5.0, {"skipped": "no_gas"})],
                Cause.PAYOUTS_FAILING,
                "compute phase skipped: no_gas (1)",
                id="compute phase skipped",
            ),
            pytest.param([("failed", 601.0, {})], Cause.HEALTHY, "", id="failed long ago"),
            pytest.param([("bounced", 9.0, {})] * 2, Cause.HEALTHY, "", id="two bounced"),
            pytest.param(
                [("bounced", 9.0, {})] * 3,
                Cause.PAYOUTS_BOUNCING,
                "3 in the last 10 min were rejected by their receivers",
                id="three bounced",
            ),
        ],
    )
    def test_within_the_window(
        self, wallet_scene: WalletScene, troubles: Any, expected: Cause, words: str
    ) -> None:
        events = [trouble(wallet_scene.clock, kind, age, **more) for kind, age, more in troubles]
        wallet_scene.store.add(progress(wallet_scene.clock, NATIVE, *events))
        assert wallet_scene.causes() == [expected]
        assert words in wallet_scene.sentence

    def test_of_all_assets_together(self, wallet_scene: WalletScene) -> None:
        wallet_scene.store.add(
            progress(wallet_scene.clock, NATIVE, trouble(wallet_scene.clock, "bounced"))
        )
        events = [trouble(wallet_scene.clock, "bounced"), trouble(wallet_scene.clock, "bounced")]
        wallet_scene.store.add(progress(wallet_scene.clock, JETTON, *events))
        assert wallet_scene.causes() == [Cause.PAYOUTS_BOUNCING]

    def test_low_explains_failing(self, wallet_scene: WalletScene) -> None:
        wallet_scene.read(amount=0)
        wallet_scene.store.add(
            progress(wallet_scene.clock, NATIVE, trouble(wallet_scene.clock, "failed"))
        )
        assert wallet_scene.causes() == [Cause.WALLET_LOW, Cause.PAYOUTS_FAILING]

    @pytest.mark.parametrize(
        ("backlog", "expected"), [(499, Cause.HEALTHY), (500, Cause.PAYOUTS_BACKLOG)]
    )
    def test_backlog(self, wallet_scene: WalletScene, backlog: int, expected: Cause) -> None:
        wallet_scene.store.add(progress(wallet_scene.clock, NATIVE, backlog=backlog))
        assert wallet_scene.causes() == [expected]

    @pytest.mark.parametrize(
        ("hours", "expected"), [(23.9, Cause.PAYOUTS_GAP), (24.1, Cause.HEALTHY)]
    )
    def test_a_history_gap_is_shown_for_a_day(
        self, wallet_scene: WalletScene, hours: float, expected: Cause
    ) -> None:
        found = int(wallet_scene.clock.wall_time - hours * 3600)
        wallet_scene.store.add(
            progress(wallet_scene.clock, NATIVE, totals=Totals(history_gaps=1, last_gap=found))
        )
        assert wallet_scene.causes() == [expected]


class TestMany:
    """A thousand wallets in the same trouble are not a thousand findings."""

    def test_five_are_named_and_one_finding_is_for_the_others(self, clock: Any) -> None:
        names = [f"w{number:03}" for number in range(30)]
        wallets = [
            {"name": name, "address": str(Address(0, name.encode() * 8)), "minimum": 1}
            for name in names
        ]
        wallet_scene = WalletScene(clock, wallets=wallets, contracts=[])
        for target in wallet_scene.targets:
            wallet_scene.answer(target)
        for name in names:
            wallet_scene.store.add(reading(clock, key(name), 0))
        assert wallet_scene.causes() == [Cause.WALLET_LOW] * 6
        last = wallet_scene.diagnosis.also[-1]
        assert last.others == tuple(names[5:])
        assert last.sentence.startswith("25 more wallets have the same problem: w005, w006")


class TestContracts:
    @pytest.mark.parametrize(
        ("observed", "expected", "words"),
        [
            pytest.param({}, Cause.HEALTHY, "", id="expected code"),
            pytest.param(
                {"code_hash": b"\xee" * 32},
                Cause.CONTRACT_CHANGED,
                "Contract escrow has unexpected code: eeee",
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
    def test_code(
        self, wallet_scene: WalletScene, observed: Any, expected: Cause, words: str
    ) -> None:
        wallet_scene.store.add(reading(wallet_scene.clock, CONTRACT, COIN, **observed))
        assert wallet_scene.causes() == [expected]
        assert words in wallet_scene.sentence


class TestSources:
    """Findings about targets from the probes about wallets."""

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
        self, wallet_scene: WalletScene, probe: Probe, reason: Reason, target: Target, cause: Cause
    ) -> None:
        wallet_scene.ask(target, probe, reason)
        assert wallet_scene.causes() == [cause]
        assert target.name in wallet_scene.sentence
        assert "as the test says" in wallet_scene.sentence

    @pytest.mark.parametrize(
        ("probe", "reason"),
        [
            (Probe.BALANCE, Reason.QUERY_TIMEOUT),
            (Probe.BALANCE, Reason.SHARD_LAG),
            (Probe.COMPARE, Reason.NOT_FOUND),
            (Probe.WRITE, Reason.RATE_LIMITED),
        ],
    )
    def test_other_reasons_are_no_finding(
        self, wallet_scene: WalletScene, probe: Probe, reason: Reason
    ) -> None:
        wallet_scene.ask(NODE, probe, reason)
        assert wallet_scene.causes() == [Cause.HEALTHY]

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
    def test_a_lost_message_must_be_lost_twice(
        self, wallet_scene: WalletScene, reason: Reason
    ) -> None:
        wallet_scene.ask(NODE, Probe.WRITE, reason)
        assert wallet_scene.causes() == [Cause.HEALTHY]
        wallet_scene.ask(NODE, Probe.WRITE, reason)
        assert wallet_scene.causes() == [Cause.WRITE_PATH_BROKEN]

    @pytest.mark.parametrize(
        ("broken", "probe", "reason", "ended"),
        [
            (Probe.BALANCE, Probe.BALANCE, Reason.PROOF_INVALID, True),
            (Probe.BALANCE, Probe.COMPARE, Reason.PROOF_INVALID, True),
            (Probe.COMPARE, Probe.COMPARE, Reason.DISPROVED, True),
            (Probe.COMPARE, Probe.BALANCE, Reason.DISPROVED, False),
            (Probe.WRITE, Probe.WRITE, Reason.MESSAGE_REJECTED, True),
        ],
    )
    def test_until_a_later_probe_succeeds(
        self, wallet_scene: WalletScene, broken: Probe, probe: Probe, reason: Reason, ended: bool
    ) -> None:
        target = PROVIDER if reason is Reason.DISPROVED else NODE
        wallet_scene.ask(target, broken, reason)
        wallet_scene.clock.advance(1.0)
        wallet_scene.ask(target, probe)
        assert (wallet_scene.causes() == [Cause.HEALTHY]) is ended

    @pytest.mark.parametrize(
        ("target", "reason"), [(NODE, Reason.PROOF_INVALID), (PROVIDER, Reason.DISPROVED)]
    )
    def test_a_lost_answer_does_not_end_it(
        self, wallet_scene: WalletScene, target: Target, reason: Reason
    ) -> None:
        wallet_scene.ask(target, Probe.COMPARE, reason)
        before = wallet_scene.causes()
        for lost in (Reason.QUERY_TIMEOUT, Reason.OVERLOADED):
            wallet_scene.clock.advance(1.0)
            wallet_scene.ask(target, Probe.COMPARE, lost)
            assert wallet_scene.causes() == before

    def test_it_ends_when_the_probe_is_stale(self, wallet_scene: WalletScene) -> None:
        wallet_scene.ask(NODE, Probe.WRITE, Reason.MESSAGE_REJECTED)
        assert wallet_scene.causes() == [Cause.WRITE_PATH_BROKEN]
        wallet_scene.clock.advance(151.0)
        wallet_scene.healthy()
        assert wallet_scene.causes() == [Cause.HEALTHY]

    @pytest.mark.parametrize(
        ("setting", "ready"), [({}, False), ({"proof_invalid": False}, True)], ids=["on", "off"]
    )
    def test_a_target_with_false_proofs_is_not_ready(
        self, clock: Any, setting: Any, ready: bool
    ) -> None:
        wallet_scene = WalletScene(clock, readiness={"gates": setting})
        wallet_scene.healthy()
        wallet_scene.judge()
        wallet_scene.ask(NODE, Probe.COMPARE, Reason.PROOF_INVALID)
        wallet_scene.ticks(5, wallet_scene.healthy)
        assert wallet_scene.readiness.ready is ready

    @pytest.mark.parametrize(
        ("setting", "ready"), [({}, True), ({"wallet_low": True}, False)], ids=["off", "on"]
    )
    def test_a_low_wallet_does_not_make_unready(
        self, clock: Any, setting: Any, ready: bool
    ) -> None:
        wallet_scene = WalletScene(clock, readiness={"gates": setting})
        wallet_scene.healthy()
        wallet_scene.read(amount=0)
        wallet_scene.judge()
        assert wallet_scene.readiness.ready is ready


class TestReadable:
    """Which targets accounts are read from, in which order."""

    def names(self, wallet_scene: WalletScene) -> list[str]:
        wallet_scene.judge()
        return [verdict.target.name for verdict in readable(wallet_scene.judgement)]

    def test_in_order(self, wallet_scene: WalletScene) -> None:
        assert self.names(wallet_scene) == ["node", "other", "provider"]

    @pytest.mark.parametrize(
        ("situation", "expected"),
        [
            pytest.param(
                lambda p: p.ask(NODE, Probe.COMPARE, Reason.PROOF_INVALID),
                ["other", "provider"],
                id="not one with false proofs",
            ),
            pytest.param(
                lambda p: p.answer(OTHER, zerostate=bytes(32)),
                ["node", "provider"],
                id="not one of another network",
            ),
            pytest.param(
                lambda p: p.answer(NODE, lag=30.0),
                ["other", "provider", "node"],
                id="a lagging one last",
            ),
            pytest.param(
                lambda p: [p.fail(NODE, Reason.CONNECT_REFUSED) for _ in range(2)],
                ["other", "provider"],
                id="not one that is down",
            ),
            pytest.param(
                lambda p: p.ask(NODE, Probe.WRITE, Reason.OVERLOADED),
                ["node", "other", "provider"],
                id="one that rejects messages",
            ),
        ],
    )
    def test_by_state(
        self,
        wallet_scene: WalletScene,
        situation: Callable[[WalletScene], object],
        expected: list[str],
    ) -> None:
        wallet_scene.judge()
        wallet_scene.clock.advance(1.0)
        for target in (OTHER, PROVIDER, NODE):
            wallet_scene.answer(target)
        situation(wallet_scene)
        assert self.names(wallet_scene) == expected

    def test_every_state_is_decided(self) -> None:
        """A new state must be added here: may accounts be read in it?"""
        decided = {
            State.OK, State.WRITE_BROKEN, State.CLOCK_SKEWED, State.SLOW, State.FLAPPING,
            State.STALLED, State.LAGGING,
            State.UNKNOWN, State.DOWN, State.UNAUTHORIZED, State.THROTTLED, State.NOT_SYNCED,
            State.WRONG_NETWORK, State.FORKED, State.PROOF_INVALID, State.DISPROVED,
            State.SHARD_LAGGING, State.ACCOUNTS_FAILING,
        }  # fmt: skip
        assert decided == set(State)


class TestBacklog:
    """The backlog is not 0 while new transactions are not counted yet."""

    @pytest.mark.parametrize(
        ("counted_to", "newest", "left", "backlog"),
        [
            pytest.param(7, 7, 0, 0, id="all is counted"),
            pytest.param(7, 9, 0, 1, id="one more was read since"),
            pytest.param(7, 9, 5, 5, id="more are known"),
            pytest.param(9, 7, 0, 0, id="read at an older block"),
        ],
    )
    def test_from_readings(
        self, clock: Any, counted_to: int, newest: int, left: int, backlog: int
    ) -> None:
        wallet_scene = WalletScene(clock)
        cursor, last = TransactionId(counted_to, bytes(32)), TransactionId(newest, bytes(32))
        wallet_scene.store.add(progress(clock, NATIVE, cursor=cursor, backlog=left))
        wallet_scene.store.add(reading(clock, NATIVE, 5, last=last))
        wallet_scene.judge()
        holding = wallet_scene.judgement.wallet_status.wallets["payouts"].holdings["native"]
        assert holding.backlog == backlog

    def test_no_backlog_where_payouts_are_not_counted(self, clock: Any) -> None:
        wallet_scene = WalletScene(clock)
        wallet_scene.judge()
        assert (
            wallet_scene.judgement.wallet_status.wallets["payouts"].holdings["native"].backlog
            is None
        )
