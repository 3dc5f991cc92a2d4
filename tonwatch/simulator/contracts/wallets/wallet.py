"""Simulated wallets, which pay, and contracts, which only are there."""

import hashlib
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import ClassVar, Final, NamedTuple

from nacl.signing import SigningKey

from tonwatch.simulator.chain import get_methods
from tonwatch.simulator.chain.accounts import SimAccount
from tonwatch.simulator.chain.execution import Executed, Order, Outcome
from tonwatch.simulator.chain.get_methods import Answer
from tonwatch.simulator.chain.messages import EMPTY_BODY, Letter
from tonwatch.simulator.contracts import jetton
from tonwatch.simulator.contracts.contract import Actor, Resident
from tonwatch.simulator.contracts.expected_totals import NATIVE, Book
from tonwatch.simulator.contracts.jetton import JettonWallet, Master
from tonwatch.simulator.contracts.wallets.kinds import (
    CODES,
    CONTRACTS,
    KINDS,
    accept_external,
    signed_body,
    wallet_data,
)
from tonwatch.simulator.faults.breakable import Breakable
from tonwatch.simulator.faults.fault import ActiveFault, Fault
from tonwatch.ton.address import Address
from tonwatch.ton.cells import Cell
from tonwatch.ton.wallets import read_data

COIN: Final = 10**9
START: Final = 1_000 * COIN
JETTONS_AT_START: Final = 5_000 * 10**jetton.DECIMALS

_ORDER_GAS: Final = 4_900
_ARRIVAL_GAS: Final = 309
_CLEANED_EVERY: Final = 3_600
"""Seconds between moments at which a highload wallet forgets old orders."""

_KEPT: Final = 3 * COIN // 10
"""Nanocoins that a drained wallet still has."""

_FAILING: Final = 37
_SEQNO: Final = get_methods.method_id("seqno")
_GET_PUBLIC_KEY: Final = get_methods.method_id("get_public_key")


class Payout(NamedTuple):
    """What a wallet is to pay to somebody.

    Attributes:
        amount: in smallest units; None for nearly all there is.
    """

    amount: int | None
    asset: str


class Wallet(Actor):
    """A wallet with a wallet of the jetton.

    Args:
        name: its name.
        number: its place among all wallets, which decides its kind.
        seed: of the network; decides its key and all that is random in its payouts.
        master: of the jetton.

    Attributes:
        contract: its kind.
        key: its owner's.
        orders: how many it has carried out; the seqno where it has one.
        queue: what it is to pay; one payout a block.
        random: decides amounts and recipients.
        book: its native asset's.
        jettons: its jetton wallet.
        init: its code and data while it is frozen.
    """

    kind: ClassVar = "wallet"
    can: ClassVar = frozenset(
        {Fault.DRAIN, Fault.BOUNCE_PAYOUTS, Fault.FAILING_PAYOUTS, Fault.FROZEN}
    )

    def __init__(self, name: str, number: int, seed: str, master: Master) -> None:
        Breakable.__init__(self, name)
        self.contract = KINDS[number % len(KINDS)]
        self.key = SigningKey(hashlib.sha256(f"key of {name} in {seed}".encode()).digest())
        self.orders = 0
        self.init: Cell | None = None
        self.queue: deque[Payout] = deque()
        self.random = Random(f"payouts of {name} in {seed}")
        self.book = Book()
        self.pays_jettons_next = False
        Resident.__init__(self, CODES[self.contract], self._data(0, 0), START)
        self.jettons = JettonWallet(master, self.address, JETTONS_AT_START, Book())

    @property
    def books(self) -> dict[str, Book]:
        """By asset."""
        return {NATIVE: self.book, jetton.USDT: self.jettons.book}

    @property
    def bounces(self) -> bool:
        """Whom it pays sends it back."""
        return self.suffers(Fault.BOUNCE_PAYOUTS) is not None

    def change(self, fault: ActiveFault | None) -> None:
        super().change(fault)
        self.jettons.bounces = self.bounces

    def order(self, account: SimAccount, payout: Payout, now: int) -> tuple[Letter, Outcome]:
        """What its owner sends so that it pays, and what it makes of that."""
        recipient = Address(0, self.random.randbytes(32))
        query = self.random.getrandbits(64)
        lenient = CONTRACTS[self.contract].ignores_errors
        if payout.asset == NATIVE:
            amount = account.balance - _KEPT if payout.amount is None else payout.amount
            order = Order(recipient, EMPTY_BODY, max(amount, 0), bounce=True, lenient=lenient)
        else:
            body = jetton.transfer(query, payout.amount or 0, recipient, self.address)
            order = Order(self.jettons.address, body, jetton.ATTACHED, bounce=True, lenient=lenient)
        message = Letter(
            source=self.address,
            destination=order.destination,
            value=order.value,
            body=order.body,
            bounce=True,
        )
        body = signed_body(self.contract, self.key, self.orders, now, (message.cell,))
        letter = Letter(source=None, destination=self.address, body=body)
        failing = self.suffers(Fault.FAILING_PAYOUTS) is not None
        return letter, self._done(now, order, action_code=_FAILING if failing else 0)

    def accept(self, account: SimAccount, body: Cell, now: int) -> Outcome:
        """What it makes of an order that somebody else has sent: it pays nothing.

        Raises:
            ContractThrew: it does not accept it.
        """
        accept_external(self.contract, account.data or EMPTY_BODY, body, now)
        return self._done(now)

    def _done(self, now: int, *orders: Order, action_code: int = 0) -> Outcome:
        cleaned = now - now % _CLEANED_EVERY
        data = self._data(self.orders + 1, cleaned)
        return Outcome(gas=_ORDER_GAS, data=data, orders=orders, action_code=action_code)

    def _data(self, seqno: int, cleaned: int) -> Cell:
        public = self.key.verify_key.encode()
        return wallet_data(self.contract, public, seqno=seqno, last_clean=cleaned)

    def react(self, _: SimAccount, __: Letter) -> Outcome:
        return Outcome(gas=_ARRIVAL_GAS)

    def note(self, letter: Letter, _: Outcome, executed: Executed) -> None:
        book = self.book
        book.enter(letter, executed)
        if letter.source is None:
            # An order that fails in the action phase has never been there.
            self.orders += executed.succeeded
        elif letter.bounced:
            book.returned += letter.value
        else:
            book.received += letter.value
        for sent in executed.letters:
            book.sent += sent.value
            book.messages_sent += sent.destination != self.jettons.address

    def answer(self, account: SimAccount, method: int, _: Sequence[int | Cell]) -> Answer:
        if method == _GET_PUBLIC_KEY:
            return Answer(0, (int.from_bytes(self.key.verify_key.encode(), "big"),))
        if method == _SEQNO and CONTRACTS[self.contract].has_seqno:
            return Answer(0, (read_data(self.contract, account.data or EMPTY_BODY).seqno or 0,))
        return Answer(get_methods.UNKNOWN_METHOD)
