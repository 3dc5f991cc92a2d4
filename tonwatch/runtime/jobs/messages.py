"""Sends external messages that wallets must refuse, never more often than configured."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from tonwatch.config.models import Config
from tonwatch.probes.source import Source
from tonwatch.probes.write_path import write_path
from tonwatch.runtime.jobs.context import Context
from tonwatch.runtime.scheduler import Job, Question, last_resort
from tonwatch.samples.sample import Probe, Sample
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason, TonError
from tonwatch.watch import planner

_QUERIES: Final = 4
"""Maximum of sequential queries for one message."""

_SOON: Final = 3
"""Messages without a verdict in a row after which the next one is sent soon."""


class SendMessages:
    """The job for one target.

    Args:
        target: its name.
        context: has its verdict, and the wallets.
    """

    def __init__(self, target: str, context: Context) -> None:
        self._target = target
        self._context = context
        self._turn = 0
        self._next = -math.inf
        self._undecided = 0

    def job(self, config: Config) -> Job:
        """The job that sends."""
        name = f"{Probe.WRITE} {self._target}"
        return Job(name, Probe.WRITE, (self._target,), config.probe.interval, self.plan)

    def plan(self) -> Sequence[Question]:
        """A message, where one is due and a wallet can be sent one."""
        judgement, config = self._context.view.judgement, self._context.config
        verdict = judgement.verdicts.get(self._target)
        now = asyncio.get_running_loop().time()
        if now < self._next or verdict is None or not planner.takes_messages(verdict):
            return ()
        wallets = [wallet.name for wallet in config.wallets if wallet.write_probe]
        for _ in wallets:
            name = wallets[self._turn % len(wallets)]
            self._turn += 1
            wallet = judgement.wallet_status.wallets.get(name)
            kind = planner.refusing(wallet) if wallet is not None else None
            if wallet is not None and kind is not None:
                self._next = now + config.probe.write_interval
                source = self._context.sources[self._target]
                ask = partial(self._send, source, wallet.account, kind)
                title = f"{Probe.WRITE} {self._target}"
                return (Question(title, ask, last_resort(config, _QUERIES)),)
        return ()

    async def _send(self, source: Source, wallet: Address, kind: WalletKind) -> Sequence[Sample]:
        sent = await write_path(source, wallet, kind, wall=self._context.wall)
        refused = sent is not None and sent.reason is Reason.MESSAGE_REJECTED
        if sent is None or (refused and await _cannot_refuse(source, wallet)):
            self._undecided += 1
            if self._undecided <= _SOON:
                self._next_soon()
            return ()
        self._undecided = 0
        if not sent.ok and sent.reason is not Reason.RATE_LIMITED:
            self._next_soon()
        return (sent,)

    def _next_soon(self) -> None:
        """Send the next message after the shortest interval."""
        # A tick may come a little early: the next one is meant.
        soon = self._context.config.probe.interval / 2
        self._next = min(self._next, asyncio.get_running_loop().time() + soon)


async def _cannot_refuse(source: Source, wallet: Address) -> bool:
    """Whether the wallet cannot run code any more: frozen or empty since it was last read."""
    with suppress(TonError):
        account = (await (await source.reader()).account(wallet)).account
        return account.status is not AccountStatus.ACTIVE or account.balance < planner.MESSAGE_GAS
    return False
