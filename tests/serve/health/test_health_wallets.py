"""What /health says of wallets, payouts and contracts."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Clock
from tests.effort import effort
from tests.serve.rendering import described
from tests.serve.wallet_scene import COLD, HOT, HOT_USDT, MASTER, VAULT, WalletScene
from tonwatch.samples.payouts import OTHER_CODE, RECENT, Totals, Trouble, TroubleKind
from tonwatch.serve.health import wallet_status
from tonwatch.serve.health.document import as_text, document
from tonwatch.ton import address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.jettons import JettonKind
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason
from tonwatch.watch.planner import Unprobed


@pytest.fixture
def wallet_scene(clock: Clock) -> WalletScene:
    return WalletScene(clock)


def assets_of_hot(wallet_scene: WalletScene) -> tuple[Any, Any]:
    """The native and the jetton asset of the wallet "hot"."""
    wallet_scene.watcher.evaluate()
    native, usdt = described(wallet_scene)["wallets"][0]["assets"]
    return native, usdt


def test_a_wallet(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    hot, cold = described(wallet_scene)["wallets"]
    assert hot | {"assets": 0} == {
        "name": "hot",
        "address": HOT.friendly(),
        "state": "active",
        "kind": "v4r2",
        "seqno": 4711,
        "last_clean": None,
        "subwallet": None,
        "signers": None,
        "threshold": None,
        "locked": None,
        "low": False,
        "frozen": False,
        "write_probe_idle": None,
        "payouts_failed": 0,
        "payouts_bounced": 0,
        "assets": 0,
    }
    assert [asset["asset"] for asset in hot["assets"]] == ["native", "usdt"]
    assert cold["address"] == COLD.friendly()
    assert cold["assets"][0]["payouts"] is None
    assert described(wallet_scene)["status"] == "pass"


def test_what_a_wallet_stores(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    wallet_scene.read(
        "hot", kind=WalletKind.VESTING, subwallet=7, signers=3, threshold=2, locked=1_500_000_000
    )
    wallet_scene.watcher.evaluate()
    hot = described(wallet_scene)["wallets"][0]
    assert (hot["kind"], hot["locked"]) == ("vesting", "1.5")
    assert (hot["subwallet"], hot["signers"], hot["threshold"]) == (7, 3, 2)


def test_a_mintless_jetton(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    wallet_scene.read("hot", "usdt", jetton=JettonKind.MINTLESS, claimed=False)
    _, usdt = assets_of_hot(wallet_scene)
    assert (usdt["jetton"], usdt["claimed"]) == ("mintless", False)


def test_an_asset(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    _, usdt = assets_of_hot(wallet_scene)
    assert usdt | {"payouts": 0} == {
        "asset": "usdt",
        "currency": None,
        "decimals": 6,
        "amount": "5000250000",
        "balance": "5000.25",
        "minimum_amount": "1000500000",
        "minimum": "1000.5",
        "low": False,
        "account": HOT_USDT.friendly(),
        "state": "active",
        "jetton": None,
        "claimed": None,
        "proven": True,
        "source": "node",
        "block_seqno": 40_000_000,
        "block_time": "2027-01-15T08:00:12Z",
        "age_seconds": 3.0,
        "trouble": None,
        "payouts": 0,
    }


@pytest.mark.parametrize(
    ("amount", "balance"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (1_234_500_000_000, "1234.5"),
        (2**120 - 1, "1329227995784915872903807060.280344575"),
    ],
)
def test_amounts_are_exact(wallet_scene: WalletScene, amount: int, balance: str) -> None:
    wallet_scene.all_healthy()
    wallet_scene.read("hot", amount=amount)
    native, _ = assets_of_hot(wallet_scene)
    assert (native["amount"], native["balance"]) == (str(amount), balance)


def test_payouts(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    wallet_scene.count_payouts(
        "hot", totals=wallet_scene.failed(2), backlog=3, reason=Reason.PRUNED, detail="gone"
    )
    native, _ = assets_of_hot(wallet_scene)
    assert native["payouts"] | {"recent": 0} == {
        "since": "2027-01-15T07:00:15Z",
        "opening": "0",
        "sent_amount": "0",
        "received_amount": "0",
        "bounced_amount": "0",
        "fees_amount": "0",
        "in_flight_amount": "0",
        "sent_messages": 5,
        "skipped_messages": 0,
        "bounced_messages": 0,
        "transactions": 7,
        "failed_transactions": [{"phase": "action", "code": 37, "count": 2}],
        "compute_skipped": {},
        "history_gaps": 0,
        "backlog": 3,
        "cursor": {"lt": "47000000000001", "hash": "ab" * 32},
        "last_transaction": None,
        "reason": "pruned",
        "detail": "gone",
        "recent": 0,
    }
    assert native["payouts"]["recent"][0] == {
        "time": "2027-01-15T07:59:15Z",
        "kind": "failed",
        "phase": "action",
        "code": 37,
        "skipped": None,
        "lt": "46999999999999",
    }
    assert described(wallet_scene)["wallets"][0]["payouts_failed"] == 2


def test_counted_amounts_are_strings_and_counts_are_numbers(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    totals = Totals(
        sent_amount=2**70,
        received_amount=1,
        bounced_amount=2,
        fees_amount=3,
        skipped_messages=6,
        compute_skipped={"no_gas": 4},
        history_gaps=5,
    )
    wallet_scene.count_payouts("hot", totals=totals, opening=None)
    payouts = assets_of_hot(wallet_scene)[0]["payouts"]
    assert payouts["opening"] is None
    amounts = ("sent_amount", "received_amount", "bounced_amount", "fees_amount")
    assert [payouts[key] for key in amounts] == ["1180591620717411303424", "1", "2", "3"]
    assert (payouts["compute_skipped"], payouts["history_gaps"]) == ({"no_gas": 4}, 5)
    assert payouts["skipped_messages"] == 6


def test_codes_that_are_counted_together_have_no_code(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    wallet_scene.count_payouts(
        "hot", totals=Totals(failed_transactions={("compute", OTHER_CODE): 7})
    )
    assert assets_of_hot(wallet_scene)[0]["payouts"]["failed_transactions"] == [
        {"phase": "compute", "code": None, "count": 7}
    ]


def test_the_last_troubles_come_first_and_are_few(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    time = int(wallet_scene.clock.wall_time)
    recent = tuple(Trouble(time, TroubleKind.BOUNCED, "", None, lt) for lt in range(RECENT))
    wallet_scene.count_payouts("hot", totals=Totals(recent=recent))
    recent = assets_of_hot(wallet_scene)[0]["payouts"]["recent"]
    assert [each["lt"] for each in recent] == [
        str(RECENT - 1 - n) for n in range(wallet_status.RECENT)
    ]
    assert recent[0]["phase"] is None


def test_an_unreadable_balance_is_unknown_with_its_reason(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    words = f"{MASTER.friendly()} is no jetton's master"
    wallet_scene.read_failing("hot", "usdt", detail=words)
    assert assets_of_hot(wallet_scene)[1]["trouble"] == f"node: method_failed: {words}"

    def tick() -> None:
        wallet_scene.all_answer()
        wallet_scene.read("hot")
        wallet_scene.read_failing("hot", "usdt", detail=words)

    wallet_scene.ticks(10, tick)
    native, usdt = assets_of_hot(wallet_scene)
    assert native["amount"] is not None
    known = ("amount", "balance", "account", "state", "proven", "source", "block_time")
    assert [usdt[key] for key in known] == [None] * len(known)
    assert usdt["low"] is False
    assert usdt["minimum"] == "1000.5"


@pytest.mark.parametrize(
    ("situation", "cause"),
    [
        pytest.param(lambda t: t.read("hot", amount=1), "wallet_low", id="low"),
        pytest.param(
            lambda t: t.read("cold", status=AccountStatus.FROZEN), "wallet_frozen", id="frozen"
        ),
        pytest.param(
            lambda t: t.count_payouts("hot", totals=t.failed(1)), "payouts_failing", id="failing"
        ),
        pytest.param(
            lambda t: t.read("vault", "", code_hash=b"\1" * 32), "contract_changed", id="changed"
        ),
    ],
)
def test_a_wallets_trouble_is_a_warning(
    wallet_scene: WalletScene, situation: Callable[[WalletScene], None], cause: str
) -> None:
    wallet_scene.all_healthy()
    situation(wallet_scene)
    wallet_scene.watcher.evaluate()
    content = described(wallet_scene)
    assert (content["status"], content["diagnosis"]["cause"]) == ("warn", cause)
    assert content["diagnosis"]["account"] in {"hot", "cold", "vault"}
    assert content["diagnosis"]["target"] is None


def test_a_low_wallet_fails_where_a_gate_says_so(clock: Clock) -> None:
    wallet_scene = WalletScene(clock, readiness={"gates": {"wallet_low": True}})
    wallet_scene.all_healthy()
    wallet_scene.read("hot", amount=1)
    wallet_scene.watcher.evaluate()
    content = described(wallet_scene)
    assert content["status"] == "fail"
    assert content["wallets"][0]["low"] is True
    assert [asset["low"] for asset in content["wallets"][0]["assets"]] == [True, False]


def test_a_further_finding_names_its_wallet(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    wallet_scene.read("hot", amount=1)
    wallet_scene.read("cold", status=AccountStatus.FROZEN)
    wallet_scene.watcher.evaluate()
    content = described(wallet_scene)
    assert content["diagnosis"]["account"] == "cold"
    assert [(also["cause"], also["account"]) for also in content["also"]] == [
        ("wallet_low", "hot"),
        ("write_probe_idle", "hot"),
    ]
    assert content["wallets"][0]["write_probe_idle"] == Unprobed.NO_GAS
    wallet_scene.all_healthy()
    assert described(wallet_scene)["history"][0]["account"] == "cold"


def test_a_contract(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    wallet_scene.read("vault", "", code_hash=None, status=AccountStatus.UNINITIALIZED)
    wallet_scene.watcher.evaluate()
    [vault] = described(wallet_scene)["contracts"]
    assert vault == {
        "name": "vault",
        "address": VAULT.friendly(),
        "state": "uninitialized",
        "code_hash": None,
        "expected_code_hash": "c0" * 32,
        "matches": False,
        "proven": True,
        "source": "node",
        "block_seqno": 40_000_000,
        "block_time": "2027-01-15T08:00:12Z",
        "age_seconds": 3.0,
        "trouble": None,
    }


@pytest.mark.parametrize(
    ("network", "test_only"), [("mainnet", False), ("testnet", True), ("ab" * 32, False)]
)
def test_addresses_are_those_of_the_network(clock: Clock, network: str, test_only: bool) -> None:
    shown = described(WalletScene(clock, network=network))["wallets"][0]["address"]
    assert address.parse(shown) == (HOT, test_only)


@pytest.mark.parametrize(
    ("last_clean", "shown"),
    [(1_800_000_000, "2027-01-15T08:00:00Z"), (2**64 - 1, None), (0, "1970-01-01T00:00:00Z")],
)
def test_a_time_out_of_the_calendars_range(
    wallet_scene: WalletScene, last_clean: int, shown: str | None
) -> None:
    """A contract's data may say anything."""
    wallet_scene.all_healthy()
    wallet_scene.read(
        "hot", kind=WalletKind.HIGHLOAD_V3, seqno=None, last_clean=last_clean, time=2**40
    )
    wallet_scene.watcher.evaluate()
    hot = described(wallet_scene)["wallets"][0]
    assert (hot["last_clean"], hot["seqno"]) == (shown, None)
    assert hot["assets"][0]["block_time"] is None


def test_a_wrong_local_clock_does_not_make_blocks_old(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()

    def tick() -> None:
        for target in wallet_scene.targets:
            wallet_scene.answer(target, -60, clock_offset=60.0)
        wallet_scene.read("hot", time=int(wallet_scene.clock.wall_time) + 57)

    wallet_scene.ticks(4, tick)
    assert described(wallet_scene)["clock_offset_seconds"] == 60
    assert assets_of_hot(wallet_scene)[0]["age_seconds"] == 3.0


def test_no_wallets_configured(clock: Clock) -> None:
    content = described(WalletScene(clock, wallets=[], contracts=[]))
    assert (content["wallets"], content["contracts"]) == ([], [])


def test_the_text_is_the_document(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    wallet_scene.read("hot", amount=1)
    wallet_scene.count_payouts("hot", totals=wallet_scene.failed(1))
    wallet_scene.fail(
        wallet_scene.targets[0], Reason.SERVER_ERROR, '"wallets": []\n</script> ü \x00'
    )
    wallet_scene.watcher.evaluate()
    content = described(wallet_scene)
    assert json.loads(as_text(content)) == content
    lines = as_text(content).splitlines()
    assert sum(line.startswith('    {"name": "hot", ') for line in lines) == 1


def test_a_thousand_wallets_are_written_quickly(clock: Clock) -> None:
    jetton = {"name": "usdt", "master": MASTER.friendly(), "decimals": 6}
    wallets = [
        {"name": f"w-{n}", "address": f"0:{n:064x}", "payouts": True, "jettons": [jetton]}
        for n in range(1000)
    ]
    wallet_scene = WalletScene(clock, wallets=wallets)
    wallet_scene.all_healthy()
    view = wallet_scene.watcher.view
    assert as_text(document(view)).count('"asset": "usdt"') == 1000
    with effort(200 * 1000):
        as_text(document(view))
