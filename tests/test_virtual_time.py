"""Virtual time: it skips timers at once, and waits for sockets and threads."""

import asyncio
import time

from tests import virtual_time
from tests.virtual_time import EPOCH, VirtualLoop

DAY = 86_400.0


def test_a_day_takes_a_moment() -> None:
    async def main(loop: VirtualLoop) -> float:
        await asyncio.sleep(DAY)
        assert abs(loop.wall() - EPOCH - DAY) < 0.001
        return loop.time()

    assert abs(virtual_time.run(main) - DAY) < 0.001


def test_timers_end_in_their_order() -> None:
    ended: list[float] = []

    async def ends(seconds: float) -> None:
        await asyncio.sleep(seconds)
        ended.append(seconds)

    async def main(_: VirtualLoop) -> None:
        await asyncio.gather(*(ends(seconds) for seconds in (300.0, 0.1, 7.0, 6.999)))

    virtual_time.run(main)
    assert ended == [0.1, 6.999, 7.0, 300.0]


def test_an_answer_comes_before_any_deadline() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main(loop: VirtualLoop) -> float:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            for _ in range(200):
                async with asyncio.timeout(0.01):
                    reader, writer = await asyncio.open_connection(host, port)
                    writer.write(b"x\n")
                    assert await reader.readline() == b"x\n"
                    writer.close()
                    await writer.wait_closed()
        return loop.time()

    assert virtual_time.run(main) < 0.01


def test_it_waits_for_threads() -> None:
    async def main(loop: VirtualLoop) -> float:
        async with asyncio.timeout(1):
            await asyncio.to_thread(time.sleep, 0.05)
        return loop.time()

    assert virtual_time.run(main) < 0.001


def test_a_rest_too_small_for_the_clock_does_not_stop_it() -> None:
    """As rate limits compute it: the time from which on a waiter may go on is not reached yet."""

    async def main(loop: VirtualLoop) -> float:
        await asyncio.sleep(72.0)
        until, done = loop.time() + 1e-7, asyncio.Event()

        def wake() -> None:
            if loop.time() >= until:
                done.set()
            else:
                loop.call_at(loop.time() + 1e-17, wake)

        wake()
        await done.wait()
        return loop.time()

    assert abs(virtual_time.run(main) - 72.0) < 0.001
