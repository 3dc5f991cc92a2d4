"""The interface of a kind of target, and of an open target."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from tonwatch.config.models import ProbeConfig
from tonwatch.config.target import Entry, TargetSection
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.samples.target import Category, Target
from tonwatch.ton.errors import Reason
from tonwatch.ton.names import Resolve
from tonwatch.ton.parsing import Parsing

# The configuration is checked without what it takes to open a target.
if TYPE_CHECKING:
    from tonwatch.config.secret_files import SecretFiles
    from tonwatch.probes.source import Source
    from tonwatch.targets.cross_check import CrossCheck

S = TypeVar("S", bound=TargetSection)

_ABOUT_WALLETS: Final = frozenset({Probe.BALANCE, Probe.COMPARE, Probe.WRITE})
"""Probes that run only where the configuration has wallets that need them."""

_PATIENCE: Final = 10.0
"""Seconds for an answer on a new connection, at least."""


@dataclass(frozen=True, slots=True)
class Services:
    """What targets get from the runtime.

    Attributes:
        resolve: finds the addresses of host names.
        files: reads keys and secrets.
        timeout: returns the currently configured probe timeout, seconds.
        wall: local clock, Unix seconds.
        parsing: parses answers that may be large.
    """

    resolve: Resolve
    files: "SecretFiles"
    timeout: Callable[[], float]
    wall: Callable[[], float]
    parsing: Parsing = field(default_factory=Parsing)

    def patience(self) -> float:
        """Seconds for an answer on a new connection: slow ones are measured, not lost."""
        return max(3 * self.timeout(), _PATIENCE)


@dataclass(frozen=True, slots=True)
class Regular:
    """A probe that runs at regular intervals.

    Attributes:
        probe: which one.
        ask: runs it once.
        interval: seconds between two runs, from the configuration.
    """

    probe: Probe
    ask: Callable[[], Coroutine[Any, Any, Sample]]
    interval: Callable[[ProbeConfig], float]


class OpenTarget(ABC):
    """One target with its connections, which are opened on first use.

    Attributes:
        source: reads accounts and sends messages; None where the kind supports neither.
    """

    source: "Source | None" = None

    @abstractmethod
    def regular(self) -> Iterable[Regular]:
        """The probes that run at regular intervals; `Probe.HEAD` is one of them."""

    async def block_at(self, seqno: int) -> Sample | None:
        """Ask which masterchain block it has at a seqno: a sample of `Probe.FORK`.

        None where this kind does not support it.
        """
        del seqno
        return None

    async def cross_check(self, before: Head | None, threads: Executor) -> "CrossCheck | None":
        """Ask once more with a client that is not ours, and compare what both see.

        None where there is no other client for this kind.

        Args:
            before: what our own probe saw earlier; None where it failed.
            threads: where the other client runs.
        """
        del before, threads
        return None

    @property
    def dropped_answers(self) -> int:
        """Late or unsolicited answers since it was opened."""
        return 0

    @abstractmethod
    async def close(self) -> None:
        """Close all connections and files."""


class Kind(ABC, Generic[S]):
    """One kind of target. One instance holds what its targets share.

    Attributes:
        name: the value of the label ``kind``; also of ``kind`` in the configuration, where the
            list has kinds.
        category: whether its targets are nodes or providers.
        section: how a target of it is configured.
        entries: other entries of its list that expand to targets of it.
        reasons: the probes that it supports, and how each can end; docs/metrics.md lists them.
    """

    name: ClassVar[str]
    category: ClassVar[Category]
    section: ClassVar[type[TargetSection]]
    entries: ClassVar[tuple[type[Entry], ...]] = ()
    reasons: ClassVar[Mapping[Probe, tuple[Reason, ...]]]

    def __init__(self, services: Services) -> None:
        self.services = services

    @classmethod
    def prepare(cls) -> None:
        """Import what `open` takes; called before an event loop runs, which imports would block."""

    @abstractmethod
    def open(self, section: S) -> OpenTarget:
        """Open a target. Nothing is connected yet."""

    @classmethod
    def target(cls, section: TargetSection, about_wallets: Iterable[Probe] = ()) -> Target:
        """The description of a target of this kind.

        Args:
            section: its configuration.
            about_wallets: the probes that the configured wallets need.
        """
        left_out = _ABOUT_WALLETS.difference(about_wallets)
        return Target(
            name=section.name,
            kind=cls.name,
            category=cls.category,
            role=section.role,
            local=section.is_local,
            operator=section.operated_by,
            reasons={
                probe: reasons for probe, reasons in cls.reasons.items() if probe not in left_out
            },
        )
