"""An open provider with toncenter's API v2."""

from collections.abc import Iterable

from tonwatch.samples.sample import Probe, Sample
from tonwatch.targets.http_connection import Connection
from tonwatch.targets.kind import OpenTarget, Regular, Services
from tonwatch.targets.toncenter_v2 import probes
from tonwatch.targets.toncenter_v2.client import ToncenterClient
from tonwatch.targets.toncenter_v2.kind import ToncenterV2
from tonwatch.targets.toncenter_v2.source import ToncenterSource


class OpenToncenter(OpenTarget):
    """One provider. All queries share its rate limit.

    Args:
        section: its configuration.
        services: of the runtime.
    """

    def __init__(self, section: ToncenterV2, services: Services) -> None:
        self._name = section.name
        self._services = services
        self._connection = Connection(
            section, services.files, services.resolve, parsing=services.parsing
        )
        self._client = ToncenterClient(self._connection.http)
        self.source = ToncenterSource(self._name, self._client, services.timeout)

    def regular(self) -> Iterable[Regular]:
        """Its head; a new connection; and an account."""
        yield Regular(Probe.HEAD, self.head, lambda probe: probe.interval)
        yield Regular(Probe.CONNECT, self.connect, lambda probe: probe.connect_interval)
        yield Regular(Probe.ACCOUNT, self.account, lambda probe: probe.account_interval)

    async def head(self) -> Sample:
        """Probe its head."""
        timeout, wall = self._services.timeout(), self._services.wall
        sample = await probes.head(self._name, self._client, timeout=timeout, wall=wall)
        await self._connection.saw(sample.head.seqno if sample.head is not None else None)
        return sample

    async def connect(self) -> Sample:
        """Probe a new connection. The kept ones are replaced where it shows that they are stale."""
        timeout, wall = self._services.timeout(), self._services.wall
        async with self._connection.cold(self._services.patience()) as http:
            client = ToncenterClient(http)
            sample = await probes.connect(self._name, client, timeout=timeout, wall=wall)
        if sample.head is not None:
            self._connection.kept.saw_elsewhere(sample.head.seqno)
        return sample

    async def account(self) -> Sample:
        """Probe accounts and get methods."""
        timeout, wall = self._services.timeout(), self._services.wall
        return await probes.account(self._name, self._client, timeout=timeout, wall=wall)

    async def block_at(self, seqno: int) -> Sample:
        """Probe its block at a seqno."""
        timeout, wall = self._services.timeout(), self._services.wall
        return await probes.fork(self._name, self._client, seqno, timeout=timeout, wall=wall)

    async def close(self) -> None:
        """Close its session."""
        await self._connection.close()
