"""Applying a new configuration: what has not changed goes on undisturbed."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests import virtual_time
from tests.configs import configured
from tests.virtual_time import VirtualLoop
from tonwatch.runtime.runtime import Runtime, running
from tonwatch.samples.account import AccountKey
from tonwatch.samples.payouts import PayoutProgress
from tonwatch.samples.sample import Probe
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.state.directory import StateDirError
from tonwatch.state.sqlite import NAME, SqliteStore
from tonwatch.state.state import State as KeptState
from tonwatch.state.store import Unreadable
from tonwatch.watch.findings import Cause
from tonwatch.watch.states import State
from tonwatch.watch.store import Record


class Live:
    """tonwatch on a simulated network, and the configuration that can be edited.

    Attributes:
        content: of the configuration; `apply` applies it.
    """

    def __init__(self, simulator: Simulator, content: dict[str, Any], runtime: Runtime) -> None:
        self.simulator = simulator
        self.content = content
        self.runtime = runtime

    async def apply(self) -> None:
        await self.runtime.apply(configured(self.content))

    def record(self, name: str) -> Record:
        return self.runtime.view.snapshot.records[name]

    def probes(self, name: str, probe: Probe = Probe.HEAD) -> int:
        """How many probes there were of a target."""
        return sum(n for (each, _), n in self.record(name).results.items() if each is probe)

    def connections(self, name: str) -> int:
        """How many the head probe has made, as far as its history goes back."""
        return sum("handshake" in sample.phases for sample in self.record(name).heads)

    def state(self, name: str) -> State:
        return self.runtime.view.judgement.verdicts[name].state

    def cause(self) -> Cause:
        return self.runtime.view.diagnosis.cause

    def server(self, name: str) -> dict[str, Any]:
        listed = [*self.content["liteservers"], *self.content["providers"]]
        found: dict[str, Any]
        [found] = [each for each in listed if each["name"] == name]
        return found

    def wallet(self, name: str = "wallet-1") -> dict[str, Any]:
        found: dict[str, Any]
        [found] = [each for each in self.content["wallets"] if each["name"] == name]
        return found

    def progress(self, name: str) -> PayoutProgress | None:
        return self.runtime.view.snapshot.accounts[AccountKey(name, "native")].progress

    def expected(self, name: str) -> int:
        """Transactions of a wallet since the chain began."""
        return self.simulator.world.expected_totals[name]["native"].transactions

    def counted(self, name: str) -> int:
        """Transactions that are counted."""
        progress = self.progress(name)
        return progress.totals.transactions if progress is not None else 0


WALLETS = ("hot", "cold")


def open_sockets() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


Scene = Callable[[Live], Awaitable[None]]


def play(scene: Scene, tmp_path: Path, **network: Any) -> None:
    """Run `scene` on virtual time, after a healthy minute."""

    async def main(loop: VirtualLoop) -> None:
        options = {"liteservers": 2, "providers": 1, "wallets": 1} | network
        async with Simulator(clock=loop.wall, **options) as simulator:
            content = simulator.config() | {"state_dir": str(tmp_path / "state")}
            async with running(configured(content), wall=loop.wall, random=Random(1)) as runtime:
                watching = asyncio.create_task(runtime.run())
                await asyncio.sleep(60.0)
                assert runtime.view.diagnosis.cause is Cause.HEALTHY
                await scene(Live(simulator, deepcopy(content), runtime))
                assert runtime.errors.seen() == ()
                watching.cancel()
                await asyncio.wait({watching})

    virtual_time.run(main)


class TestTargets:
    @pytest.mark.parametrize(
        "edit",
        [
            pytest.param(lambda _: None, id="nothing"),
            pytest.param(lambda it: it.server("node-1").update(role="reference"), id="its role"),
            pytest.param(lambda it: it.server("node-1").update(local=False), id="its place"),
            pytest.param(lambda it: it.content.update(probe={"interval": "10s"}), id="interval"),
            pytest.param(lambda it: it.content.update(thresholds={"stalled": "60s"}), id="limits"),
            pytest.param(lambda it: it.content["liteservers"].reverse(), id="the order"),
            pytest.param(lambda it: it.content["providers"].clear(), id="another target"),
        ],
    )
    def test_an_unchanged_one_goes_on(self, tmp_path: Path, edit: Callable[[Live], None]) -> None:
        async def scene(it: Live) -> None:
            before, heads = it.probes("node-1"), len(it.record("node-1").heads)
            edit(it)
            await it.apply()
            assert it.probes("node-1") == before
            await asyncio.sleep(60.0)
            assert it.probes("node-1") >= before + 6
            assert len(it.record("node-1").heads) >= heads + 6
            assert it.connections("node-1") == 1
            assert it.runtime.view.judgement.verdicts["node-1"].state is State.OK

        play(scene, tmp_path)

    def test_changed_thresholds_apply_at_once(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            it.server("node-1")["role"] = "reference"
            it.server("node-2")["role"] = "primary"
            await it.apply()
            assert list(it.runtime.view.readiness.standings) == ["node-2"]
            assert it.record("node-1").target.role == "reference"

        play(scene, tmp_path)

    def test_a_changed_interval_applies_from_now_on(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            it.content["probe"] = {"interval": "1s", "timeout": "900ms"}
            await it.apply()
            before = it.probes("node-1")
            await asyncio.sleep(30.0)
            it.runtime.watcher.evaluate()
            assert it.probes("node-1") - before in {29, 30, 31}

        play(scene, tmp_path)

    def test_a_removed_target_ends(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            it.content["liteservers"].pop()
            sockets = open_sockets()
            await it.apply()
            view = it.runtime.view
            assert "node-2" not in view.snapshot.records
            assert "node-2" not in view.judgement.verdicts
            assert not any("node-2" in job.name for job in it.runtime.jobs)
            await asyncio.sleep(60.0)
            # Both ends of both connections.
            assert open_sockets() == sockets - 4
            assert it.cause() is Cause.HEALTHY

        play(scene, tmp_path)

    def test_a_new_target_begins(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            provider = it.content["providers"].pop()
            await it.apply()
            await asyncio.sleep(10.0)
            it.content["providers"].append(provider)
            await it.apply()
            assert it.state("provider-1") is State.UNKNOWN
            assert it.probes("provider-1") == 0
            await asyncio.sleep(10.0)
            assert it.state("provider-1") is State.OK

        play(scene, tmp_path)

    def test_another_server_of_the_same_name_has_no_history(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            [one, two] = it.content["liteservers"]
            one["port"], two["port"] = two["port"], one["port"]
            one["key"], two["key"] = two["key"], one["key"]
            await it.apply()
            assert it.probes("node-1") == 0
            await asyncio.sleep(10.0)
            assert it.connections("node-1") == 1
            await it.simulator.set_fault("node-2", Fault.REFUSE)
            await asyncio.sleep(20.0)
            assert it.runtime.view.judgement.verdicts["node-1"].state is State.DOWN

        play(scene, tmp_path)

    def test_a_pending_question_does_not_delay_removal(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            await it.simulator.set_fault("node-2", Fault.HANG)
            await asyncio.sleep(20.0)
            before = asyncio.get_running_loop().time()
            it.content["liteservers"].pop()
            await it.apply()
            assert asyncio.get_running_loop().time() - before < 3.0
            await asyncio.sleep(20.0)
            assert it.cause() is Cause.HEALTHY

        play(scene, tmp_path)

    def test_while_no_target_is_reachable(self, tmp_path: Path) -> None:
        """The egress is broken, and a target that is not named is removed."""

        async def scene(it: Live) -> None:
            for name in ("node-1", "node-2", "provider-1"):
                await it.simulator.set_fault(name, Fault.UNREACHABLE)
            await asyncio.sleep(30.0)
            assert it.cause() is Cause.EGRESS_BROKEN
            it.content["providers"].clear()
            await it.apply()
            assert it.cause() is Cause.EGRESS_BROKEN
            for name in ("node-1", "node-2"):
                await it.simulator.clear(name)
            await asyncio.sleep(30.0)
            assert it.cause() is Cause.HEALTHY

        play(scene, tmp_path, external=["node-1", "node-2", "provider-1"])


class TestWallets:
    def test_an_unchanged_one_goes_on(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            before = it.runtime.view.snapshot.accounts[AccountKey("wallet-1", "native")]
            it.content["wallets"].pop()
            await it.apply()
            after = it.runtime.view.snapshot.accounts
            assert after[AccountKey("wallet-1", "native")] is before
            assert set(it.runtime.view.judgement.wallet_status.wallets) == {"wallet-1"}
            await asyncio.sleep(60.0)
            assert it.cause() is Cause.HEALTHY

        play(scene, tmp_path, wallets=2)

    def test_a_changed_minimum_applies_at_once(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            it.wallet()["minimum"] = "1000000000"
            await it.apply()
            assert it.cause() is Cause.WALLET_LOW

        play(scene, tmp_path)

    def test_a_changed_address_is_another_account(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            it.content["wallets"] = [it.wallet("wallet-2") | {"name": "wallet-1"}]
            await it.apply()
            record = it.runtime.view.snapshot.accounts[AccountKey("wallet-1", "native")]
            assert record.reading is None
            await asyncio.sleep(10.0)
            record = it.runtime.view.snapshot.accounts[AccountKey("wallet-1", "native")]
            assert record.reading is not None
            assert record.reading.account == it.simulator.world.wallets[1].address

        play(scene, tmp_path, wallets=2)

    def test_all_removed_and_added_again(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            wallets, it.content["wallets"] = it.content["wallets"], []
            await it.apply()
            assert {job.probe for job in it.runtime.jobs} == {
                *(Probe.HEAD, Probe.CONNECT, Probe.ACCOUNT, Probe.FORK),
            }
            assert Probe.BALANCE not in it.record("node-1").target.probes
            it.content["wallets"] = wallets
            await it.apply()
            assert {job.probe for job in it.runtime.jobs} == set(Probe)
            await asyncio.sleep(60.0)
            assert it.cause() is Cause.HEALTHY

        play(scene, tmp_path)


class TestPayouts:
    def test_each_is_counted_once_however_often_a_configuration_is_applied(
        self, tmp_path: Path
    ) -> None:
        async def scene(it: Live) -> None:
            [wallet] = it.simulator.world.wallets
            checkpoints = it.simulator.world.expected_totals[wallet.name]["native"]
            before = checkpoints.transactions - it.counted(wallet.name)
            made = checkpoints.transactions
            for turn in range(40):
                it.simulator.world.pay(wallet.name, 1_000_000_000)
                it.wallet()["minimum"] = str(50 + turn % 3)
                await it.apply()
                await asyncio.sleep(3.3)
            await asyncio.sleep(30.0)
            assert checkpoints.transactions >= made + 40
            assert checkpoints.transactions - it.counted(wallet.name) == before

        play(scene, tmp_path)

    def test_a_directory_that_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise Unreadable("database or disk is full")

        async def scene(it: Live) -> None:
            errors = [it.runtime.view.snapshot.state_dir_error]
            with monkeypatch.context() as patch:
                patch.setattr(SqliteStore, "write", full)
                it.simulator.world.pay("wallet-1", 1_000_000_000)
                await asyncio.sleep(60.0)
                errors.append(it.runtime.view.snapshot.state_dir_error)
            # Without another payout: what could not be saved is tried again.
            await asyncio.sleep(5.0)
            errors.append(it.runtime.view.snapshot.state_dir_error)
            assert errors == ["", f"{tmp_path / 'state'}: database or disk is full", ""]

        play(scene, tmp_path)

    def test_a_database_that_is_removed_is_written_anew(self, tmp_path: Path) -> None:
        """With what is known of all accounts, also of those that have no new transactions."""

        async def scene(it: Live) -> None:
            database = tmp_path / "state" / NAME
            before = set(it.runtime.view.snapshot.accounts)
            database.unlink()
            it.simulator.world.pay("wallet-1", 1_000_000_000)
            await asyncio.sleep(60.0)
            connection = sqlite3.connect(database)
            kept = set(connection.execute("SELECT wallet, asset FROM checkpoints"))
            connection.close()
            assert kept == before
            assert len(kept) > 1

        play(scene, tmp_path, payouts_per_minute=0)

    def test_counting_is_switched_off_and_on_again(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            before = it.counted("wallet-1")
            assert before > 0
            it.wallet()["payouts"] = False
            await it.apply()
            await asyncio.sleep(30.0)
            assert (
                it.runtime.view.snapshot.accounts[AccountKey("wallet-1", "native")].progress is None
            )
            it.wallet()["payouts"] = True
            await it.apply()
            await asyncio.sleep(30.0)
            assert it.counted("wallet-1") > before
            progress = it.progress("wallet-1")
            assert progress is not None
            assert progress.totals.history_gaps == 0

        play(scene, tmp_path, payouts_per_minute=30)

    def test_another_directory(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            it.content["state_dir"] = str(tmp_path / "other")
            await it.apply()
            await asyncio.sleep(30.0)
            assert (tmp_path / "other" / NAME).exists()
            other = KeptState(tmp_path / "state")
            await other.open()
            await other.close()

        play(scene, tmp_path)

    def test_a_directory_that_is_taken_changes_nothing(self, tmp_path: Path) -> None:
        async def scene(it: Live) -> None:
            before = it.runtime.config
            it.content["state_dir"] = str(tmp_path / "taken")
            it.content["providers"].clear()
            taken = KeptState(tmp_path / "taken")
            await taken.open()
            with pytest.raises(StateDirError, match="is used by another tonwatch"):
                await it.apply()
            await taken.close()
            assert it.runtime.config is before
            assert "provider-1" in it.runtime.targets
            await asyncio.sleep(30.0)
            assert it.cause() is Cause.HEALTHY

        play(scene, tmp_path)


def test_another_network_starts_without_history(tmp_path: Path) -> None:
    async def scene(it: Live) -> None:
        it.content["network"] = "mainnet"
        for wallet in it.content["wallets"]:
            wallet["payouts"] = False
        await it.apply()
        assert it.probes("node-1") == 0
        assert it.runtime.view.history == ()
        await asyncio.sleep(20.0)
        assert it.cause() is Cause.WRONG_NETWORK
        assert it.connections("node-1") == 1

    play(scene, tmp_path)


class TestAnyOrder:
    """Whatever is edited in whatever order, nothing breaks, leaks or is counted twice."""

    @pytest.mark.parametrize("seed", range(8))
    def test_edits(self, tmp_path: Path, seed: int) -> None:
        async def scene(it: Live) -> None:
            random = Random(seed)
            whole = deepcopy(it.content)
            counted = {name: it.expected(name) - it.counted(name) for name in WALLETS}
            sockets = open_sockets()
            for _ in range(40):
                self.edit(it, whole, random)
                for wallet in WALLETS:
                    it.simulator.world.pay(wallet, 1_000_000_000)
                await it.apply()
                await asyncio.sleep(random.choice([0.0, 0.3, 2.0, 7.0]))
            it.content = whole
            await it.apply()
            await asyncio.sleep(90.0)
            assert it.cause() is Cause.HEALTHY
            assert {name: it.expected(name) - it.counted(name) for name in WALLETS} == counted
            assert open_sockets() <= sockets

        play(scene, tmp_path, wallets=WALLETS)

    @staticmethod
    def edit(it: Live, whole: dict[str, Any], random: Random) -> None:
        """Change some of the configuration, or all of it back."""
        content = it.content = deepcopy(whole)
        content["probe"] = {"interval": f"{random.randint(4, 9)}s"}
        content["thresholds"] = {"payout_window": f"{random.randint(300, 900)}s"}
        random.shuffle(content["liteservers"])
        for listed in ("liteservers", "providers", "wallets"):
            content[listed] = [each for each in content[listed] if random.random() < 0.7]
        if not content["liteservers"] and not content["providers"]:
            content["liteservers"] = whole["liteservers"][:1]
        for server in content["liteservers"]:
            server["role"] = random.choice(["primary", "reference"])
        for wallet in content["wallets"]:
            wallet["minimum"] = str(random.randint(1, 100))
            wallet["payouts"] = random.random() < 0.8
            wallet["write_probe"] = random.random() < 0.5
            wallet["jettons"] = wallet["jettons"] if random.random() < 0.7 else []
