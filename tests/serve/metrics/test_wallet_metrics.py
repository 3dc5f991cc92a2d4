"""What is told of wallets, what they hold, their payouts and of contracts, and when it is not."""

from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import Clock
from tests.serve.scraping import scrape
from tests.serve.stage import NODE
from tests.serve.wallet_stage import CODE, Till
from tonwatch.samples.payouts import OTHER_CODE, Totals
from tonwatch.samples.sample import Probe
from tonwatch.ton.contracts.accounts import AccountStatus
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
        assert seen.holding("tonwatch_wallet_status", "status", **HOT) == ["active"]
        assert seen.values("tonwatch_wallet_status", status="frozen", **HOT) == [0]
        assert len(seen.values("tonwatch_wallet_status", **HOT)) == 2, "no rule selects the others"
        assert seen.value("tonwatch_wallet_info", wallet_version="v4r2", proven="true", **HOT) == 1

    @pytest.mark.parametrize("status", AccountStatus)
    def test_status(self, till: Till, status: AccountStatus) -> None:
        till.read("hot", status=status)
        till.watcher.look()
        assert scrape(till).holding("tonwatch_wallet_status", "status", **HOT) == [status]

    def test_unknown_is_a_status_and_nothing_else_is_said(self, till: Till) -> None:
        till.clock.advance(36)
        till.watcher.look()
        seen = scrape(till)
        assert seen.holding("tonwatch_wallet_status", "status", **HOT) == ["unknown"]
        for name in ("info", "balance", "balance_timestamp_seconds", "backlog_transactions"):
            assert seen.values(f"tonwatch_wallet_{name}") == [], name

    def test_a_wallet_of_no_known_version(self, till: Till) -> None:
        till.read("hot", kind=None)
        till.watcher.look()
        assert scrape(till).values("tonwatch_wallet_info", wallet_version="other", **HOT) == [1]

    @pytest.mark.parametrize(
        ("native", "usdt", "proven"),
        [(True, True, "true"), (True, False, "false"), (False, True, "false")],
    )
    def test_all_balances_are_proven_or_not_all(
        self, till: Till, native: bool, usdt: bool, proven: str
    ) -> None:
        till.read("hot", proven=native)
        till.read("hot", "usdt", proven=usdt)
        till.watcher.look()
        assert scrape(till).holding("tonwatch_wallet_info", "proven", **HOT) == [proven]


class TestBalances:
    def test_are_in_whole_coins(self, till: Till) -> None:
        seen = scrape(till)
        assert seen.value("tonwatch_wallet_balance", **COINS) == 1234.5
        assert seen.value("tonwatch_wallet_balance", **USDT) == 5000.25
        assert seen.value("tonwatch_wallet_balance_minimum", **COINS) == 250
        assert seen.value("tonwatch_wallet_balance_minimum", **USDT) == 1000.5
        assert seen.values("tonwatch_wallet_balance_minimum", wallet="cold") == []

    def test_the_oldest_block_counts(self, till: Till) -> None:
        made = till.clock.wall_time - 3
        name = "tonwatch_wallet_balance_timestamp_seconds"
        assert scrape(till).value(name, **HOT) == made
        till.read("hot", "usdt", time=int(made) - 9)
        till.watcher.look()
        assert scrape(till).value(name, **HOT) == made - 9

    def test_a_source_that_tells_no_time(self, till: Till) -> None:
        for asset in ("native", "usdt"):
            till.read("hot", asset, time=None)
        till.watcher.look()
        name = "tonwatch_wallet_balance_timestamp_seconds"
        assert scrape(till).values(name, **HOT) == []

    def test_a_failure_leaves_what_is_young_enough(self, till: Till) -> None:
        till.read_failing("hot", "usdt")
        till.watcher.look()
        assert scrape(till).value("tonwatch_wallet_balance", **USDT) == 5000.25


class TestReadFailing:
    """The metric says of each wallet what the finding says."""

    @staticmethod
    def told(till: Till) -> set[str]:
        """The wallets that the metric names, which are those of the findings."""
        seen = scrape(till)
        name = "tonwatch_wallet_balance_read_failing"
        named = set(seen.holding(name, "wallet"))
        assert len(seen.values(name)) == 2, "each wallet"
        judgement = till.watcher.view.judgement
        assert named == {
            str(finding.account)
            for finding in wallet_findings(judgement, till.config.thresholds)
            if finding.cause is Cause.WALLET_READ_FAILING and finding.account != "vault"
        }
        return named

    @staticmethod
    def without(till: Till, *read_failing: tuple[str, str]) -> None:
        """Some accounts cannot be read, for longer than the others' readings last."""

        def tick() -> None:
            till.answers()
            for each in till.accounts:
                (till.read_failing if each.key in read_failing else till.read)(*each.key)

        till.ticks(10, tick)

    def test_all_is_read(self, till: Till) -> None:
        assert self.told(till) == set()

    def test_a_jetton_that_is_none(self, till: Till) -> None:
        self.without(till, ("hot", "usdt"))
        assert self.told(till) == {"hot"}
        assert scrape(till).holding("tonwatch_wallet_status", "status", **HOT) == ["active"]

    def test_everything(self, till: Till) -> None:
        self.without(till, *(each.key for each in till.accounts))
        assert self.told(till) == {"hot", "cold"}

    def test_not_asked_yet(self, clock: Clock) -> None:
        till = Till(clock)
        till.healthy()
        assert self.told(till) == set()

    def test_what_was_read_lately_is_known(self, till: Till) -> None:
        till.read_failing("hot", "usdt")
        till.watcher.look()
        assert self.told(till) == set()

    def test_while_nobody_can_be_asked_it_is_no_wallet_s_fault(self, till: Till) -> None:
        self.without(till, ("hot", "usdt"))
        assert self.told(till) == {"hot"}
        till.cut_off()
        assert self.told(till) == set()

    def test_it_ends(self, till: Till) -> None:
        self.without(till, ("hot", "native"))
        till.all_read()
        till.watcher.look()
        assert self.told(till) == set()

    def test_more_wallets_than_findings_name(self, clock: Clock) -> None:
        names = [f"wallet-{number}" for number in range(NAMED + 2)]
        wallets = [
            {"name": name, "address": f"0:{number + 1:064x}"} for number, name in enumerate(names)
        ]
        till = Till(clock, wallets=wallets, contracts=[])
        self.without(till, *(each.key for each in till.accounts))
        assert scrape(till).values("tonwatch_wallet_balance_read_failing") == [1] * len(names)


class TestPayouts:
    TOTALS = Totals(
        transactions=12,
        sent_amount=1_500_000_000,
        received_amount=2_000_000_000,
        bounced_amount=250_000_000,
        fees_amount=7_000_000,
        sent_messages=9,
        skipped_messages=6,
        bounced_messages=1,
        failed_transactions={("action", 37): 2, ("compute", 709): 1, ("compute", OTHER_CODE): 4},
        compute_skipped={"no_gas": 3},
        history_gaps=1,
        last_time=1_799_999_000,
    )
    COUNTED = (
        ("sent_amount_total", 1.5, 1500),
        ("received_amount_total", 2, 2000),
        ("bounced_amount_total", 0.25, 250),
        ("sent_messages_total", 9, 9),
        ("bounced_messages_total", 1, 1),
        ("payouts_since_timestamp_seconds", 1_799_000_000, 1_799_000_000),
    )

    @pytest.fixture
    def paying(self, till: Till) -> Till:
        for asset in ("native", "usdt"):
            till.walk("hot", asset, totals=self.TOTALS, backlog=5, since=1_799_000_000)
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
        name = "tonwatch_wallet_failed_transactions_total"
        labels = {"transaction_phase": phase, "exit_code": code}
        assert scrape(paying).value(name, **labels, **COINS) == count

    @pytest.mark.parametrize(
        ("name", "told"),
        [("fees_amount_total", 0.007), ("skipped_messages_total", 6)],
    )
    def test_of_the_native_coin_only(self, paying: Till, name: str, told: float) -> None:
        seen = scrape(paying)
        assert seen.value(f"tonwatch_wallet_{name}", **COINS) == told
        assert seen.values(f"tonwatch_wallet_{name}", **USDT) == []

    @pytest.mark.parametrize(
        ("name", "told"), [("backlog_transactions", 10), ("history_gaps_total", 2)]
    )
    def test_of_all_assets_together(self, paying: Till, name: str, told: float) -> None:
        assert scrape(paying).values(f"tonwatch_wallet_{name}") == [told]

    def test_the_backlog_of_what_can_be_read(self, paying: Till) -> None:
        paying.clock.advance(36)
        paying.read("hot")
        paying.watcher.look()
        assert scrape(paying).values("tonwatch_wallet_backlog_transactions") == [5]

    def test_compute_skipped(self, paying: Till) -> None:
        name = "tonwatch_wallet_compute_skipped_transactions_total"
        assert scrape(paying).holding(name, "skip_reason", **COINS) == ["no_gas"]
        assert scrape(paying).value(name, **COINS) == 3

    @pytest.mark.parametrize("asset", [COINS, USDT], ids=["coins", "jettons"])
    def test_what_rules_select_starts_at_zero(self, till: Till, asset: dict[str, str]) -> None:
        till.walk("hot", asset["asset"], totals=Totals())
        till.watcher.look()
        seen = scrape(till)
        for name in ("sent_amount_total", "received_amount_total", "sent_messages_total"):
            assert seen.values(f"tonwatch_wallet_{name}", **asset) == [0], name
        assert seen.value("tonwatch_wallet_history_gaps_total", **HOT) == 0

    @pytest.mark.parametrize(
        "name",
        [
            "bounced_amount_total",
            "bounced_messages_total",
            "skipped_messages_total",
            "failed_transactions_total",
            "compute_skipped_transactions_total",
        ],
    )
    def test_what_goes_wrong_appears_with_the_first(self, till: Till, name: str) -> None:
        for asset in ("native", "usdt"):
            till.walk("hot", asset, totals=Totals())
        till.watcher.look()
        assert scrape(till).values(f"tonwatch_wallet_{name}") == []
        till.walk("hot", totals=self.TOTALS)
        till.watcher.look()
        assert scrape(till).values(f"tonwatch_wallet_{name}", **COINS)

    def test_recent_troubles_by_our_own_judgement(self, paying: Till) -> None:
        wallet = next(iter(paying.watcher.view.judgement.wallet_status.wallets.values()))
        seen = scrape(paying)
        name = wallet.name
        failed, bounced = len(wallet.failed), len(wallet.bounced)
        assert seen.value("tonwatch_wallet_recent_failed_payouts", wallet=name) == failed
        assert seen.value("tonwatch_wallet_recent_bounced_payouts", wallet=name) == bounced

    def test_nothing_is_said_where_they_are_not_counted(self, till: Till) -> None:
        seen = scrape(till)
        assert seen.values("tonwatch_wallet_sent_amount_total", wallet="cold") == []
        assert len(seen.values("tonwatch_wallet_sent_amount_total")) == 2

    def test_counters_stay_where_nobody_can_be_asked(self, paying: Till) -> None:
        paying.clock.advance(36)
        paying.watcher.look()
        assert scrape(paying).value("tonwatch_wallet_sent_amount_total", **COINS) == 1.5


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
        assert seen.holding("tonwatch_contract_status", "status", contract="vault") == [state]
        assert seen.values("tonwatch_contract_status", status="unknown") == [0]
        assert seen.values("tonwatch_contract_code_matches", contract="vault") == matches

    def test_not_known(self, till: Till) -> None:
        till.clock.advance(36)
        till.watcher.look()
        seen = scrape(till)
        assert seen.holding("tonwatch_contract_status", "status", contract="vault") == ["unknown"]
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
        assert (
            scrape(till).values("tonwatch_target_accepts_external_messages", target="node") == told
        )

    def test_nobody_has_been_sent_one(self, clock: Clock) -> None:
        assert scrape(Till(clock)).values("tonwatch_target_accepts_external_messages") == []


class TestProbes:
    @pytest.mark.parametrize("probe", [Probe.BALANCE, Probe.COMPARE, Probe.WRITE])
    def test_those_about_wallets_start_at_zero(self, clock: Clock, probe: Probe) -> None:
        till = Till(clock)
        for target in till.targets:
            counted = scrape(till).values(
                "tonwatch_probes_total", target=target.name, probe=probe.value
            )
            assert counted == [0, 0]

    def test_only_what_is_timed_has_durations(self, clock: Clock) -> None:
        till = Till(clock)
        assert scrape(till).values("tonwatch_probe_duration_seconds_count") == [0] * 5


def test_thresholds_of_payouts(clock: Clock) -> None:
    configured = {"payout_failures": 2, "payout_bounces": 7, "payout_backlog": 90}
    till = Till(clock, thresholds=configured | {"payout_window": "5m"})
    seen = scrape(till)
    told = {unit: seen.values(f"tonwatch_threshold_{unit}") for unit in ("payouts", "transactions")}
    assert told == {"payouts": [2, 7], "transactions": [90]}
    assert seen.value("tonwatch_threshold_seconds", threshold="payout_window") == 300


def test_amounts_of_any_size_are_told(clock: Clock) -> None:
    till = Till(clock)
    till.read("hot", amount=(1 << 120) - 1)
    till.walk("hot", totals=replace(TestPayouts.TOTALS, sent_amount=(1 << 200)))
    till.watcher.look()
    seen = scrape(till)
    assert seen.value("tonwatch_wallet_balance", **COINS) == pytest.approx((1 << 120) / 1e9)
    assert seen.value("tonwatch_wallet_sent_amount_total", **COINS) == pytest.approx(
        (1 << 200) / 1e9
    )
