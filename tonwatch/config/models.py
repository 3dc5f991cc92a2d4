"""The models of the configuration, with their validation.

`tonwatch.config.loader.load` fills them from the YAML file, the environment and flags.
"""

import re
from collections.abc import Sequence
from types import GenericAlias
from typing import Annotated, Any, Final, Literal, Union

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    create_model,
    model_validator,
)

from tonwatch.config.durations import Duration, PositiveDuration
from tonwatch.config.hosts import ListeningHost
from tonwatch.config.target import Entry, TargetSection
from tonwatch.config.types import FilePath, Section
from tonwatch.config.wallets import Contract, Wallet, first_twice
from tonwatch.ton import address
from tonwatch.ton.networks import ZEROSTATES

USUAL: Final = "usual"
"""The tag of a list's default entry."""


def _zerostate(value: str) -> str:
    if value not in ZEROSTATES and not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError(
            f"write {', '.join(ZEROSTATES)} or the zerostate's root hash in 64 hex digits"
        )
    return value


def _coin(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{1,10}", value):
        raise ValueError("write 1 to 10 letters, such as TON")
    return value


class ProbeConfig(Section):
    """Probe intervals and timeouts."""

    interval: PositiveDuration = Field(5.0, description="between two probes of a target's head")
    timeout: PositiveDuration = Field(3.0, description="for one probe; less than interval")
    connect_interval: PositiveDuration = Field(
        30.0, description="between two new connections to a target"
    )
    account_interval: PositiveDuration = Field(
        15.0, description="between two readings of an account and a get method at each target"
    )
    fork_interval: PositiveDuration = Field(
        60.0, description="between two rounds in which all targets are queried for the same block"
    )
    wallet_interval: PositiveDuration = Field(
        15.0, description="between two readings of a wallet's or contract's account"
    )
    compare_interval: PositiveDuration = Field(
        60.0, description="between two rounds in which all targets are queried for the same wallet"
    )
    write_interval: PositiveDuration = Field(
        60.0, description="between two messages to a target that a wallet must refuse"
    )
    stale_after: PositiveDuration = Field(
        20.0,
        description="age at which a result is no longer shown or used; of connect, account and"
        " balance one interval more, of fork, compare and write 2.5 intervals",
    )

    @model_validator(mode="after")
    def _in_order(self) -> "ProbeConfig":
        if self.timeout >= self.interval:
            raise ValueError("timeout must be shorter than interval, or probes pile up")
        if self.stale_after < 2 * self.interval:
            raise ValueError(
                "stale_after must be at least two intervals, or one lost answer is too much"
            )
        return self


class Thresholds(Section):
    """Where a number becomes a finding. All are exported as metrics."""

    lag_warn: PositiveDuration = Field(10.0, description="behind the head: lagging")
    lag_unready: PositiveDuration = Field(20.0, description="behind the head: not ready")
    shard_client_lag_warn: Annotated[int, Field(ge=1)] = Field(
        16, description="blocks the shard client is behind: shard_lagging"
    )
    shard_client_lag_unready: Annotated[int, Field(ge=1)] = Field(
        40, description="blocks the shard client is behind: not ready"
    )
    stalled: PositiveDuration = Field(15.0, description="without a new block")
    clock_warn: PositiveDuration = Field(2.0, description="clock off: clock_skewed")
    clock_critical: PositiveDuration = Field(
        5.0, description="clock off so far that its times are not used"
    )
    slow: PositiveDuration = Field(1.0, description="median time of an answer: slow")
    flapping: Annotated[int, Field(ge=1)] = Field(
        3, description="interruptions within flapping_window: flapping; a lost answer is a third"
    )
    flapping_window: PositiveDuration = Field(180.0, description="over which they are counted")
    payout_failures: Annotated[int, Field(ge=1)] = Field(
        1, description="failed payouts within payout_window: payouts_failing"
    )
    payout_bounces: Annotated[int, Field(ge=1)] = Field(
        3, description="bounced payouts within payout_window: payouts_bouncing"
    )
    payout_window: PositiveDuration = Field(600.0, description="over which both are counted")
    payout_backlog: Annotated[int, Field(ge=1)] = Field(
        500, description="transactions not counted yet: payouts_backlog"
    )

    @model_validator(mode="after")
    def _in_order(self) -> "Thresholds":
        for low, high in (
            ("lag_warn", "lag_unready"),
            ("shard_client_lag_warn", "shard_client_lag_unready"),
            ("clock_warn", "clock_critical"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} must not be above {high}")
        return self


class Gates(Section):
    """What makes a target not ready. No answer always does."""

    lagging: bool = Field(True, description="behind by lag_unready")
    shard_lagging: bool = Field(True, description="shard client behind by shard_client_lag_unready")
    accounts_failing: bool = Field(True, description="accounts or get methods cannot be read")
    throttled: bool = Field(True, description="rate-limited so long that nothing is known")
    stalled: bool = Field(True, description="no new block, while others have some")
    forked: bool = True
    wrong_network: bool = True
    chain_stalled: bool = Field(False, description="no new block anywhere")
    clock_skewed: bool = False
    slow: bool = False
    flapping: bool = Field(False, description="in addition to fail_after and recover_after")
    proof_invalid: bool = Field(True, description="accounts whose proofs do not hold")
    disproved: bool = Field(True, description="balances that a proven answer contradicts")
    write_broken: bool = Field(False, description="external messages are not accepted")
    wallet_low: bool = Field(False, description="any wallet below a minimum; not of a target")


class ReadinessConfig(Section):
    """When /ready answers 200."""

    quorum: Literal["majority", "any", "all"] = Field(
        "majority", description="how many targets with role primary must be in sync"
    )
    fail_after: Annotated[int, Field(ge=1)] = Field(3, description="bad probes in a row to leave")
    recover_after: Annotated[int, Field(ge=1)] = Field(
        2, description="good probes in a row to return"
    )
    gates: Gates = Gates()
    startup_grace: Duration = Field(
        0.0, description="after the start, during which the answer is starting, not unready"
    )
    drain_delay: Duration = Field(
        5.0, description="from SIGTERM to the end, while /ready answers draining"
    )


class IncidentsConfig(Section):
    """How long the record of incidents is kept."""

    retention: PositiveDuration = Field(
        90 * 86_400.0, description="after which one that has ended is removed"
    )
    limit: Annotated[int, Field(ge=100, le=1_000_000)] = Field(
        10_000, description="how many are kept, the newest"
    )


class Serve(Section):
    """Where to listen."""

    host: ListeningHost = Field(
        "0.0.0.0",  # noqa: S104 - the kubelet and Prometheus query a sidecar
        description='an address of this machine, or a name of one; "" for all of IPv4 and IPv6',
    )
    port: Annotated[int, Field(ge=0, le=65535)] = 9717


class Log(Section):
    """What to write to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: colours on a terminal, JSON lines elsewhere"
    )


class Config(Section):
    """The configuration. `config_model` makes the one with the kinds of targets."""

    network: Annotated[str, AfterValidator(_zerostate)] = Field(
        "mainnet", description="mainnet, testnet, or the zerostate's root hash in hex"
    )
    coin: Annotated[str, AfterValidator(_coin)] = Field(
        "TON", description="the native coin's name after amounts on pages and in sentences"
    )
    liteservers: tuple[SerializeAsAny[Entry], ...] = ()
    providers: tuple[SerializeAsAny[Entry], ...] = ()
    wallets: tuple[Wallet, ...] = ()
    contracts: tuple[Contract, ...] = ()
    state_dir: FilePath | None = Field(
        None, description="persistent directory: the checkpoints of payouts, and past incidents"
    )
    probe: ProbeConfig = ProbeConfig()
    thresholds: Thresholds = Thresholds()
    readiness: ReadinessConfig = ReadinessConfig()
    incidents: IncidentsConfig = IncidentsConfig()
    serve: Serve = Serve()
    log: Log = Log()

    @model_validator(mode="after")
    def _names_differ(self) -> "Config":
        first: dict[str, str] = {}
        for kind, entries in (("liteservers", self.liteservers), ("providers", self.providers)):
            for index, entry in enumerate(entries):
                here = f"{kind}[{index}]"
                for name in entry.names():
                    if name in first:
                        raise ValueError(
                            f"{here} and {first[name]} are both named {name!r};"
                            " a name is the label of one target: rename one of them"
                        )
                    first[name] = here
        return self

    @model_validator(mode="after")
    def _wallets_fit(self) -> "Config":
        # Findings refer to a wallet or a contract by its name alone.
        first: dict[str, str] = {}
        for kind, entries in (("wallets", self.wallets), ("contracts", self.contracts)):
            self._named_apart(kind, entries, first)
            # A wallet and a contract may be one account: its balance and its code.
            if twice := first_twice(entry.account for entry in entries):
                one, other = twice
                raise ValueError(
                    f"{kind}[{one}] and {kind}[{other}] are the same account,"
                    f" {entries[one].account}: keep one of them"
                )
        for index, wallet in enumerate(self.wallets):
            for number, jetton in enumerate(wallet.jettons):
                place = f"wallets[{index}].jettons[{number}].master"
                self._of_this_network(place, jetton.master)
            if wallet.payouts and self.state_dir is None:
                raise ValueError(
                    f"wallets[{index}].payouts needs state_dir: a directory that outlives"
                    " restarts, or payouts would be counted twice or not at all"
                )
        if (self.wallets or self.contracts) and not (self.liteservers or self.providers):
            raise ValueError("wallets are read from liteservers or providers: configure one")
        return self

    def _named_apart(
        self, kind: str, entries: Sequence[Wallet | Contract], first: dict[str, str]
    ) -> None:
        for index, entry in enumerate(entries):
            here = f"{kind}[{index}]"
            if entry.name in first:
                raise ValueError(
                    f"{here} and {first[entry.name]} are both named {entry.name!r}:"
                    " rename one of them"
                )
            first[entry.name] = here
            self._of_this_network(f"{here}.address", entry.address)

    def _of_this_network(self, place: str, written: str) -> None:
        if self.network == "mainnet" and address.parse(written).test_only:
            raise ValueError(
                f"{place}: this address is for test networks only; on mainnet it starts with"
                " EQ or UQ"
            )

    @property
    def targets(self) -> list[TargetSection]:
        """All targets, in order.

        Raises:
            TypeError: there is an entry that stands for several; `loader.load` replaces them.
        """
        entries = [*self.liteservers, *self.providers]
        targets = [entry for entry in entries if isinstance(entry, TargetSection)]
        if len(targets) < len(entries):
            raise TypeError("entries that stand for several targets are replaced on loading")
        return targets

    @property
    def zerostate(self) -> bytes:
        """Root hash of the configured network's zerostate."""
        return ZEROSTATES.get(self.network) or bytes.fromhex(self.network)


def config_model(sections: Sequence[type[Entry]]) -> type[Config]:
    """The configuration's model with these kinds of targets.

    Args:
        sections: the possible entries of ``liteservers`` and ``providers``.
    """
    fields: Any = {
        name: (_list_of([section for section in sections if section.listed == name]), ())
        for name in ("liteservers", "providers")
    }
    return create_model("Config", __base__=Config, __doc__=Config.__doc__, **fields)


def _list_of(sections: Sequence[type[Entry]]) -> Any:
    """A list whose entries are of these models, selected by `tag`."""
    if len(sections) == 1:
        return GenericAlias(tuple, (sections[0], ...))
    tags = [section.tag for section in sections]

    def tag_of(value: Any) -> str | None:
        if isinstance(value, Entry):
            return value.tag or USUAL
        if not isinstance(value, dict):
            return USUAL if "" in tags else None
        if "" not in tags:
            kind = value.get("kind")
            return kind if isinstance(kind, str) else None
        return next((tag for tag in tags if tag and tag in value), USUAL)

    tagged = [Annotated[section, Tag(section.tag or USUAL)] for section in sections]
    entry: Any = Annotated[Union[tuple(tagged)], Discriminator(tag_of)]  # noqa: UP007
    return GenericAlias(tuple, (entry, ...))
