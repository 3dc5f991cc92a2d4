"""TL answers, honest and hostile: fields, or `BadAnswer`, and nothing else."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import effort
from tests.ton.peers import LITE_QUERY, Pair, lite_error, recorded
from tonwatch.ton.adnl import wire
from tonwatch.ton.errors import BadAnswer, ProofInvalid, Reason, TonError
from tonwatch.ton.liteserver import client as liteserver
from tonwatch.ton.liteserver import tl

GOOD: Final = {label: pair for label, pair in recorded().items() if pair.type is not None}
CONSTRUCTORS: Final = sorted({str(pair.type) for pair in GOOD.values()} | {"liteServer.error"})

MOST: Final = 100_000
"""Calls that reading one hostile answer may take: some ten milliseconds of the event loop."""


def mutated(data: bytes) -> st.SearchStrategy[bytes]:
    """`data` with bytes changed, cut out and put in."""
    position = st.integers(0, len(data))
    edit = st.tuples(position, st.integers(0, 40), st.binary(max_size=40))

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        result = data
        for start, removed, added in edits:
            result = result[:start] + added + result[start + removed :]
        return result

    return st.lists(edit, min_size=1, max_size=4).map(apply)


def flipped(data: bytes) -> st.SearchStrategy[bytes]:
    """`data` with a few bytes changed in place: most of its structure survives."""

    def apply(changes: list[tuple[int, int]]) -> bytes:
        result = bytearray(data)
        for position, value in changes:
            result[position] = value
        return bytes(result)

    change = st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255))
    return st.lists(change, min_size=1, max_size=4).map(apply)


def bounded(call: Callable[..., Any], *arguments: object) -> Any:
    """Run `call` and limit its work, whatever it returns or raises."""
    with effort(MOST):
        return call(*arguments)


class TestEncode:
    @pytest.mark.parametrize(
        ("label", "function", "arguments"),
        [
            ("getVersion", "getVersion", {}),
            ("getMasterchainInfo", "getMasterchainInfo", {}),
            ("getMasterchainInfoExt mode 0", "getMasterchainInfoExt", {"mode": 0}),
            (
                "getMasterchainInfoExt mode 1 (unsupported here)",
                "getMasterchainInfoExt",
                {"mode": 1},
            ),
        ],
    )
    def test_as_recorded(self, label: str, function: str, arguments: tl.Fields) -> None:
        expected = LITE_QUERY + wire.tl_bytes(recorded()[label].query)
        assert tl.encode_query(function, arguments) == expected

    def test_schemas_are_parsed_once(self) -> None:
        assert tl.lite_api() is tl.lite_api()


class TestDecode:
    @pytest.mark.parametrize("pair", GOOD.values(), ids=GOOD.keys())
    def test_recorded_answers(self, pair: Pair) -> None:
        assert tl.decode(pair.answer, str(pair.type))["@type"] == pair.type

    def test_error(self) -> None:
        fields = tl.decode(lite_error(-400, "lt not in db"), "liteServer.error")
        assert (fields["code"], fields["message"]) == (-400, "lt not in db")

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            pytest.param(b"", "got nothing", id="nothing"),
            pytest.param(b"\x01", "got 0x01", id="one byte"),
            pytest.param(bytes.fromhex("efbeadde"), "got 0xdeadbeef", id="unknown constructor"),
            pytest.param(recorded()["getTime"].answer, "got liteServer.currentTime", id="another"),
            pytest.param(recorded()["getVersion"].answer[:-1], "24 are needed", id="cut"),
            pytest.param(recorded()["getVersion"].answer + b"\0", "25 bytes", id="trailing bytes"),
        ],
    )
    def test_not_the_answer_expected(self, data: bytes, says: str) -> None:
        with pytest.raises(BadAnswer, match=says) as caught:
            tl.decode(data, "liteServer.version")
        assert caught.value.reason is Reason.BAD_ANSWER

    def test_text_that_is_not_utf_8(self) -> None:
        with pytest.raises(BadAnswer):
            tl.decode(lite_error(0, "abc").replace(b"abc", b"\xff\xfe\xfd"), "liteServer.error")

    @given(st.sampled_from(CONSTRUCTORS), st.binary(max_size=300))
    def test_any_bytes(self, constructor: str, data: bytes) -> None:
        start = tl._schema(constructor).little_id()
        for whole in (data, start + data):
            try:
                fields = bounded(tl.decode, whole, constructor)
            except BadAnswer:
                continue
            assert fields["@type"] == constructor

    @given(st.data())
    def test_any_mutation_of_a_recorded_answer(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(list(GOOD.values())))
        answer = data.draw(st.one_of(mutated(pair.answer), flipped(pair.answer)))
        try:
            fields = bounded(tl.decode, answer, str(pair.type))
        except BadAnswer:
            return
        assert fields["@type"] == pair.type

    @pytest.mark.parametrize("pair", GOOD.values(), ids=GOOD.keys())
    def test_every_cut_of_a_recorded_answer(self, pair: Pair) -> None:
        step = max(1, len(pair.answer) // 200)
        for end in range(0, len(pair.answer), step):
            with pytest.raises(BadAnswer):
                tl.decode(pair.answer[:end], str(pair.type))


HEADER: Final = recorded()["getBlockHeader last"].answer
LONGEST_PROOF: Final = liteserver._MAX_PROOF


def header_fields(proof: bytes) -> tl.Fields:
    return tl.decode(HEADER, "liteServer.blockHeader") | {"header_proof": proof}


def bag_of_cells(cells: bytes, number: int) -> bytes:
    """A bag with one root, the first cell; `cells` has references of two bytes."""
    return (
        bytes.fromhex("b5ee9c7202") + b"\x04"
        + number.to_bytes(2, "big") + (1).to_bytes(2, "big") + bytes(2)
        + len(cells).to_bytes(4, "big") + bytes(2) + cells
    )  # fmt: skip


def many_cells() -> bytes:
    number = (LONGEST_PROOF - 20) // 2
    return bag_of_cells(bytes(2 * number), number)


def chain_of_cells(references: int) -> bytes:
    """Each cell refers to the next one `references` times: 4 ** depth paths."""
    size = 2 + 2 * references
    number = min(1000, (LONGEST_PROOF - 20) // size)
    cells = b"".join(
        bytes([references, 0]) + (index + 1).to_bytes(2, "big") * references
        for index in range(number - 1)
    )
    return bag_of_cells(cells + bytes(2), number)


class TestHeaderProof:
    def test_recorded(self) -> None:
        header = liteserver._block_header(tl.decode(HEADER, "liteServer.blockHeader"))
        assert header.id.seqno == 2016

    @given(st.data())
    def test_any_mutation_is_invalid_or_says_the_same(self, data: st.DataObject) -> None:
        genuine = liteserver._block_header(tl.decode(HEADER, "liteServer.blockHeader"))
        proof: bytes = tl.decode(HEADER, "liteServer.blockHeader")["header_proof"]
        changed = data.draw(st.one_of(mutated(proof), flipped(proof)))
        try:
            header = bounded(liteserver._block_header, header_fields(changed))
        except (BadAnswer, ProofInvalid):
            return
        # What the root hash commits to cannot be changed; what it does not, is not read.
        assert header == genuine

    @given(st.data())
    def test_any_mutation_of_the_whole_answer(self, data: st.DataObject) -> None:
        answer = data.draw(st.one_of(mutated(HEADER), flipped(HEADER)))
        try:
            fields = bounded(tl.decode, answer, "liteServer.blockHeader")
            bounded(liteserver._block_header, fields)
        except (BadAnswer, ProofInvalid):
            return

    @given(st.binary(max_size=400))
    def test_any_bytes_as_proof(self, proof: bytes) -> None:
        for whole in (proof, bytes.fromhex("b5ee9c72") + proof):
            with pytest.raises(TonError) as caught:
                bounded(liteserver._block_header, header_fields(whole))
            assert caught.value.reason in {Reason.BAD_ANSWER, Reason.PROOF_INVALID}

    @pytest.mark.parametrize(
        "proof",
        [
            pytest.param(many_cells(), id="as many cells as fit"),
            pytest.param(chain_of_cells(1), id="chain"),
            pytest.param(chain_of_cells(4), id="4 to the power of 800 paths"),
        ],
    )
    def test_costly_bags_of_cells_are_read_in_bounded_time(self, proof: bytes) -> None:
        assert len(proof) <= LONGEST_PROOF
        with pytest.raises((BadAnswer, ProofInvalid)):
            bounded(liteserver._block_header, header_fields(proof))

    def test_too_long_is_not_parsed(self) -> None:
        with pytest.raises(BadAnswer) as caught:
            liteserver._block_header(header_fields(bytes(LONGEST_PROOF + 1)))
        assert caught.value.reason is Reason.ANSWER_TOO_LARGE

    def test_of_another_block(self) -> None:
        other = tl.decode(recorded()["lookupBlock seqno-5"].answer, "liteServer.blockHeader")
        with pytest.raises(ProofInvalid):
            liteserver._block_header(header_fields(other["header_proof"]))

    @pytest.mark.parametrize("field", ["seqno", "workchain"])
    def test_block_id_that_the_header_contradicts(self, field: str) -> None:
        fields = tl.decode(HEADER, "liteServer.blockHeader")
        fields["id"][field] += 1
        with pytest.raises(ProofInvalid, match="another block"):
            liteserver._block_header(fields)


OUT_QUEUES: Final = bytes.fromhex(
    "034a50f802000000ffffffff00000000000000802c0200003edd7dd938751680cad82953a8e35354238d8364ab799a7a"
    "a6d92c045440825019d965ae1675106d0541e5f76077c7841329fb3fb6f722c234ad771bb4cd0d420000000000000000"
    "0000000000000080290200005f704408fd0bd884f6b0ccf78de0fd5f44b6536fed502f70241db437190a2fd21ffa3575"
    "be7877686494a73ab817c0953fbacb2ad788a825ad03b9483475d48f00000000401f0000"
)
"""A node's answer to ``getOutMsgQueueSizes``: two shards without messages."""


class TestOutQueues:
    def test_recorded(self) -> None:
        assert tl.decode_out_queues(OUT_QUEUES) == (0, 8000)
        fields = tl.decode(OUT_QUEUES, "liteServer.outMsgQueueSizes")
        assert [shard["size"] for shard in fields["shards"]] == [0, 0]

    @pytest.mark.parametrize(
        ("sizes", "longest"), [((), 0), ((5,), 5), ((5, 9000, 7), 9000), ((2**31 - 1,), 2**31 - 1)]
    )
    def test_the_longest(self, sizes: tuple[int, ...], longest: int) -> None:
        shards = b"".join(bytes(80) + size.to_bytes(4, "little") for size in sizes)
        answer = OUT_QUEUES[:4] + len(sizes).to_bytes(4, "little") + shards + OUT_QUEUES[-4:]
        assert tl.decode_out_queues(answer) == (longest, 8000)

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(OUT_QUEUES[:4], id="its name alone"),
            pytest.param(OUT_QUEUES[:-1], id="cut short"),
            pytest.param(OUT_QUEUES + b"x", id="longer"),
            pytest.param(OUT_QUEUES[:4] + b"\xff" * 4 + OUT_QUEUES[8:], id="fewer than it says"),
            pytest.param(OUT_QUEUES[:-4] + b"\xff" * 4, id="a negative limit"),
            pytest.param(OUT_QUEUES[:-8] + b"\xff" * 4 + OUT_QUEUES[-4:], id="a negative size"),
            pytest.param(lite_error(0, "no"), id="an error"),
        ],
    )
    def test_others(self, answer: bytes) -> None:
        with pytest.raises(BadAnswer):
            bounded(tl.decode_out_queues, answer)

    @given(mutated(OUT_QUEUES))
    def test_any(self, answer: bytes) -> None:
        try:
            longest, limit = bounded(tl.decode_out_queues, answer)
        except BadAnswer:
            return
        assert longest >= 0
        assert limit >= 0
