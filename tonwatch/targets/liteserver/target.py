"""An open liteserver: its connections and what it can be asked."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor

from tonwatch.config.secret_files import SecretFile
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.targets.cross_check import CrossCheck
from tonwatch.targets.kind import OpenTarget, Regular, Services
from tonwatch.targets.liteserver import comparison, probes, second_client
from tonwatch.targets.liteserver.config import LiteServer
from tonwatch.targets.liteserver.source import LiteServerSource
from tonwatch.ton.adnl.keys import decode_key, read_key_file
from tonwatch.ton.liteserver.link import Link
from tonwatch.ton.liteserver.proofs import KnownBlocks


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
        self._accounts = Link(section.host, section.port, key, services.resolve)
        self.source = LiteServerSource(self._name, self._accounts, known, services.timeout)

    def regular(self) -> Iterable[Regular]:
        """Its head, on the kept connection; and a new connection."""
        yield Regular(Probe.HEAD, self.head, lambda probe: probe.interval)
        yield Regular(Probe.CONNECT, self.connect, lambda probe: probe.connect_interval)

    async def head(self) -> Sample:
        """Probe its head."""
        timeout, wall = self._services.timeout(), self._services.wall
        return await probes.head(self._name, self._link, timeout=timeout, wall=wall)

    async def connect(self) -> Sample:
        """Probe a new connection."""
        timeout, wall = self._services.timeout(), self._services.wall
        return await probes.connect(self._name, self._link, timeout=timeout, wall=wall)

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
