"""Which wallets can be sent a message that they must refuse, and why others cannot."""

from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import Clock
from tests.watch.wallet_samples import key, reading
from tonwatch.config.wallets import NATIVE
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.watch import planner
from tonwatch.watch.planner import MESSAGE_GAS, Unprobed
from tonwatch.watch.wallet_verdicts import Holding, WalletVerdict


def wallet(observed: dict[str, Any] | None) -> WalletVerdict:
    """A wallet with a reading like this; None for one that was not read."""
    amount = (observed or {}).pop("amount", MESSAGE_GAS)
    found = None if observed is None else reading(Clock(), key(), amount, **observed)
    address = Address(0, bytes(32))
    holding = Holding(
        asset=NATIVE,
        unit="TON",
        decimals=9,
        minimum=None,
        reading=found,
        trouble="",
        failure=None,
        progress=None,
    )
    return WalletVerdict(name="payouts", account=address, holdings={NATIVE: holding})


@pytest.mark.parametrize(
    ("observed", "kind", "why"),
    [
        pytest.param({"kind": WalletKind.V4R2}, WalletKind.V4R2, None, id="a wallet"),
        pytest.param(None, None, Unprobed.UNREAD, id="not read"),
        pytest.param(
            {"kind": WalletKind.V4R2, "status": AccountStatus.FROZEN},
            None,
            Unprobed.NOT_ACTIVE,
            id="frozen",
        ),
        pytest.param(
            {"kind": None, "status": AccountStatus.MISSING}, None, Unprobed.NOT_ACTIVE, id="missing"
        ),
        pytest.param({"kind": None}, None, Unprobed.UNKNOWN_CODE, id="without code"),
        pytest.param(
            {"kind": WalletKind.UNKNOWN}, None, Unprobed.UNKNOWN_CODE, id="another contract"
        ),
        pytest.param(
            {"kind": WalletKind.MULTISIG_V2}, None, Unprobed.NO_MESSAGE, id="takes no message"
        ),
        pytest.param(
            {"kind": WalletKind.V3R2, "amount": MESSAGE_GAS - 1}, None, Unprobed.NO_GAS, id="empty"
        ),
        pytest.param(
            {"kind": WalletKind.V3R2, "amount": None}, None, Unprobed.NO_GAS, id="unknown amount"
        ),
    ],
)
def test_which_wallets_can_refuse(
    observed: dict[str, Any] | None, kind: WalletKind | None, why: Unprobed | None
) -> None:
    asked = wallet(observed)
    assert (planner.refusing(asked), planner.unprobed(asked)) == (kind, why)


@pytest.mark.parametrize(
    ("currency", "counted"),
    [pytest.param(None, {NATIVE, "more"}, id="a jetton"), pytest.param(100, {NATIVE}, id="extra")],
)
def test_payouts_of_extra_currencies_are_not_counted(
    currency: int | None, counted: set[str]
) -> None:
    """They are in the wallet's own account, which would be counted twice."""
    native = wallet({"kind": WalletKind.V4R2}).holdings[NATIVE]
    more = replace(native, asset="more", currency=currency)
    asked = WalletVerdict(
        name="payouts", account=Address(0, bytes(32)), holdings={NATIVE: native, "more": more}
    )
    assert {each.key.asset for each in planner.uncounted(asked)} == counted
