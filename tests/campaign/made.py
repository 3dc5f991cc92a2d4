"""Plays a situation on made samples: what each probe returns, and the judge alone.

The probes are a model of those in `tonwatch.targets` and `tonwatch.probes`: what they ask, when
they ask again, and how long they wait. What they find is what users get, by `served`.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import count
from random import Random
from typing import Any, Final, NamedTuple

from tests.campaign.checks import Checks
from tests.campaign.oracle import INTERVAL
from tests.campaign.served import SILENT, Block, Served, chain_of, here, served
from tests.campaign.situation import Shape, Situation
from tests.configs import configured, make_target
from tests.virtual_time import EPOCH
from tonwatch.config.models import Config
from tonwatch.config.wallets import NATIVE
from tonwatch.samples.account import AccountKey, Reading, Watched
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.samples.target import Target
from tonwatch.simulator.faults.fault import Fault
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason
from tonwatch.ton.networks import ZEROSTATES
from tonwatch.watch import planner, view
from tonwatch.watch.failures import failure
from tonwatch.watch.states import State
from tonwatch.watch.store import Store
from tonwatch.watch.view import View

BALANCE: Final = 1000 * 10**9
"""Of the wallet, nanocoins."""

_TIMEOUT: Final = 3.0
_PATIENCE: Final = 9.0
"""Seconds that the connect probe waits for an answer, once it is connected."""

_HIDES_FOR: Final = 16.0
"""Seconds for which a node serves its shard client's block as its last one."""

_CONFIRM_AFTER: Final = 1.0
_LOOK: Final = 1.0
_QUICK: Final = (0.005, 0.06)
"""Seconds that a probe takes where nothing is slow."""

_QUEUE_LIMIT: Final = 8000
_ROUNDS: Final = 60.0

_OWNER: Final = Address(0, b"w" * 32)
_KEY: Final = AccountKey("payouts", NATIVE)
_MAINNET: Final = ZEROSTATES["mainnet"]
_ELSEWHERE: Final = b"\xee" * 32

_INTERVALS: Final = {
    Probe.HEAD: INTERVAL,
    Probe.CONNECT: 30.0,
    Probe.ACCOUNT: 15.0,
    Probe.WRITE: 60.0,
}


class _End(NamedTuple):
    """How a probe ends, and after how many seconds."""

    reason: Reason
    seconds: float = 0.01

    @property
    def ok(self) -> bool:
        return self.reason is Reason.OK


_WELL: Final = _End(Reason.OK)
_LOST: Final = _End(Reason.QUERY_TIMEOUT, _TIMEOUT)


@dataclass
class _State:
    """What is known of a target between two probes.

    Attributes:
        linked: when the kept connection was opened; None without one.
        failing: the last head probe failed.
        steps: answers so far, of which every other one may be older.
        delay: seconds in which a new block reaches it.
    """

    delay: float
    linked: float | None = None
    failing: bool = False
    steps: int = 0


def played(situation: Situation) -> Checks:
    """Play a situation; returns what was wrong."""
    checks = Checks(situation, {NATIVE: BALANCE})
    _Made(situation).play(checks.look, checks.bounds)
    return checks


@cache
def _config(wallets: bool) -> Config:
    content: dict[str, Any] = {
        "providers": [{"name": "unused", "kind": "toncenter-v2", "url": "http://127.0.0.1"}]
    }
    if wallets:
        content["wallets"] = [{"name": _KEY.name, "address": str(_OWNER), "write_probe": True}]
    return configured(content)


@cache
def _targets(shape: Shape, wallets: bool) -> tuple[Target, ...]:
    about = (Probe.BALANCE, Probe.COMPARE, Probe.WRITE) if wallets else ()
    return tuple(
        make_target(
            server.name,
            "liteserver" if server.is_node else "toncenter-v2",
            "primary" if server.primary else "reference",
            local=server.local,
            about_wallets=about,
        )
        for server in shape.servers
    )


class _Made:
    """The probes of one situation, and the store that they fill."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._chain = chain_of(situation)
        self._random = Random(f"probes {situation.seed}")
        self._config = _config(situation.wallets)
        accounts = [Watched(_KEY, _OWNER)] if situation.wallets else []
        self._store = Store(_targets(situation.shape, situation.wallets), accounts)
        self._servers = {server.name: server for server in situation.servers}
        self._states = {name: _State(self._random.uniform(0.1, 1.0)) for name in self._servers}
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = count()
        self._news = False
        self._compared = True
        self._next_round = INTERVAL
        self._next_comparison = 2 * INTERVAL
        self._failing: set[tuple[str, Probe]] = set()
        self._due: dict[tuple[str, Probe], float] = {}
        self._view: View | None = None

    def play(self, look: Callable[[float, View], None], bounds: Sequence[float]) -> None:
        """Probe and evaluate until the end; `look` gets each view."""
        self._start()
        due = list(bounds)
        events, lasts = self._events, self._situation.lasts
        time, last = 0.0, -1.0
        while time <= lasts:
            while events and events[0][0] <= time:
                at, _, happen = heapq.heappop(events)
                happen(at)
            late = bool(due) and due[0] <= time
            while due and due[0] <= time:
                due.pop(0)
            if self._news or late or time - last >= 4 * _LOOK:
                self._news, last = False, time
                look(time, self._evaluate(time))
            time += _LOOK

    def _evaluate(self, time: float) -> View:
        wall = self._wall(time)
        self._view = view.evaluate(
            self._store.snapshot(wall=wall, monotonic=time),
            self._config,
            self._view,
            started=EPOCH,
            draining=False,
        )
        return self._view

    def _start(self) -> None:
        later, random = self._later, self._random
        for name in self._servers:
            later(random.uniform(0, 1), partial(self._tick, name))
            later(random.uniform(0, 1), partial(self._single, name, Probe.CONNECT))
            later(random.uniform(0, 1), partial(self._single, name, Probe.ACCOUNT))
            if self._situation.wallets:
                later(random.uniform(0, 5), partial(self._write, name))
        later(INTERVAL, self._fork_round)
        if self._situation.wallets:
            later(random.uniform(0, 1), self._balance)
            later(2 * INTERVAL, self._compare)

    def _later(self, time: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (time, next(self._count), happen))

    def _wall(self, time: float) -> float:
        return EPOCH + time + here(self._situation, time).clock

    # What a query finds.

    def _now(self, name: str, time: float) -> Served:
        return served(self._situation, self._servers[name], round(time, 3))

    def _query(
        self, now: Served, time: float, *, new: bool, queries: int, patience: float = _TIMEOUT
    ) -> _End:
        """How some queries end, one after the other, on a new or a kept connection.

        Each may take `patience` seconds, and a new connection `_TIMEOUT`.
        """
        reason = now.new if new else now.kept
        quick = self._random.uniform(*_QUICK)
        if new and not here(self._situation, time).descriptors:
            return _End(Reason.LOCAL_RESOURCES, quick)
        if reason is not Reason.OK:
            waits = patience if reason is Reason.NOT_SYNCED else _TIMEOUT
            return _End(reason, waits if reason in SILENT else quick)
        if new and now.connect_seconds >= _TIMEOUT:
            return _End(Reason.HANDSHAKE_TIMEOUT, _TIMEOUT)
        if now.losses and self._random.random() < 1 - (1 - now.losses) ** (queries + new):
            return _End(Reason.QUERY_TIMEOUT, patience)
        if now.answer_seconds >= patience:
            return _End(Reason.QUERY_TIMEOUT, patience)
        connecting = now.connect_seconds if new else 0.0
        return _End(Reason.OK, quick + now.answer_seconds * queries + connecting)

    def _answer(
        self,
        name: str,
        probe: Probe,
        time: float,
        end: _End,
        head: Head | None = None,
        **more: Any,
    ) -> Sample:
        clock = here(self._situation, time).clock
        return Sample(
            target=name,
            probe=probe,
            started=EPOCH + time + clock,
            finished=time + end.seconds,
            duration=end.seconds,
            reason=end.reason,
            detail="" if end.ok else "made",
            head=head,
            epoch=EPOCH + clock,
            **more,
        )

    def _add(self, sample: Sample, time: float) -> None:
        del time
        self._store.add(sample)
        self._news = True

    # The head.

    def _tick(self, name: str, time: float) -> None:
        self._later(time + INTERVAL, partial(self._tick, name))
        sample = self._head(name, time)
        self._later(sample.finished, partial(self._headed, sample, name, False))

    def _headed(self, sample: Sample, name: str, confirms: bool, time: float) -> None:
        self._add(sample, time)
        state = self._states[name]
        well = sample.ok or sample.reason is Reason.RATE_LIMITED
        if not well and not state.failing and not confirms:
            again = max(time, time - sample.duration + _CONFIRM_AFTER)
            self._later(again, partial(self._confirm, name))
        else:
            state.failing = not well

    def _confirm(self, name: str, time: float) -> None:
        sample = self._head(name, time)
        self._later(sample.finished, partial(self._headed, sample, name, True))

    def _head(self, name: str, time: float) -> Sample:
        now, state = self._now(name, time), self._states[name]
        new = state.linked is None
        end = self._head_end(name, now, time, new=new)
        if not end.ok:
            if end.reason is not Reason.NOT_SYNCED:
                state.linked = None
            return self._answer(name, Probe.HEAD, time, end)
        if new:
            state.linked = time
        phases = self._phases(now, new=new)
        head = self._position(name, now, time, kept_since=state.linked or time)
        return self._answer(name, Probe.HEAD, time, end, head, phases=phases)

    def _head_end(self, name: str, now: Served, time: float, *, new: bool) -> _End:
        if not self._servers[name].is_node:
            return self._query(now, time, new=new, queries=2)
        # Pinged first; then some of the time is kept for another ping.
        end = self._query(now, time, new=new, queries=1, patience=0.75 * _TIMEOUT)
        if end.reason in {Reason.QUERY_TIMEOUT, Reason.NOT_SYNCED}:
            pinged = now.losses < self._random.random() and now.kept is not Reason.QUERY_TIMEOUT
            return _End(Reason.NOT_SYNCED if pinged else Reason.QUERY_TIMEOUT, _TIMEOUT)
        return end

    def _phases(self, now: Served, *, new: bool) -> dict[str, float]:
        phases = {"query": max(0.003, now.answer_seconds)}
        if new:
            phases |= {"connect": 0.001, "handshake": max(0.003, now.connect_seconds)}
        return phases

    def _position(self, name: str, now: Served, time: float, *, kept_since: float) -> Head:
        """The head that the target reports."""
        server, state = self._servers[name], self._states[name]
        block = now.head if now.behind else self._chain.at(time - state.delay)
        if now.stale_since is not None and kept_since < now.stale_since:
            block = min(block, self._chain.at(now.stale_since))
        if now.steps_back:
            state.steps += 1
            block = self._chain.back(block, now.steps_back * (state.steps % 2))
        known = None
        shards = now.state if now.state is not None else block
        if shards.place > block.place or shards.place == now.head.place:
            shards = block
        if server.is_node and shards.place < block.place and time - shards.time < _HIDES_FOR:
            known, block = block.seqno, shards
        if server.is_node and time - block.time >= INTERVAL:
            known = known if known is not None else block.seqno
        else:
            known = None
        seqno = block.seqno if now.own_network else block.seqno // 2
        return Head(
            seqno=seqno,
            root_hash=self._hash(name, block, now),
            gen_utime=int(EPOCH + block.time + now.time_error),
            zerostate=_MAINNET if now.own_network else _ELSEWHERE,
            shard_client_seqno=shards.seqno if server.is_node and now.own_network else None,
            shard_client_time=int(EPOCH + shards.time + now.time_error) if server.is_node else None,
            known_seqno=known if now.own_network else None,
            clock_offset=self._clock_offset(now, time),
            version=0x101 if server.is_node else None,
        )

    def _clock_offset(self, now: Served, time: float) -> float:
        error = here(self._situation, time).clock
        return now.clock - error + self._random.uniform(-0.5, 0.5)

    def _hash(self, name: str, block: Block, now: Served) -> bytes:
        """The root hash of a block; on a fork that of another one from its beginning on."""
        other = 0
        if not now.own_network:
            other = 99
        elif now.forked:
            [begins] = [e.begins for e in self._situation.of(name) if e.fault == Fault.FORK][:1]
            other = 1 if block.time >= begins else 0
        return (block.seqno << 16 | block.history << 8 | other).to_bytes(32, "big")

    # Slow probes of one target.

    def _single(self, name: str, probe: Probe, time: float) -> None:
        """A slow probe of one target: confirmed where it fails, and repeated until it is well."""
        due, failing = self._due.get((name, probe), 0.0), (name, probe) in self._failing
        if time < due and not failing and not self._lags_behind_head(name, probe):
            self._later(time + INTERVAL, partial(self._single, name, probe))
            return
        if time >= due:
            self._due[name, probe] = time + _INTERVALS[probe]
        make = self._connect if probe is Probe.CONNECT else self._account
        sample = make(name, time)
        self._later(sample.finished, partial(self._add, sample))
        wait = INTERVAL
        if sample.ok:
            self._failing.discard((name, probe))
        elif sample.reason is not Reason.RATE_LIMITED and not failing:
            self._failing.add((name, probe))
            wait = _CONFIRM_AFTER
        again = max(time + wait, sample.finished)
        self._later(again, partial(self._single, name, probe))

    def _lags_behind_head(self, name: str, probe: Probe) -> bool:
        """Whether its accounts are known to be older than its head."""
        if probe is not Probe.ACCOUNT or self._view is None:
            return False
        verdict = self._view.judgement.verdicts.get(name)
        return verdict is not None and verdict.state is State.SHARD_LAGGING

    def _connect(self, name: str, time: float) -> Sample:
        now, state = self._now(name, time), self._states[name]
        end = self._query(now, time, new=True, queries=1, patience=_PATIENCE)
        if end.reason is Reason.QUERY_TIMEOUT and self._servers[name].is_node and not now.losses:
            end = end._replace(reason=Reason.NOT_SYNCED)
        if not end.ok:
            return self._answer(name, Probe.CONNECT, time, end)
        if not now.proofs:
            return self._answer(name, Probe.CONNECT, time, _End(Reason.PROOF_INVALID))
        head = self._position(name, now, time, kept_since=time)
        if now.stale_since is not None and (state.linked or time) < now.stale_since:
            state.linked = None  # a cold connection sees more
        phases = self._phases(now, new=True)
        return self._answer(name, Probe.CONNECT, time, end, head, phases=phases)

    def _account(self, name: str, time: float) -> Sample:
        end, block = self._read(name, time, wallet=False)
        now, more = self._now(name, time), dict[str, Any]()
        head = None
        if end.reason in {Reason.OK, Reason.SHARD_LAG} and now.kept is Reason.OK:
            head = self._position(name, now, time, kept_since=time)
            if not self._servers[name].is_node and block is not None:
                # A provider names the block that it reads at.
                head = Head(seqno=block.seqno, root_hash=self._hash(name, block, now))
        if end.ok and block is not None:
            more["state_time"] = int(EPOCH + block.time + now.time_error)
            if now.queue:
                more["out_queue"] = (now.queue, _QUEUE_LIMIT)
            more["phases"] = self._phases(now, new=False)
        return self._answer(name, Probe.ACCOUNT, time, end, head, **more)

    def _read(self, name: str, time: float, *, wallet: bool = True) -> tuple[_End, Block | None]:
        """An account is read at the newest block; and the block that it was read at."""
        now = self._now(name, time)
        end = self._query(now, time, new=False, queries=2)
        if not end.ok:
            return end, None
        if now.state is None:
            return _End(now.account_failure), None
        if self._servers[name].is_node:
            if not now.proofs or (not now.balances and wallet):
                return _End(Reason.PROOF_INVALID), None
            hidden = now.state.place == now.head.place or time - now.state.time < _HIDES_FOR
            if not hidden:
                return _End(Reason.SHARD_LAG), None
        return end, now.state

    def _write(self, name: str, time: float) -> None:
        verdict = self._view.judgement.verdicts.get(name) if self._view else None
        if verdict is None or not planner.takes_messages(verdict):
            self._later(time + INTERVAL, partial(self._write, name))
            return
        now = self._now(name, time)
        end = self._query(now, time, new=False, queries=1)
        if end.ok and now.messages is None:
            # A refusal that decides nothing: no verdict, and soon another try.
            self._later(time + INTERVAL, partial(self._write, name))
            return
        if end.ok and not now.messages:
            end = _End(Reason.MESSAGE_REJECTED)
        sample = self._answer(name, Probe.WRITE, time, end)
        self._later(sample.finished, partial(self._add, sample))
        again = time + (_INTERVALS[Probe.WRITE] if end.ok else INTERVAL)
        self._later(max(again, sample.finished), partial(self._write, name))

    # Rounds of all targets.

    def _fork_round(self, time: float) -> None:
        """A round each minute; each interval while a fork is known."""
        self._later(time + INTERVAL, self._fork_round)
        judgement = self._view.judgement if self._view else None
        if judgement is None or (time < self._next_round and not planner.is_forked(judgement)):
            return
        if time >= self._next_round:
            self._next_round = time + _ROUNDS
        for seqno, names in planner.fork_rounds(judgement):
            samples = [self._block_at(name, seqno, time) for name in names]
            for sample in samples:
                self._later(sample.finished, partial(self._add, sample))
            time = max(sample.finished for sample in samples)

    def _block_at(self, name: str, seqno: int, time: float) -> Sample:
        now = self._now(name, time)
        new = self._servers[name].is_node
        end = self._query(now, time, new=new, queries=1)
        block = self._chain.with_seqno(seqno, now.head) if end.ok else None
        if end.ok and (block is None or not now.own_network):
            end = _End(Reason.NOT_READY if new else Reason.UPSTREAM_FAILED)
        head = Head(seqno=seqno, root_hash=self._hash(name, block, now)) if block else None
        return self._answer(name, Probe.FORK, time, end, head if end.ok else None)

    def _compare(self, time: float) -> None:
        """A comparison each minute; each interval while accounts are wrong."""
        self._later(time + INTERVAL, self._compare)
        wrong = self._view is not None and planner.are_accounts_wrong(self._view.judgement)
        if time < self._next_comparison and self._compared and not wrong:
            return
        if time >= self._next_comparison:
            self._next_comparison = time + _ROUNDS
        planned = planner.comparison(self._view.judgement) if self._view else None
        samples = []
        if planned is not None:
            nodes = [name for name in planned.targets if self._servers[name].is_node]
            ends = {name: self._read(name, time)[0] for name in planned.targets}
            proven = any(ends[name].ok for name in nodes)
            for name in planned.targets:
                end = ends[name]
                if name not in nodes and end.ok:
                    if not proven:
                        continue
                    if not self._now(name, time).balances:
                        end = _End(Reason.DISPROVED)
                samples.append(self._answer(name, Probe.COMPARE, time, end))
        for sample in samples:
            self._later(sample.finished, partial(self._add, sample))
        if samples:
            self._compared = not any(failure(sample.reason).false_claim for sample in samples)

    def _balance(self, time: float) -> None:
        at, well = time, False
        readable = planner.readable(self._view.judgement) if self._view else []
        for verdict in readable:
            name = verdict.target.name
            end, block = self._read(name, at)
            sample = self._answer(name, Probe.BALANCE, at, end)
            self._later(sample.finished, partial(self._add, sample))
            reading = self._reading(name, at, end, block)
            self._later(sample.finished, partial(self._take, reading))
            at, well = sample.finished, end.ok
            if well:
                break
        # Accounts that could not be read are due again soon.
        self._later(max(at, time + (15.0 if well else INTERVAL)), self._balance)

    def _take(self, reading: Reading, time: float) -> None:
        del time
        self._store.add(reading)
        self._news = True

    def _reading(self, name: str, time: float, end: _End, block: Block | None) -> Reading:
        started = self._wall(time)
        finished = time + end.seconds
        if not end.ok or block is None:
            return Reading(
                key=_KEY,
                source=name,
                started=started,
                finished=finished,
                reason=end.reason,
                detail="made",
            )
        node = self._servers[name].is_node
        true = self._now(name, time).balances
        return Reading(
            key=_KEY,
            source=name,
            started=started,
            finished=finished,
            account=_OWNER,
            status=AccountStatus.ACTIVE,
            amount=BALANCE if true else 7 * BALANCE,
            proven=node,
            block=block.seqno,
            time=int(EPOCH + block.time),
            last=TransactionId(1000, bytes(32)),
            code_hash=bytes(31) + b"\x01",
            kind=WalletKind.V4R2,
        )
