"""Liteservers as a kind of target."""

from typing import Final

from tonwatch.samples.sample import Probe
from tonwatch.targets.kind import Kind, OpenTarget, Services
from tonwatch.targets.liteserver.config import LiteServer
from tonwatch.targets.liteserver.global_config import GlobalConfig
from tonwatch.targets.reasons import COMMON_REASONS
from tonwatch.ton.errors import Reason

_REASONS: Final = (
    *COMMON_REASONS,
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
        Probe.ACCOUNT: (*_REASONS, Reason.UNSUPPORTED, Reason.PRUNED),
        Probe.FORK: (*_REASONS, Reason.PRUNED),
        Probe.BALANCE: (*_REASONS, Reason.UNSUPPORTED, Reason.PRUNED),
        Probe.COMPARE: (*_REASONS, Reason.PRUNED),
        Probe.WRITE: (*_REASONS, Reason.MESSAGE_REJECTED),
    }

    def __init__(self, services: Services) -> None:
        from tonwatch.ton.liteserver.proofs import KnownBlocks

        super().__init__(services)
        self._known = KnownBlocks()

    @classmethod
    def prepare(cls) -> None:
        """Import the liteserver's client."""
        from tonwatch.targets.liteserver import target  # noqa: F401

    def open(self, section: LiteServer) -> OpenTarget:
        """Open a liteserver; blocks known by proofs are shared by all of them."""
        from tonwatch.targets.liteserver.target import OpenLiteServer

        return OpenLiteServer(section, self.services, self._known)
