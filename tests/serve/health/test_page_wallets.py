"""The page's tables of wallets and contracts: which rows there are, and what they contain."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Clock
from tests.serve.rendering import described, render, text_of
from tests.serve.scene import Scene
from tests.serve.wallet_scene import HOT, MASTER, WalletScene
from tonwatch.samples.sample import Probe
from tonwatch.serve.health import page, wallet_rows
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason
from tonwatch.watch.view import View

HOSTILE = "<script>alert(1)</script>\"'& </table>"


@pytest.fixture
def wallet_scene(clock: Clock) -> WalletScene:
    return WalletScene(clock)


def rows(wallet_scene: WalletScene) -> wallet_rows.AccountRows:
    wallet_scene.watcher.evaluate()
    shown: wallet_rows.AccountRows = page.context(wallet_scene.watcher.view, alive=True)["accounts"]
    return shown


def words(wallet_scene: WalletScene) -> str:
    """The visible text from the wallets to the next section."""
    wallet_scene.watcher.evaluate()
    return text_of(render(wallet_scene)).split(" Wallets ")[1].split(" History ")[0]


def test_all_is_well(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    text = words(wallet_scene)
    assert (
        "hot EQAR…EeYT v4r2, seqno 4711 ok"
        " native 1,234.5 TON minimum 250 TON proven 3.0 s old, node 200 1.23456789 TON 0 0 0"
        " usdt 5,000.25 usdt minimum 1,000.5 usdt proven 3.0 s old, node"
        " 200 1,234.56789 usdt 0 0 0"
    ) in text
    assert re.search(
        r"cold EQAi…Ip3C v4r2, seqno 4711 ok native 1,234.5 TON proven \S+ s old", text
    )
    assert re.search(r"Contracts .*vault EQBV…VUMv as expected active c0c0…c0c0 proven", text)


def test_the_coin_has_its_configured_name(clock: Clock) -> None:
    scene = WalletScene(clock, coin="Gram")
    scene.all_healthy()
    text = words(scene)
    assert "native 1,234.5 Gram minimum 250 Gram proven" in text
    assert "200 1.23456789 Gram 0 0 0 usdt 5,000.25 usdt minimum" in text
    assert "TON" not in text


def test_addresses_are_short_and_whole_on_request(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    assert f'<code title="{HOT.friendly()}">EQAR…EeYT</code>' in render(wallet_scene)


def test_without_wallets_there_is_no_table(scene: Scene) -> None:
    scene.healthy()
    text = text_of(render(scene))
    assert "Wallets" not in text
    assert "Contracts" not in text
    assert "writes" not in text


def test_without_payouts_there_are_no_columns_of_them(clock: Clock) -> None:
    wallet_scene = WalletScene(clock, wallets=[{"name": "cold", "address": str(HOT)}])
    wallet_scene.all_healthy()
    assert "Bounced" not in words(wallet_scene)


def test_payouts_that_are_not_counted_yet(wallet_scene: WalletScene) -> None:
    wallet_scene.all_answer()
    wallet_scene.read("hot")
    assert "not counted yet" in words(wallet_scene)


Situation = Callable[[WalletScene], object]


@pytest.mark.parametrize(
    ("situation", "level", "word"),
    [
        pytest.param(WalletScene.all_read, "ok", "ok", id="well"),
        pytest.param(lambda t: t.read("hot", amount=1), "bad", "low", id="low"),
        pytest.param(lambda t: t.read("hot", "usdt", amount=1), "bad", "low", id="low in usdt"),
        pytest.param(
            lambda t: t.read("hot", status=AccountStatus.FROZEN), "bad", "frozen", id="frozen"
        ),
        pytest.param(
            lambda t: t.read("hot", status=AccountStatus.FROZEN, amount=1),
            "bad",
            "frozen",
            id="frozen and low",
        ),
        pytest.param(
            lambda t: t.count_payouts("hot", totals=t.failed(1)),
            "bad",
            "payouts failing",
            id="failing",
        ),
        pytest.param(
            lambda t: t.count_payouts("hot", "usdt", totals=t.bounced(3)),
            "warn",
            "payouts bouncing",
            id="bouncing",
        ),
        pytest.param(
            lambda t: t.count_payouts("hot", backlog=500),
            "warn",
            "payouts backlog",
            id="payouts backlog",
        ),
    ],
)
def test_a_wallets_state_is_the_worst_one(
    wallet_scene: WalletScene, situation: Situation, level: str, word: str
) -> None:
    wallet_scene.all_healthy()
    situation(wallet_scene)
    row = next(row for row in rows(wallet_scene).wallets if row.name == "hot")
    assert (row.level, row.label) == (level, word)
    assert f'<tbody role="rowgroup" class="{level}">' in render(wallet_scene)


def test_an_unreadable_balance_is_unread(wallet_scene: WalletScene) -> None:
    def tick() -> None:
        wallet_scene.all_answer()
        wallet_scene.read_failing("hot", detail="silence")

    wallet_scene.ticks(2, tick)
    hot, cold = rows(wallet_scene).wallets
    assert (hot.label, cold.label) == ("read failing", "not known")
    assert "The native of wallet hot cannot be read" in text_of(render(wallet_scene))
    assert words(wallet_scene).startswith("Wallet State Asset Balance Proof Sent")


def test_a_stale_balance_is_unknown(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    wallet_scene.ticks(10, wallet_scene.all_answer)
    assert {row.label for row in rows(wallet_scene).wallets} == {"not known"}
    assert rows(wallet_scene).contracts[0].label == "not known"
    assert re.search(
        r"native – not known minimum 250 TON – not known 200 1.23456789 TON", words(wallet_scene)
    )


@pytest.mark.parametrize(
    ("reading", "shown"),
    [
        pytest.param({"proven": False, "source": "toncenter"}, "not proven", id="unproven"),
        pytest.param({"time": None}, "proven node", id="no block time"),
        pytest.param(
            {"status": AccountStatus.UNINITIALIZED, "kind": None},
            "native uninitialized",
            id="state",
        ),
        pytest.param(
            {"kind": WalletKind.UNKNOWN, "seqno": None},
            "EQAR…EeYT unknown code: its seqno cannot be read, nor can it take a write probe",
            id="unknown code",
        ),
        pytest.param(
            {"kind": WalletKind.VESTING, "locked": 1_500_000_000},
            "vesting, seqno 4711, 1.5 TON locked",
            id="locked",
        ),
        pytest.param(
            {"kind": WalletKind.MULTISIG_V1, "seqno": None, "signers": 3, "threshold": 2},
            "multisig_v1, 2 of 3 signers",
            id="multisig",
        ),
        pytest.param({"amount": 10**27 + 1}, "1,000,000,000,000,000,000.000000001 TON", id="exact"),
        pytest.param({"amount": 0}, "native 0 TON below minimum 250 TON", id="nothing left"),
    ],
)
def test_a_row(wallet_scene: WalletScene, reading: dict[str, Any], shown: str) -> None:
    wallet_scene.all_healthy()
    wallet_scene.read("hot", **reading)
    assert shown in words(wallet_scene)


@pytest.mark.parametrize(("claimed", "is_said"), [(None, False), (True, False), (False, True)])
def test_an_airdrop(wallet_scene: WalletScene, claimed: bool | None, is_said: bool) -> None:
    wallet_scene.all_healthy()
    wallet_scene.read("hot", "usdt", claimed=claimed)
    said = "usdt mintless: what is not claimed yet is not in the balance"
    assert (said in words(wallet_scene)) is is_said


def test_an_extra_currency(clock: Clock) -> None:
    echidna = {"name": "echidna", "id": 100, "decimals": 9, "minimum": 2}
    wallets = [{"name": "hot", "address": HOT.friendly(), "extra_currencies": [echidna]}]
    scene = WalletScene(clock, wallets=wallets, contracts=[])
    scene.all_healthy()
    scene.read("hot", "echidna", amount=1_500_000_000)
    scene.watcher.evaluate()
    said = "echidna extra currency 100: payouts of it are not counted 1.5 echidna"
    assert f"{said} below minimum 2 echidna" in words(scene)
    hot = described(scene)["wallets"][0]
    assert [asset["currency"] for asset in hot["assets"]] == [None, 100]
    assert hot["assets"][1]["payouts"] is None


def test_trouble_is_counted_within_the_window(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    wallet_scene.count_payouts("hot", totals=wallet_scene.failed(2))
    wallet_scene.count_payouts("hot", "usdt", totals=wallet_scene.failed(2, ago=601))
    native, usdt = rows(wallet_scene).wallets[0].assets
    assert (native.failed, native.bounced) == ("2", "0")
    assert usdt.failed == "0"


def test_more_trouble_than_is_kept(wallet_scene: WalletScene) -> None:
    wallet_scene.all_healthy()
    wallet_scene.count_payouts("hot", totals=wallet_scene.failed(32))
    native = rows(wallet_scene).wallets[0].assets[0]
    assert (native.failed, native.bounced) == ("32+", "0")


@pytest.mark.parametrize(
    ("code_hash", "shown"),
    [(b"\x01" * 32, "changed active 0101…0101 expected c0c0…c0c0"), (None, "changed active – ")],
)
def test_a_changed_contract(wallet_scene: WalletScene, code_hash: bytes | None, shown: str) -> None:
    wallet_scene.all_healthy()
    wallet_scene.read("vault", "", code_hash=code_hash)
    assert shown in words(wallet_scene)


def test_a_contract_that_cannot_be_read(wallet_scene: WalletScene) -> None:
    wallet_scene.all_answer()
    wallet_scene.read_failing("vault", "", Reason.BAD_ANSWER, "cut short")
    [row] = rows(wallet_scene).contracts
    assert (row.level, row.label, row.code) == ("warn", "read failing", None)
    assert "node: bad_answer: cut short" in words(wallet_scene)


def test_a_peers_text_is_escaped(wallet_scene: WalletScene) -> None:
    wallet_scene.all_answer()
    wallet_scene.read_failing("vault", "", Reason.SERVER_ERROR, HOSTILE)
    wallet_scene.read_failing("hot", "usdt", Reason.SERVER_ERROR, HOSTILE)
    wallet_scene.watcher.evaluate()
    html = render(wallet_scene)
    assert "<script" not in html
    assert html.count("</table>") == html.count("<table ")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def arriving(wallet_scene: WalletScene) -> View:
    return wallet_scene.all_healthy()


def failing(wallet_scene: WalletScene) -> View:
    wallet_scene.all_healthy()
    wallet_scene.fail(wallet_scene.targets[0], Reason.MESSAGE_REJECTED, "no", Probe.WRITE)
    return wallet_scene.watcher.evaluate()


def silent(wallet_scene: WalletScene) -> View:
    wallet_scene.all_healthy()
    return wallet_scene.ticks(31, wallet_scene.all_answer)


@pytest.mark.parametrize(
    ("situation", "shown"),
    [
        pytest.param(arriving, "messages accepted", id="arriving"),
        pytest.param(failing, "messages failing", id="failing"),
        pytest.param(silent, "messages unknown", id="too old"),
    ],
)
def test_the_write_path_is_shown_with_its_target(
    wallet_scene: WalletScene, situation: Callable[[WalletScene], View], shown: str
) -> None:
    situation(wallet_scene)
    first = text_of(render(wallet_scene)).split("Answered node primary")[1].split("public-1")[0]
    assert shown in first


@pytest.mark.parametrize("state", ["write_broken", "proof_invalid", "disproved"])
def test_false_claims_and_lost_messages_are_bad(wallet_scene: WalletScene, state: str) -> None:
    wallet_scene.all_healthy()
    reason = {"disproved": Reason.DISPROVED, "proof_invalid": Reason.PROOF_INVALID}
    probe = Probe.WRITE if state == "write_broken" else Probe.COMPARE
    target = wallet_scene.targets[2] if state == "disproved" else wallet_scene.targets[0]
    wallet_scene.fail(target, reason.get(state, Reason.MESSAGE_REJECTED), "no", probe)
    verdict = wallet_scene.watcher.evaluate().judgement.verdicts[target.name]
    assert (verdict.state, page.level(verdict)) == (state, "bad")


@pytest.fixture
def crowd(clock: Clock) -> WalletScene:
    """A thousand wallets."""
    jetton = {"name": "usdt", "master": MASTER.friendly(), "decimals": 6}
    wallets = [
        {"name": f"w-{n}", "address": f"0:{n:064x}", "minimum": 1, "jettons": [jetton]}
        for n in range(1000)
    ]
    wallet_scene = WalletScene(clock, wallets=wallets)
    wallet_scene.all_healthy()
    return wallet_scene


def test_of_many_wallets_those_in_trouble_come_first(crowd: WalletScene) -> None:
    crowd.read("w-900", amount=1)
    crowd.read("w-800", amount=1)
    shown = rows(crowd)
    names = [row.name for row in shown.wallets]
    assert names == ["w-800", "w-900", *(f"w-{number}" for number in range(50))]
    assert "And 948 more without problems." in words(crowd)


def test_when_all_are_in_trouble_the_page_stays_small(crowd: WalletScene) -> None:
    for number in range(1000):
        crowd.read(f"w-{number}", amount=1)
    text = words(crowd)
    assert "And 800 more with problems: see the JSON" in text
    assert "without problems" not in text
    html = render(crowd)
    assert "995 more wallets have the same problem: w-5, w-6" in text_of(html)
    assert len(html) < 700_000
