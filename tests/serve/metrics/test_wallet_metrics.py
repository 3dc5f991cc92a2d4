"""Metrics of wallets, balances, payouts and contracts, and when they are absent."""

from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import Clock
from tests.serve.scene import NODE
from tests.serve.scraping import scrape
from tests.serve.wallet_scene import CODE, WalletScene
from tonwatch.samples.payouts import OTHER_CODE, Totals
from tonwatch.samples.sample import Probe
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason
from tonwatch.watch.findings import Cause
from tonwatch.watch.wallet_findings import NAMED, wallet_findings

HOT = {"wallet": "hot"}
COINS = {"wallet": "hot", "asset": "native"}
USDT = {"wallet": "hot", "asset": "usdt"}


@pytest.fixture
def wallet_scene(clock: Clock) -> WalletScene:
    made = WalletScene(clock)
    made.all_healthy()
    return made


class TestWallets:
    def test_a_healthy_wallet(self, wallet_scene: WalletScene) -> None:
        seen = scrape(wallet_scene)
        assert seen.holding("tonwatch_wallet_status", "status", **HOT) == ["active"]
        assert seen.values("tonwatch_wallet_status", status="frozen", **HOT) == [0]
        assert len(seen.values("tonwatch_wallet_status", **HOT)) == 2, "no rule selects the others"
        assert seen.value("tonwatch_wallet_info", wallet_version="v4r2", proven="true", **HOT) == 1

    @pytest.mark.parametrize("status", AccountStatus)
    def test_status(self, wallet_scene: WalletScene, status: AccountStatus) -> None:
        wallet_scene.read("hot", status=status)
        wallet_scene.watcher.evaluate()
        assert scrape(wallet_scene).holding("tonwatch_wallet_status", "status", **HOT) == [status]

    def test_an_unknown_wallet_has_a_status_only(self, wallet_scene: WalletScene) -> None:
        wallet_scene.clock.advance(36)
        wallet_scene.watcher.evaluate()
        seen = scrape(wallet_scene)
        assert seen.holding("tonwatch_wallet_status", "status", **HOT) == ["unknown"]
        for name in ("info", "balance", "balance_timestamp_seconds", "backlog_transactions"):
            assert seen.values(f"tonwatch_wallet_{name}") == [], name

    @pytest.mark.parametrize(("kind", "version"), [(None, "none"), (WalletKind.UNKNOWN, "unknown")])
    def test_a_wallet_of_unknown_version(
        self, wallet_scene: WalletScene, kind: WalletKind | None, version: str
    ) -> None:
        wallet_scene.read("hot", kind=kind)
        wallet_scene.watcher.evaluate()
        assert scrape(wallet_scene).values(
            "tonwatch_wallet_info", wallet_version=version, **HOT
        ) == [1]

    @pytest.mark.parametrize(
        ("native", "usdt", "proven"),
        [(True, True, "true"), (True, False, "false"), (False, True, "false")],
    )
    def test_all_balances_are_proven_or_not_all(
        self, wallet_scene: WalletScene, native: bool, usdt: bool, proven: str
    ) -> None:
        wallet_scene.read("hot", proven=native)
        wallet_scene.read("hot", "usdt", proven=usdt)
        wallet_scene.watcher.evaluate()
        assert scrape(wallet_scene).holding("tonwatch_wallet_info", "proven", **HOT) == [proven]


class TestBalances:
    def test_are_in_coins(self, wallet_scene: WalletScene) -> None:
        seen = scrape(wallet_scene)
        assert seen.value("tonwatch_wallet_balance", **COINS) == 1234.5
        assert seen.value("tonwatch_wallet_balance", **USDT) == 5000.25
        assert seen.value("tonwatch_wallet_balance_minimum", **COINS) == 250
        assert seen.value("tonwatch_wallet_balance_minimum", **USDT) == 1000.5
        assert seen.values("tonwatch_wallet_balance_minimum", wallet="cold") == []

    def test_the_oldest_block_counts(self, wallet_scene: WalletScene) -> None:
        made = wallet_scene.clock.wall_time - 3
        name = "tonwatch_wallet_balance_timestamp_seconds"
        assert scrape(wallet_scene).value(name, **HOT) == made
        wallet_scene.read("hot", "usdt", time=int(made) - 9)
        wallet_scene.watcher.evaluate()
        assert scrape(wallet_scene).value(name, **HOT) == made - 9

    def test_a_source_without_block_time(self, wallet_scene: WalletScene) -> None:
        for asset in ("native", "usdt"):
            wallet_scene.read("hot", asset, time=None)
        wallet_scene.watcher.evaluate()
        name = "tonwatch_wallet_balance_timestamp_seconds"
        assert scrape(wallet_scene).values(name, **HOT) == []

    def test_a_failure_leaves_a_fresh_balance(self, wallet_scene: WalletScene) -> None:
        wallet_scene.read_failing("hot", "usdt")
        wallet_scene.watcher.evaluate()
        assert scrape(wallet_scene).value("tonwatch_wallet_balance", **USDT) == 5000.25


class TestReadFailing:
    """The metric agrees with the finding for each wallet."""

    @staticmethod
    def failing_wallets(wallet_scene: WalletScene) -> set[str]:
        """The wallets that the metric names, which are those of the findings."""
        seen = scrape(wallet_scene)
        name = "tonwatch_wallet_balance_read_failing"
        named = set(seen.holding(name, "wallet"))
        assert len(seen.values(name)) == 2, "each wallet"
        judgement = wallet_scene.watcher.view.judgement
        assert named == {
            str(finding.account)
            for finding in wallet_findings(judgement, wallet_scene.config.thresholds)
            if finding.cause is Cause.WALLET_READ_FAILING and finding.account != "vault"
        }
        return named

    @staticmethod
    def without(wallet_scene: WalletScene, *read_failing: tuple[str, str]) -> None:
        """The given accounts cannot be read for longer than readings are valid."""

        def tick() -> None:
            wallet_scene.all_answer()
            for each in wallet_scene.accounts:
                (wallet_scene.read_failing if each.key in read_failing else wallet_scene.read)(
                    *each.key
                )

        wallet_scene.ticks(10, tick)

    def test_all_is_read(self, wallet_scene: WalletScene) -> None:
        assert self.failing_wallets(wallet_scene) == set()

    def test_a_jetton_that_is_none(self, wallet_scene: WalletScene) -> None:
        self.without(wallet_scene, ("hot", "usdt"))
        assert self.failing_wallets(wallet_scene) == {"hot"}
        assert scrape(wallet_scene).holding("tonwatch_wallet_status", "status", **HOT) == ["active"]

    def test_everything(self, wallet_scene: WalletScene) -> None:
        self.without(wallet_scene, *(each.key for each in wallet_scene.accounts))
        assert self.failing_wallets(wallet_scene) == {"hot", "cold"}

    def test_not_read_yet(self, clock: Clock) -> None:
        wallet_scene = WalletScene(clock)
        wallet_scene.healthy()
        assert self.failing_wallets(wallet_scene) == set()

    def test_a_recent_reading_is_enough(self, wallet_scene: WalletScene) -> None:
        wallet_scene.read_failing("hot", "usdt")
        wallet_scene.watcher.evaluate()
        assert self.failing_wallets(wallet_scene) == set()

    def test_without_a_usable_source_no_wallet_is_failing(self, wallet_scene: WalletScene) -> None:
        self.without(wallet_scene, ("hot", "usdt"))
        assert self.failing_wallets(wallet_scene) == {"hot"}
        wallet_scene.egress_broken()
        assert self.failing_wallets(wallet_scene) == set()

    def test_it_ends(self, wallet_scene: WalletScene) -> None:
        self.without(wallet_scene, ("hot", "native"))
        wallet_scene.all_read()
        wallet_scene.watcher.evaluate()
        assert self.failing_wallets(wallet_scene) == set()

    def test_more_wallets_than_findings_name(self, clock: Clock) -> None:
        names = [f"wallet-{number}" for number in range(NAMED + 2)]
        wallets = [
            {"name": name, "address": f"0:{number + 1:064x}"} for number, name in enumerate(names)
        ]
        wallet_scene = WalletScene(clock, wallets=wallets, contracts=[])
        self.without(wallet_scene, *(each.key for each in wallet_scene.accounts))
        assert scrape(wallet_scene).values("tonwatch_wallet_balance_read_failing") == [1] * len(
            names
        )


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
    def with_payouts(self, wallet_scene: WalletScene) -> WalletScene:
        for asset in ("native", "usdt"):
            wallet_scene.count_payouts(
                "hot", asset, totals=self.TOTALS, backlog=5, since=1_799_000_000
            )
        wallet_scene.watcher.evaluate()
        return wallet_scene

    @pytest.mark.parametrize(("name", "native", "usdt"), COUNTED, ids=[c[0] for c in COUNTED])
    def test_in_the_asset_s_coins(
        self, with_payouts: WalletScene, name: str, native: float, usdt: float
    ) -> None:
        seen = scrape(with_payouts)
        assert seen.value(f"tonwatch_wallet_{name}", **COINS) == native
        assert seen.value(f"tonwatch_wallet_{name}", **USDT) == usdt

    @pytest.mark.parametrize(
        ("phase", "code", "count"),
        [("action", "37", 2), ("compute", "709", 1), ("compute", "other", 4)],
    )
    def test_failures(self, with_payouts: WalletScene, phase: str, code: str, count: int) -> None:
        name = "tonwatch_wallet_failed_transactions_total"
        labels = {"transaction_phase": phase, "exit_code": code}
        assert scrape(with_payouts).value(name, **labels, **COINS) == count

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("fees_amount_total", 0.007), ("skipped_messages_total", 6)],
    )
    def test_of_the_native_coin_only(
        self, with_payouts: WalletScene, name: str, expected: float
    ) -> None:
        seen = scrape(with_payouts)
        assert seen.value(f"tonwatch_wallet_{name}", **COINS) == expected
        assert seen.values(f"tonwatch_wallet_{name}", **USDT) == []

    @pytest.mark.parametrize(
        ("name", "expected"), [("backlog_transactions", 10), ("history_gaps_total", 2)]
    )
    def test_of_all_assets_together(
        self, with_payouts: WalletScene, name: str, expected: float
    ) -> None:
        assert scrape(with_payouts).values(f"tonwatch_wallet_{name}") == [expected]

    def test_the_backlog(self, with_payouts: WalletScene) -> None:
        with_payouts.clock.advance(36)
        with_payouts.read("hot")
        with_payouts.watcher.evaluate()
        assert scrape(with_payouts).values("tonwatch_wallet_backlog_transactions") == [5]

    def test_compute_skipped(self, with_payouts: WalletScene) -> None:
        name = "tonwatch_wallet_compute_skipped_transactions_total"
        assert scrape(with_payouts).holding(name, "skip_reason", **COINS) == ["no_gas"]
        assert scrape(with_payouts).value(name, **COINS) == 3

    @pytest.mark.parametrize("asset", [COINS, USDT], ids=["coins", "jettons"])
    def test_counters_that_rules_select_start_at_zero(
        self, wallet_scene: WalletScene, asset: dict[str, str]
    ) -> None:
        wallet_scene.count_payouts("hot", asset["asset"], totals=Totals())
        wallet_scene.watcher.evaluate()
        seen = scrape(wallet_scene)
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
    def test_failure_counters_appear_with_the_first_failure(
        self, wallet_scene: WalletScene, name: str
    ) -> None:
        for asset in ("native", "usdt"):
            wallet_scene.count_payouts("hot", asset, totals=Totals())
        wallet_scene.watcher.evaluate()
        assert scrape(wallet_scene).values(f"tonwatch_wallet_{name}") == []
        wallet_scene.count_payouts("hot", totals=self.TOTALS)
        wallet_scene.watcher.evaluate()
        assert scrape(wallet_scene).values(f"tonwatch_wallet_{name}", **COINS)

    def test_recent_troubles_as_judged(self, with_payouts: WalletScene) -> None:
        wallet = next(iter(with_payouts.watcher.view.judgement.wallet_status.wallets.values()))
        seen = scrape(with_payouts)
        name = wallet.name
        failed, bounced = len(wallet.failed), len(wallet.bounced)
        assert seen.value("tonwatch_wallet_recent_failed_payouts", wallet=name) == failed
        assert seen.value("tonwatch_wallet_recent_bounced_payouts", wallet=name) == bounced

    def test_absent_where_payouts_are_not_counted(self, wallet_scene: WalletScene) -> None:
        seen = scrape(wallet_scene)
        assert seen.values("tonwatch_wallet_sent_amount_total", wallet="cold") == []
        assert len(seen.values("tonwatch_wallet_sent_amount_total")) == 2

    def test_counters_stay_without_a_usable_source(self, with_payouts: WalletScene) -> None:
        with_payouts.clock.advance(36)
        with_payouts.watcher.evaluate()
        assert scrape(with_payouts).value("tonwatch_wallet_sent_amount_total", **COINS) == 1.5


class TestContracts:
    @pytest.mark.parametrize(
        ("reading", "state", "matches"),
        [
            pytest.param({}, "active", [1], id="expected code"),
            pytest.param({"code_hash": CODE[::-1][:-1] + b"x"}, "active", [0], id="other code"),
            pytest.param({"code_hash": None, "status": AccountStatus.FROZEN}, "frozen", [0]),
            pytest.param({"code_hash": None, "status": AccountStatus.MISSING}, "missing", [0]),
        ],
    )
    def test_code(
        self, wallet_scene: WalletScene, reading: dict[str, Any], state: str, matches: list[float]
    ) -> None:
        wallet_scene.read("vault", "", **reading)
        wallet_scene.watcher.evaluate()
        seen = scrape(wallet_scene)
        assert seen.holding("tonwatch_contract_status", "status", contract="vault") == [state]
        assert seen.values("tonwatch_contract_status", status="unknown") == [0]
        assert seen.values("tonwatch_contract_code_matches", contract="vault") == matches

    def test_unknown(self, wallet_scene: WalletScene) -> None:
        wallet_scene.clock.advance(36)
        wallet_scene.watcher.evaluate()
        seen = scrape(wallet_scene)
        assert seen.holding("tonwatch_contract_status", "status", contract="vault") == ["unknown"]
        assert seen.values("tonwatch_contract_code_matches") == []


class TestWritePath:
    @pytest.mark.parametrize(
        ("reason", "age", "expected"),
        [
            pytest.param(Reason.OK, 0, [1], id="refused by the wallet"),
            pytest.param(Reason.OK, 150, [1], id="a while ago"),
            pytest.param(Reason.OK, 151, [], id="too long ago"),
            pytest.param(Reason.MESSAGE_REJECTED, 0, [0], id="refused before the wallet"),
            pytest.param(Reason.QUERY_TIMEOUT, 0, [0], id="lost"),
        ],
    )
    def test_write_path(
        self, wallet_scene: WalletScene, reason: Reason, age: float, expected: list[float]
    ) -> None:
        wallet_scene.put(NODE, Probe.WRITE, {}, reason=reason)
        wallet_scene.clock.advance(age)
        wallet_scene.watcher.evaluate()
        assert (
            scrape(wallet_scene).values("tonwatch_target_accepts_external_messages", target="node")
            == expected
        )

    def test_no_message_sent_yet(self, clock: Clock) -> None:
        assert scrape(WalletScene(clock)).values("tonwatch_target_accepts_external_messages") == []


class TestProbes:
    @pytest.mark.parametrize("probe", [Probe.BALANCE, Probe.COMPARE, Probe.WRITE])
    def test_wallet_probes_start_at_zero(self, clock: Clock, probe: Probe) -> None:
        wallet_scene = WalletScene(clock)
        for target in wallet_scene.targets:
            counted = scrape(wallet_scene).values(
                "tonwatch_probes_total", target=target.name, probe=probe.value
            )
            assert counted == [0, 0]

    def test_only_timed_probes_have_durations(self, clock: Clock) -> None:
        wallet_scene = WalletScene(clock)
        assert scrape(wallet_scene).values("tonwatch_probe_duration_seconds_count") == [0] * 6


def test_thresholds_of_payouts(clock: Clock) -> None:
    configured = {"payout_failures": 2, "payout_bounces": 7, "payout_backlog": 90}
    wallet_scene = WalletScene(clock, thresholds=configured | {"payout_window": "5m"})
    seen = scrape(wallet_scene)
    thresholds = {
        unit: seen.values(f"tonwatch_threshold_{unit}") for unit in ("payouts", "transactions")
    }
    assert thresholds == {"payouts": [2, 7], "transactions": [90]}
    assert seen.value("tonwatch_threshold_seconds", threshold="payout_window") == 300


def test_amounts_of_any_size(clock: Clock) -> None:
    wallet_scene = WalletScene(clock)
    wallet_scene.read("hot", amount=(1 << 120) - 1)
    wallet_scene.count_payouts("hot", totals=replace(TestPayouts.TOTALS, sent_amount=(1 << 200)))
    wallet_scene.watcher.evaluate()
    seen = scrape(wallet_scene)
    assert seen.value("tonwatch_wallet_balance", **COINS) == pytest.approx((1 << 120) / 1e9)
    assert seen.value("tonwatch_wallet_sent_amount_total", **COINS) == pytest.approx(
        (1 << 200) / 1e9
    )
