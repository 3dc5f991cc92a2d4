"""Probes of a provider with toncenter's API v2."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tonwatch.samples.sample import Head, Probe, Recording, Sample
from tonwatch.targets.toncenter_v2.client import MasterchainInfo, ToncenterClient
from tonwatch.ton.address import Address
from tonwatch.ton.errors import ProviderError, Reason
from tonwatch.ton.http import Timing

_MISSING_BLOCK: Final = frozenset({Reason.UPSTREAM_FAILED, Reason.SHARD_LAG, Reason.PRUNED})
"""How a query for a block ends at a server that does not have it."""

NO_ACCOUNT: Final = Address(0, bytes(32))
"""An account of the basechain without code: accounts of the masterchain need no shard's block."""


async def head(
    target: str, client: ToncenterClient, *, timeout: float, wall: Callable[[], float]
) -> Sample:
    """Query the last masterchain block, then its header, which has the time.

    Args:
        target: configured name.
        client: the provider.
        timeout: seconds for each of the two requests.
        wall: local clock, Unix seconds.
    """

    with Recording(target, Probe.HEAD, wall) as probe:
        first, second = Timing(), Timing()
        try:
            info = await client.masterchain_info(timeout, first)
            probe.head = _head_of(info, first, wall())
            header = await client.block_header(info.last.seqno, timeout, second)
            probe.head = replace(probe.head, gen_utime=header.gen_utime)
        except ProviderError as error:
            # Behind one address there may be several servers, some without the others' last
            # block. The first answer is kept; only the block's time stays unknown.
            if probe.head is None or error.reason not in _MISSING_BLOCK:
                raise
        finally:
            _record(probe, first, second)
    return probe.sample


async def connect(
    target: str, client: ToncenterClient, *, timeout: float, wall: Callable[[], float]
) -> Sample:
    """Query the last masterchain block on a new connection.

    Args:
        target: configured name.
        client: the provider, over connections that are not kept.
        timeout: seconds for connecting.
        wall: local clock, Unix seconds.
    """

    with Recording(target, Probe.CONNECT, wall) as probe:
        timing = Timing()
        try:
            info = await client.masterchain_info(timeout, timing)
            probe.head = _head_of(info, timing, wall())
        finally:
            _record(probe, timing)
    return probe.sample


async def account(
    target: str, client: ToncenterClient, *, timeout: float, wall: Callable[[], float]
) -> Sample:
    """Read an account and run a get method, both at the provider's last block.

    The account has no code: any exit code is a good answer. Arguments as `head`.
    """

    with Recording(target, Probe.ACCOUNT, wall) as probe:
        first, second = Timing(), Timing()
        try:
            read, at = await client.account_information(NO_ACCOUNT, timeout, first)
            block = read.block_id
            probe.head = Head(seqno=block.seqno, root_hash=block.root_hash)
            probe.state_time = at.time
            await client.run_method(NO_ACCOUNT, "seqno", (), timeout, second)
        finally:
            _record(probe, first, second)
    return probe.sample


async def fork(
    target: str,
    client: ToncenterClient,
    seqno: int,
    *,
    timeout: float,
    wall: Callable[[], float],
) -> Sample:
    """Query the provider's masterchain block at `seqno`; arguments as `head`."""

    with Recording(target, Probe.FORK, wall) as probe:
        timing = Timing()
        try:
            header = await client.block_header(seqno, timeout, timing)
            probe.head = Head(seqno=seqno, root_hash=header.id.root_hash)
        finally:
            probe.waited = timing.waited
            probe.server = timing.server
    return probe.sample


def _head_of(info: MasterchainInfo, timing: Timing, received: float) -> Head:
    """The head as far as the first answer has it."""
    return Head(
        seqno=info.last.seqno,
        root_hash=info.last.root_hash,
        zerostate=info.init.root_hash,
        clock_offset=timing.clock_offset(received),
    )


def _record(probe: Recording, first: Timing, *others: Timing) -> None:
    """Note how long requests waited for their turn, and what the first one took."""
    probe.waited = first.waited + sum(timing.waited for timing in others)
    probe.server = first.server
    probe.phases.update(
        (phase, seconds)
        for phase in ("resolve", "connect", "query")
        if (seconds := getattr(first, phase)) is not None
    )
