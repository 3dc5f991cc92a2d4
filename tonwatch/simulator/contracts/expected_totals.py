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

    A balance changes by received + bounced - sent amounts, that of the native asset by fees too.

    Attributes:
        sent_amount, received_amount, bounced_amount: in smallest units; what bounced is not
            received.
        fees_amount: nanocoins that the transactions of the asset's account cost.
        sent_messages: payouts; a payout of jettons is none of the native asset.
        skipped_messages: messages that were skipped for a lack of coins (ignored errors, mode 2).
        bounced_messages: messages that bounced.
        failed_transactions: those that failed, by phase (``compute`` or ``action``) and code.
        compute_skipped: transactions without a compute phase, by reason.
        transactions: of the asset's account: the wallet itself, or its jetton wallet.
    """

    sent_amount: int = 0
    received_amount: int = 0
    bounced_amount: int = 0
    fees_amount: int = 0
    sent_messages: int = 0
    skipped_messages: int = 0
    bounced_messages: int = 0
    failed_transactions: Counter[tuple[str, int]] = field(default_factory=Counter)
    compute_skipped: Counter[str] = field(default_factory=Counter)
    transactions: int = 0

    def count(self, message: SimMessage, result: TransactionResult) -> None:
        """Add what does not depend on the asset."""
        self.transactions += 1
        self.fees_amount += result.fees
        self.skipped_messages += result.skipped_messages
        self.bounced_messages += message.bounced
        if result.skipped is not None:
            self.compute_skipped[result.skipped] += 1
        elif result.exit_code:
            self.failed_transactions["compute", result.exit_code] += 1
        elif result.action_code:
            self.failed_transactions["action", result.action_code] += 1
