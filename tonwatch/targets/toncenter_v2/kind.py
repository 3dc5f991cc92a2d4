"""Providers with toncenter's API v2 as a kind of target."""

from collections.abc import Iterable
from typing import ClassVar, Final, Literal

from tonwatch.samples.sample import Probe, Sample
from tonwatch.targets.http_provider import Connection, HttpProviderSection
from tonwatch.targets.kind import Kind, OpenTarget, Regular, Services
from tonwatch.targets.reasons import ON_THE_WAY
from tonwatch.targets.toncenter_v2 import probes
from tonwatch.targets.toncenter_v2.client import ToncenterClient
from tonwatch.targets.toncenter_v2.source import ToncenterSource
from tonwatch.ton.errors import Reason

_REASONS: Final = (
    *ON_THE_WAY,
    Reason.TLS_FAILED,
    Reason.UPSTREAM_FAILED,
    Reason.UNSUPPORTED,
    Reason.UNAUTHORIZED,
    Reason.FORBIDDEN,
    Reason.RATE_LIMITED,
)


class ToncenterV2(HttpProviderSection):
    """A provider with toncenter's API v2, such as toncenter itself."""

    tag: ClassVar[str] = "toncenter-v2"

    kind: Literal["toncenter-v2"]


class ToncenterV2Kind(Kind[ToncenterV2]):
    """Providers with toncenter's API v2."""

    name = "toncenter-v2"
    category = "provider"
    section = ToncenterV2
    reasons = {  # noqa: RUF012 - never changed
        Probe.HEAD: _REASONS,
        Probe.FORK: (*_REASONS, Reason.PRUNED),
        Probe.BALANCE: (*_REASONS, Reason.PRUNED),
        Probe.COMPARE: (*_REASONS, Reason.PRUNED, Reason.DISPROVED),
        Probe.WRITE: (*_REASONS, Reason.OVERLOADED, Reason.MESSAGE_REJECTED),
    }

    def open(self, section: ToncenterV2) -> OpenTarget:
        """A provider."""
        return OpenToncenter(section, self.services)


class OpenToncenter(OpenTarget):
    """One provider. All queries share its rate limit.

    Args:
        section: its configuration.
        services: of the runtime.
    """

    def __init__(self, section: ToncenterV2, services: Services) -> None:
        self._name = section.name
        self._services = services
        self._connection = Connection(section, services.files, services.resolve)
        self._client = ToncenterClient(self._connection.http)
        self.source = ToncenterSource(self._name, self._client, services.timeout)

    def regular(self) -> Iterable[Regular]:
        """Its head."""
        yield Regular(Probe.HEAD, self.head, lambda probe: probe.interval)

    async def head(self) -> Sample:
        """Probe its head."""
        timeout, wall = self._services.timeout(), self._services.wall
        return await probes.head(self._name, self._client, timeout=timeout, wall=wall)

    async def block_at(self, seqno: int) -> Sample:
        """Probe its block at a seqno."""
        timeout, wall = self._services.timeout(), self._services.wall
        return await probes.fork(self._name, self._client, seqno, timeout=timeout, wall=wall)

    async def close(self) -> None:
        """Close its session."""
        await self._connection.close()
