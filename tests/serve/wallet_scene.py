"""A scene with wallets and a contract, whose readings the test adds by hand."""

from typing import Any, Final

from tests.configs import make_target
from tests.conftest import Clock
from tests.serve.scene import NODE, PROVIDER, PUBLIC, Scene
from tonwatch.runtime.jobs import accounts as wallet_jobs
from tonwatch.runtime.watcher import Watcher
from tonwatch.samples.account import AccountKey, Reading, Watched
from tonwatch.samples.payouts import PayoutProgress, Totals, Trouble, TroubleKind
from tonwatch.samples.sample import Probe
from tonwatch.system.internal_errors import InternalErrors
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason
from tonwatch.watch.store import Store
from tonwatch.watch.view import View

HOT: Final = Address(0, b"\x11" * 32)
COLD: Final = Address(0, b"\x22" * 32)
MASTER: Final = Address(0, b"\x33" * 32)
HOT_USDT: Final = Address(0, b"\x44" * 32)
VAULT: Final = Address(0, b"\x55" * 32)
CODE: Final = b"\xc0" * 32

CONFIG: Final[dict[str, Any]] = {
    "liteservers": [{"name": "node", "host": "127.0.0.1", "port": 1, "key": "58" + "66" * 31}],
    "wallets": [
        {
            "name": "hot",
            "address": HOT.friendly(),
            "minimum": 250,
            "payouts": True,
            "write_probe": True,
            "jettons": [
                {"name": "usdt", "master": MASTER.friendly(), "decimals": 6, "minimum": "1000.5"}
            ],
        },
        {"name": "cold", "address": str(COLD)},
    ],
    "contracts": [{"name": "vault", "address": str(VAULT), "code_hash": CODE.hex()}],
    "state_dir": "/nonexistent",
}


class WalletScene(Scene):
    """Every wallet is healthy unless the test says otherwise."""

    def __init__(self, clock: Clock, **config: Any) -> None:
        super().__init__(clock, **(CONFIG | config))
        about = wallet_jobs.about_wallets(self.config)
        self.targets = tuple(
            make_target(each.name, each.kind, each.role, each.local, about)
            for each in (NODE, PUBLIC, PROVIDER)
        )
        self.accounts = list(wallet_jobs.watched(self.config))
        self.store = Store(self.targets, self.accounts)
        self.watcher = Watcher(
            self.config,
            self.store,
            wall=clock.wall,
            monotonic=clock.monotonic,
            errors=InternalErrors(wall=clock.wall, monotonic=clock.monotonic),
        )

    def read(self, name: str, asset: str = "native", **observed: Any) -> None:
        """An account is read."""
        watched = next(each for each in self.accounts if each.key == (name, asset))
        self.store.add(self._reading(watched, **observed))

    def read_failing(
        self,
        name: str,
        asset: str = "native",
        reason: Reason = Reason.METHOD_FAILED,
        detail: str = "",
    ) -> None:
        """An account cannot be read."""
        self.read(name, asset, reason=reason, detail=detail, account=None, status=None, amount=None)

    def count_payouts(
        self, name: str, asset: str = "native", totals: Totals | None = None, **observed: Any
    ) -> None:
        """Payouts are counted: 200 by default."""
        values: dict[str, Any] = {
            "totals": totals
            or Totals(sent_messages=200, sent_amount=1_234_567_890, transactions=210),
            "cursor": TransactionId(47_000_000_000_001, b"\xab" * 32),
            "since": int(self.clock.wall_time) - 3600,
            "opening": 0,
        }
        key = AccountKey(name, asset)
        self.store.add(
            PayoutProgress(key=key, finished=self.clock.monotonic_time, **(values | observed))
        )

    def failed(self, count: int, code: int = 37, ago: float = 60.0) -> Totals:
        """Totals with `count` failed payouts."""
        time = int(self.clock.wall_time - ago)
        troubles = (
            Trouble(time, TroubleKind.FAILED, "action", code, 47_000_000_000_000 - number)
            for number in range(count)
        )
        return Totals(
            sent_messages=5,
            transactions=5 + count,
            failed_transactions={("action", code): count},
            recent=tuple(troubles),
        )

    def bounced(self, count: int) -> Totals:
        """Totals with `count` payouts that bounced a minute ago."""
        time = int(self.clock.wall_time - 60)
        trouble = Trouble(time, TroubleKind.BOUNCED, "", None, 47_000_000_000_000)
        return Totals(sent_messages=9, bounced_messages=count, recent=(trouble,) * count)

    def all_read(self) -> None:
        """Every account is read, and payouts are counted where that is asked for."""
        for watched in self.accounts:
            self.store.add(self._reading(watched))
        with_payouts = {wallet.name for wallet in self.config.wallets if wallet.payouts}
        for watched in self.accounts:
            if watched.key.name in with_payouts and watched.key.asset:
                self.count_payouts(*watched.key)

    def accept_messages(self) -> None:
        for target in self.targets:
            self.put(target, Probe.WRITE, {})

    def all_healthy(self) -> View:
        """All targets and all wallets are healthy."""

        def tick() -> None:
            self.all_answer()
            self.all_read()
            self.accept_messages()

        return self.ticks(3, tick)

    def _reading(self, watched: Watched, **observed: Any) -> Reading:
        native, jetton = watched.key.asset == "native", watched.master is not None
        values: dict[str, Any] = {
            "source": "node",
            "started": self.clock.wall_time,
            "finished": self.clock.monotonic_time,
            "account": HOT_USDT if jetton else watched.account,
            "status": AccountStatus.ACTIVE,
            "amount": 5_000_250_000 if jetton else 1_234_500_000_000,
            "proven": True,
            "block": 40_000_000,
            "time": int(self.clock.wall_time) - 3,
            "last": TransactionId(47_000_000_000_001, b"\xab" * 32),
            "code_hash": None if native or jetton else CODE,
            "kind": WalletKind.V4R2 if native else None,
            "seqno": 4711 if native else None,
        }
        return Reading(key=watched.key, **(values | observed))
