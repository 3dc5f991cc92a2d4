"""Probes of a liteserver."""

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
"""Seconds; a healthy node's last block is younger."""

_PING_SHARE: Final = 0.25
"""Share of a probe's timeout reserved for a ping, which distinguishes a dead node from one that
is not synced."""


async def connect(target: str, link: Link, *, timeout: float, wall: Callable[[], float]) -> Sample:
    """Open a new connection, and check the proof of the last block's header.

    Args:
        target: configured name.
        link: to the liteserver; its kept connection is not used.
        timeout: seconds for all of it.
        wall: local clock, Unix seconds.
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
    """Query the node's head on the kept connection; arguments as `connect`.

    A connection that violated the protocol or timed out is dropped, so that the
    next probe starts with a new one.
    """

    with Recording(target, Probe.HEAD, wall) as probe:
        budget = _Budget(timeout)
        try:
            client = await _reach(link, probe, budget)
            sent = wall()
            info = await _answered(client, budget, partial(_masterchain_info, client))
            probe.phases["query"] = info.elapsed
            probe.head = _head_of(info, sent)
            with suppress(QueryTimeout):
                # A slow node has reported its head; the remaining fields stay unknown.
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
    """Query the node's block at `seqno` on a connection of its own.

    Args:
        target: configured name.
        link: to the liteserver; its kept connection is not used, since queries
            that are timed there must not wait for this one.
        seqno: of a masterchain block.
        timeout: seconds for all of it.
        wall: local clock, Unix seconds.
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

    A kept connection may have died unnoticed since the last probe (a restart, a
    stateful firewall): that does not mean that the node is down, so there is one
    retry on a new connection.
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
    query: Callable[[float], Awaitable[MasterchainInfo]],
) -> MasterchainInfo:
    """Query the node, and ping it where no answer comes.

    Raises:
        TonError: ``not_synced`` where the ping is answered: a node that is not
            synced answers pings and nothing else.
    """
    try:
        return await query(budget.left(keep=budget.ping))
    except QueryTimeout as error:
        try:
            await client.connection.ping(budget.left())
        except TonError:
            raise error from None
        raise TonError(
            Reason.NOT_SYNCED, f"answers pings but no queries ({error.detail})"
        ) from error


async def _masterchain_info(client: LiteClient, timeout: float) -> MasterchainInfo:
    """`getMasterchainInfoExt`, or `getMasterchainInfo` on nodes that do not support it."""
    budget = _Budget(timeout)
    try:
        return await client.masterchain_info_ext(0, budget.left())
    except LiteServerError as error:
        if error.reason is not Reason.UNSUPPORTED:
            raise
        return await client.masterchain_info(budget.left())


def _head_of(info: MasterchainInfo, sent: float) -> Head:
    """The head as far as the first answer has it."""
    return Head(
        seqno=info.last.seqno,
        root_hash=info.last.root_hash,
        gen_utime=info.last_utime,
        zerostate=info.zerostate,
        clock_offset=None if info.now is None else _offset(info.now, sent, info.elapsed),
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
    """Query what the first answer does not have; each answer completes `probe.head`."""
    if not info.capabilities & CAPABILITY_INFO_EXT:
        header = await client.block_header(info.last, budget.left())
        probe.head = head = replace(head, gen_utime=header.gen_utime)
        sent = wall()
        answer = await client.version(budget.left())
        offset = _offset(answer.now, sent, answer.elapsed)
        probe.head = head = replace(head, clock_offset=offset, version=answer.version)
    if head.gen_utime is not None and wall() - head.gen_utime >= _OLD_BLOCK:
        # Unless its shard client lags far, a node serves the shard client's block as its last.
        known = await client.last_known_seqno(budget.left())
        probe.head = head = replace(head, known_seqno=known)
    probe.head = replace(head, shard_client_seqno=await _shard_client(client, info, budget))


def _offset(now: int, sent: float, elapsed: float) -> float:
    """The server's clock minus the local clock, seconds."""
    # The server truncates to whole seconds: on average its clock is half a second ahead of `now`.
    return now + 0.5 - (sent + elapsed / 2)


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
