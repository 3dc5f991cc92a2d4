"""What lives on the simulated chain: wallets that pay, a jetton, contracts, money coming in.

Only these accounts are there, and a crowd that nobody asks for. Strangers are not
simulated: only what comes from them is.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tonwatch.simulator.chain import accounts as trees
from tonwatch.simulator.chain.accounts import Accounts, SimAccount, state_init
from tonwatch.simulator.chain.archive import Archive, SimTransaction
from tonwatch.simulator.chain.block_execution import Happening
from tonwatch.simulator.chain.block_layout import BlockId
from tonwatch.simulator.chain.execution import Outcome
from tonwatch.simulator.chain.external_messages import ContractThrew
from tonwatch.simulator.chain.get_methods import NO_CONTRACT, UNKNOWN_METHOD, Answer, method_id
from tonwatch.simulator.chain.messages import Letter
from tonwatch.simulator.chain.world_protocol import Change
from tonwatch.simulator.contracts.contract import Actor, Resident
from tonwatch.simulator.contracts.expected_totals import NATIVE, Book
from tonwatch.simulator.contracts.jetton import DECIMALS, Master
from tonwatch.simulator.contracts.upgradable import Contract
from tonwatch.simulator.contracts.wallets.wallet import (
    COIN,
    JETTONS_AT_START,
    START,
    Payout,
    Wallet,
)
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.world.external_accounts import TIP, Abroad
from tonwatch.simulator.world.mempool import Mempool
from tonwatch.simulator.world.payout_schedule import JETTONS_LOW, LOW, TIP_CHANCE, Payday
from tonwatch.ton.accounts import AccountStatus, MethodResult
from tonwatch.ton.address import Address
from tonwatch.ton.cells import Cell
from tonwatch.ton.transactions import TransactionId

MOST_PAYOUTS: Final = 60
"""Of one wallet in a minute, by itself."""

_MOST_QUEUED: Final = 10
"""Payouts that may wait for the chain; no more fall due meanwhile."""

_FOR_AN_ORDER: Final = COIN // 100
"""Nanocoins that a message from outside costs at most."""

_THAWING: Final = 309
"""Gas of a message that brings a wallet its code again."""

_NOT_RUN: Final = Outcome(gas=0)


class World:
    """All that happens on a chain besides its blocks.

    Args:
        seed: of the network; decides addresses, amounts and recipients.
        wallets: their names.
        contracts: names of contracts that only are there.
        payouts_per_minute: how many each wallet makes by itself, on the chain's time.

    Attributes:
        wallets, contracts: these.
        master: of the jetton; None where there are no wallets.
        accounts: as they are after the last block.
        books: each wallet's, by its name and the asset's.
    """

    def __init__(
        self,
        seed: str = "",
        *,
        wallets: Sequence[str] = (),
        contracts: Sequence[str] = (),
        payouts_per_minute: float = 0.0,
    ) -> None:
        if not 0 <= payouts_per_minute <= MOST_PAYOUTS:
            raise ValueError(f"payouts_per_minute must be from 0 to {MOST_PAYOUTS}")
        supply = JETTONS_AT_START * len(wallets) * 1_000
        master = Master(hashlib.sha256(f"jetton of {seed}".encode()).digest(), supply)
        self.wallets = [Wallet(name, number, seed, master) for number, name in enumerate(wallets)]
        self._names = {wallet.name: wallet for wallet in self.wallets}
        self.contracts = [Contract(name, seed) for name in contracts]
        self.master = master if self.wallets else None
        self.books: dict[str, dict[str, Book]] = {
            wallet.name: wallet.books for wallet in self.wallets
        }
        residents: list[Resident] = [*self.actors, *(wallet.jettons for wallet in self.wallets)]
        if self.master is not None:
            residents.append(self.master)
        self._residents = {resident.address: resident for resident in residents}
        self._mempool = Mempool({wallet.address: wallet.accept for wallet in self.wallets})
        self.accounts = trees.EMPTY
        if residents:
            firsts = (resident.first for resident in residents)
            self.accounts = trees.crowd().put(*firsts)
        self._abroad = Abroad(seed)
        self._payday = Payday(self.wallets, payouts_per_minute, seed)
        self._inbox: list[Letter] = []
        self._paying: dict[Wallet, None] = {}
        self._faulty: dict[Actor, None] = {}
        for actor in self.actors:
            actor.waiting = self._faulty
        self._archive = Archive()
        self._now = Happening(self.accounts, 0, 0)

    @property
    def actors(self) -> list[Actor]:
        """All that can have a fault."""
        return [*self.wallets, *self.contracts]

    # What people do.

    def pay(self, wallet: str, amount: int, asset: str = NATIVE) -> None:
        """Have a wallet pay a stranger; each wallet makes one payout a block.

        Args:
            wallet: its name.
            amount: in smallest units. What a wallet does not have, it fails to pay.
            asset: ``native`` or ``usdt``.

        Raises:
            ValueError: there is no such wallet or asset, or the amount is negative.
        """
        if wallet not in self._names or asset not in self.books[wallet] or amount < 0:
            raise ValueError(f"cannot pay {amount} {asset} from {wallet!r}")
        self._queue(self._names[wallet], Payout(amount, asset))

    def receive(self, accounts: Accounts, message: bytes, now: float) -> None:
        """Take a message from outside, if the contract that it is for accepts it.

        Args:
            accounts: as the node has them that is asked.
            message: a bag of cells.
            now: Unix seconds.

        Raises:
            Rejected: it does not, or is no message, or was taken before; the text is the node's.
        """
        self._mempool.add(accounts, message, now)

    # What people ask.

    def transactions(
        self, address: Address, last: TransactionId, count: int
    ) -> list[SimTransaction]:
        """Up to `count` transactions of an account, from `last` on to older ones.

        Raises:
            KeyError: it has none at that logical time, or it is forgotten.
            ValueError: that transaction has another hash.
        """
        return self._archive.read(address, last, count)

    def run_method(
        self, accounts: Accounts, address: Address, method: str, arguments: Sequence[int | Cell]
    ) -> MethodResult:
        """What a contract's get method answers; exit code 11 for one that it does not have."""
        return self.ask(accounts.get(address), method_id(method), arguments).result()

    def ask(
        self, account: SimAccount | None, method: int, arguments: Sequence[int | Cell]
    ) -> Answer:
        """As `run_method`, with the method's number and typed results."""
        if account is None or account.status is not AccountStatus.ACTIVE:
            return Answer(NO_CONTRACT)
        resident = self._residents.get(account.address)
        return resident.answer(account, method, arguments) if resident else Answer(UNKNOWN_METHOD)

    # Blocks.

    def step(self, start_lt: int, now: int) -> Change | None:
        """What happens in the next block; None where nothing does.

        Args:
            start_lt: its logical time.
            now: its time, Unix seconds.
        """
        quiet = not (self._inbox or self._mempool or self._paying or self._faulty)
        if quiet and now < self._payday.next:
            return None
        self._now = Happening(self.accounts, start_lt + 1, now)
        inbox, self._inbox = self._inbox, []
        for letter in inbox:
            self._run(letter)
        for actor in list(self._faulty):
            self._show(actor)
        self._faulty.clear()
        for letter in self._mempool.take():
            self._take(letter)
        for wallet in self._payday.due(now):
            self._plan(wallet)
        for wallet in list(self._paying):
            self._pay(wallet)
        self.accounts, flow = self._now.after()
        return Change(self.accounts, self._now.lt, flow)

    def included(self, block: BlockId) -> None:
        """The last step's block has got this id."""
        self._now.keep(self._archive, block)

    # What happens in one.

    def _run(self, letter: Letter, outcome: Outcome | None = None, *, freeze: bool = False) -> None:
        """A transaction, its place in the books, and what it leads to in the next block."""
        resident = self._residents[letter.destination]
        account = self._now.account(letter.destination)
        if outcome is None:
            active = account.status is AccountStatus.ACTIVE
            outcome = resident.react(account, letter) if active else _NOT_RUN
        executed = self._now.execute(letter, outcome, freeze=freeze)
        resident.note(letter, outcome, executed)
        for sent in executed.letters:
            known = sent.destination in self._residents
            answer = sent if known else self._abroad.reaction(sent, resident)
            if answer is not None:
                self._inbox.append(answer)

    def _show(self, actor: Actor) -> None:
        """Let the chain show what is wrong with somebody, or that it is over."""
        before, after = actor.shows, actor.fault.fault if actor.fault is not None else None
        actor.shows = after
        if before is after:
            return
        if isinstance(actor, Contract):
            self._inbox.append(self._coins(actor, TIP))
            return
        assert isinstance(actor, Wallet)
        account = self._now.account(actor.address)
        if before is Fault.FROZEN:
            self._run(self._coins(actor, TIP, actor.init), Outcome(gas=_THAWING))
        elif before is Fault.DRAIN:
            self._inbox.append(self._coins(actor, START))
        if after is Fault.FROZEN:
            actor.init = state_init(account.code, account.data)
            actor.queue.clear()
            self._run(self._coins(actor, TIP), freeze=True)
        elif after is Fault.DRAIN:
            self._queue(actor, Payout(None, NATIVE))

    def _take(self, letter: Letter) -> None:
        """Carry out an order that came from outside, unless it has become void meanwhile."""
        wallet = self._residents[letter.destination]
        account = self._now.account(letter.destination)
        if not isinstance(wallet, Wallet) or not _runs(account):
            return
        with suppress(ContractThrew):
            self._run(letter, wallet.accept(account, letter.body, self._now.now))

    def _plan(self, wallet: Wallet) -> None:
        """Queue a payout that is due."""
        account = self._now.account(wallet.address)
        payout = self._payday.payout(wallet, account.balance)
        if payout is None or not _runs(account) or len(wallet.queue) >= _MOST_QUEUED:
            return
        self._queue(wallet, payout)
        if wallet.shows is not Fault.DRAIN and wallet.random.random() < TIP_CHANCE:
            self._inbox.append(self._coins(wallet, wallet.random.randint(TIP, COIN)))

    def _queue(self, wallet: Wallet, payout: Payout) -> None:
        wallet.queue.append(payout)
        self._paying[wallet] = None

    def _pay(self, wallet: Wallet) -> None:
        """Carry out the oldest payout that is queued; one that no node would take is dropped."""
        account = self._now.account(wallet.address)
        if wallet.queue and _runs(account):
            payout = wallet.queue.popleft()
            self._run(*wallet.order(account, payout, self._now.now))
            self._care_for(wallet)
        else:
            wallet.queue.clear()
        if not wallet.queue:
            del self._paying[wallet]

    def _care_for(self, wallet: Wallet) -> None:
        """Let money come in where little is left, unless that is what is wrong."""
        if wallet.shows is Fault.DRAIN:
            return
        balance = self._now.account(wallet.address).balance
        if balance < LOW:
            missing = START - balance + wallet.random.randrange(COIN)
            self._inbox.append(self._coins(wallet, missing))
        jettons = wallet.jettons
        left = jettons.balance(self._now.account(jettons.address))
        if left < JETTONS_LOW:
            missing = JETTONS_AT_START - left + wallet.random.randrange(10**DECIMALS)
            now = self._now
            self._inbox.append(self._abroad.jettons(jettons, missing, now.lt - 1, now.now))

    def _coins(self, resident: Resident, value: int, init: Cell | None = None) -> Letter:
        return self._abroad.coins(resident, value, self._now.lt - 1, self._now.now, init)


def _runs(account: SimAccount) -> bool:
    """It can run a message from outside, and pay for that."""
    return account.status is AccountStatus.ACTIVE and account.balance >= _FOR_AN_ORDER
