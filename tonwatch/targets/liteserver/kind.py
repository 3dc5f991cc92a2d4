"""Liteservers as a kind of target."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Final

from tonwatch.config.secret_files import SecretFile
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.targets.cross_check import CrossCheck
from tonwatch.targets.kind import Kind, OpenTarget, Regular, Services
from tonwatch.targets.liteserver import comparison, probes, second_client
from tonwatch.targets.liteserver.config import LiteServer
from tonwatch.targets.liteserver.global_config import GlobalConfig
from tonwatch.targets.liteserver.source import LiteServerSource
from tonwatch.targets.reasons import ON_THE_WAY
from tonwatch.ton.adnl.keys import decode_key, read_key_file
from tonwatch.ton.errors import Reason
from tonwatch.ton.liteserver.link import Link
from tonwatch.ton.liteserver.proofs import KnownBlocks

_REASONS: Final = (
    *ON_THE_WAY,
    Reason.HANDSHAKE_FAILED,
    Reason.HANDSHAKE_TIMEOUT,
    Reason.PROOF_INVALID,
    Reason.NOT_READY,
    Reason.SHARD_LAG,
    Reason.OVERLOADED,
    Reason.RATE_LIMITED,
)


class LiteServerKind(Kind[LiteServer]):
    """Liteservers, queried over ADNL."""

    name = "liteserver"
    category = "node"
    section = LiteServer
    entries = (GlobalConfig,)
    reasons = {  # noqa: RUF012 - never changed
        # Reading an account needs a state, which may be pruned; a ping shows not_synced.
        Probe.HEAD: (*_REASONS, Reason.NOT_SYNCED, Reason.UNSUPPORTED, Reason.PRUNED),
        Probe.CONNECT: (*_REASONS, Reason.NOT_SYNCED),
        Probe.FORK: (*_REASONS, Reason.PRUNED),
        Probe.BALANCE: (*_REASONS, Reason.UNSUPPORTED, Reason.PRUNED),
        Probe.COMPARE: (*_REASONS, Reason.PRUNED),
        Probe.WRITE: (*_REASONS, Reason.MESSAGE_REJECTED),
    }

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._known = KnownBlocks()

    def open(self, section: LiteServer) -> OpenTarget:
        """Open a liteserver; blocks known by proofs are shared by all of them."""
        return OpenLiteServer(section, self.services, self._known)


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
