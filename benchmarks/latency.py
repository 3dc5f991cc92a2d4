"""Latency that a client adds: single queries on an idle connection."""

import asyncio
import random
import time
from typing import Final

from pytoniq.liteclient.client import LiteClient as PytoniqClient

from benchmarks import clients
from benchmarks.report import Goal, milliseconds, percentile, table
from benchmarks.server import running

_QUERIES: Final = 300
_PAUSE: Final = (0.008, 0.028)
"""Seconds between two queries, at random: a fixed pause would hit or miss a poll each time."""


async def measure() -> tuple[str, list[Goal]]:
    """Query in turn with each client; returns the table and the goals."""
    latencies: dict[str, list[float]] = {
        "raw blocking socket": [],
        "tonwatch": [],
        "pytoniq": [],
        "pytoniq, waiting for a block": [],
    }
    rng = random.Random(1)
    with running() as server:
        raw = clients.RawSocket(server.port)
        ours = await clients.tonwatch(server.port)
        theirs = await clients.pytoniq(server.port)
        waiting = await clients.pytoniq(server.holding_port)
        await asyncio.sleep(0.5)
        server.spent()

        async def by_pytoniq(client: PytoniqClient) -> float:
            began = time.perf_counter()
            await client.get_masterchain_info_ext()
            return time.perf_counter() - began

        for _ in range(_QUERIES):
            await asyncio.sleep(rng.uniform(*_PAUSE))
            latencies["raw blocking socket"].append(raw.ask())
            await asyncio.sleep(rng.uniform(*_PAUSE))
            latencies["tonwatch"].append((await ours.masterchain_info_ext(0, 5)).elapsed)
            await asyncio.sleep(rng.uniform(*_PAUSE))
            latencies["pytoniq"].append(await by_pytoniq(theirs))
            await asyncio.sleep(rng.uniform(*_PAUSE))
            latencies["pytoniq, waiting for a block"].append(await by_pytoniq(waiting))
        own = percentile(server.spent(), 50)
        raw.close()
        await ours.connection.close()
        await theirs.close()
        await waiting.close()
    added = {
        name: [percentile(values, percent) - own for percent in (50, 99)]
        for name, values in latencies.items()
    }
    rows = [["client", "p50", "p99", "p50 added", "p99 added", "tonwatch adds less by"]]
    for name, values in latencies.items():
        rows.append(
            [
                name,
                *(milliseconds(percentile(values, percent)) for percent in (50, 99)),
                *(milliseconds(seconds) for seconds in added[name]),
                f"{added[name][0] / added['tonwatch'][0]:.1f}x",
            ]
        )
    ratio = added["pytoniq"][0] / added["tonwatch"][0]
    p99 = added["tonwatch"][1]
    text = (
        f"Latency of one getMasterchainInfoExt on an idle connection, {_QUERIES} by each client\n"
        f"in turn. Added: above the {milliseconds(own)} that the server itself takes (median).\n"
        "pytoniq polls for answers every 20 ms, but reads at once while another query is pending,\n"
        "as it is while its background task waits for the next block.\n" + table(rows)
    )
    return text, [
        Goal("added latency, p50, against pytoniq", "20x less", f"{ratio:.1f}x less", ratio >= 20),
        Goal("added latency, p99", "< 1 ms", milliseconds(p99), p99 < 0.001),
    ]
