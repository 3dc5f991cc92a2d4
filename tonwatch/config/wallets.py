"""The configuration of wallets and contracts."""

import base64
import binascii
import re
from collections.abc import Hashable, Iterable
from functools import cached_property
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from tonwatch.config.amounts import NATIVE_DECIMALS, Amount, in_units
from tonwatch.config.types import Name, Section
from tonwatch.ton import address
from tonwatch.ton.address import Address

NATIVE: Final = "native"
"""The asset that every wallet has."""


def _address(value: str) -> str:
    address.parse(value)
    return value.strip()


def _hash(value: str) -> str:
    try:
        if re.fullmatch(r"[0-9a-fA-F]{64}", value):
            return value.lower()
        data = base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("write the code's hash in 64 hex digits or in base64") from None
    if len(data) != 32:
        raise ValueError(f"a hash of {len(data)} bytes; a code hash has 32")
    return data.hex()


AccountAddress = Annotated[str, AfterValidator(_address)]
"""An account's address in any form: EQ..., UQ..., or WORKCHAIN:HEX."""


def _check_asset(name: str, decimals: int, minimum: Amount | None) -> None:
    """Raise ValueError where a jetton or an extra currency cannot be so."""
    if name == NATIVE:
        raise ValueError(f"{NATIVE} is the name of the network's own coin; choose another")
    if minimum is not None:
        in_units(minimum, decimals)


class Jetton(Section):
    """A jetton that a wallet holds."""

    name: Name = Field(description="the label `asset`, such as usdt")
    master: AccountAddress = Field(description="address of the jetton's master contract")
    decimals: Annotated[int, Field(ge=0, le=30)] = Field(
        description="digits after the point, from its master: 6 for USDT, 9 for most others"
    )
    minimum: Amount | None = Field(None, description="below it: wallet_low")

    @property
    def account(self) -> Address:
        return address.parse(self.master).address

    @model_validator(mode="after")
    def _fits(self) -> "Jetton":
        _check_asset(self.name, self.decimals, self.minimum)
        return self


class ExtraCurrency(Section):
    """An extra currency that a wallet holds in its own account, beside the network's coin."""

    name: Name = Field(description="the label `asset`")
    id: Annotated[int, Field(ge=0, lt=1 << 32)] = Field(description="its number on the chain")
    decimals: Annotated[int, Field(ge=0, le=30)] = Field(description="digits after the point")
    minimum: Amount | None = Field(None, description="below it: wallet_low")

    @model_validator(mode="after")
    def _fits(self) -> "ExtraCurrency":
        _check_asset(self.name, self.decimals, self.minimum)
        return self


class Asset(NamedTuple):
    """An asset of a wallet.

    Attributes:
        name: ``native``, or the configured name of a jetton or an extra currency.
        decimals: digits after the point.
        minimum: smallest units.
        currency: id of an extra currency; None of others.
    """

    name: str
    decimals: int
    minimum: int | None
    currency: int | None = None


class Wallet(Section):
    """A wallet whose balances are watched."""

    name: Name
    address: AccountAddress
    minimum: Amount | None = Field(None, description="coins; below it: wallet_low")
    jettons: tuple[Jetton, ...] = ()
    extra_currencies: tuple[ExtraCurrency, ...] = ()
    payouts: bool = Field(False, description="count its transactions, from the first start on")
    write_probe: bool = Field(
        False, description="send a message that it must refuse, to prove that messages are accepted"
    )

    @model_validator(mode="after")
    def _fits(self) -> "Wallet":
        names = [jetton.name for jetton in self.jettons]
        names += [currency.name for currency in self.extra_currencies]
        if len(set(names)) < len(names):
            what = "jettons or extra currencies" if self.extra_currencies else "jettons"
            raise ValueError(f"two of its {what} have the same name: rename one of them")
        if twice := first_twice(currency.id for currency in self.extra_currencies):
            one, other = twice
            raise ValueError(
                f"extra_currencies[{one}] and extra_currencies[{other}] have the same id,"
                f" {self.extra_currencies[one].id}: keep one of them"
            )
        if twice := first_twice(jetton.account for jetton in self.jettons):
            one, other = twice
            raise ValueError(
                f"jettons[{one}] and jettons[{other}] have the same master,"
                f" {self.jettons[one].account}: keep one of them"
            )
        if self.minimum is not None:
            in_units(self.minimum, NATIVE_DECIMALS)
        return self

    # Used twice a second: parsed once.
    @cached_property
    def account(self) -> Address:
        return address.parse(self.address).address

    @cached_property
    def assets(self) -> tuple[Asset, ...]:
        """Its assets; the native one first."""
        return (
            _asset(NATIVE, NATIVE_DECIMALS, self.minimum),
            *(_asset(jetton.name, jetton.decimals, jetton.minimum) for jetton in self.jettons),
            *(
                _asset(each.name, each.decimals, each.minimum, each.id)
                for each in self.extra_currencies
            ),
        )


def first_twice(values: Iterable[Hashable]) -> tuple[int, int] | None:
    """The indices of the first two equal values, or None."""
    first: dict[Hashable, int] = {}
    for index, value in enumerate(values):
        if first.setdefault(value, index) != index:
            return first[value], index
    return None


def _asset(name: str, decimals: int, minimum: Amount | None, currency: int | None = None) -> Asset:
    units = None if minimum is None else in_units(minimum, decimals)
    return Asset(name, decimals, units, currency)


class Contract(Section):
    """A contract whose code must not change."""

    name: Name
    address: AccountAddress
    code_hash: Annotated[str, AfterValidator(_hash)] = Field(
        description="hash of the code that it must have, hex or base64"
    )

    @property
    def account(self) -> Address:
        return address.parse(self.address).address
