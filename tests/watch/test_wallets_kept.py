"""Wallet verdicts reused from the evaluation before equal those judged anew."""

from types import SimpleNamespace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.configs import configured
from tests.watch.wallet_samples import COIN, CONFIG, failure, key, progress, reading, trouble
from tonwatch.runtime.jobs.accounts import watched
from tonwatch.ton.errors import Reason
from tonwatch.watch.store import Store
from tonwatch.watch.wallet_verdicts import WalletStatus, judge_wallets

CONFIGURED = configured(CONFIG)
ACCOUNTS = list(watched(CONFIGURED))
KEYS = [account.key for account in ACCOUNTS]
WINDOW = CONFIGURED.thresholds.payout_window
STALE = CONFIGURED.probe.stale_after + CONFIGURED.probe.wallet_interval

ages = st.sampled_from([0.0, 10.0, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW])
steps = st.one_of(
    st.tuples(st.just("passes"), st.sampled_from([0.5, STALE, STALE + 0.5, WINDOW])),
    st.tuples(st.just("wall is set"), st.sampled_from([-2 * WINDOW, -1.0, 1.0, WINDOW])),
    st.tuples(st.just("reads"), st.sampled_from(KEYS), st.integers(0, 300 * COIN)),
    st.tuples(st.just("fails"), st.sampled_from(KEYS)),
    st.tuples(
        st.just("walks"),
        st.sampled_from(KEYS),
        st.lists(st.tuples(st.sampled_from(["failed", "bounced"]), ages), max_size=3),
    ),
)


class IncrementalJudge:
    """A store, judged after every step with the verdicts before it."""

    def __init__(self) -> None:
        self.clock = SimpleNamespace(wall_time=1_800_000_000.0, monotonic_time=5_000.0)
        self.store = Store([], ACCOUNTS)
        self.wallet_status: WalletStatus | None = None

    def step(self, what: str, *values: Any) -> None:
        match what:
            case "passes":
                self.clock.wall_time += values[0]
                self.clock.monotonic_time += values[0]
            case "wall is set":
                self.clock.wall_time += values[0]
            case "reads":
                self.store.add(reading(self.clock, *values))
            case "fails":
                self.store.add(failure(self.clock, values[0], Reason.QUERY_TIMEOUT))
            case _:
                troubles = [trouble(self.clock, kind, age) for kind, age in values[1]]
                self.store.add(progress(self.clock, values[0], *troubles))

    def judge(self) -> WalletStatus:
        snapshot = self.store.snapshot(
            wall=self.clock.wall_time, monotonic=self.clock.monotonic_time
        )
        self.wallet_status = judge_wallets(snapshot, CONFIGURED, self.wallet_status)
        assert self.wallet_status == judge_wallets(snapshot, CONFIGURED)
        return self.wallet_status


@given(st.lists(steps, max_size=12))
@example([("reads", key(), 0), ("passes", STALE + 0.5)])
@example([("walks", key(), [("failed", 10.0)]), ("passes", WINDOW)])
@example([("walks", key(), [("bounced", WINDOW + 1)]), ("wall is set", -2 * WINDOW)])
def test_verdicts_equal_those_judged_anew(events: list[tuple[Any, ...]]) -> None:
    incremental = IncrementalJudge()
    incremental.judge()
    for event in events:
        incremental.step(*event)
        incremental.judge()


def test_a_verdict_without_new_samples_is_reused() -> None:
    """A thousand wallets are judged twice a second."""
    incremental = IncrementalJudge()
    incremental.step("reads", key(), 300 * COIN)
    incremental.step("reads", key("spare"), 300 * COIN)
    first = incremental.judge().wallets
    incremental.step("passes", 0.5)
    incremental.step("reads", key("spare"), 300 * COIN)
    second = incremental.judge().wallets
    assert second["payouts"] is first["payouts"]
    assert second["spare"] is not first["spare"]
