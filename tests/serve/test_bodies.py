"""Bodies are made once for all who ask at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests import virtual_time
from tonwatch.serve.bodies import Bodies, Body


class Workshop:
    """Makes bodies that say of which view they are, in two seconds each."""

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


def in_workshop(script: Callable[[Workshop], Awaitable[None]]) -> list[str]:
    async def main(_: virtual_time.VirtualLoop) -> list[str]:
        workshop = Workshop()
        await script(workshop)
        return workshop.made

    return virtual_time.run(main)


def test_one_for_all_of_one_moment() -> None:
    async def script(workshop: Workshop) -> None:
        bodies = await asyncio.gather(*(workshop.ask() for _ in range(9)))
        assert all(body is bodies[0] for body in bodies)
        assert await workshop.ask() is bodies[0]

    assert in_workshop(script) == ["first"]


def test_each_kind_has_its_own() -> None:
    async def script(workshop: Workshop) -> None:
        text, page = await asyncio.gather(workshop.ask(), workshop.ask("page"))
        assert text is not page

    assert in_workshop(script) == ["first", "first"]


def test_a_new_view_has_a_new_one() -> None:
    async def script(workshop: Workshop) -> None:
        await workshop.ask()
        workshop.view = "second"
        assert (await workshop.ask()).content == b"second"

    assert in_workshop(script) == ["first", "second"]


def test_after_a_moment_it_is_made_anew() -> None:
    """Where the watcher hangs there is no new view, and our own numbers change all the same."""

    async def script(workshop: Workshop) -> None:
        body = await workshop.ask()
        await asyncio.sleep(0.6)
        assert await workshop.ask() is not body

    assert in_workshop(script) == ["first", "first"]


def test_one_at_a_time_is_made_however_often_the_view_changes() -> None:
    """Who comes while one is made gets one of a view that is not older than the question."""

    async def script(workshop: Workshop) -> None:
        asked = []
        for number in range(10):
            workshop.view = f"{number}"
            asked.append(workshop.ask())
            await asyncio.sleep(0.1)
        assert [body.content for body in await asyncio.gather(*asked)] == [b"0"] + [b"9"] * 9

    assert in_workshop(script) == ["0", "9"]


def test_who_leaves_takes_it_from_nobody() -> None:
    async def script(workshop: Workshop) -> None:
        gone, stays = workshop.ask(), workshop.ask()
        await asyncio.sleep(1)
        assert isinstance(gone, asyncio.Task)
        gone.cancel()
        assert (await stays).content == b"first"

    assert in_workshop(script) == ["first"]


def test_a_failure_is_not_kept() -> None:
    async def script(workshop: Workshop) -> None:
        workshop.view = "broken"
        for _ in range(2):
            with pytest.raises(RuntimeError, match="broken"):
                await workshop.ask()

    assert in_workshop(script) == ["broken", "broken"]
