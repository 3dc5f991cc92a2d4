"""Proves without a key and without cost that messages get through and contracts are run.

A wallet is sent a message that it must refuse. The exit code of the wallet's own
check says that the message came through and was run on the wallet's present state.
"""

import secrets
from collections.abc import Callable

from tonwatch.probes.source import Source
from tonwatch.samples.sample import Probe, Recording, Sample
from tonwatch.ton.address import Address
from tonwatch.ton.contracts import wallets
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason, TonError


async def write_path(
    source: Source, wallet: Address, kind: WalletKind, *, wall: Callable[[], float]
) -> Sample:
    """Send the message; ``ok`` is the wallet's own refusal.

    Args:
        source: through whom.
        wallet: a deployed wallet.
        kind: its kind, by its code.
        wall: our clock, Unix seconds.
    """

    with Recording(source.name, Probe.WRITE, wall) as probe:
        message = wallets.unacceptable_message(kind, wallet, secrets.token_bytes(64))
        try:
            await source.send_message(message)
        except TonError as error:
            if wallets.exit_code(error.detail) not in wallets.REJECTIONS[kind]:
                raise
        else:
            raise TonError(
                Reason.BAD_ANSWER,
                "took a message that no wallet accepts: what it says of messages means nothing",
            )
    return probe.sample
