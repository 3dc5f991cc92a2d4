"""The simulated wallets, which make payouts."""

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar, Final, NamedTuple

from nacl.signing import SigningKey

from tonwatch.simulator.chain import get_methods
from tonwatch.simulator.chain.accounts import SimAccount
from tonwatch.simulator.chain.execution import Outcome, SendAction, TransactionResult
from tonwatch.simulator.chain.get_methods import GetMethodResult
from tonwatch.simulator.chain.messages import EMPTY_BODY, SimMessage
from tonwatch.simulator.contracts import jetton
from tonwatch.simulator.contracts.contract import BreakableContract, Contract
from tonwatch.simulator.contracts.expected_totals import NATIVE, ExpectedTotals
from tonwatch.simulator.contracts.jetton import JettonMaster, JettonWallet
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
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.wallets import read_data

COIN: Final = 10**9
"""Nanocoins of a coin."""

INITIAL_BALANCE: Final = 1_000 * COIN
"""Nanocoins."""

INITIAL_JETTONS: Final = 5_000 * 10**jetton.DECIMALS
"""Smallest units."""

_EXTERNAL_GAS: Final = 4_900
_INTERNAL_GAS: Final = 309

_CLEAN_INTERVAL: Final = 3_600
"""Seconds after which a highload wallet drops old queries."""

_LEFT_BY_DRAIN: Final = 3 * COIN // 10
"""Nanocoins of a drained wallet."""

_NOT_ENOUGH_COINS: Final = 37

_SEQNO: Final = get_methods.method_id("seqno")
_GET_PUBLIC_KEY: Final = get_methods.method_id("get_public_key")


class Payout(NamedTuple):
    """A payout to an external account.

    Attributes:
        amount: in smallest units; None for nearly the whole balance.
    """

    amount: int | None
    asset: str


class Wallet(BreakableContract):
    """A wallet with a jetton wallet.

    Args:
        name: its name.
        number: its place among all wallets, which decides its kind.
        seed: of the network; decides its key and all that is random in its payouts.
        master: of the jetton.

    Attributes:
        wallet_kind: the contract that it is.
        key: its private key.
        seqno: of its next external message; of a highload wallet the number of its next query.
        queue: the payouts to make, one a block.
        random: decides amounts and recipients.
        totals: what is expected of its native asset.
        jettons: its jetton wallet.
        init: its code and data while it is frozen.
    """

    kind: ClassVar = "wallet"
    supported_faults: ClassVar = frozenset(
        {Fault.DRAIN, Fault.BOUNCE_PAYOUTS, Fault.FAILING_PAYOUTS, Fault.FROZEN}
    )

    def __init__(
        self,
        name: str,
        number: int,
        seed: str,
        master: JettonMaster,
        currencies: Mapping[int, int] | None = None,
    ) -> None:
        Breakable.__init__(self, name)
        self.wallet_kind = KINDS[number % len(KINDS)]
        self.key = SigningKey(hashlib.sha256(f"key of {name} in {seed}".encode()).digest())
        self.seqno = 0
        self.init: Cell | None = None
        self.queue: deque[Payout] = deque()
        self.random = Random(f"payouts of {name} in {seed}")
        self.totals = ExpectedTotals()
        self.pays_jettons_next = False
        data = self._data(0, 0)
        Contract.__init__(self, CODES[self.wallet_kind], data, INITIAL_BALANCE, currencies)
        self.jettons = JettonWallet(master, self.address, INITIAL_JETTONS, ExpectedTotals())

    @property
    def expected_totals(self) -> dict[str, ExpectedTotals]:
        """By asset."""
        return {NATIVE: self.totals, jetton.USDT: self.jettons.totals}

    @property
    def payouts_bounce(self) -> bool:
        """Recipients bounce its payouts."""
        return self.has_fault(Fault.BOUNCE_PAYOUTS)

    def change_faults(self, *faults: ActiveFault) -> None:
        super().change_faults(*faults)
        self.jettons.payouts_bounce = self.payouts_bounce

    def rewind(self, account: SimAccount) -> None:
        super().rewind(account)
        self.queue.clear()
        if account.data is not None:
            stored = read_data(self.wallet_kind, account.data)
            self.seqno = self.seqno if stored.seqno is None else stored.seqno

    def faults_of(self, account: SimAccount) -> frozenset[Fault]:
        frozen = account.status is AccountStatus.FROZEN
        return frozenset({Fault.FROZEN}) if frozen else frozenset()

    def pay(self, account: SimAccount, payout: Payout, now: int) -> tuple[SimMessage, Outcome]:
        """The external message that makes it pay, and what it does with that."""
        recipient = Address(0, self.random.randbytes(32))
        query = self.random.getrandbits(64)
        if payout.asset == NATIVE:
            amount = account.balance - _LEFT_BY_DRAIN if payout.amount is None else payout.amount
            destination, body, value = recipient, EMPTY_BODY, max(amount, 0)
        else:
            body = jetton.transfer(query, payout.amount or 0, recipient, self.address)
            destination, value = self.jettons.address, jetton.ATTACHED
        action = SendAction(
            destination,
            body,
            value,
            bounce=True,
            ignore_errors=CONTRACTS[self.wallet_kind].ignores_errors,
        )
        payment = SimMessage(
            source=self.address, destination=destination, value=value, body=body, bounce=True
        )
        signed = signed_body(self.wallet_kind, self.key, self.seqno, now, (payment.cell,))
        failing = self.has_fault(Fault.FAILING_PAYOUTS)
        return (
            SimMessage(source=None, destination=self.address, body=signed),
            self._accepted(now, action, action_code=_NOT_ENOUGH_COINS if failing else 0),
        )

    def receive_external(self, account: SimAccount, body: Cell, now: int) -> Outcome:
        """What it does with an external message of others than `pay`: it sends nothing.

        Raises:
            ContractThrew: it does not accept the message.
        """
        accept_external(self.wallet_kind, account.data or EMPTY_BODY, body, now)
        return self._accepted(now)

    def _accepted(self, now: int, *actions: SendAction, action_code: int = 0) -> Outcome:
        data = self._data(self.seqno + 1, now - now % _CLEAN_INTERVAL)
        return Outcome(gas=_EXTERNAL_GAS, data=data, actions=actions, action_code=action_code)

    def _data(self, seqno: int, last_clean: int) -> Cell:
        public = self.key.verify_key.encode()
        return wallet_data(self.wallet_kind, public, seqno=seqno, last_clean=last_clean)

    def receive_internal(self, _: SimAccount, __: SimMessage) -> Outcome:
        return Outcome(gas=_INTERNAL_GAS)

    def count_transaction(self, message: SimMessage, _: Outcome, result: TransactionResult) -> None:
        totals = self.totals
        totals.count(message, result)
        if message.source is None:
            # A failed action phase undoes the change of the seqno.
            self.seqno += result.succeeded
        elif message.bounced:
            totals.bounced_amount += message.value
        else:
            totals.received_amount += message.value
        for sent in result.messages:
            totals.sent_amount += sent.value
            totals.sent_messages += sent.destination != self.jettons.address

    def run_get_method(
        self, account: SimAccount, method: int, _: Sequence[int | Cell]
    ) -> GetMethodResult:
        if method == _GET_PUBLIC_KEY:
            return GetMethodResult(0, (int.from_bytes(self.key.verify_key.encode(), "big"),))
        if method == _SEQNO and CONTRACTS[self.wallet_kind].has_seqno:
            stored = read_data(self.wallet_kind, account.data or EMPTY_BODY)
            return GetMethodResult(0, (stored.seqno or 0,))
        return GetMethodResult(get_methods.UNKNOWN_METHOD)
