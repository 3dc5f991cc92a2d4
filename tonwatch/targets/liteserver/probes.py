"""Probes of a liteserver."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from tonwatch.samples.sample import Head, Probe, Recording, Sample
from tonwatch.targets.liteserver.source import LiteServerSource
from tonwatch.ton.address import Address
from tonwatch.ton.errors import (
    BadAnswer,
    ConnectionLost,
    LiteServerError,
    QueryTimeout,
    Reason,
    TonError,
)
from tonwatch.ton.liteserver.client import (
    CAPABILITY_INFO_EXT,
    CAPABILITY_SHARD_CLIENT,
    LiteClient,
    MasterchainInfo,
)
from tonwatch.ton.liteserver.errors import shard_client_seqno
from tonwatch.ton.liteserver.link import Link

Answer = TypeVar("Answer")

_OLD_BLOCK: Final = 5.0
"""Seconds; a healthy node's last block is younger."""

_PING_SHARE: Final = 0.25
"""Share of a probe's timeout that a ping may take, which distinguishes a dead node from one that
is not synced."""

_FAIR: Final = 0.5
"""Share of a probe's timeout that a query may take, however long connecting took."""

_LATEST: Final = 1 + _FAIR
"""Share of its timeout in which a probe ends."""

NO_ACCOUNT: Final = Address(0, bytes(32))
"""An account of the basechain without code: accounts of the masterchain need no shard's block."""


async def connect(
    target: str, link: Link, *, timeout: float, patience: float, wall: Callable[[], float]
) -> Sample:
    """Open a new connection, query the last block, and check the proof of its header.

    Args:
        target: configured name.
        link: to the liteserver; its kept connection is not used.
        timeout: seconds for connecting.
        patience: seconds for the queries.
        wall: local clock, Unix seconds.
    """

    with Recording(target, Probe.CONNECT, wall) as probe:
        connection = await link.open(timeout)
        try:
            probe.server = connection.server
            probe.phases.update(connection.phases._asdict())
            client, budget = LiteClient(connection), _Budget(patience, spared=0.0)
            info = await _answered(client, budget, client.masterchain_info)
            probe.phases["query"] = info.elapsed
            probe.head = head = _head_of(info, wall())
            with suppress(QueryTimeout):
                # As in `head`: a slow node has reported its last block.
                header = await _further(budget, partial(client.block_header, info.last))
                if header is not None:
                    probe.head = replace(head, gen_utime=header.gen_utime)
        finally:
            await connection.close()
    return probe.sample


async def head(target: str, link: Link, *, timeout: float, wall: Callable[[], float]) -> Sample:
    """Query the node's head on the kept connection.

    A connection that violated the protocol or timed out is dropped, so that the
    next probe starts with a new one.

    Args:
        target: configured name.
        link: to the liteserver.
        timeout: seconds for all of it, or half of it more where connecting was slow.
        wall: local clock, Unix seconds.
    """

    with Recording(target, Probe.HEAD, wall) as probe:
        budget = _Budget(timeout)
        try:
            client = await _reach(link, probe, budget)
            probe.server = client.connection.server
            sent = wall()
            info = await _answered(client, budget, partial(_masterchain_info, client))
            link.saw(info.last.seqno)
            probe.phases["query"] = info.elapsed
            probe.head = _head_of(info, sent)
            with suppress(QueryTimeout):
                # A slow node has reported its head; the remaining fields stay unknown.
                await _complete(client, info, probe.head, probe, budget, wall)
        except TonError as error:
            if isinstance(error, LiteServerError) or error.reason is Reason.NOT_SYNCED:
                link.saw(None)
            else:
                await link.drop()
            raise
    return probe.sample


async def account(
    source: LiteServerSource, *, wall: Callable[[], float], queues: bool = False
) -> Sample:
    """Read an account and run a get method, both at the node's last block.

    The account has no code: the proof of its state takes the same queries as any other, and any
    exit code is a good answer.

    Args:
        source: the liteserver, on the connection for accounts.
        wall: local clock, Unix seconds.
        queues: also query the lengths of the outbound queues.
    """

    with Recording(source.name, Probe.ACCOUNT, wall) as probe:
        _, info = await source.last()
        async with source.connected() as client:
            probe.server = client.connection.server
            probe.head = _head_of(info, wall())
            reader = source.reader_at(client, info.last)
            began = asyncio.get_running_loop().time()
            probe.state_time = (await reader.account(NO_ACCOUNT)).time
            probe.phases["query"] = asyncio.get_running_loop().time() - began
            await reader.run_method(NO_ACCOUNT, "seqno", ())
            if queues:
                # Not for accounts: a node that does not answer this is well.
                with suppress(LiteServerError, QueryTimeout, BadAnswer):
                    probe.out_queue = await client.longest_out_queue(source.timeout())
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
        connection = await link.open(timeout)
        try:
            probe.server = connection.server
            budget.connected()
            header = await LiteClient(connection).lookup_block(seqno, budget.left())
            probe.head = Head(seqno=seqno, root_hash=header.id.root_hash)
        finally:
            await connection.close()
    return probe.sample


class _Budget:
    """Seconds left of a probe's timeout.

    Connecting may take all of it; what is sent then still has a share of it, since an answer that
    was given less time proves nothing.

    Args:
        timeout: seconds.
        spared: share of it that the first query leaves, where it has its own share: a failure is
            then confirmed before the next probe is due.
    """

    def __init__(self, timeout: float, *, spared: float = _PING_SHARE) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._spared = timeout * spared
        self._latest = self._loop.time() + timeout * _LATEST
        self._deadline = self._loop.time() + timeout

    @property
    def ping(self) -> float:
        """For a ping."""
        return self._timeout * _PING_SHARE

    @property
    def first_query(self) -> float:
        """For the first query."""
        left = self.left()
        return max(left - self._spared, min(left, self._timeout * _FAIR))

    def is_fair(self, given: float) -> bool:
        """Whether a query was given its share, but for what a ping before it took."""
        return given >= self._timeout * (_FAIR - _PING_SHARE / 2)

    def connected(self) -> None:
        """A connection stands, or the server has answered: the next query has its share."""
        fair = min(self._loop.time() + self._timeout * _FAIR, self._latest)
        self._deadline = max(self._deadline, fair)

    def left(self) -> float:
        return max(0.0, self._deadline - self._loop.time())


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
        budget.connected()
        probe.phases["ping"] = await client.connection.ping(budget.ping)
        budget.connected()
        return client

    return await attempts(pinged)


async def _answered(
    client: LiteClient,
    budget: _Budget,
    query: Callable[[float], Awaitable[MasterchainInfo]],
) -> MasterchainInfo:
    """Query the node, and ping it while no answer comes.

    Raises:
        TonError: ``not_synced`` where the ping is answered: a node that is not
            synced answers pings and nothing else.
    """
    given = budget.first_query
    pinging = asyncio.create_task(_pinged_late(client, given, budget.ping))
    try:
        return await query(given)
    except QueryTimeout as error:
        if budget.is_fair(given) and await pinging:
            raise TonError(
                Reason.NOT_SYNCED, f"answers pings but no queries ({error.detail})"
            ) from error
        raise
    finally:
        pinging.cancel()
        await asyncio.wait({pinging})


async def _pinged_late(client: LiteClient, within: float, ping: float) -> bool:
    """Whether a ping is answered that is sent at the end of the time for a query."""
    await asyncio.sleep(within - ping)
    try:
        await client.connection.ping(ping)
    except TonError:
        return False
    return True


async def _masterchain_info(client: LiteClient, timeout: float) -> MasterchainInfo:
    """`getMasterchainInfoExt`, or `getMasterchainInfo` on nodes that do not support it."""
    budget = _Budget(timeout)
    try:
        return await client.masterchain_info_ext(0, budget.left())
    except LiteServerError as error:
        if error.reason is not Reason.UNSUPPORTED:
            raise
        budget.connected()
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
        header = await _further(budget, partial(client.block_header, info.last))
        if header is not None:
            probe.head = head = replace(head, gen_utime=header.gen_utime)
        sent = wall()
        answer = await _further(budget, client.version)
        if answer is not None:
            offset = _offset(answer.now, sent, answer.elapsed)
            probe.head = head = replace(head, clock_offset=offset, version=answer.version)
    if head.gen_utime is not None and wall() - head.gen_utime >= _OLD_BLOCK:
        # Unless its shard client lags far, a node serves the shard client's block as its last.
        known = await _further(budget, client.last_known_seqno)
        probe.head = head = replace(head, known_seqno=known)
    seqno, time = await _shard_client(client, info, head, budget)
    probe.head = replace(head, shard_client_seqno=seqno, shard_client_time=time)


async def _further(
    budget: _Budget, query: Callable[[float], Awaitable[Answer]], *, telling: bool = False
) -> Answer | None:
    """The answer to a question after the first; None where it fails, or no time is left for it.

    Behind one address there may be several servers, some without the block of the first answer.
    What that said is true all the same: a question that fails is repeated once.

    Args:
        budget: of the probe.
        query: asks it, with a timeout in seconds.
        telling: whether ``shard_lag`` is an answer, to be raised.

    Raises:
        LiteServerError: ``rate_limited``, or ``shard_lag`` where that is an answer.
    """
    error: LiteServerError | None = None
    for _ in range(2):
        if not budget.left():
            return None
        try:
            return await query(budget.left())
        except LiteServerError as failed:
            error = failed
            if error.reason is Reason.RATE_LIMITED:
                raise
    if telling and error is not None and error.reason is Reason.SHARD_LAG:
        raise error
    return None


def _offset(now: int, sent: float, elapsed: float) -> float:
    """The server's clock minus the local clock, seconds."""
    # The server truncates to whole seconds: on average its clock is half a second ahead of `now`.
    return now + 0.5 - (sent + elapsed / 2)


async def _shard_client(
    client: LiteClient, info: MasterchainInfo, head: Head, budget: _Budget
) -> tuple[int | None, int | None]:
    """The masterchain seqno up to which the node applied shards, and that block's time."""
    if info.capabilities & CAPABILITY_SHARD_CLIENT:
        applied = await _further(budget, partial(client.masterchain_info_ext, 1))
        return (None, None) if applied is None else (applied.last.seqno, applied.last_utime)

    async def can_read(timeout: float) -> bool:
        await client.can_read_accounts(info.last, timeout)
        return True

    try:
        readable = await _further(budget, can_read, telling=True)
    except LiteServerError as error:
        seqno = shard_client_seqno(error.detail)
        if error.reason is not Reason.SHARD_LAG or seqno is None:
            raise
        return seqno, None
    return (info.last.seqno, head.gen_utime) if readable else (None, None)
