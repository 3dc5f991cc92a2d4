"""No time or number from a peer, a file or a clock breaks /health or /metrics."""

import json
from typing import Any, Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import Clock
from tests.serve.rendering import render
from tests.serve.scene import NODE, PROVIDER, PUBLIC
from tests.serve.scraping import scrape
from tests.serve.wallet_scene import WalletScene
from tonwatch.samples.payouts import OTHER_CODE, Totals, Trouble, TroubleKind
from tonwatch.samples.sample import Head, Probe
from tonwatch.serve.health.document import as_text, document
from tonwatch.serve.text import date, time_of_day
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason
from tonwatch.ton.networks import ZEROSTATES
from tonwatch.watch.sentences import rfc3339

ROOT_HASH: Final = bytes(range(32))
END_OF_TIME: Final = 253_402_300_800
"""The first second of the year 10000."""

EXTREMES: Final = (
    *(0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**120, 10**30),
    *(-(2**31), -(2**63), -(10**30), END_OF_TIME - 1, END_OF_TIME, -62_135_596_801, 10**60),
)
NUMBERS: Final = st.sampled_from(EXTREMES)
COUNTS: Final = st.sampled_from([number for number in EXTREMES if number >= 0])


@pytest.mark.parametrize("wall", [END_OF_TIME, -62_135_596_801, 2**63, 10**60, -(2**63), 1e300])
def test_a_time_out_of_the_calendars_range(wall: float) -> None:
    assert rfc3339(wall) is None
    assert (date(wall), time_of_day(wall)) == ("–", "–")


@pytest.mark.parametrize(
    ("wall", "shown"),
    [(0, "1970-01-01T00:00:00Z"), (END_OF_TIME - 1, "9999-12-31T23:59:59Z")],
)
def test_the_first_and_the_last_second(wall: int, shown: str) -> None:
    assert rfc3339(wall) == shown
    assert f"{date(wall)}T{time_of_day(wall)}Z" == shown


@st.composite
def all_totals(draw: st.DrawFn) -> Totals:
    """Any totals that a file or a contract may lead to."""
    sums = (
        "sent_amount",
        "received_amount",
        "bounced_amount",
        "fees_amount",
        "sent_messages",
        "skipped_messages",
        "bounced_messages",
        "history_gaps",
    )
    troubles = st.builds(
        Trouble,
        NUMBERS,
        st.sampled_from(TroubleKind),
        st.just("action"),
        st.sampled_from([None, 0, -(2**31), OTHER_CODE]),
        NUMBERS,
    )
    return Totals(
        **{name: draw(COUNTS) for name in sums},
        in_flight_amount=draw(NUMBERS),
        failed_transactions={("compute", draw(st.sampled_from([-14, OTHER_CODE]))): draw(COUNTS)},
        compute_skipped={"no_gas": draw(COUNTS)},
        recent=tuple(draw(st.lists(troubles, max_size=3))),
        last_time=draw(NUMBERS | st.none()),
        last_gap=draw(NUMBERS | st.none()),
    )


@settings(max_examples=25, phases=[Phase.generate])
@given(data=st.data())
def test_any_values_are_shown(data: st.DataObject) -> None:
    clock = Clock()
    if data.draw(st.booleans(), "the local clock is wrong"):
        clock.wall_time = float(data.draw(NUMBERS.filter(lambda number: abs(number) < 2**70)))
    wallet_scene = WalletScene(clock)

    def some(strategy: st.SearchStrategy[int], **usual: Any) -> dict[str, Any]:
        """Some of the fields with another value."""
        changed = data.draw(st.sets(st.sampled_from(sorted(usual))))
        return {name: data.draw(strategy, name) for name in changed}

    def round_of_probes() -> None:
        for target in (NODE, PUBLIC, PROVIDER):
            fields = some(NUMBERS, seqno=0, gen_utime=0, shard_client_seqno=0, known_seqno=0)
            fields |= some(NUMBERS, version=0)
            fields |= {name: float(n) for name, n in some(NUMBERS, clock_offset=0).items()}
            usual: dict[str, Any] = {
                "seqno": 5,
                "root_hash": ROOT_HASH,
                "zerostate": ZEROSTATES["mainnet"],
            }
            wallet_scene.put(target, Probe.HEAD, {"query": 0.001}, head=Head(**(usual | fields)))
        wallet_scene.fail(PUBLIC, Reason.BAD_ANSWER, "?", Probe.FORK)
        wallet_scene.all_read()
        for asset in ("native", "usdt"):
            fields = some(COUNTS, amount=0, block=0, seqno=0)
            fields |= some(NUMBERS, time=0, last_clean=0)
            last = TransactionId(data.draw(COUNTS), b"\xff" * 32)
            wallet_scene.read("hot", asset, kind=WalletKind.HIGHLOAD_V3, last=last, **fields)
            more = some(NUMBERS, since=0) | some(COUNTS, opening=0, backlog=0)
            cursor = TransactionId(data.draw(COUNTS), bytes(32))
            wallet_scene.count_payouts("hot", asset, data.draw(all_totals()), cursor=cursor, **more)
        wallet_scene.read("vault", "", **some(NUMBERS, time=0))

    wallet_scene.ticks(2, round_of_probes)
    view = wallet_scene.watcher.view
    assert json.loads(as_text(document(view)))["targets"]
    assert "hot" in render(wallet_scene)
    assert scrape(wallet_scene).values("tonwatch_wallet_sent_amount_total", wallet="hot")
