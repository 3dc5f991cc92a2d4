"""Providers with toncenter's API v2 as a kind of target."""

from typing import ClassVar, Final, Literal

from tonwatch.samples.sample import Probe
from tonwatch.targets.http_provider import HttpProviderSection
from tonwatch.targets.kind import Kind, OpenTarget
from tonwatch.targets.reasons import COMMON_REASONS
from tonwatch.ton.errors import Reason

_REASONS: Final = (
    *COMMON_REASONS,
    Reason.TLS_FAILED,
    Reason.UPSTREAM_FAILED,
    Reason.SHARD_LAG,
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
        Probe.CONNECT: _REASONS,
        Probe.ACCOUNT: (*_REASONS, Reason.PRUNED),
        Probe.FORK: (*_REASONS, Reason.PRUNED),
        Probe.BALANCE: (*_REASONS, Reason.PRUNED),
        Probe.COMPARE: (*_REASONS, Reason.PRUNED, Reason.DISPROVED),
        Probe.WRITE: (*_REASONS, Reason.OVERLOADED, Reason.MESSAGE_REJECTED),
    }

    @classmethod
    def prepare(cls) -> None:
        """Import the API's client."""
        from tonwatch.targets.toncenter_v2 import target  # noqa: F401

    def open(self, section: ToncenterV2) -> OpenTarget:
        """A provider."""
        from tonwatch.targets.toncenter_v2.target import OpenToncenter

        return OpenToncenter(section, self.services)
