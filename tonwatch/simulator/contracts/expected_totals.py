"""What a watcher of the chain should count of each wallet, to the unit."""

from collections import Counter
from dataclasses import dataclass, field

from tonwatch.simulator.chain.execution import TransactionResult
from tonwatch.simulator.chain.messages import SimMessage

NATIVE = "native"
"""The name of the asset that is not a jetton."""


@dataclass(kw_only=True)
class ExpectedTotals:
    """One wallet's totals of one asset, since the chain began.

    A balance changes by received + returned - sent, that of the native asset by fees too.

    Attributes:
        sent, received, returned: amounts in smallest units; what bounced is not received.
        fees: nanocoins that the transactions of the asset's account cost.
        messages_sent: payouts; a payout of jettons is none of the native asset.
        unsent: messages that were skipped for a lack of coins (ignored errors, mode 2).
        bounced: messages that bounced.
        failures: transactions that failed, by phase (``compute`` or ``action``) and code.
        skipped: transactions without a compute phase, by reason.
        transactions: of the asset's account: the wallet itself, or its jetton wallet.
    """

    sent: int = 0
    received: int = 0
    returned: int = 0
    fees: int = 0
    messages_sent: int = 0
    unsent: int = 0
    bounced: int = 0
    failures: Counter[tuple[str, int]] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    transactions: int = 0

    def count(self, message: SimMessage, result: TransactionResult) -> None:
        """Add what does not depend on the asset."""
        self.transactions += 1
        self.fees += result.fees
        self.unsent += result.unsent
        self.bounced += message.bounced
        if result.skipped is not None:
            self.skipped[result.skipped] += 1
        elif result.exit_code:
            self.failures["compute", result.exit_code] += 1
        elif result.action_code:
            self.failures["action", result.action_code] += 1
