"""Owns targets, jobs, the store, threads and the state directory.

`Runtime.apply` puts a configuration into force, at the start and later.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from tonwatch.config import secret_files
from tonwatch.config.models import Config
from tonwatch.config.secret_files import SecretFiles
from tonwatch.config.target import TargetSection
from tonwatch.payouts.checkpoints import Checkpoints
from tonwatch.probes.balances import JettonWallets
from tonwatch.probes.source import Source
from tonwatch.runtime.jobs.accounts import CompareAccounts, ReadAccounts, about_wallets, watched
from tonwatch.runtime.jobs.forks import ForkRounds
from tonwatch.runtime.jobs.messages import SendMessages
from tonwatch.runtime.jobs.payouts import CountPayouts
from tonwatch.runtime.jobs.regular import RegularProbe
from tonwatch.runtime.recorder import Recorder
from tonwatch.runtime.scheduler import Asker, Job, Scheduler
from tonwatch.runtime.watcher import Watcher
from tonwatch.samples.target import Target
from tonwatch.state.state import State
from tonwatch.system import executors
from tonwatch.system.executors import Executors
from tonwatch.system.internal_errors import InternalErrors
from tonwatch.targets.kind import Kind, OpenTarget, Services
from tonwatch.targets.registry import KINDS, Kinds, kind_of
from tonwatch.ton.parsing import Parsing
from tonwatch.watch.store import Store
from tonwatch.watch.view import Ended, View

# Targets are opened in the event loop, which imports would block.
for _kind in KINDS:
    _kind.prepare()


@dataclass(frozen=True, slots=True)
class _Open:
    """A target that is open.

    Attributes:
        section: its configuration.
        target: the target.
        regular: its regular probes.
        messages: its write probe.
    """

    section: TargetSection
    target: OpenTarget
    regular: tuple[RegularProbe, ...]
    messages: SendMessages


class Runtime:
    """Watches what a configuration says, and applies changes of it. Open it with `running`.

    Args:
        config: the first one; nothing is watched before `apply`.
        kinds: of targets.
        keeping: keep state: count payouts, where the configuration says so, and record incidents.
        threads: for blocking calls.
        errors: counts internal errors.
        wall: local clock, Unix seconds.
        random: source of the jitter between jobs.

    Attributes:
        store: where samples go.
        files: secret files that are kept fresh.
        asker: runs what jobs plan.
        scheduler: runs jobs.
    """

    def __init__(
        self,
        config: Config,
        kinds: Kinds,
        *,
        keeping: bool,
        threads: Executors,
        errors: InternalErrors,
        wall: Callable[[], float],
        random: Random,
    ) -> None:
        self.config = config
        self.wall = wall
        self.threads = threads
        self._parsing = Parsing(threads.parsing)
        self.errors = errors
        self.files = SecretFiles(threads.secrets, errors)
        self.store = Store(dropped_answers=self._dropped_answers)
        self.asker = Asker(self.store, errors)
        self._kinds = kinds
        self._keeps = keeping
        self.scheduler = Scheduler(self.asker, random)
        self._watcher: Watcher | None = None
        self._opener: dict[type[Kind[Any]], Kind[Any]] = {}
        self._open: dict[str, _Open] = {}
        self._jetton_wallets = JettonWallets()
        self._forks = ForkRounds(self)
        self._accounts = ReadAccounts(self, self._jetton_wallets)
        self._comparison = CompareAccounts(self, self._jetton_wallets)
        self._recorder: Recorder | None = None
        self._counting: CountPayouts | None = None

    @property
    def watcher(self) -> Watcher:
        """Makes views of the store.

        Raises:
            RuntimeError: no configuration has been applied yet.
        """
        if self._watcher is None:
            raise RuntimeError("apply a configuration first")
        return self._watcher

    @property
    def record(self) -> State | None:
        """Where incidents are recorded; None where no state is kept."""
        return self._recorder.state if self._recorder is not None else None

    @property
    def view(self) -> View:
        """The newest view."""
        return self.watcher.view

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs."""
        return self.scheduler.jobs

    @property
    def targets(self) -> Mapping[str, OpenTarget]:
        """All targets, by name, in the order of the configuration."""
        return {name: each.target for name, each in self._open.items()}

    @property
    def sources(self) -> Mapping[str, Source]:
        """The targets that accounts can be read from, by name."""
        return {
            name: source
            for name, each in self._open.items()
            if (source := each.target.source) is not None
        }

    async def apply(self, config: Config) -> None:
        """Watch what this configuration says from now on.

        What is unchanged, by name and content, keeps its connections, history and counters. A
        target keeps them also where only `role`, `local` or `operator` changes. What is gone
        ends, and what is new starts. With another `network` everything starts anew. `serve` and
        `log` are not applied here.

        Args:
            config: as `loader.load` returns it.

        Raises:
            StateDirError: state cannot be kept; nothing has changed then.
        """
        before = self.config
        is_other_network = config.zerostate != before.zerostate
        recorder = await self._changed_recorder(config)
        history: tuple[Ended, ...] = ()
        if recorder is not None and (is_other_network or self._watcher is None):
            history = await recorder.history(config.zerostate)
        counting = self._changed_counting(before, config, recorder)
        if is_other_network:
            self._opener = {}
            self._jetton_wallets.clear()
            self.store.change((), ())
        self.config = config
        gone = self._change_targets(config, keep=not is_other_network)
        was, self._counting = self._counting, counting
        recorded_by, self._recorder = self._recorder, recorder
        self.store.change(
            self._described(config),
            watched(config),
            forget=gone,
            counted=self._still_counted(was, config),
        )
        if self._watcher is None:
            monotonic = asyncio.get_running_loop().time
            self._watcher = Watcher(
                config,
                self.store,
                wall=self.wall,
                monotonic=monotonic,
                errors=self.errors,
                history=history,
                observe=self._observe,
            )
        else:
            self._watcher.change(config, history)
            self._watcher.evaluate()
        # Jobs of targets that are gone end before their connections.
        await self.scheduler.change(self._planned(config))
        for each in gone.values():
            await each.target.close()
        if recorded_by is not None and recorder is not recorded_by:
            self.store.state_dir_failed("")
            await recorded_by.close()
        await self.files.refresh(secret_files.FIRST_WITHIN)

    async def run(self) -> None:
        """Probe, judge, and refresh secret files, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watcher.run(), name="watcher")
            group.create_task(self.scheduler.run(), name="scheduler")
            group.create_task(self.files.keep(), name="secrets")

    async def close(self) -> None:
        """Close every connection, and release the state directory."""
        for each in self._open.values():
            await each.target.close()
        self._open = {}
        if self._recorder is not None:
            await self._recorder.close()
        self.files.close_all()

    def _observe(self, view: View) -> None:
        if self._recorder is not None:
            self._recorder.observe(view)

    def _dropped_answers(self, name: str) -> int:
        return self._open[name].target.dropped_answers if name in self._open else 0

    def _change_targets(self, config: Config, *, keep: bool) -> dict[str, _Open]:
        """Open new targets; returns those that are gone. Without `keep` all are new."""
        before, self._open = self._open, {}
        for section in config.targets:
            was = before.get(section.name)
            if was is not None and was.section.is_same_server(section) and keep:
                del before[section.name]
                self._open[section.name] = _Open(section, was.target, was.regular, was.messages)
            else:
                self._open[section.name] = self._opened(section)
        return before

    def _opened(self, section: TargetSection) -> _Open:
        kind = kind_of(section, self._kinds)
        if kind not in self._opener:
            timeout: Callable[[], float] = lambda: self.config.probe.timeout  # noqa: E731
            services = Services(
                self.threads.names.resolve, self.files, timeout, self.wall, self._parsing
            )
            self._opener[kind] = kind(services)
        target = self._opener[kind].open(section)
        regular = tuple(RegularProbe(section.name, each, self) for each in target.regular())
        return _Open(section, target, regular, SendMessages(section.name, self))

    def _described(self, config: Config) -> list[Target]:
        """Each target as data."""
        about = about_wallets(config)
        return [
            kind_of(each.section, self._kinds).target(each.section, about)
            for each in self._open.values()
        ]

    async def _changed_recorder(self, config: Config) -> Recorder | None:
        """What keeps the state that `config` asks for; None where none is kept.

        Raises:
            StateDirError: the directory cannot be used.
        """
        if not self._keeps:
            return None
        was = self._recorder
        if was is not None and was.state.path == config.state_dir:
            return was
        state = State(config.state_dir, self.wall, self.store.state_dir_failed)
        await state.open()
        return Recorder(state, lambda: self.config.incidents, asyncio.get_running_loop().time)

    def _changed_counting(
        self, before: Config, config: Config, recorder: Recorder | None
    ) -> CountPayouts | None:
        """The payout job for `config`; None without one."""
        if recorder is None or not any(wallet.payouts for wallet in config.wallets):
            return None
        is_same = recorder is self._recorder and config.zerostate == before.zerostate
        if self._counting is not None and is_same:
            known = {wallet.name: wallet for wallet in before.wallets}
            same = {wallet.name for wallet in config.wallets if known.get(wallet.name) == wallet}
            return self._counting.successor(same)
        return CountPayouts(self, Checkpoints(recorder.state, config.zerostate))

    def _still_counted(self, was: CountPayouts | None, config: Config) -> set[str]:
        """The wallets whose payouts go on being counted with the same checkpoints."""
        now = self._counting
        if was is None or now is None or now.checkpoints is not was.checkpoints:
            return set()
        return {wallet.name for wallet in config.wallets if wallet.payouts}

    def _planned(self, config: Config) -> list[Job]:
        """The jobs of a configuration, for the open targets."""
        jobs = [job.job(config) for each in self._open.values() for job in each.regular]
        jobs.append(self._forks.job(config))
        if config.wallets or config.contracts:
            jobs.append(self._accounts.job(config))
        if config.wallets:
            jobs.append(self._comparison.job(config))
        if any(wallet.write_probe for wallet in config.wallets):
            jobs += [self._open[name].messages.job(config) for name in self.sources]
        if self._counting is not None:
            jobs.append(self._counting.job(config))
        return jobs


@asynccontextmanager
async def running(
    config: Config,
    *,
    kinds: Kinds = KINDS,
    keeping: bool = True,
    wall: Callable[[], float] = time.time,
    random: Random | None = None,
) -> AsyncIterator[Runtime]:
    """A runtime with `config` applied; it probes nothing before `Runtime.run`.

    On leaving, all connections are closed and all threads released.

    Args:
        config: as `loader.load` returns it.
        kinds: of targets.
        keeping: keep state: count payouts, where the configuration says so, and record incidents.
        wall: local clock, Unix seconds.
        random: source of the jitter between jobs.

    Raises:
        StateDirError: state cannot be kept.
    """
    errors = InternalErrors(wall=wall, monotonic=asyncio.get_running_loop().time)
    async with executors.running() as threads, AsyncExitStack() as stack:
        runtime = Runtime(
            config,
            kinds,
            keeping=keeping,
            threads=threads,
            errors=errors,
            wall=wall,
            random=random or Random(),
        )
        stack.push_async_callback(runtime.close)
        await runtime.apply(config)
        yield runtime
