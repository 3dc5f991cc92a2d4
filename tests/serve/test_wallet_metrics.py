"""What is told of wallets, what they hold, their payouts and of contracts, and when it is not."""

from dataclasses import replace
from typing import Any

import pytest

from tests.configs import REASONS
from tests.conftest import Clock
from tests.serve.purses import CODE, Till
from tests.serve.scraping import Scrape, scene_of, scrape, written
from tests.serve.stage import NODE
from tonwatch.samples.payouts import OTHER_CODE, Tally
from tonwatch.samples.sample import Probe
from tonwatch.serve.metrics import Exposition
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason
from tonwatch.watch.findings import Cause
from tonwatch.watch.wallet_findings import NAMED, wallet_findings

HOT = {"wallet": "hot"}
COINS = {"wallet": "hot", "asset": "native"}
USDT = {"wallet": "hot", "asset": "usdt"}


@pytest.fixture
def till(clock: Clock) -> Till:
    made = Till(clock)
    made.settled()
    return made


class TestWallets:
    def test_one_that_is_well(self, till: Till) -> None:
        seen = scrape(till)
        assert seen.holding("tonwatch_wallet_state", "state", **HOT) == ["active"]
        assert len(seen.values("tonwatch_wallet_state", **HOT)) == 5
        assert seen.value("tonwatch_wallet_kind_info", kind="v4r2", **HOT) == 1
        assert seen.value("tonwatch_wallet_seqno", **HOT) == 4711
        assert seen.values("tonwatch_wallet_last_clean_timestamp_seconds", **HOT) == []
        assert seen.value("tonwatch_wallet_low", **HOT) == 0

    @pytest.mark.parametrize("status", AccountStatus)
    def test_state(self, till: Till, status: AccountStatus) -> None:
        till.read("hot", status=status)
        till.watcher.look()
        assert scrape(till).holding("tonwatch_wallet_state", "state", **HOT) == [status]

    def test_unknown_is_a_state_and_nothing_else_is_said(self, till: Till) -> None:
        till.clock.advance(36)
        till.watcher.look()
        seen = scrape(till)
        assert seen.holding("tonwatch_wallet_state", "state", **HOT) == ["unknown"]
        for name in ("kind_info", "seqno", "low", "balance", "balance_timestamp_seconds"):
            assert seen.values(f"tonwatch_wallet_{name}") == [], name
        assert seen.values("tonwatch_wallet_balance_proven") == []
        assert seen.values("tonwatch_wallet_payout_backlog") == []

    def test_a_highload_wallet_has_a_time_and_no_seqno(self, till: Till) -> None:
        till.read("hot", kind=WalletKind.HIGHLOAD_V3, seqno=None, last_clean=1_790_000_000)
        till.watcher.look()
        seen = scrape(till)
        assert seen.value("tonwatch_wallet_last_clean_timestamp_seconds", **HOT) == 1_790_000_000
        assert seen.values("tonwatch_wallet_seqno", **HOT) == []

    def test_a_wallet_of_no_known_kind(self, till: Till) -> None:
        till.read("hot", kind=None)
        till.watcher.look()
        assert scrape(till).values("tonwatch_wallet_kind_info", **HOT) == []

    @pytest.mark.parametrize(
        ("native", "usdt", "low"),
        [
            pytest.param(250 * 10**9, 1000_500_000, [0], id="just enough"),
            pytest.param(250 * 10**9 - 1, 1000_500_000, [1], id="a nanocoin too little"),
            pytest.param(250 * 10**9, 1000_499_999, [1], id="too few jettons"),
            pytest.param(0, None, [1], id="one is low, the other unknown"),
            pytest.param(None, 0, [1], id="one is unknown, the other low"),
            pytest.param(250 * 10**9, None, [], id="one is enough, the other unknown"),
            pytest.param(None, 1000_500_000, [], id="one is unknown, the other enough"),
        ],
    )
    def test_low(self, till: Till, native: int | None, usdt: int | None, low: list[float]) -> None:
        till.read("hot", amount=native)
        till.read("hot", "usdt", amount=usdt)
        till.watcher.look()
        assert scrape(till).values("tonwatch_wallet_low", **HOT) == low

    def test_without_a_minimum_it_is_never_low(self, till: Till) -> None:
        till.read("cold", amount=0)
        till.watcher.look()
        assert scrape(till).values("tonwatch_wallet_low", wallet="cold") == []


class TestBalances:
    def test_are_in_whole_coins(self, till: Till) -> None:
        seen = scrape(till)
        assert seen.value("tonwatch_wallet_balance", **COINS) == 1234.5
        assert seen.value("tonwatch_wallet_balance", **USDT) == 5000.25
        assert seen.value("tonwatch_wallet_balance_minimum", **COINS) == 250
        assert seen.value("tonwatch_wallet_balance_minimum", **USDT) == 1000.5
        assert seen.values("tonwatch_wallet_balance_minimum", wallet="cold") == []
        made = till.clock.wall_time - 3
        assert seen.value("tonwatch_wallet_balance_timestamp_seconds", **USDT) == made
        assert seen.value("tonwatch_wallet_balance_proven", **COINS) == 1

    def test_a_word_is_no_proof(self, till: Till) -> None:
        till.read("hot", "usdt", proven=False, time=None)
        till.watcher.look()
        seen = scrape(till)
        assert seen.value("tonwatch_wallet_balance_proven", **USDT) == 0
        assert seen.values("tonwatch_wallet_balance_timestamp_seconds", **USDT) == []

    def test_a_failure_leaves_what_is_young_enough(self, till: Till) -> None:
        till.unread("hot", "usdt")
        till.watcher.look()
        assert scrape(till).value("tonwatch_wallet_balance", **USDT) == 5000.25


class TestUnread:
    """The metric says of each asset what the finding says of the wallet."""

    @staticmethod
    def told(till: Till, exposition: Exposition | None = None) -> set[tuple[str, str]]:
        """The wallets and assets that the metric names, which are those of the findings."""
        seen = Scrape(written(exposition or Exposition(scene_of(till), till.watcher.errors)))
        family = next(each for each in seen.families if each.name == "tonwatch_wallet_unread")
        named = {(s.labels["wallet"], s.labels["asset"]) for s in family.samples if s.value}
        assert len(family.samples) == 3, "each asset of each wallet"
        judgement = till.watcher.view.judgement
        assert named == {
            (str(finding.account), words.partition(":")[0])
            for finding in wallet_findings(judgement, till.config.thresholds)
            if finding.cause is Cause.WALLET_UNREAD and finding.account != "vault"
            for words in finding.evidence
        }
        return named

    @staticmethod
    def without(till: Till, *unread: tuple[str, str]) -> None:
        """Some accounts cannot be read, for longer than the others' readings last."""

        def beat() -> None:
            till.answers()
            for each in till.accounts:
                (till.unread if each.key in unread else till.read)(*each.key)

        till.beats(10, beat)

    def test_all_is_read(self, till: Till) -> None:
        assert self.told(till) == set()

    def test_a_jetton_that_is_none(self, till: Till) -> None:
        self.without(till, ("hot", "usdt"))
        assert self.told(till) == {("hot", "usdt")}
        assert scrape(till).holding("tonwatch_wallet_state", "state", **HOT) == ["active"]

    def test_everything(self, till: Till) -> None:
        self.without(till, *(each.key for each in till.accounts))
        assert self.told(till) == {("hot", "native"), ("hot", "usdt"), ("cold", "native")}

    def test_not_asked_yet(self, clock: Clock) -> None:
        till = Till(clock)
        till.healthy()
        assert self.told(till) == set()

    def test_what_was_read_lately_is_known(self, till: Till) -> None:
        till.unread("hot", "usdt")
        till.watcher.look()
        assert self.told(till) == set()

    def test_while_nobody_can_be_asked_it_is_no_wallet_s_fault(self, till: Till) -> None:
        exposition = Exposition(scene_of(till), till.watcher.errors)
        self.without(till, ("hot", "usdt"))
        assert self.told(till, exposition) == {("hot", "usdt")}
        till.cut_off()
        assert self.told(till, exposition) == set()

    def test_it_comes_and_goes_in_what_is_kept(self, till: Till) -> None:
        exposition = Exposition(scene_of(till), till.watcher.errors)
        assert self.told(till, exposition) == set()
        for _ in range(2):
            self.without(till, ("hot", "native"))
            exposition.warm()
            assert self.told(till, exposition) == {("hot", "native")}
            till.all_read()
            till.watcher.look()
            assert self.told(till, exposition) == set()

    def test_more_wallets_than_findings_name(self, clock: Clock) -> None:
        names = [f"purse-{number}" for number in range(NAMED + 2)]
        wallets = [
            {"name": name, "address": f"0:{number + 1:064x}"} for number, name in enumerate(names)
        ]
        till = Till(clock, wallets=wallets, contracts=[])
        self.without(till, *(each.key for each in till.accounts))
        assert scrape(till).values("tonwatch_wallet_unread") == [1] * len(names)


class TestPayouts:
    TALLY = Tally(
        transactions=12,
        sent=1_500_000_000,
        received=2_000_000_000,
        returned=250_000_000,
        fees=7_000_000,
        messages_sent=9,
        unsent=6,
        bounced=1,
        failures={("action", 37): 2, ("compute", 709): 1, ("compute", OTHER_CODE): 4},
        skipped={"no_gas": 3},
        gaps=1,
        last_time=1_799_999_000,
    )
    COUNTED = (
        ("sent_total", 1.5, 1500),
        ("received_total", 2, 2000),
        ("returned_total", 0.25, 250),
        ("fees_total", 0.007, 0.007),
        ("messages_sent_total", 9, 9),
        ("bounces_total", 1, 1),
        ("transactions_total", 12, 12),
        ("payout_gaps_total", 1, 1),
        ("payout_backlog", 5, 5),
        ("last_transaction_timestamp_seconds", 1_799_999_000, 1_799_999_000),
        ("payouts_since_timestamp_seconds", 1_799_000_000, 1_799_000_000),
    )

    @pytest.fixture
    def paying(self, till: Till) -> Till:
        for asset in ("native", "usdt"):
            till.walk("hot", asset, tally=self.TALLY, backlog=5, since=1_799_000_000)
        till.watcher.look()
        return till

    @pytest.mark.parametrize(("name", "native", "usdt"), COUNTED, ids=[c[0] for c in COUNTED])
    def test_in_the_asset_s_coins(
        self, paying: Till, name: str, native: float, usdt: float
    ) -> None:
        seen = scrape(paying)
        assert seen.value(f"tonwatch_wallet_{name}", **COINS) == native
        assert seen.value(f"tonwatch_wallet_{name}", **USDT) == usdt

    @pytest.mark.parametrize(
        ("phase", "code", "count"),
        [("action", "37", 2), ("compute", "709", 1), ("compute", "other", 4)],
    )
    def test_failures(self, paying: Till, phase: str, code: str, count: int) -> None:
        name = "tonwatch_wallet_failures_total"
        assert scrape(paying).value(name, phase=phase, exit_code=code, **COINS) == count

    def test_unsent(self, paying: Till) -> None:
        seen = scrape(paying)
        assert seen.value("tonwatch_wallet_unsent_total", **COINS) == 6
        assert seen.values("tonwatch_wallet_unsent_total", **USDT) == []

    def test_skipped(self, paying: Till) -> None:
        seen = scrape(paying)
        assert seen.value("tonwatch_wallet_skipped_total", reason="no_gas", **COINS) == 3
        assert seen.values("tonwatch_wallet_skipped_total", reason="suspended", **COINS) == []

    @pytest.mark.parametrize("asset", [COINS, USDT], ids=["coins", "jettons"])
    def test_counters_start_at_zero(self, till: Till, asset: dict[str, str]) -> None:
        till.walk("hot", asset["asset"], tally=Tally())
        till.watcher.look()
        seen = scrape(till)
        assert seen.value("tonwatch_wallet_failed_total", **asset) == 0
        assert seen.values("tonwatch_wallet_failures_total", **asset) == []
        assert seen.values("tonwatch_wallet_skipped_total", **asset) == []
        assert seen.value("tonwatch_wallet_sent_total", **asset) == 0
        assert seen.values("tonwatch_wallet_last_transaction_timestamp_seconds", **asset) == []

    def test_recent_troubles_by_our_own_judgement(self, paying: Till) -> None:
        wallet = next(iter(paying.watcher.view.judgement.purses.wallets.values()))
        seen = scrape(paying)
        name = wallet.name
        failed, bounced = len(wallet.failed), len(wallet.bounced)
        assert seen.value("tonwatch_wallet_recent_failures", wallet=name) == failed
        assert seen.value("tonwatch_wallet_recent_bounces", wallet=name) == bounced

    def test_nothing_is_said_where_they_are_not_counted(self, till: Till) -> None:
        seen = scrape(till)
        assert seen.values("tonwatch_wallet_sent_total", wallet="cold") == []
        assert len(seen.values("tonwatch_wallet_sent_total")) == 2

    def test_counters_stay_where_nobody_can_be_asked(self, paying: Till) -> None:
        paying.clock.advance(36)
        paying.watcher.look()
        assert scrape(paying).value("tonwatch_wallet_sent_total", **COINS) == 1.5


class TestContracts:
    @pytest.mark.parametrize(
        ("told", "state", "matches"),
        [
            pytest.param({}, "active", [1], id="as it must be"),
            pytest.param({"code_hash": CODE[::-1][:-1] + b"x"}, "active", [0], id="other code"),
            pytest.param({"code_hash": None, "status": AccountStatus.FROZEN}, "frozen", [0]),
            pytest.param({"code_hash": None, "status": AccountStatus.MISSING}, "missing", [0]),
        ],
    )
    def test_code(self, till: Till, told: dict[str, Any], state: str, matches: list[float]) -> None:
        till.read("vault", "", **told)
        till.watcher.look()
        seen = scrape(till)
        assert seen.holding("tonwatch_contract_state", "state", contract="vault") == [state]
        assert seen.values("tonwatch_contract_code_matches", contract="vault") == matches

    def test_not_known(self, till: Till) -> None:
        till.clock.advance(36)
        till.watcher.look()
        seen = scrape(till)
        assert seen.holding("tonwatch_contract_state", "state", contract="vault") == ["unknown"]
        assert seen.values("tonwatch_contract_code_matches") == []


class TestWritePath:
    @pytest.mark.parametrize(
        ("reason", "age", "told"),
        [
            pytest.param(Reason.OK, 0, [1], id="refused by the wallet"),
            pytest.param(Reason.OK, 150, [1], id="a while ago"),
            pytest.param(Reason.OK, 151, [], id="too long ago"),
            pytest.param(Reason.MESSAGE_REJECTED, 0, [0], id="refused by somebody else"),
            pytest.param(Reason.QUERY_TIMEOUT, 0, [0], id="lost"),
        ],
    )
    def test_write_path(self, till: Till, reason: Reason, age: float, told: list[float]) -> None:
        till.put(NODE, Probe.WRITE, {}, reason=reason)
        till.clock.advance(age)
        till.watcher.look()
        assert scrape(till).values("tonwatch_target_write_path", target="node") == told

    def test_nobody_has_been_sent_one(self, clock: Clock) -> None:
        assert scrape(Till(clock)).values("tonwatch_target_write_path") == []


class TestProbes:
    @pytest.mark.parametrize("probe", [Probe.BALANCE, Probe.COMPARE, Probe.WRITE])
    def test_those_about_wallets_start_at_zero(self, clock: Clock, probe: Probe) -> None:
        till = Till(clock)
        for target in till.targets:
            counted = scrape(till).values(
                "tonwatch_probe_results_total", target=target.name, probe=probe.value
            )
            assert counted == [0] * len(REASONS[target.kind][probe])

    def test_only_what_is_timed_has_durations(self, clock: Clock) -> None:
        till = Till(clock)
        assert scrape(till).values("tonwatch_probe_duration_seconds_count") == [0] * 5


def test_thresholds_of_payouts(clock: Clock) -> None:
    configured = {"payout_failures": 2, "payout_bounces": 7, "payout_backlog": 90}
    till = Till(clock, thresholds=configured | {"payout_window": "5m"})
    seen = scrape(till)
    told = {
        unit: seen.values(f"tonwatch_threshold_{unit}")
        for unit in ("failures", "bounces", "transactions")
    }
    assert told == {"failures": [2], "bounces": [7], "transactions": [90]}
    assert seen.value("tonwatch_threshold_seconds", threshold="payout_window") == 300


def test_amounts_of_any_size_are_told(clock: Clock) -> None:
    till = Till(clock)
    till.read("hot", amount=(1 << 120) - 1)
    till.walk("hot", tally=replace(TestPayouts.TALLY, sent=(1 << 200)))
    till.watcher.look()
    seen = scrape(till)
    assert seen.value("tonwatch_wallet_balance", **COINS) == pytest.approx((1 << 120) / 1e9)
    assert seen.value("tonwatch_wallet_sent_total", **COINS) == pytest.approx((1 << 200) / 1e9)
