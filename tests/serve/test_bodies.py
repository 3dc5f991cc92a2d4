"""A body is rendered once for all requests of the same moment."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests import virtual_time
from tonwatch.serve.bodies import Bodies, Body


class BodyMaker:
    """Renders bodies that contain the name of their view, in two seconds each."""

    def __init__(self) -> None:
        self.view = "first"
        self.made: list[str] = []
        self.bodies: Bodies[str] = Bodies(lambda: self.view)

    async def _run(self, make: Callable[[], Body], /) -> Body:
        await asyncio.sleep(2)
        return make()

    def ask(self, kind: str = "text") -> Awaitable[Body]:
        return asyncio.create_task(self.bodies.get(kind, self._make, self._run))

    def _make(self, view: str) -> Body:
        self.made.append(view)
        if view == "broken":
            raise RuntimeError(view)
        return Body(view.encode())


def run_script(script: Callable[[BodyMaker], Awaitable[None]]) -> list[str]:
    async def main(_: virtual_time.VirtualLoop) -> list[str]:
        maker = BodyMaker()
        await script(maker)
        return maker.made

    return virtual_time.run(main)


def test_concurrent_requests_share_a_body() -> None:
    async def script(maker: BodyMaker) -> None:
        bodies = await asyncio.gather(*(maker.ask() for _ in range(9)))
        assert all(body is bodies[0] for body in bodies)
        assert await maker.ask() is bodies[0]

    assert run_script(script) == ["first"]


def test_each_kind_has_its_own_body() -> None:
    async def script(maker: BodyMaker) -> None:
        text, page = await asyncio.gather(maker.ask(), maker.ask("page"))
        assert text is not page

    assert run_script(script) == ["first", "first"]


def test_a_new_view_has_a_new_body() -> None:
    async def script(maker: BodyMaker) -> None:
        await maker.ask()
        maker.view = "second"
        assert (await maker.ask()).content == b"second"

    assert run_script(script) == ["first", "second"]


def test_a_body_is_rendered_anew_after_half_a_second() -> None:
    """While the watcher hangs there is no new view, but process metrics still change."""

    async def script(maker: BodyMaker) -> None:
        body = await maker.ask()
        await asyncio.sleep(0.6)
        assert await maker.ask() is not body

    assert run_script(script) == ["first", "first"]


def test_renderings_do_not_overlap_however_often_the_view_changes() -> None:
    """A request that comes during a rendering gets a view that is not older than the request."""

    async def script(maker: BodyMaker) -> None:
        asked = []
        for number in range(10):
            maker.view = f"{number}"
            asked.append(maker.ask())
            await asyncio.sleep(0.1)
        assert [body.content for body in await asyncio.gather(*asked)] == [b"0"] + [b"9"] * 9

    assert run_script(script) == ["0", "9"]


def test_a_cancelled_request_does_not_cancel_the_others() -> None:
    async def script(maker: BodyMaker) -> None:
        gone, stays = maker.ask(), maker.ask()
        await asyncio.sleep(1)
        assert isinstance(gone, asyncio.Task)
        gone.cancel()
        assert (await stays).content == b"first"

    assert run_script(script) == ["first"]


def test_a_failure_is_not_kept() -> None:
    async def script(maker: BodyMaker) -> None:
        maker.view = "broken"
        for _ in range(2):
            with pytest.raises(RuntimeError, match="broken"):
                await maker.ask()

    assert run_script(script) == ["broken", "broken"]
