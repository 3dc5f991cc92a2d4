"""Probes of a provider with toncenter's API v2."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tonwatch.samples.sample import Head, Probe, Recording, Sample
from tonwatch.targets.toncenter_v2.client import ToncenterClient
from tonwatch.ton.errors import ProviderError, Reason
from tonwatch.ton.http import Timing

_MISSING_BLOCK: Final = frozenset({Reason.UPSTREAM_FAILED, Reason.PRUNED})
"""How a query for a block ends at a server that does not have it."""


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
            probe.head = Head(
                seqno=info.last.seqno,
                root_hash=info.last.root_hash,
                zerostate=info.init.root_hash,
            )
            header = await client.block_header(info.last.seqno, timeout, second)
            probe.head = replace(probe.head, gen_utime=header.gen_utime)
        except ProviderError as error:
            # Behind one address there may be several servers, some without the others' last
            # block. The first answer is kept; only the block's time stays unknown.
            if probe.head is None or error.reason not in _MISSING_BLOCK:
                raise
        finally:
            probe.waited = first.waited + second.waited
            probe.phases.update(
                (phase, seconds)
                for phase in ("resolve", "connect", "query")
                if (seconds := getattr(first, phase)) is not None
            )
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
    return probe.sample
