"""Wallets in the configuration: what is accepted, and the messages for mistakes."""

from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pytoniq_core.boc.address import Address as ToAddress

from tests.configs import load
from tonwatch.config.amounts import in_coins, in_units, written
from tonwatch.config.loader import ConfigError
from tonwatch.ton.address import Address, parse

USDT = "EQCxE6mUtQJKFnGfaROTKOt1lZbDiiX1kCixRv7Nw2Id_sDs"
WALLET = Address(0, bytes(range(32)))
UQ = ToAddress((0, WALLET.hash)).to_str(is_bounceable=False)
OTHER = str(Address(-1, WALLET.hash))
PROVIDER = {"name": "toncenter", "kind": "toncenter-v2", "url": "https://toncenter.com/api/v2"}


def loaded(tmp_path: Path, **content: object) -> object:
    file = tmp_path / "tonwatch.yaml"
    file.write_text(yaml.safe_dump({"providers": [PROVIDER]} | content))
    return load(file)


def wallet(**more: object) -> dict[str, object]:
    return {"name": "payouts", "address": WALLET.friendly()} | more


def jetton(**more: object) -> dict[str, object]:
    return {"name": "usdt", "master": USDT, "decimals": 6} | more


def currency(**more: object) -> dict[str, object]:
    return {"name": "echidna", "id": 100, "decimals": 9} | more


def contract(name: str, address: str) -> dict[str, object]:
    return {"name": name, "address": address, "code_hash": "ab" * 32}


OTHER_FORM = jetton(name="again", master=str(parse(USDT).address))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(
            {"wallets": [wallet(address=WALLET.friendly()[:-1] + "A")]},
            ["wallets[0].address", "checksum is wrong"],
            id="mistyped address",
        ),
        pytest.param(
            {"wallets": [wallet(address="hello")]},
            ["wallets[0].address", "48 characters such as EQ"],
            id="no address",
        ),
        pytest.param(
            {"wallets": [wallet(address=f"7:{WALLET.hash.hex()}")]},
            ["workchain 7 does not exist"],
            id="no such workchain",
        ),
        pytest.param(
            {"wallets": [wallet(address=WALLET.friendly(test_only=True))]},
            ["wallets[0].address: this address is for test networks only"],
            id="an address of the wrong network",
        ),
        pytest.param(
            {
                "wallets": [
                    wallet(jettons=[jetton(master=parse(USDT).address.friendly(test_only=True))])
                ]
            },
            ["wallets[0].jettons[0].master: this address is for test networks only"],
            id="a master of the wrong network",
        ),
        pytest.param(
            {"wallets": [wallet(minimum=-1)]}, ["wallets[0].minimum", "from 0 on"], id="negative"
        ),
        pytest.param(
            {"wallets": [wallet(minimum="lots")]},
            ["wallets[0].minimum", "such as 250 or 250.5"],
            id="no amount",
        ),
        pytest.param(
            {"wallets": [wallet(minimum="0.0000000001")]},
            ["wallets[0]", "more than 9 digits after the point"],
            id="less than a nano",
        ),
        pytest.param(
            {"wallets": [wallet(jettons=[jetton(minimum="0.0000001")])]},
            ["wallets[0].jettons[0]", "more than 6 digits"],
            id="less than the jetton's unit",
        ),
        pytest.param(
            {"wallets": [wallet(jettons=[{"name": "usdt", "master": USDT}])]},
            ["wallets[0].jettons[0].decimals"],
            id="decimals are not guessed",
        ),
        pytest.param(
            {"wallets": [wallet(jettons=[jetton(name="native")])]},
            ["native is the name of the network's own coin"],
            id="a jetton called native",
        ),
        pytest.param(
            {"wallets": [wallet(extra_currencies=[currency(name="native")])]},
            ["wallets[0].extra_currencies[0]", "native is the name of the network's own coin"],
            id="an extra currency named native",
        ),
        pytest.param(
            {"wallets": [wallet(jettons=[jetton()], extra_currencies=[currency(name="usdt")])]},
            ["two of its jettons or extra currencies have the same name"],
            id="a jetton and an extra currency of the same name",
        ),
        pytest.param(
            {"wallets": [wallet(extra_currencies=[currency(), currency(name="b")])]},
            ["extra_currencies[0] and extra_currencies[1] have the same id, 100"],
            id="an extra currency twice",
        ),
        pytest.param(
            {"wallets": [wallet(extra_currencies=[currency(id=1 << 32)])]},
            ["wallets[0].extra_currencies[0].id"],
            id="no id of an extra currency",
        ),
        pytest.param(
            {"wallets": [wallet(extra_currencies=[currency(minimum="0.0000000001")])]},
            ["wallets[0].extra_currencies[0]", "more than 9 digits"],
            id="a minimum of too many digits",
        ),
        pytest.param(
            {"wallets": [wallet(jettons=[jetton(), jetton()])]},
            ["two of its jettons have the same name"],
            id="a jetton twice",
        ),
        pytest.param(
            {"wallets": [wallet(jettons=[jetton(), jetton(name="eur", master=OTHER), OTHER_FORM])]},
            ["wallets[0]: jettons[0] and jettons[2] have the same master", "keep one of them"],
            id="a master under two names",
        ),
        *(
            pytest.param(
                {"wallets": [wallet(), wallet(name="b", address=OTHER), again]},
                [f"wallets[0] and wallets[2] are the same account, {WALLET}: keep one of them"],
                id=f"an account under two names, {id_}",
            )
            for id_, again in {
                "EQ": wallet(name="c"),
                "UQ": wallet(name="c", address=UQ),
                "raw": wallet(name="c", address=str(WALLET).upper()),
                "base64": wallet(name="c", address=UQ.replace("-", "+").replace("_", "/")),
            }.items()
        ),
        pytest.param(
            {"contracts": [contract("a", UQ), contract("b", str(WALLET))]},
            [f"contracts[0] and contracts[1] are the same account, {WALLET}: keep one"],
            id="a contract under two names",
        ),
        pytest.param(
            {"wallets": [wallet(), wallet()]},
            ["wallets[1] and wallets[0] are both named 'payouts'"],
            id="a wallet twice",
        ),
        pytest.param(
            {
                "wallets": [wallet()],
                "contracts": [
                    {"name": "payouts", "address": WALLET.friendly(), "code_hash": "ab" * 32}
                ],
            },
            ["contracts[0] and wallets[0] are both named 'payouts'"],
            id="a contract named as a wallet",
        ),
        pytest.param(
            {"wallets": [wallet(payouts=True)]},
            ["wallets[0].payouts needs state_dir"],
            id="payouts without state_dir",
        ),
        pytest.param(
            {"wallets": [wallet()], "providers": []},
            ["configure one"],
            id="no source",
        ),
        pytest.param(
            {"contracts": [{"name": "c", "address": WALLET.friendly(), "code_hash": "beef"}]},
            ["contracts[0].code_hash", "a code hash has 32"],
            id="half a hash",
        ),
        pytest.param(
            {"wallets": [wallet(payout=True)]},
            ["wallets[0].payout: unknown key; did you mean payouts?"],
            id="a mistyped key",
        ),
    ],
)
def test_mistakes(tmp_path: Path, content: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, **content)
    for each in words:
        assert each in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        WALLET.friendly(),
        WALLET.friendly(test_only=True),
        WALLET.friendly().replace("-", "+").replace("_", "/"),
        str(WALLET),
        f" {WALLET} ",
    ],
)
def test_every_form_of_an_address(tmp_path: Path, text: str) -> None:
    config = loaded(tmp_path, network="testnet", wallets=[wallet(address=text)])
    assert config.wallets[0].account == WALLET  # type: ignore[attr-defined]


def test_both_forms_of_a_hash(tmp_path: Path) -> None:
    contracts = [
        {"name": "hex", "address": WALLET.friendly(), "code_hash": "fe" * 32},
        {"name": "base64", "address": USDT, "code_hash": "/v7+" * 10 + "/v4="},
    ]
    config = loaded(tmp_path, contracts=contracts)
    assert {contract.code_hash for contract in config.contracts} == {"fe" * 32}  # type: ignore[attr-defined]


def test_what_is_not_one_account_twice(tmp_path: Path) -> None:
    """Balance and code of one account may both be watched; workchains differ."""
    loaded(
        tmp_path,
        wallets=[
            wallet(jettons=[jetton()]),
            wallet(name="second", address=OTHER, jettons=[jetton()]),
        ],
        contracts=[contract("code", UQ)],
    )


@given(st.integers(0, 2**120), st.integers(0, 30))
def test_amounts_keep_every_digit(units: int, decimals: int) -> None:
    text = written(units, decimals).replace(",", "")
    assert in_units(Decimal(text), decimals) == units
    assert in_coins(units, decimals) == pytest.approx(float(text))


@given(st.sampled_from([-1, 0]), st.binary(min_size=32, max_size=32), st.booleans())
def test_addresses_survive(workchain: int, hash_: bytes, test_only: bool) -> None:
    address = Address(workchain, hash_)
    assert parse(str(address)) == (address, False)
    assert parse(address.friendly(test_only=test_only)) == (address, test_only)


@given(st.integers(0, 47), st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=127))
def test_a_mistyped_character_is_always_noticed(place: int, letter: str) -> None:
    text = WALLET.friendly()
    typed = text[:place] + letter + text[place + 1 :]
    if typed != text:
        with pytest.raises(ValueError, match=r"checksum|first byte|workchain"):
            parse(typed)
