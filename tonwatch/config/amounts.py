"""Amounts in coins, as in the configuration, and in smallest units, as on the chain."""

from decimal import Decimal, InvalidOperation, localcontext
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

NATIVE_DECIMALS: Final = 9
"""1 coin is 1e9 nano."""

_DIGITS: Final = 40
"""Maximum in the configuration; amounts on the chain have at most 37."""


def _decimal(value: object) -> object:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("write an amount in whole coins, such as 250 or 250.5")  # noqa: TRY004 - pydantic takes ValueError
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise ValueError("write an amount in whole coins, such as 250 or 250.5") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError("an amount is a number from 0 on, such as 250 or 250.5")
    if len(amount.as_tuple().digits) > _DIGITS or abs(amount.adjusted()) > _DIGITS:
        raise ValueError(f"an amount has at most {_DIGITS} digits; there are not so many coins")
    return amount


Amount = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    PlainSerializer(lambda amount: f"{amount:f}", when_used="json"),
    WithJsonSchema({"type": ["number", "string"], "minimum": 0}),
]
"""Coins, written as 250 or 250.5."""


def in_units(amount: Decimal, decimals: int) -> int:
    """The amount in smallest units.

    Raises:
        ValueError: it has more digits after the point than there are decimals.
    """
    with localcontext(prec=2 * _DIGITS):
        units = amount.scaleb(decimals)
    if units != units.to_integral_value():
        raise ValueError(f"{amount:f} has more than {decimals} digits after the point")
    return int(units)


def in_coins(units: int, decimals: int) -> float:
    """Smallest units as coins, rounded to a float."""
    coins: float = units / 10**decimals
    return coins


def written(units: int, decimals: int) -> str:
    """Smallest units as coins in text, exactly: 1,234.5."""
    coins, rest = divmod(abs(units), 10**decimals)
    fraction = f".{rest:0{decimals}d}".rstrip("0") if rest else ""
    return f"{'-' if units < 0 else ''}{coins:,}{fraction}"
