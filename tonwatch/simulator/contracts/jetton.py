"""The simulated jetton: its master, and a wallet of it for each wallet.

Source: TEP-74 and ``ton-blockchain/stablecoin-contract``, whose layout and exit codes
these have.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tonwatch.simulator.chain import get_methods
from tonwatch.simulator.chain.accounts import SimAccount, state_init
from tonwatch.simulator.chain.cell_builder import Writer
from tonwatch.simulator.chain.execution import Executed, Order, Outcome
from tonwatch.simulator.chain.get_methods import Answer, Part
from tonwatch.simulator.chain.messages import Letter
from tonwatch.simulator.contracts.contract import Resident
from tonwatch.simulator.contracts.expected_totals import Book
from tonwatch.ton.address import Address
from tonwatch.ton.cells import Cell, Slice, cell
from tonwatch.ton.errors import BadAnswer
from tonwatch.ton.jettons import owner_argument

USDT: Final = "usdt"
DECIMALS: Final = 6

TRANSFER: Final = 0x0F8A7EA5
INTERNAL_TRANSFER: Final = 0x178D4519
TRANSFER_NOTIFICATION: Final = 0x7362D09C
EXCESSES: Final = 0xD53276DB
_BOUNCED: Final = 0xFFFFFFFF

NOTIFICATION: Final = 1
"""Nanocoins that a transfer sends on to the recipient, as most do: too few to run anything."""

ATTACHED: Final = 50_000_000
"""Nanocoins that go with a transfer to pay for its way; what is left comes back."""

_OWN_SHARE: Final = 10_000_000
"""Nanocoins of an incoming transfer that a jetton wallet spends or keeps."""

_GAS: Final = 9_800
_NOT_ENOUGH_JETTONS: Final = 47
_NOT_OWNER: Final = 73
_UNKNOWN_MESSAGE: Final = 0xFFFF

_WALLET_CODE: Final = Cell(
    # A library cell, as the code of the best known stablecoin's wallets is.
    b"\x08\x42\x02"
    + bytes.fromhex("8f452f7a4dfd74066b682365177259ed05734435be76b5fd4bd5d8af2b7c3d68")
)
_MASTER_CODE: Final = cell(b"the master of a simulated jetton")

_GET_WALLET_DATA: Final = get_methods.method_id("get_wallet_data")
_GET_WALLET_ADDRESS: Final = get_methods.method_id("get_wallet_address")
_GET_JETTON_DATA: Final = get_methods.method_id("get_jetton_data")


class Master(Resident):
    """The jetton itself.

    Args:
        seed: whose jetton it is; the administrator's address.
        supply: in smallest units.
    """

    def __init__(self, seed: bytes, supply: int) -> None:
        self._administrator = owner_argument(Address(0, seed))
        self._supply = supply
        # Snake-like off-chain metadata of TEP-64: a mark and an address in the web.
        self._content = cell(b"\x01https://usdt.example/jetton.json")
        data = Writer().coins(supply).rest(self._administrator).ref(_WALLET_CODE)
        super().__init__(_MASTER_CODE, data.ref(self._content).cell(), 1_000_000_000)

    def wallet_of(self, owner: Address) -> Address:
        """The address of somebody's jetton wallet, deployed or not."""
        return Address(0, state_init(_WALLET_CODE, jetton_wallet_data(0, owner, self.address)).hash)

    def react(self, _: SimAccount, __: Letter) -> Outcome:
        return Outcome(gas=500, exit_code=_UNKNOWN_MESSAGE)

    def answer(self, _: SimAccount, method: int, arguments: Sequence[int | Cell]) -> Answer:
        if method == _GET_JETTON_DATA:
            administrator = Part(self._administrator)
            return Answer(0, (self._supply, -1, administrator, self._content, _WALLET_CODE))
        if method == _GET_WALLET_ADDRESS:
            owner = _owner(arguments)
            if owner is None:
                return Answer(get_methods.WRONG_ARGUMENTS)
            return Answer(0, (Part(owner_argument(self.wallet_of(owner))),))
        return Answer(get_methods.UNKNOWN_METHOD)


class JettonWallet(Resident):
    """A wallet's wallet of the jetton.

    Args:
        master: of which jetton.
        owner: the wallet that it belongs to.
        balance: in smallest units at the start.
        book: where its owner keeps account of it.

    Attributes:
        owner, master, book: these.
        bounces: whom it pays sends it back.
    """

    bounces = False

    def __init__(self, master: Master, owner: Address, balance: int, book: Book) -> None:
        super().__init__(_WALLET_CODE, jetton_wallet_data(0, owner, master.address), ATTACHED)
        # Its address is that of an empty one, as it was when it was deployed.
        data = jetton_wallet_data(balance, owner, master.address)
        self.first = replace(self.first, data=data)
        self.owner, self.master, self.book = owner, master, book

    def balance(self, account: SimAccount) -> int:
        """Jettons in smallest units that its account has."""
        assert account.data is not None
        data = Slice(account.data)
        data.uint(4)
        return data.coins()

    def react(self, account: SimAccount, letter: Letter) -> Outcome:
        fields = Slice(letter.body)
        kind = fields.uint(32)
        if letter.bounced and kind == _BOUNCED:
            kind = fields.uint(32)
        query, amount = fields.uint(64), fields.coins()
        balance = self.balance(account)
        if letter.bounced:
            return self._holds(balance + amount, "returned", amount)
        if kind == INTERNAL_TRANSFER:
            sender, response, forward = fields.address(), fields.address(), fields.coins()
            return self._receive(letter, balance, query, amount, sender, response, forward)
        if kind != TRANSFER:
            return Outcome(gas=700, exit_code=_UNKNOWN_MESSAGE)
        if letter.source != self.owner:
            return Outcome(gas=1_500, exit_code=_NOT_OWNER)
        if amount > balance:
            return Outcome(gas=2_000, exit_code=_NOT_ENOUGH_JETTONS)
        recipient, response = fields.address(), fields.address()
        assert recipient is not None
        body = Writer().uint(INTERNAL_TRANSFER, 32).uint(query, 64).coins(amount)
        body.address(self.owner).address(response).coins(NOTIFICATION).uint(0, 1)
        onward = Order(self.master.wallet_of(recipient), body.cell(), bounce=True, carry=True)
        return self._holds(balance - amount, "sent", amount, onward)

    def _receive(
        self,
        letter: Letter,
        balance: int,
        query: int,
        amount: int,
        sender: Address | None,
        response: Address | None,
        forward: int,
    ) -> Outcome:
        notice = Writer().uint(TRANSFER_NOTIFICATION, 32).uint(query, 64).coins(amount)
        notice.address(sender).uint(0, 1)
        orders = [Order(self.owner, notice.cell(), forward)]
        if response is not None:
            orders.append(Order(response, excesses(query), letter.value - _OWN_SHARE))
        return self._holds(balance + amount, "received", amount, *orders)

    def _holds(self, balance: int, how: str, amount: int, *orders: Order) -> Outcome:
        data = jetton_wallet_data(balance, self.owner, self.master.address)
        return Outcome(gas=_GAS, data=data, orders=orders, moved=(how, amount))

    def note(self, letter: Letter, outcome: Outcome, executed: Executed) -> None:
        book = self.book
        book.enter(letter, executed)
        if outcome.moved is None or not executed.succeeded:
            return
        how, amount = outcome.moved
        match how:
            case "sent":
                book.sent += amount
                book.messages_sent += 1
            case "received":
                book.received += amount
            case _:
                book.returned += amount

    def answer(self, account: SimAccount, method: int, _: Sequence[int | Cell]) -> Answer:
        if method != _GET_WALLET_DATA:
            return Answer(get_methods.UNKNOWN_METHOD)
        owner, master = (
            Part(owner_argument(address)) for address in (self.owner, self.master.address)
        )
        return Answer(0, (self.balance(account), owner, master, _WALLET_CODE))


def jetton_wallet_data(
    balance: int,
    owner: Address,
    master: Address,
    *,
    code: Cell | None = None,
    status: int = 0,
) -> Cell:
    """A jetton wallet's storage.

    Args:
        balance: in the jetton's smallest units.
        owner: of the wallet.
        master: of the jetton.
        code: the wallet's own code, which makes it TEP-74's reference; without, it is a
            stablecoin's.
        status: a stablecoin's four bits: 1 cannot send, 2 cannot receive.
    """
    writer = Writer() if code is not None else Writer().uint(status, 4)
    writer.coins(balance).address(owner).address(master)
    return writer.cell() if code is None else writer.ref(code).cell()


def transfer(query: int, amount: int, recipient: Address, response: Address) -> Cell:
    """The body of the message with which an owner has his jetton wallet pay."""
    body = Writer().uint(TRANSFER, 32).uint(query, 64).coins(amount)
    body.address(recipient).address(response).uint(0, 1).coins(NOTIFICATION)
    return body.uint(0, 1).cell()


def arrival(query: int, amount: int, sender: Address) -> Cell:
    """The body of the message with which a stranger's jetton wallet pays."""
    body = Writer().uint(INTERNAL_TRANSFER, 32).uint(query, 64).coins(amount)
    return body.address(sender).address(sender).coins(NOTIFICATION).uint(0, 1).cell()


def excesses(query: int) -> Cell:
    """The body of the message with which coins come back that were not needed."""
    return Writer().uint(EXCESSES, 32).uint(query, 64).cell()


def _owner(arguments: Sequence[int | Cell]) -> Address | None:
    if not arguments or not isinstance(arguments[-1], Cell):
        return None
    try:
        return Slice(arguments[-1]).address()
    except BadAnswer:
        return None
