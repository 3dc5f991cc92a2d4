"""Series that alert rules select exist from the first scrape: `increase` over a series that only
appears with the failure sees no change."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.alerts.unit_tests import selectors
from tests.commands.processes import get
from tests.configs import configured
from tests.shipped import rules
from tonwatch.commands import run as daemon
from tonwatch.simulator.network import Simulator

CONDITIONAL: Final = {
    "tonwatch_local_clock_offset_seconds": "the local clock is wrong",
    "tonwatch_target_sync_eta_seconds": "it is lagging and catches up",
}
"""Gauges that have a value only under a condition."""

NOT_SIMULATED: Final = {
    'tonwatch_wallet_info{wallet_version="highload_v3"}': "no simulated wallet is one",
}

ATTEMPTS: Final = 100
"""Checks, every 0.2 seconds, until all probes have run."""

Sample = tuple[str, dict[str, str]]


def selected() -> Iterator[Any]:
    """What the rules select of tonwatch's own series."""
    for rule in rules():
        for selector in selectors(promql_parser.parse(rule["expr"])):
            if selector.name.startswith("tonwatch_") and ":" not in selector.name:
                yield selector


def excused(selector: Any) -> bool:
    plain = promql_parser.parse(selector.prettify().split("[")[0]).prettify()
    return selector.name in CONDITIONAL or plain in NOT_SIMULATED


def found(selector: Any, samples: list[Sample]) -> bool:
    return any(
        name == selector.name and all(fits(each, labels) for each in selector.matchers.matchers)
        for name, labels in samples
    )


def fits(matcher: Any, labels: dict[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    match str(matcher.op).rpartition(".")[2]:
        case "Equal":
            return value == str(matcher.value)
        case "NotEqual":
            return value != str(matcher.value)
        case "Re":
            return re.fullmatch(matcher.value, value) is not None
        case _:
            return re.fullmatch(matcher.value, value) is None


def of(text: str) -> list[Sample]:
    return [
        (sample.name, dict(sample.labels)) for family in parse(text) for sample in family.samples
    ]


def missing(samples: list[Sample]) -> set[str]:
    return {
        each.prettify() for each in selected() if not excused(each) and not found(each, samples)
    }


MEASURED: Final = re.compile(
    r"tonwatch_(chain_stalled|egress_broken|contract_code_matches|wallet_balance\b"
    r"|wallet_(sent|received|fees|history|backlog|payouts|recent)_\w+"
    r"|target_(usable|latency_seconds|lag_seconds|recent_interruptions|clock_offset_seconds))"
)
"""Values that nobody knows before a target has answered; unknown is absent."""


@pytest.fixture
async def scrapes(tmp_path: Path) -> list[list[Sample]]:
    """The very first scrape, and the first one after all targets have been asked everything."""
    async with Simulator(
        liteservers=2, providers=2, wallets=1, contracts=1, block_interval=0.1, external=("node-2",)
    ) as simulator:
        told = simulator.config() | {
            "probe": {"interval": "500ms", "timeout": "400ms", "wallet_interval": "1s"},
            "serve": {"host": "127.0.0.1", "port": 0},
            "readiness": {"drain_delay": "0s"},
            "state_dir": str(tmp_path / "state"),
        }
        told["providers"][0]["role"] = "primary"
        for target in (*told["liteservers"], *told["providers"]):
            target["local"] = False
        stop, url = asyncio.Event(), asyncio.get_running_loop().create_future()
        running = asyncio.create_task(daemon.run(configured(told), stop, serving=url.set_result))
        address = await url
        scraped = [of((await get(f"{address}/metrics"))[1])]
        for _ in range(ATTEMPTS):
            scraped.append(of((await get(f"{address}/metrics"))[1]))
            if not missing(scraped[-1]):
                break
            await asyncio.sleep(0.2)
        stop.set()
        await running
    return [scraped[0], scraped[-1]]


async def test_every_selector_of_every_rule_finds_something(scrapes: list[list[Sample]]) -> None:
    first, later = scrapes
    assert {each for each in missing(first) if not MEASURED.match(each)} == set()
    assert missing(later) == set()


def test_every_excuse_is_about_a_selector() -> None:
    names = {selector.name for selector in selected()}
    assert set(CONDITIONAL) <= names
    assert {each.partition("{")[0] for each in NOT_SIMULATED} <= names
