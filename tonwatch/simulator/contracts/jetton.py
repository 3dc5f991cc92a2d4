"""The simulated jetton: its master and its wallets.

Source: TEP-74 and ``ton-blockchain/stablecoin-contract``, whose layout and exit codes
these have.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tonwatch.simulator.chain import get_methods
from tonwatch.simulator.chain.accounts import SimAccount, state_init
from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.chain.execution import Outcome, SendAction, TransactionResult
from tonwatch.simulator.chain.get_methods import GetMethodResult, SliceValue
from tonwatch.simulator.chain.messages import SimMessage
from tonwatch.simulator.contracts.contract import Contract
from tonwatch.simulator.contracts.expected_totals import ExpectedTotals
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice, cell
from tonwatch.ton.contracts.jettons import owner_argument
from tonwatch.ton.errors import BadAnswer

USDT: Final = "usdt"
DECIMALS: Final = 6

TRANSFER: Final = 0x0F8A7EA5
INTERNAL_TRANSFER: Final = 0x178D4519
TRANSFER_NOTIFICATION: Final = 0x7362D09C
EXCESSES: Final = 0xD53276DB
_BOUNCED: Final = 0xFFFFFFFF

NOTIFICATION: Final = 1
"""Nanocoins that go on to the recipient, as with most transfers: too few to run a contract."""

ATTACHED: Final = 50_000_000
"""Nanocoins attached to a transfer for its fees; the rest is returned."""

_RECEIVING_COST: Final = 10_000_000
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


class JettonMaster(Contract):
    """The jetton's master contract.

    Args:
        seed: hash of the administrator's address, 32 bytes.
        supply: in smallest units.
    """

    def __init__(self, seed: bytes, supply: int) -> None:
        self._administrator = owner_argument(Address(0, seed))
        self._supply = supply
        # Snake-like off-chain metadata of TEP-64: a prefix and a URL.
        self._content = cell(b"\x01https://usdt.example/jetton.json")
        data = CellBuilder().coins(supply).rest(self._administrator).ref(_WALLET_CODE)
        super().__init__(_MASTER_CODE, data.ref(self._content).cell(), 1_000_000_000)

    def wallet_of(self, owner: Address) -> Address:
        """The address of an owner's jetton wallet, deployed or not."""
        return Address(0, state_init(_WALLET_CODE, jetton_wallet_data(0, owner, self.address)).hash)

    def receive_internal(self, _: SimAccount, __: SimMessage) -> Outcome:
        return Outcome(gas=500, exit_code=_UNKNOWN_MESSAGE)

    def run_get_method(
        self, _: SimAccount, method: int, arguments: Sequence[int | Cell]
    ) -> GetMethodResult:
        if method == _GET_JETTON_DATA:
            administrator = SliceValue(self._administrator)
            return GetMethodResult(
                0, (self._supply, -1, administrator, self._content, _WALLET_CODE)
            )
        if method == _GET_WALLET_ADDRESS:
            owner = _owner(arguments)
            if owner is None:
                return GetMethodResult(get_methods.WRONG_ARGUMENTS)
            return GetMethodResult(0, (SliceValue(owner_argument(self.wallet_of(owner))),))
        return GetMethodResult(get_methods.UNKNOWN_METHOD)


class JettonWallet(Contract):
    """A wallet's jetton wallet.

    Args:
        master: of the jetton.
        owner: address of the wallet.
        balance: the initial one, in smallest units.
        totals: where its transactions are counted.

    Attributes:
        owner, master, totals: as above.
        payouts_bounce: recipients bounce its payouts.
    """

    payouts_bounce = False

    def __init__(
        self, master: JettonMaster, owner: Address, balance: int, totals: ExpectedTotals
    ) -> None:
        super().__init__(_WALLET_CODE, jetton_wallet_data(0, owner, master.address), ATTACHED)
        # Its address is that of an empty wallet: it was deployed so.
        data = jetton_wallet_data(balance, owner, master.address)
        self.initial = replace(self.initial, data=data)
        self.owner, self.master, self.totals = owner, master, totals

    def balance(self, account: SimAccount) -> int:
        """Its jetton balance, in smallest units."""
        assert account.data is not None
        data = Slice(account.data)
        data.uint(4)
        return data.coins()

    def receive_internal(self, account: SimAccount, message: SimMessage) -> Outcome:
        fields = Slice(message.body)
        kind = fields.uint(32)
        if message.bounced and kind == _BOUNCED:
            kind = fields.uint(32)
        query, amount = fields.uint(64), fields.coins()
        balance = self.balance(account)
        if message.bounced:
            return self._change(balance + amount, "returned", amount)
        if kind == INTERNAL_TRANSFER:
            sender, response, forward = fields.address(), fields.address(), fields.coins()
            return self._receive(message, balance, query, amount, sender, response, forward)
        if kind != TRANSFER:
            return Outcome(gas=700, exit_code=_UNKNOWN_MESSAGE)
        if message.source != self.owner:
            return Outcome(gas=1_500, exit_code=_NOT_OWNER)
        if amount > balance:
            return Outcome(gas=2_000, exit_code=_NOT_ENOUGH_JETTONS)
        recipient, response = fields.address(), fields.address()
        assert recipient is not None
        body = CellBuilder().uint(INTERNAL_TRANSFER, 32).uint(query, 64).coins(amount)
        body.address(self.owner).address(response).coins(NOTIFICATION).uint(0, 1)
        transfer = SendAction(
            self.master.wallet_of(recipient), body.cell(), bounce=True, carry_value=True
        )
        return self._change(balance - amount, "sent", amount, transfer)

    def _receive(
        self,
        message: SimMessage,
        balance: int,
        query: int,
        amount: int,
        sender: Address | None,
        response: Address | None,
        forward: int,
    ) -> Outcome:
        notice = CellBuilder().uint(TRANSFER_NOTIFICATION, 32).uint(query, 64).coins(amount)
        notice.address(sender).uint(0, 1)
        actions = [SendAction(self.owner, notice.cell(), forward)]
        if response is not None:
            actions.append(SendAction(response, excesses(query), message.value - _RECEIVING_COST))
        return self._change(balance + amount, "received", amount, *actions)

    def _change(self, balance: int, how: str, amount: int, *actions: SendAction) -> Outcome:
        """The outcome where the balance changes; `how` is as in `Outcome.jetton_change`."""
        data = jetton_wallet_data(balance, self.owner, self.master.address)
        return Outcome(gas=_GAS, data=data, actions=actions, jetton_change=(how, amount))

    def count_transaction(
        self, message: SimMessage, outcome: Outcome, result: TransactionResult
    ) -> None:
        totals = self.totals
        totals.count(message, result)
        if outcome.jetton_change is None or not result.succeeded:
            return
        how, amount = outcome.jetton_change
        match how:
            case "sent":
                totals.sent_amount += amount
                totals.sent_messages += 1
            case "received":
                totals.received_amount += amount
            case _:
                totals.bounced_amount += amount

    def run_get_method(
        self, account: SimAccount, method: int, _: Sequence[int | Cell]
    ) -> GetMethodResult:
        if method != _GET_WALLET_DATA:
            return GetMethodResult(get_methods.UNKNOWN_METHOD)
        owner, master = (
            SliceValue(owner_argument(address)) for address in (self.owner, self.master.address)
        )
        return GetMethodResult(0, (self.balance(account), owner, master, _WALLET_CODE))


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
    builder = CellBuilder() if code is not None else CellBuilder().uint(status, 4)
    builder.coins(balance).address(owner).address(master)
    return builder.cell() if code is None else builder.ref(code).cell()


def transfer(query: int, amount: int, recipient: Address, response: Address) -> Cell:
    """The body of an owner's message that makes his jetton wallet pay."""
    body = CellBuilder().uint(TRANSFER, 32).uint(query, 64).coins(amount)
    body.address(recipient).address(response).uint(0, 1).coins(NOTIFICATION)
    return body.uint(0, 1).cell()


def internal_transfer(query: int, amount: int, sender: Address) -> Cell:
    """The body of the message with which another jetton wallet pays."""
    body = CellBuilder().uint(INTERNAL_TRANSFER, 32).uint(query, 64).coins(amount)
    return body.address(sender).address(sender).coins(NOTIFICATION).uint(0, 1).cell()


def excesses(query: int) -> Cell:
    """The body of the message that returns coins that were not needed."""
    return CellBuilder().uint(EXCESSES, 32).uint(query, 64).cell()


def _owner(arguments: Sequence[int | Cell]) -> Address | None:
    if not arguments or not isinstance(arguments[-1], Cell):
        return None
    try:
        return Slice(arguments[-1]).address()
    except BadAnswer:
        return None
