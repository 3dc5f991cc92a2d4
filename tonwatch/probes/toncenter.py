"""Questions to a provider with toncenter's API v2."""

from collections.abc import Callable
from dataclasses import replace

from tonwatch.probes.sample import Findings, Head, Probe, Sample, record
from tonwatch.ton.toncenter import Timing, ToncenterClient


async def head(
    target: str, client: ToncenterClient, *, timeout: float, wall: Callable[[], float]
) -> Sample:
    """Ask for the last masterchain block, then for its header, which has the time.

    Args:
        target: configured name.
        client: the provider.
        timeout: seconds for each of the two requests.
        wall: our clock, Unix seconds.
    """

    async def ask(findings: Findings) -> None:
        first, second = Timing(), Timing()
        try:
            info = await client.masterchain_info(timeout, first)
            findings.head = Head(
                seqno=info.last.seqno,
                root_hash=info.last.root_hash,
                zerostate=info.init.root_hash,
            )
            header = await client.block_header(info.last.seqno, timeout, second)
            findings.head = replace(findings.head, gen_utime=header.gen_utime)
        finally:
            findings.waited = first.waited + second.waited
            findings.phases.update(
                (phase, seconds)
                for phase in ("resolve", "connect", "query")
                if (seconds := getattr(first, phase)) is not None
            )

    return await record(target, Probe.HEAD, wall, ask)
