"""Wallet contracts: recognised by code, read, and never accepting the probe's message."""

import json
import random
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey
from pytoniq.contract.wallets import highload, highload_v3, wallet, wallet_v5
from pytoniq_core.boc.builder import Builder
from pytoniq_core.boc.cell import Cell as PytoniqCell
from pytoniq_core.tlb.transaction import MessageAny

from tonwatch.simulator.chain.external_messages import ContractThrew
from tonwatch.simulator.contracts.wallets.kinds import CODES, KINDS, accept_external, wallet_data
from tonwatch.ton.address import Address
from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.cells.cell import Cell, Slice, cell
from tonwatch.ton.contracts.transactions import parse_message, rest
from tonwatch.ton.contracts.wallets import (
    CODE_HASHES,
    NOISE,
    REJECTIONS,
    WalletData,
    WalletKind,
    exit_code,
    kind_of,
    read_data,
    unacceptable_message,
)
from tonwatch.ton.errors import BadAnswer

PYTONIQ_CODES = {
    WalletKind.V3R1: wallet.WALLET_V3_R1_CODE,
    WalletKind.V3R2: wallet.WALLET_V3_R2_CODE,
    WalletKind.V4R2: wallet.WALLET_V4_R2_CODE,
    WalletKind.V5R1: wallet_v5.WALLET_V5_R1_CODE,
    WalletKind.HIGHLOAD_V2: highload.HIGHLOAD_WALLET_CODE,
    WalletKind.HIGHLOAD_V3: highload_v3.HIGHLOAD_V3_WALLET_CODE,
}
HIGHLOAD = {WalletKind.HIGHLOAD_V2, WalletKind.HIGHLOAD_V3}
NOW = 1_800_000_000
YEAR_2020 = 1_577_836_800
ADDRESS = Address(0, bytes(range(32)))
KEY = SigningKey(b"\x01" * 32)

kinds = pytest.mark.parametrize("kind", KINDS)
"""Those of which the simulator has wallets; of all others there is what a TVM made of them."""
words = st.integers(0, (1 << 32) - 1)
seqnos = words | st.sampled_from([0, 0xFFFFFFFE, 0xFFFFFFFF])
times = st.integers(YEAR_2020, (1 << 32) - 2)


@kinds
def test_a_kind_is_recognised_by_its_code(kind: WalletKind) -> None:
    assert CODE_HASHES[PYTONIQ_CODES[kind].hash] == kind
    assert kind_of(PYTONIQ_CODES[kind].hash) == kind
    assert CODES[kind].hash == PYTONIQ_CODES[kind].hash


class Run(NamedTuple):
    """What a TVM made of a wallet's code: `npm @ton/sandbox` 0.41.0, with the network's config.

    Attributes:
        data: the wallet's storage, which is made up.
        at: the time for which locked coins were asked, Unix seconds.
        values: results of its get methods: `seqno`, `subwallet`, `last_clean` and `locked`.
        exit_code: with which it refused `Recorded.message`; None where it is sent none.
    """

    data: Cell
    at: int
    values: Mapping[str, int]
    exit_code: int | None


class Recorded(NamedTuple):
    """A wallet's code, from a public library or repository, the probe's message, and runs."""

    code: bytes
    message: bytes | None
    runs: tuple[Run, ...]


def recorded_wallet(kind: WalletKind) -> Recorded:
    found = RECORDED_WALLETS[kind]
    message = found.get("message")
    runs = []
    for run in found.get("runs", ()):
        values = {name: value for name, value in run.items() if name in WalletData._fields}
        data = read_one(b64decode(run["data"]))
        runs.append(Run(data, run["at"], values, run.get("exit_code")))
    return Recorded(b64decode(found["code"]), b64decode(message) if message else None, tuple(runs))


FIXTURES = Path(__file__).parents[1] / "fixtures"
RECORDED_WALLETS = json.loads((FIXTURES / "wallet-codes.json").read_text())
every_kind = pytest.mark.parametrize(
    "kind", [kind for kind in WalletKind if kind is not WalletKind.UNKNOWN]
)


@every_kind
def test_every_kind_has_the_hash_of_its_published_code(kind: WalletKind) -> None:
    code = recorded_wallet(kind).code
    assert kind_of(PytoniqCell.one_from_boc(code).hash) is kind
    assert kind_of(read_one(code).hash) is kind


def test_every_hash_is_that_of_a_published_code_or_of_its_library() -> None:
    assert len(CODE_HASHES) == 2 * len(RECORDED_WALLETS)
    for kind in map(WalletKind, RECORDED_WALLETS):
        code = PytoniqCell.one_from_boc(recorded_wallet(kind).code)
        if kind is WalletKind.V5_BETA:  # published as a library
            assert kind_of(code.begin_parse().skip_bits(8).load_bytes(32)) is kind
            continue
        library = Builder(type_=2).store_uint(2, 8).store_bytes(code.hash).end_cell()
        assert kind_of(library.hash) is kind


@every_kind
def test_a_tvm_reads_the_same_from_its_storage(kind: WalletKind) -> None:
    for run in recorded_wallet(kind).runs:
        read = read_data(kind, run.data, run.at)._asdict()
        assert {name: read[name] for name in run.values} == run.values


@every_kind
def test_a_tvm_refuses_the_probes_message_with_these_exit_codes(kind: WalletKind) -> None:
    """Also where the wallet stores the message's own seqno and subwallet."""
    recorded = recorded_wallet(kind)
    if recorded.message is None:
        assert kind not in REJECTIONS
        with pytest.raises(ValueError, match="no message is known"):
            unacceptable_message(kind, ADDRESS, bytes(NOISE))
        return
    noise = bytes(range(NOISE))
    assert unacceptable_message(kind, Address(0, bytes(32)), noise) == recorded.message
    assert {run.exit_code for run in recorded.runs} == REJECTIONS[kind]


@pytest.mark.parametrize(
    ("code_hash", "kind"),
    [(None, None), (bytes(32), WalletKind.UNKNOWN)],
    ids=["no code", "other code"],
)
def test_what_is_no_known_wallet(code_hash: bytes | None, kind: WalletKind | None) -> None:
    assert kind_of(code_hash) is kind


def test_nothing_is_read_of_an_unknown_contract() -> None:
    with pytest.raises(BadAnswer, match="unknown contract"):
        read_data(WalletKind.UNKNOWN, cell())


SUBWALLET = (698983191).to_bytes(4, "big")
PLUGIN = cell(b"plugin")


@pytest.mark.parametrize(
    ("kind", "data", "read"),
    [
        pytest.param(
            WalletKind.V5_BETA,
            # As @ton/ton's WalletContractV5Beta stores it: network -239, workchain 0, version 0.
            cell(bytes.fromhex("00000005ffffff11000000000009") + bytes(32), head="0", tail="0"),
            WalletData(seqno=5, subwallet=9),
            id="v5 beta",
        ),
        pytest.param(
            WalletKind.V5_BETA,
            cell(
                bytes.fromhex("00000005ffffff11000000000009") + bytes(32),
                PLUGIN,
                head="1",
                tail="1",
            ),
            WalletData(seqno=5, subwallet=9),
            id="v5 beta without its key",
        ),
        pytest.param(
            WalletKind.V4R1,
            cell(b"\0\0\0\5" + SUBWALLET + bytes(32), PLUGIN, tail="1"),
            WalletData(seqno=5, subwallet=698983191),
            id="v4r1 with a plugin",
        ),
        pytest.param(
            WalletKind.MULTISIG_V1,
            # As @ton/ton's MultisigWallet stores it: three owners, two have to sign.
            cell(SUBWALLET + b"\3\2" + bytes(8), PLUGIN, tail="10"),
            WalletData(last_clean=0, subwallet=698983191, signers=3, threshold=2),
            id="multisig v1",
        ),
        pytest.param(
            WalletKind.MULTISIG_V2,
            # As multisig-contract-v2's multisigConfigToCell stores it.
            cell(bytes(31) + b"\7\2", PLUGIN, PLUGIN, tail=f"{3:08b}10"),
            WalletData(signers=3, threshold=2),
            id="multisig v2 with proposers",
        ),
    ],
)
def test_what_is_stored(kind: WalletKind, data: Cell, read: WalletData) -> None:
    assert read_data(kind, data) == read


def test_a_lockup_wallet_cannot_free_more_than_it_locks() -> None:
    # A dictionary of one key, 0, and the value of a coin.
    parts = cell(b"", head="110100000" + "0001" + "00000001")
    data = cell(bytes(4 + 4 + 32 + 32), parts, tail="0" + "0000" + "1" + "0000" + "0")
    with pytest.raises(BadAnswer, match="frees more than it locks"):
        read_data(WalletKind.LOCKUP, data, 1)


@given(kind=st.sampled_from(KINDS), seqno=seqnos, subwallet=words, seconds=words)
def test_storage_tells_seqno_or_last_clean(
    kind: WalletKind, seqno: int, subwallet: int, seconds: int
) -> None:
    data = wallet_data(
        kind, bytes(KEY.verify_key), seqno=seqno, subwallet=subwallet, last_clean=seconds
    )
    read = read_data(kind, data)
    assert (read.seqno, read.last_clean) == ((None, seconds) if kind in HIGHLOAD else (seqno, None))
    assert read.subwallet == subwallet


PYTONIQ_STORAGE: dict[WalletKind, Callable[..., Any]] = {
    WalletKind.V3R1: wallet.WalletV3R1.create_data_cell,
    WalletKind.V3R2: wallet.WalletV3R2.create_data_cell,
    WalletKind.V4R2: wallet.WalletV4R2.create_data_cell,
    WalletKind.V5R1: wallet_v5.WalletV5R1.create_data_cell,
    WalletKind.HIGHLOAD_V2: highload.HighloadWallet.create_data_cell,
    WalletKind.HIGHLOAD_V3: highload_v3.HighloadWalletV3.create_data_cell,
}


@kinds
def test_storage_is_what_pytoniq_writes(kind: WalletKind) -> None:
    key = bytes(KEY.verify_key)
    theirs = PYTONIQ_STORAGE[kind](key, wallet_id=77)
    assert wallet_data(kind, key, subwallet=77).hash == theirs.hash


@given(kind=st.sampled_from(KINDS), data=st.binary(max_size=127), refs=st.integers(0, 3))
def test_other_storage_is_a_bad_answer(kind: WalletKind, data: bytes, refs: int) -> None:
    try:
        read_data(kind, cell(data, *[cell()] * refs))
    except BadAnswer:
        return


@kinds
def test_storage_with_more_in_it_is_a_bad_answer(kind: WalletKind) -> None:
    data = wallet_data(kind, bytes(KEY.verify_key))
    with pytest.raises(BadAnswer):
        read_data(kind, Cell(bytes((data.body[0] + 1,)) + data.body[1:], (*data.refs, cell())))


def message_body(bag: bytes) -> Cell:
    return parse_message(read_one(bag)).body


@given(
    kind=st.sampled_from(KINDS),
    seqno=seqnos,
    subwallet=words,
    key=st.binary(min_size=32, max_size=32),
    seconds=words,
    timeout=st.integers(0, (1 << 22) - 1),
    now=times,
    noise=st.binary(min_size=NOISE, max_size=NOISE),
)
def test_no_wallet_accepts_the_probes_message(
    kind: WalletKind,
    seqno: int,
    subwallet: int,
    key: bytes,
    seconds: int,
    timeout: int,
    now: int,
    noise: bytes,
) -> None:
    data = wallet_data(
        kind, key, seqno=seqno, subwallet=subwallet, last_clean=seconds, timeout=timeout
    )
    body = message_body(unacceptable_message(kind, ADDRESS, noise))
    with pytest.raises(ContractThrew) as refused:
        accept_external(kind, data, body, now)
    assert refused.value.code in REJECTIONS[kind]


@given(kind=st.sampled_from(KINDS), timeout=st.integers(0, (1 << 22) - 1), now=times)
def test_not_even_with_the_right_signature(kind: WalletKind, timeout: int, now: int) -> None:
    """Even with a key leaked and everything stored as the message says."""
    noise = bytes(NOISE)
    data = wallet_data(
        kind, bytes(KEY.verify_key), seqno=0xFFFFFFFF, subwallet=0xFFFFFFFF, timeout=timeout
    )
    body = message_body(unacceptable_message(kind, ADDRESS, noise))
    with pytest.raises(ContractThrew):
        accept_external(kind, data, signed(kind, to_sign(kind, body)), now)


@given(kind=st.sampled_from(KINDS), noise=st.binary(min_size=NOISE, max_size=NOISE))
def test_not_even_before_it_expired(kind: WalletKind, noise: bytes) -> None:
    """In 1970, with everything stored as the message says: its signature is none."""
    data = wallet_data(
        kind,
        bytes(KEY.verify_key),
        seqno=0xFFFFFFFF,
        subwallet=0xFFFFFFFF,
        timeout=(1 << 22) - 1,
    )
    body = message_body(unacceptable_message(kind, ADDRESS, noise))
    with pytest.raises(ContractThrew):
        accept_external(kind, data, body, 0)


@given(
    kind=st.sampled_from(KINDS),
    seqno=seqnos,
    subwallet=words,
    timeout=st.integers(1, (1 << 22) - 1),
    now=times,
)
def test_a_signed_message_is_accepted(
    kind: WalletKind, seqno: int, subwallet: int, timeout: int, now: int
) -> None:
    data = wallet_data(
        kind, bytes(KEY.verify_key), seqno=seqno, subwallet=subwallet, timeout=timeout
    )
    asked = request(kind, seqno=seqno, subwallet=subwallet, timeout=timeout, now=now)
    accept_external(kind, data, signed(kind, asked), now)


BASIC = {
    WalletKind.V3R1: (35, 33, 34, 35),
    WalletKind.V3R2: (35, 33, 34, 35),
    WalletKind.V4R2: (36, 33, 34, 35),
    WalletKind.V5R1: (136, 133, 134, 135),
    WalletKind.HIGHLOAD_V2: (35, None, 34, 35),
    WalletKind.HIGHLOAD_V3: (35, None, 34, 33),
}


@kinds
@pytest.mark.parametrize("wrong", ["time", "seqno", "subwallet", "signature"])
def test_what_is_wrong_has_its_exit_code(kind: WalletKind, wrong: str) -> None:
    code = BASIC[kind][("time", "seqno", "subwallet", "signature").index(wrong)]
    data = wallet_data(kind, bytes(KEY.verify_key), seqno=5, subwallet=6)
    body = signed(
        kind,
        request(
            kind,
            seqno=9 if wrong == "seqno" else 5,
            subwallet=9 if wrong == "subwallet" else 6,
            timeout=3600,
            now=NOW - 10_000 if wrong == "time" else NOW,
        ),
        SigningKey(b"\x02" * 32) if wrong == "signature" else KEY,
    )
    if code is None:
        accept_external(kind, data, body, NOW)
        return
    with pytest.raises(ContractThrew) as refused:
        accept_external(kind, data, body, NOW)
    assert refused.value.code == code


@given(kind=st.sampled_from(KINDS), data=st.binary(max_size=127), refs=st.integers(0, 3))
def test_a_wallet_that_gets_anything_throws(kind: WalletKind, data: bytes, refs: int) -> None:
    stored = wallet_data(kind, bytes(KEY.verify_key))
    with pytest.raises(ContractThrew):
        accept_external(kind, stored, cell(data, *[cell()] * refs), NOW)


@kinds
@pytest.mark.parametrize("workchain", [0, -1])
def test_the_message_reads_as_pytoniq_reads_messages(kind: WalletKind, workchain: int) -> None:
    address = Address(workchain, ADDRESS.hash)
    bag = unacceptable_message(kind, address, random.Random(1).randbytes(NOISE))
    message = MessageAny.deserialize(PytoniqCell.one_from_boc(bag).begin_parse())
    assert message.is_external
    assert message.info.dest.to_str(is_user_friendly=False) == str(address)
    assert message.init is None
    assert message.body.hash == message_body(bag).hash


@kinds
def test_each_message_is_new_and_short(kind: WalletKind) -> None:
    bags = {unacceptable_message(kind, ADDRESS, bytes([n]) * NOISE) for n in range(3)}
    assert len(bags) == 3
    assert max(map(len, bags)) < 300


@pytest.mark.parametrize("size", [0, 63, 65])
def test_noise_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="noise"):
        unacceptable_message(WalletKind.V3R2, ADDRESS, bytes(size))


RECORDED = (
    "cannot apply external message to current state : External message was not accepted\n"
    "Cannot run message on account: inbound external message rejected by transaction "
    "A221B4AA790E2C1F35FDE957A86C0D15398A8830D9A48667A1AADD72B0831AD9:\n"
    "exitcode={}, steps=26, gas_used=0\nVM Log (truncated):\n"
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(RECORDED.format(33), 33, id="as a node wrote it"),
        pytest.param(RECORDED.format(-14), -14, id="out of gas"),
        pytest.param(RECORDED.format(135).replace("\n", " "), 135, id="on one line"),
        pytest.param("exitcode: 36", 36, id="with a colon"),
        pytest.param("terminating vm with exit code 34", 34, id="from the log"),
        pytest.param("exit_code = 35", 35, id="with an underscore"),
        pytest.param("Failed to unpack account state", None, id="none"),
        pytest.param("exitcode=", None, id="no number"),
        pytest.param("exitcode=" + "9" * 5000, None, id="no exit code's number"),
        pytest.param("", None, id="no text"),
    ],
)
def test_an_exit_code_is_found_in_a_text(text: str, code: int | None) -> None:
    assert exit_code(text) == code


def request(kind: WalletKind, *, seqno: int, subwallet: int, timeout: int, now: int) -> Cell:
    """What an owner signs: a good request without messages."""
    until = min(now + 60, (1 << 32) - 1).to_bytes(4, "big")
    head = subwallet.to_bytes(4, "big") + until + seqno.to_bytes(4, "big")
    match kind:
        case WalletKind.V3R1 | WalletKind.V3R2:
            return cell(head)
        case WalletKind.V4R2:
            return cell(head + b"\0")
        case WalletKind.V5R1:
            return cell(b"sign" + head, tail="00")
        case WalletKind.HIGHLOAD_V2:
            return cell(subwallet.to_bytes(4, "big") + until + bytes(4), tail="0")
        case WalletKind.HIGHLOAD_V3:
            tail = f"{0:08b}{77:023b}{now:064b}{timeout:022b}"
            return cell(subwallet.to_bytes(4, "big"), cell(), tail=tail)
        case _:
            raise ValueError(kind)


def signed(kind: WalletKind, asked: Cell, key: SigningKey = KEY) -> Cell:
    """The body with a signature where this kind has it."""
    signature = key.sign(asked.hash).signature
    if kind == WalletKind.HIGHLOAD_V3:
        return cell(signature, asked)
    fields = Slice(asked)
    bits = f"{fields.uint(fields.left):0{Slice(asked).left}b}"
    if kind == WalletKind.V5R1:
        return cell(signature, *asked.refs, head=bits)
    return cell(signature, *asked.refs, tail=bits)


def to_sign(kind: WalletKind, body: Cell) -> Cell:
    """The part of a body that its signature is of."""
    fields = Slice(body)
    if kind == WalletKind.HIGHLOAD_V3:
        return fields.ref()
    if kind == WalletKind.V5R1:
        size = fields.left - 8 * NOISE
        return cell(b"", head=f"{fields.uint(size):0{size}b}")
    fields.take(NOISE)
    return rest(fields)
