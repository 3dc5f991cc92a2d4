"""Many payouts: tonwatch counts exactly what the simulator's wallets paid, to the unit.

Hundreds of payouts in coins and jettons, some fail, some bounce, and tonwatch is restarted
and killed meanwhile.
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands.processes import get, serving, started
from tonwatch.simulator.contracts.expected_totals import ExpectedTotals
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator

WALLETS = ("hot", "warm")
PAYOUTS = 60
"""In each asset of each wallet in each of four parts of the day."""

COIN, DOLLAR = 10**9, 10**6

AllTotals = dict[str, dict[str, ExpectedTotals]]


class Day:
    """The simulated network, and the daemon that watches it at times."""

    def __init__(self, simulator: Simulator, config: str) -> None:
        self.simulator = simulator
        self._config = config
        self._number = 0

    @asynccontextmanager
    async def watching(self, ending: signal.Signals) -> AsyncIterator[str]:
        """The daemon's URL; on exit it gets that signal."""
        async with started("run", "--config", self._config) as process:
            url = await serving(process)
            # Its log must be read, or it would wait for a reader.
            assert process.stderr is not None
            log = asyncio.create_task(process.stderr.read())
            yield url
            process.send_signal(ending)
            assert await process.wait() == (-ending if ending is signal.SIGKILL else 0)
            await log

    def pay(self) -> None:
        """Queue a part of the day's payouts, each of another amount."""
        for wallet in WALLETS:
            for _ in range(PAYOUTS):
                self._number += 1
                self.simulator.world.pay(wallet, COIN // 100 + self._number)
                self.simulator.world.pay(wallet, 2 * DOLLAR + self._number, "usdt")

    async def until_paid(self, left: int) -> None:
        """Wait until at most so many payouts are still to be made by each wallet."""
        wallets = self.simulator.world.wallets
        while any(len(wallet.queue) > left for wallet in wallets):
            await asyncio.sleep(0.05)

    @property
    def expected_totals(self) -> AllTotals:
        return deepcopy(self.simulator.world.expected_totals)


@pytest.fixture
async def day(tmp_path: Path) -> AsyncIterator[Day]:
    async with Simulator(wallets=WALLETS, block_interval=0.05, backfill=10.0) as simulator:
        settings = {
            "state_dir": str(tmp_path / "state"),
            "probe": {
                "interval": "500ms",
                "timeout": "400ms",
                "stale_after": "3s",
                "wallet_interval": "1s",
            },
            "serve": {"host": "127.0.0.1", "port": 0},
            "readiness": {"drain_delay": "0s"},
            "log": {"format": "json"},
        }
        file = tmp_path / "tonwatch.yaml"
        file.write_text(yaml.safe_dump(simulator.config() | settings))
        yield Day(simulator, str(file))


async def counted(url: str) -> dict[str, dict[str, Any]]:
    """What /health says of the payouts of each wallet in each asset."""
    _, text = await get(f"{url}/health?format=json")
    return {
        wallet["name"]: {asset["asset"]: asset["payouts"] for asset in wallet["assets"]}
        for wallet in json.loads(text)["wallets"]
    }


async def until(url: str, holds: Callable[[dict[str, dict[str, Any]]], bool]) -> None:
    while not holds(await counted(url)):
        await asyncio.sleep(0.2)


def all_counting(reported: dict[str, dict[str, Any]]) -> bool:
    return all(payouts for assets in reported.values() for payouts in assets.values())


def difference(now: AllTotals, then: AllTotals) -> dict[str, dict[str, Any]]:
    """What the wallets paid since `then`, as /health writes it."""
    result: dict[str, dict[str, Any]] = {}
    for wallet, assets in now.items():
        result[wallet] = {}
        for asset, totals in assets.items():
            before = then[wallet][asset]
            amounts = ("sent_amount", "received_amount", "bounced_amount", "fees_amount")
            counts = ("sent_messages", "skipped_messages", "bounced_messages", "transactions")
            result[wallet][asset] = {
                **{name: str(getattr(totals, name) - getattr(before, name)) for name in amounts},
                **{name: getattr(totals, name) - getattr(before, name) for name in counts},
                "failed_transactions": {
                    f"{phase} {code}": count
                    for (phase, code), count in (
                        totals.failed_transactions - before.failed_transactions
                    ).items()
                },
                "compute_skipped": dict(totals.compute_skipped - before.compute_skipped),
                "history_gaps": 0,
            }
    return result


def compared_fields(reported: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    names = (
        *("sent_amount", "received_amount", "bounced_amount", "fees_amount"),
        *(
            "sent_messages",
            "skipped_messages",
            "bounced_messages",
            "transactions",
            "compute_skipped",
            "history_gaps",
        ),
    )
    return {
        wallet: {
            asset: {
                **{name: payouts[name] for name in names},
                "failed_transactions": {
                    f"{each['phase']} {each['code']}": each["count"]
                    for each in payouts["failed_transactions"]
                },
            }
            for asset, payouts in assets.items()
        }
        for wallet, assets in reported.items()
    }


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_totals_agree_to_the_unit(day: Day) -> None:
    simulator = day.simulator
    async with day.watching(signal.SIGKILL) as url:
        await until(url, all_counting)
        opening = day.expected_totals
        day.pay()
        await day.until_paid(left=PAYOUTS)  # then the daemon is killed, with payouts in progress
    day.pay()
    await simulator.set_fault("hot", Fault.BOUNCE_PAYOUTS)
    async with day.watching(signal.SIGTERM) as url:
        await until(url, all_counting)
        await day.until_paid(left=PAYOUTS)
        await simulator.clear()
        await simulator.set_fault("warm", Fault.FAILING_PAYOUTS)
        day.pay()
        await day.until_paid(left=PAYOUTS)
    await day.until_paid(left=0)  # more than a page of transactions while tonwatch is down
    await simulator.clear()
    day.pay()
    async with day.watching(signal.SIGTERM) as url:
        await day.until_paid(left=0)
        expected: dict[str, dict[str, Any]] = {}

        def agrees(reported: dict[str, dict[str, Any]]) -> bool:
            nonlocal expected
            expected = difference(day.expected_totals, opening)
            return all_counting(reported) and compared_fields(reported) == expected

        try:
            async with asyncio.timeout(30):
                await until(url, agrees)
        except TimeoutError:
            assert compared_fields(await counted(url)) == expected
    paid = [sums["native"]["sent_messages"] for sums in expected.values()]
    assert paid[0] == 4 * PAYOUTS
    assert 0 < paid[1] < 4 * PAYOUTS
    assert expected["warm"]["native"]["failed_transactions"]["action 37"] > 0
    assert expected["hot"]["native"]["bounced_messages"] > 0
    assert int(expected["hot"]["usdt"]["bounced_amount"]) > 0
