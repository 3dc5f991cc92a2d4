"""The page's tables of wallets and contracts: which rows there are, and what stands in them."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Clock
from tests.serve.shown import render, text_of
from tests.serve.stage import Stage
from tests.serve.wallet_stage import HOT, MASTER, Till
from tonwatch.samples.sample import Probe
from tonwatch.serve.health import page, wallet_rows
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.errors import Reason
from tonwatch.watch.view import View

HOSTILE = "<script>alert(1)</script>\"'& </table>"


@pytest.fixture
def till(clock: Clock) -> Till:
    return Till(clock)


def rows(till: Till) -> wallet_rows.AccountRows:
    till.watcher.look()
    shown: wallet_rows.AccountRows = page.context(till.watcher.view, alive=True)["accounts"]
    return shown


def words(till: Till) -> str:
    """What a reader reads from the wallets to the next section."""
    till.watcher.look()
    return text_of(render(till)).split(" Wallets ")[1].split(" History ")[0]


def test_all_is_well(till: Till) -> None:
    till.settled()
    text = words(till)
    assert (
        "hot EQAR…EeYT v4r2, seqno 4711 ok"
        " native 1,234.5 minimum 250 proven 3.0 s old, node 200 1.23456789 0 0 0"
        " usdt 5,000.25 minimum 1,000.5 proven 3.0 s old, node 200 1,234.56789 0 0 0"
    ) in text
    assert re.search(r"cold EQAi…Ip3C v4r2, seqno 4711 ok native 1,234.5 proven \S+ s old", text)
    assert re.search(r"Contracts .*vault EQBV…VUMv as expected active c0c0…c0c0 proven", text)


def test_addresses_are_short_and_whole_on_request(till: Till) -> None:
    till.settled()
    assert f'<code title="{HOT.friendly()}">EQAR…EeYT</code>' in render(till)


def test_without_wallets_there_is_no_table(stage: Stage) -> None:
    stage.healthy()
    text = text_of(render(stage))
    assert "Wallets" not in text
    assert "Contracts" not in text
    assert "writes" not in text


def test_without_payouts_there_are_no_columns_of_them(clock: Clock) -> None:
    till = Till(clock, wallets=[{"name": "cold", "address": str(HOT)}])
    till.settled()
    assert "Came back" not in words(till)


def test_payouts_that_are_not_counted_yet(till: Till) -> None:
    till.answers()
    till.read("hot")
    assert "not counted yet" in words(till)


Happens = Callable[[Till], object]


@pytest.mark.parametrize(
    ("happens", "level", "word"),
    [
        pytest.param(Till.all_read, "ok", "ok", id="well"),
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
            lambda t: t.walk("hot", totals=t.failed(1)), "bad", "payouts failing", id="failing"
        ),
        pytest.param(
            lambda t: t.walk("hot", "usdt", totals=t.bounced(3)),
            "warn",
            "payouts bouncing",
            id="bouncing",
        ),
        pytest.param(
            lambda t: t.walk("hot", backlog=500), "warn", "counting lags", id="counting lags"
        ),
    ],
)
def test_a_wallet_is_named_for_the_worst(
    till: Till, happens: Happens, level: str, word: str
) -> None:
    till.settled()
    happens(till)
    row = next(row for row in rows(till).wallets if row.name == "hot")
    assert (row.level, row.word) == (level, word)
    assert f'<tbody role="rowgroup" class="{level}">' in render(till)


def test_what_cannot_be_read_is_unread(till: Till) -> None:
    def tick() -> None:
        till.answers()
        till.read_failing("hot", words="silence")

    till.ticks(2, tick)
    hot, cold = rows(till).wallets
    assert (hot.word, cold.word) == ("read failing", "not known")
    assert "The native of wallet hot cannot be read" in text_of(render(till))
    assert words(till).startswith("Wallet State Asset Balance Proof Sent")


def test_what_is_too_old_is_not_known(till: Till) -> None:
    till.settled()
    till.ticks(10, till.answers)
    assert {row.word for row in rows(till).wallets} == {"not known"}
    assert rows(till).contracts[0].word == "not known"
    assert re.search(r"native – not known minimum 250 – not known 200 1.23456789", words(till))


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        pytest.param({"proven": False, "source": "toncenter"}, "not proven", id="a word"),
        pytest.param({"time": None}, "proven node", id="no time told"),
        pytest.param(
            {"status": AccountStatus.UNINITIALIZED, "kind": None},
            "native uninitialized",
            id="state",
        ),
        pytest.param({"amount": 10**27 + 1}, "1,000,000,000,000,000,000.000000001", id="exact"),
        pytest.param({"amount": 0}, "native 0 below minimum 250", id="nothing left"),
    ],
)
def test_what_a_row_says(till: Till, told: dict[str, Any], shown: str) -> None:
    till.settled()
    till.read("hot", **told)
    assert shown in words(till)


def test_trouble_is_counted_within_the_window(till: Till) -> None:
    till.settled()
    till.walk("hot", totals=till.failed(2))
    till.walk("hot", "usdt", totals=till.failed(2, ago=601))
    native, usdt = rows(till).wallets[0].assets
    assert (native.failed, native.returned) == ("2", "0")
    assert usdt.failed == "0"


def test_more_trouble_than_is_remembered(till: Till) -> None:
    till.settled()
    till.walk("hot", totals=till.failed(32))
    native = rows(till).wallets[0].assets[0]
    assert (native.failed, native.returned) == ("32+", "0")


@pytest.mark.parametrize(
    ("code_hash", "shown"),
    [(b"\x01" * 32, "changed active 0101…0101 expected c0c0…c0c0"), (None, "changed active – ")],
)
def test_a_changed_contract(till: Till, code_hash: bytes | None, shown: str) -> None:
    till.settled()
    till.read("vault", "", code_hash=code_hash)
    assert shown in words(till)


def test_a_contract_that_cannot_be_read(till: Till) -> None:
    till.answers()
    till.read_failing("vault", "", Reason.BAD_ANSWER, "cut short")
    [row] = rows(till).contracts
    assert (row.level, row.word, row.code) == ("warn", "read failing", None)
    assert "node: bad_answer: cut short" in words(till)


def test_a_peers_words_stay_words(till: Till) -> None:
    till.answers()
    till.read_failing("vault", "", Reason.SERVER_ERROR, HOSTILE)
    till.read_failing("hot", "usdt", Reason.SERVER_ERROR, HOSTILE)
    till.watcher.look()
    html = render(till)
    assert "<script" not in html
    assert html.count("</table>") == html.count("<table ")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def arriving(till: Till) -> View:
    return till.settled()


def failing(till: Till) -> View:
    till.settled()
    till.fail(till.targets[0], Reason.MESSAGE_REJECTED, "no", Probe.WRITE)
    return till.watcher.look()


def silent(till: Till) -> View:
    till.settled()
    return till.ticks(31, till.answers)


@pytest.mark.parametrize(
    ("happens", "shown"),
    [
        pytest.param(arriving, "messages accepted", id="arriving"),
        pytest.param(failing, "messages failing", id="failing"),
        pytest.param(silent, "messages unknown", id="too old"),
    ],
)
def test_the_write_path_stands_with_its_target(
    till: Till, happens: Callable[[Till], View], shown: str
) -> None:
    happens(till)
    first = text_of(render(till)).split("Answered node primary")[1].split("public-1")[0]
    assert shown in first


@pytest.mark.parametrize("state", ["write_broken", "proof_invalid", "disproved"])
def test_untruths_and_lost_messages_look_bad(till: Till, state: str) -> None:
    till.settled()
    reason = {"disproved": Reason.DISPROVED, "proof_invalid": Reason.PROOF_INVALID}
    probe = Probe.WRITE if state == "write_broken" else Probe.COMPARE
    target = till.targets[2] if state == "disproved" else till.targets[0]
    till.fail(target, reason.get(state, Reason.MESSAGE_REJECTED), "no", probe)
    verdict = till.watcher.look().judgement.verdicts[target.name]
    assert (verdict.state, page.level(verdict)) == (state, "bad")


@pytest.fixture
def crowd(clock: Clock) -> Till:
    """A thousand wallets."""
    jetton = {"name": "usdt", "master": MASTER.friendly(), "decimals": 6}
    wallets = [
        {"name": f"w-{n}", "address": f"0:{n:064x}", "minimum": 1, "jettons": [jetton]}
        for n in range(1000)
    ]
    till = Till(clock, wallets=wallets)
    till.settled()
    return till


def test_of_many_wallets_those_in_trouble_come_first(crowd: Till) -> None:
    crowd.read("w-900", amount=1)
    crowd.read("w-800", amount=1)
    shown = rows(crowd)
    names = [row.name for row in shown.wallets]
    assert names == ["w-800", "w-900", *(f"w-{number}" for number in range(50))]
    assert "And 948 more, all well." in words(crowd)


def test_when_all_are_in_trouble_the_page_stays_small(crowd: Till) -> None:
    for number in range(1000):
        crowd.read(f"w-{number}", amount=1)
    text = words(crowd)
    assert "And 800 more that are not well: see the JSON" in text
    assert "all well" not in text
    html = render(crowd)
    assert "995 more wallets are in the same trouble: w-5, w-6" in text_of(html)
    assert len(html) < 700_000
