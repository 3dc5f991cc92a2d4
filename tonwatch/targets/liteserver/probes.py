"""Questions to a liteserver."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from tonwatch.samples.sample import Head, Probe, Recording, Sample
from tonwatch.ton.errors import ConnectionLost, LiteServerError, QueryTimeout, Reason, TonError
from tonwatch.ton.liteserver.client import (
    CAPABILITY_INFO_EXT,
    CAPABILITY_SHARD_CLIENT,
    LiteClient,
    MasterchainInfo,
)
from tonwatch.ton.liteserver.errors import shard_client_seqno
from tonwatch.ton.liteserver.link import Link

_OLD_BLOCK: Final = 5.0
"""Seconds: a healthy node's last block is younger; one that is older needs an explanation."""

_PING_SHARE: Final = 0.25
"""Part of a probe's timeout kept for a ping, so that silence can be told from not synced."""


async def connect(target: str, link: Link, *, timeout: float, wall: Callable[[], float]) -> Sample:
    """Connect anew, shake hands, and check the proof of the last block's header.

    Args:
        target: configured name.
        link: where the liteserver is; its kept connection is not touched.
        timeout: seconds for all of it.
        wall: our clock, Unix seconds.
    """

    with Recording(target, Probe.CONNECT, wall) as probe:
        budget = _Budget(timeout)
        connection = await link.open(budget.left())
        try:
            probe.phases.update(connection.phases._asdict())
            client = LiteClient(connection)
            info = await _answered(client, budget, client.masterchain_info)
            probe.phases["query"] = info.elapsed
            await client.block_header(info.last, budget.left())
        finally:
            await connection.close()
    return probe.sample


async def head(target: str, link: Link, *, timeout: float, wall: Callable[[], float]) -> Sample:
    """Ask on the kept connection where the node stands; arguments as `connect`.

    A connection that broke the rules or stays silent is dropped, so that the
    next probe starts from a fresh one.
    """

    with Recording(target, Probe.HEAD, wall) as probe:
        budget = _Budget(timeout)
        try:
            client = await _reach(link, probe, budget)
            asked = wall()
            info = await _answered(client, budget, partial(_masterchain_info, client))
            probe.phases["query"] = info.elapsed
            probe.head = _told(info, asked)
            with suppress(QueryTimeout):
                # A slow node has said where it is; what it had no time to add stays unknown.
                await _complete(client, info, probe.head, probe, budget, wall)
        except LiteServerError:
            raise
        except TonError as error:
            if error.reason is not Reason.NOT_SYNCED:
                await link.drop()
            raise
    return probe.sample


async def fork(
    target: str, link: Link, seqno: int, *, timeout: float, wall: Callable[[], float]
) -> Sample:
    """Ask on a connection of its own which block the node has at `seqno`.

    Args:
        target: configured name.
        link: where the liteserver is; its kept connection is not touched, since
            what is timed there must not wait behind this.
        seqno: of a masterchain block.
        timeout: seconds for all of it.
        wall: our clock, Unix seconds.
    """

    with Recording(target, Probe.FORK, wall) as probe:
        budget = _Budget(timeout)
        connection = await link.open(budget.left())
        try:
            header = await LiteClient(connection).lookup_block(seqno, budget.left())
            probe.head = Head(seqno=seqno, root_hash=header.id.root_hash)
        finally:
            await connection.close()
    return probe.sample


class _Budget:
    """Seconds left of a probe's timeout."""

    def __init__(self, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + timeout
        self._ping = timeout * _PING_SHARE

    @property
    def ping(self) -> float:
        """For a ping: its share, or what is left where that is less."""
        return min(self._ping, self.left())

    def left(self, keep: float = 0.0) -> float:
        return max(0.01, self._deadline - self._loop.time() - keep)


async def _reach(link: Link, probe: Recording, budget: _Budget) -> LiteClient:
    """A client whose connection answers a ping.

    A kept connection may have died unnoticed since the last beat (a restart, a
    stateful firewall): that says nothing of the node now, so it gets one more
    try on a new connection.
    """
    attempts = AsyncRetrying(
        retry=retry_if_exception_type(ConnectionLost), stop=stop_after_attempt(2), reraise=True
    )

    async def pinged() -> LiteClient:
        client = await link.client(budget.left())
        if link.fresh:
            probe.phases.update(client.connection.phases._asdict())
        probe.phases["ping"] = await client.connection.ping(budget.ping)
        return client

    return await attempts(pinged)


async def _answered(
    client: LiteClient,
    budget: _Budget,
    question: Callable[[float], Awaitable[MasterchainInfo]],
) -> MasterchainInfo:
    """Ask, and where no answer comes, find out by a ping whether anybody is there.

    Raises:
        TonError: ``not_synced`` where the ping is answered: a node that is not
            synced answers pings and nothing else.
    """
    try:
        return await question(budget.left(keep=budget.ping))
    except QueryTimeout as error:
        try:
            await client.connection.ping(budget.left())
        except TonError:
            raise error from None
        raise TonError(
            Reason.NOT_SYNCED, f"answers pings but no queries ({error.detail})"
        ) from error


async def _masterchain_info(client: LiteClient, timeout: float) -> MasterchainInfo:
    """`getMasterchainInfoExt`, or on nodes that do not know it the plain one."""
    budget = _Budget(timeout)
    try:
        return await client.masterchain_info_ext(0, budget.left())
    except LiteServerError as error:
        if error.reason is not Reason.UNSUPPORTED:
            raise
        return await client.masterchain_info(budget.left())


def _told(info: MasterchainInfo, asked: float) -> Head:
    """What the first answer says by itself."""
    return Head(
        seqno=info.last.seqno,
        root_hash=info.last.root_hash,
        gen_utime=info.last_utime,
        zerostate=info.zerostate,
        clock_offset=None if info.now is None else _offset(info.now, asked, info.elapsed),
        version=info.version,
    )


async def _complete(
    client: LiteClient,
    info: MasterchainInfo,
    head: Head,
    probe: Recording,
    budget: _Budget,
    wall: Callable[[], float],
) -> None:
    """Ask for what the first answer did not tell; each answer completes `probe.head`."""
    if not info.capabilities & CAPABILITY_INFO_EXT:
        header = await client.block_header(info.last, budget.left())
        probe.head = head = replace(head, gen_utime=header.gen_utime)
        asked = wall()
        told = await client.version(budget.left())
        offset = _offset(told.now, asked, told.elapsed)
        probe.head = head = replace(head, clock_offset=offset, version=told.version)
    if head.gen_utime is not None and wall() - head.gen_utime >= _OLD_BLOCK:
        # Until its shard client is far behind, a node serves that one's block as its last.
        known = await client.last_known_seqno(budget.left())
        probe.head = head = replace(head, known_seqno=known)
    probe.head = replace(head, shard_client_seqno=await _shard_client(client, info, budget))


def _offset(now: int, asked: float, elapsed: float) -> float:
    """The server's clock less ours, seconds."""
    # Whole seconds on its side: on average it is half a second later than it says.
    return now + 0.5 - (asked + elapsed / 2)


async def _shard_client(client: LiteClient, info: MasterchainInfo, budget: _Budget) -> int | None:
    """The masterchain seqno up to which the node applied shards."""
    if info.capabilities & CAPABILITY_SHARD_CLIENT:
        return (await client.masterchain_info_ext(1, budget.left())).last.seqno
    try:
        await client.can_read_accounts(info.last, budget.left())
    except LiteServerError as error:
        seqno = shard_client_seqno(error.detail)
        if error.reason is not Reason.SHARD_LAG or seqno is None:
            raise
        return seqno
    return info.last.seqno
