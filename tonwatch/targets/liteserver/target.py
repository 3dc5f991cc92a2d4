"""An open liteserver: its connections and what it can be asked."""

import asyncio
import math
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Final

from tonwatch.config.secret_files import SecretFile
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.targets.cross_check import CrossCheck
from tonwatch.targets.kind import OpenTarget, Regular, Services
from tonwatch.targets.liteserver import comparison, probes, second_client
from tonwatch.targets.liteserver.config import LiteServer
from tonwatch.targets.liteserver.source import LiteServerSource
from tonwatch.ton.adnl.keys import decode_key, read_key_file
from tonwatch.ton.contracts.accounts import MAX_STATE_BYTES
from tonwatch.ton.liteserver.link import MAX_FRAME, Link
from tonwatch.ton.liteserver.proofs import KnownBlocks

QUEUES_INTERVAL: Final = 60.0
"""Seconds between two queries for the outbound queues."""

_MAX_ACCOUNT_FRAME: Final = MAX_STATE_BYTES + MAX_FRAME
"""Bytes of an answer about an account: the largest state, and its proofs."""


class OpenLiteServer(OpenTarget):
    """One liteserver. Timed queries have a connection of their own, apart from accounts.

    Args:
        section: its configuration.
        services: of the runtime.
        known: blocks known by proofs.
    """

    def __init__(self, section: LiteServer, services: Services, known: KnownBlocks) -> None:
        self._name = section.name
        self._section = section
        self._services = services
        self._key_file: SecretFile[bytes] | None = None
        self._server_key = key = self._key(section)
        self._link = Link(section.host, section.port, key, services.resolve)
        self._accounts = Link(
            section.host, section.port, key, services.resolve, _MAX_ACCOUNT_FRAME, services.parsing
        )
        self._reading = LiteServerSource(self._name, self._accounts, known, services.timeout)
        self.source = self._reading
        self._out_queue: tuple[int, int] | None = None
        self._queues_due = -math.inf

    def regular(self) -> Iterable[Regular]:
        """Its head, on the kept connection; a new connection; and an account."""
        yield Regular(Probe.HEAD, self.head, lambda probe: probe.interval)
        yield Regular(Probe.CONNECT, self.connect, lambda probe: probe.connect_interval)
        yield Regular(Probe.ACCOUNT, self.account, lambda probe: probe.account_interval)

    async def head(self) -> Sample:
        """Probe its head."""
        timeout, wall = self._services.timeout(), self._services.wall
        sample = await probes.head(self._name, self._link, timeout=timeout, wall=wall)
        if sample.head is not None:
            self._accounts.kept.saw_elsewhere(sample.head.seqno)
        return sample

    async def connect(self) -> Sample:
        """Probe a new connection. The kept ones are replaced where it shows that they are stale."""
        services = self._services
        sample = await probes.connect(
            self._name,
            self._link,
            timeout=services.timeout(),
            patience=services.patience(),
            wall=services.wall,
        )
        if sample.head is not None:
            self._link.kept.saw_elsewhere(sample.head.seqno)
            self._accounts.kept.saw_elsewhere(sample.head.seqno)
        return sample

    async def account(self) -> Sample:
        """Probe accounts and get methods; the outbound queues once in `QUEUES_INTERVAL`.

        Samples between two queries for the queues have the last answer.
        """
        now = asyncio.get_running_loop().time()
        is_due = now >= self._queues_due
        sample = await probes.account(self._reading, wall=self._services.wall, queues=is_due)
        if sample.head is not None:
            self._link.kept.saw_elsewhere(sample.head.seqno)
        if is_due and sample.ok:
            self._out_queue = sample.out_queue
            size, limit = sample.out_queue or (0, 0)
            # The end of a queue that is too long has to be seen soon.
            self._queues_due = now + (QUEUES_INTERVAL if size <= limit else 0.0)
        return replace(sample, out_queue=self._out_queue) if sample.ok else sample

    async def block_at(self, seqno: int) -> Sample:
        """Probe its block at a seqno."""
        timeout, wall = self._services.timeout(), self._services.wall
        return await probes.fork(self._name, self._link, seqno, timeout=timeout, wall=wall)

    async def cross_check(self, before: Head | None, threads: Executor) -> CrossCheck:
        """Ask for the last block with pytoniq's client, within a probe's timeout, and compare."""

        async def pytoniq() -> Head:
            return await second_client.head(
                self._section.host,
                self._section.port,
                self._server_key,
                self._services.resolve,
                timeout=self._services.timeout(),
                threads=threads,
            )

        return await comparison.compare(self, pytoniq, before)

    @property
    def dropped_answers(self) -> int:
        """Those on the kept connection."""
        return self._link.dropped_answers

    async def close(self) -> None:
        """Close both connections."""
        if self._key_file is not None:
            self._services.files.close(self._key_file)
        await self._link.drop()
        await self._accounts.drop()

    def _key(self, section: LiteServer) -> Callable[[], bytes]:
        if section.key_file is not None:
            self._key_file = self._services.files.open(section.key_file, read_key_file)
            return self._key_file.get
        key = decode_key(section.key or "")
        return lambda: key
