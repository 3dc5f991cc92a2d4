"""Queries per second on one connection with many in flight."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Final

from benchmarks import clients
from benchmarks.report import Goal, table
from benchmarks.server import running

_QUERIES: Final = 20_000
_ROUNDS: Final = 5
_IN_FLIGHT: Final = 200


async def _rate(query: Callable[[], Awaitable[object]], queries: int) -> float:
    left = queries

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await query()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(_IN_FLIGHT)))
    return queries / (time.perf_counter() - began)


async def measure() -> tuple[str, list[Goal]]:
    """Query in turn with each client; returns the table and the goals."""
    rates: dict[str, list[float]] = {"tonwatch": [], "pytoniq": []}
    with running() as server:
        ours = await clients.tonwatch(server.port)
        theirs = await clients.pytoniq(server.port)

        async def by_tonwatch() -> None:
            await ours.masterchain_info_ext(0, clients.TIMEOUT)

        for _ in range(_ROUNDS):
            queries = _QUERIES // _ROUNDS
            rates["tonwatch"].append(await _rate(by_tonwatch, queries))
            rates["pytoniq"].append(await _rate(theirs.get_masterchain_info_ext, queries))
        await ours.connection.close()
        await theirs.close()
        raw = clients.RawSocket(server.port)
        ceiling = _QUERIES / raw.flood(_QUERIES + _IN_FLIGHT, _IN_FLIGHT)
        raw.close()
    medians = {name: median(values) for name, values in rates.items()}
    ratio = medians["tonwatch"] / medians["pytoniq"]
    rows = [["client", "queries/s", "against pytoniq"]]
    rows += [
        [name, f"{rate:,.0f}", f"{rate / medians['pytoniq']:.1f}x"]
        for name, rate in (
            *medians.items(),
            ("(the server, to a client that does nothing)", ceiling),
        )
    ]
    text = (
        f"getMasterchainInfoExt on one connection, {_IN_FLIGHT} in flight, {_QUERIES:,} by\n"
        f"each client (median of {_ROUNDS} rounds in turn).\n" + table(rows)
    )
    return text, [Goal("queries per second against pytoniq", "2x", f"{ratio:.1f}x", ratio >= 2)]
