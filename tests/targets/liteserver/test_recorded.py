"""A real node's recorded answers, over a real socket, through the real client."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Final

import pytest
from pytoniq_core.tl.block import BlockIdExt

from tests.ton.peers import (
    LITE_QUERY,
    NEWER_ERRORS,
    OTHER_KEY,
    SERVER_KEY,
    Pair,
    Peer,
    Server,
    lite_error,
    lite_query,
    recorded,
    recorded_answers,
    replay,
)
from tonwatch.probes.write_path import write_path
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.simulator.contracts.wallets.kinds import KINDS
from tonwatch.targets.liteserver import probes
from tonwatch.targets.liteserver.source import LiteServerSource
from tonwatch.ton.address import Address
from tonwatch.ton.adnl import wire
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import LiteServerError, Reason
from tonwatch.ton.liteserver import tl
from tonwatch.ton.liteserver.client import CAPABILITY_SHARD_CLIENT, WHOLE_SHARD, LiteClient
from tonwatch.ton.liteserver.errors import classify
from tonwatch.ton.liteserver.proofs import KnownBlocks

pytestmark = pytest.mark.usefixtures("nothing_left")

R = Reason
TIMEOUT: Final = 5.0

LAST: Final = BlockIdExt(
    workchain=-1,
    shard=WHOLE_SHARD,
    seqno=2016,
    root_hash="2b610494e262b369ae8daf6537b0263d1b57e5665045acd9f0ed2c3079cfadd7",
    file_hash="a391c2bf38c34878af461ac24814398571f8073518ad8b80f01addfdecbea1a4",
)
ZEROSTATE: Final = bytes.fromhex("9aa92f6d579fdda7771472df467d4a6dd93739e77d4f01114113ea1f38b5ce29")
MADE: Final = 1795432849
"""When block 2016 was made; a second later the node was asked."""

EXT: Final = "getMasterchainInfoExt mode 0"
EXT_SHARD_CLIENT: Final = "getMasterchainInfoExt mode 1 (unsupported here)"
BAD_SIGNATURE: Final = "sendMessage to wallet v1, right seqno, random signature"

ERRORS: Final = {label: pair for label, pair in recorded().items() if pair.error is not None}


def inner(query: bytes) -> bytes:
    """The question inside an encoded ``liteServer.query``."""
    assert query[:4] == LITE_QUERY
    return wire.read_tl_bytes(query, 4)[0]


def account_question() -> bytes:
    """The query that shows whether the shard client keeps up; it was not recorded."""
    account = {"workchain": 0, "id": bytes(32).hex()}
    return inner(tl.encode_query("getAccountState", {"id": LAST.to_dict(), "account": account}))


def node(*, account: bytes, replaced: dict[str, bytes] | None = None) -> dict[bytes, bytes]:
    """The recorded node, with an answer to `account_question` and some replaced by label."""
    by_query = {recorded()[label].query: answer for label, answer in (replaced or {}).items()}
    return recorded_answers() | by_query | {account_question(): account}


NO_SUCH_ACCOUNT: Final = recorded()["getAccountState missing account"].answer
OUT_OF_SYNC: Final = lite_error(651, "possibly out of sync: shard_client_seqno=1950 ls_seqno=2016")


@pytest.fixture
async def client() -> AsyncIterator[LiteClient]:
    async with Server(replay(recorded_answers())) as server:
        connection = await server.connect()
        yield LiteClient(connection)
        await connection.close()


class TestClient:
    async def test_masterchain_info(self, client: LiteClient) -> None:
        info = await client.masterchain_info(TIMEOUT)
        assert info.last == LAST
        assert info.zerostate == ZEROSTATE
        assert (info.last_utime, info.now, info.version, info.capabilities) == (None, None, None, 0)
        assert 0 < info.elapsed < TIMEOUT

    async def test_masterchain_info_ext(self, client: LiteClient) -> None:
        info = await client.masterchain_info_ext(0, TIMEOUT)
        assert info.last == LAST
        assert info.zerostate == ZEROSTATE
        assert (info.last_utime, info.now) == (MADE, MADE + 1)
        assert (info.version, info.capabilities) == (0x0101, 7)

    async def test_masterchain_info_ext_later(self) -> None:
        first, later = (
            recorded()[label]
            for label in ("getMasterchainInfoExt mode 0", "getMasterchainInfoExt later")
        )
        async with Server(replay({first.query: later.answer})) as server:
            connection = await server.connect()
            info = await LiteClient(connection).masterchain_info_ext(0, TIMEOUT)
            await connection.close()
        assert (info.last.seqno, info.last_utime, info.now) == (2021, MADE + 11, MADE + 12)
        assert info.zerostate == ZEROSTATE

    async def test_version(self, client: LiteClient) -> None:
        version = await client.version(TIMEOUT)
        assert (version.version, version.capabilities, version.now) == (0x0101, 7, MADE + 1)
        assert 0 < version.elapsed < TIMEOUT

    async def test_block_header_with_its_proof(self, client: LiteClient) -> None:
        header = await client.block_header(LAST, TIMEOUT)
        assert (header.id, header.gen_utime) == (LAST, MADE)

    async def test_lookup_block(self, client: LiteClient) -> None:
        header = await client.lookup_block(2011, TIMEOUT)
        assert header.id.seqno == 2011
        assert header.id.root_hash.hex().startswith("59741188eb517e98")
        assert header.gen_utime == 1795432177

    async def test_ping(self, client: LiteClient) -> None:
        assert 0 < await client.connection.ping(TIMEOUT) < TIMEOUT

    @pytest.mark.parametrize(
        ("label", "code", "says", "reason"),
        [
            (EXT_SHARD_CLIENT, -400, "unsupported getMaster", R.UNSUPPORTED),
            ("lookupBlock future", 651, "cannot find block (-1,8000000000000000)", R.NOT_FOUND),
            ("getAccountState at unknown future block", 651, "not in db (last known", R.NOT_FOUND),
            ("getAccountState wrong root hash", 651, "cannot load block", R.NOT_FOUND),
            ("getTransactions wallet v1 wrong hash", -400, "hash mismatch", R.SERVER_ERROR),
            ("getTransactions main wallet wrong hash", -400, "hash mismatch", R.SERVER_ERROR),
            ("sendMessage to wallet v1, impossible seqno", 0, "exitcode=33", R.MESSAGE_REJECTED),
            (BAD_SIGNATURE, 0, "exitcode=34", R.MESSAGE_REJECTED),
            ("sendMessage to missing account", 0, "Failed to unpack", R.MESSAGE_REJECTED),
            ("sendMessage garbage", 0, "failed to parse external message", R.MESSAGE_REJECTED),
            ("unknown function", 0, "Unknown constructor found 0xdeadbeef", R.UNSUPPORTED),
            ("getState (too big?)", -400, "possibly too large", R.SERVER_ERROR),
        ],
    )  # fmt: skip
    async def test_errors(
        self, client: LiteClient, label: str, code: int, says: str, reason: Reason
    ) -> None:
        question = LITE_QUERY + wire.tl_bytes(recorded()[label].query)
        body, _ = await client.connection.query(question, TIMEOUT)
        fields = tl.decode(body, "liteServer.error")
        message: str = fields["message"]
        error = LiteServerError(classify(fields["code"], message), fields["code"], message)
        assert error.code == code
        assert says in error.detail
        assert error.reason is reason

    def test_every_recorded_error_is_in_the_table(self) -> None:
        (marker,) = TestClient.test_errors.pytestmark  # type: ignore[attr-defined]  # pytest's own
        assert {case[0] for case in marker.args[1]} == set(ERRORS)

    @pytest.mark.parametrize("pair", ERRORS.values(), ids=ERRORS.keys())
    def test_error_codes_are_those_that_pytoniq_read(self, pair: Pair) -> None:
        fields = tl.decode(pair.answer, "liteServer.error")
        prefix = f"LiteServerError: Liteserver crashed with {fields['code']} code. Message: "
        assert str(pair.error).startswith(prefix)
        assert fields["message"].startswith(str(pair.error).removeprefix(prefix).rstrip()[:200])

    async def test_client_raises_errors_as_they_are_classified(self, client: LiteClient) -> None:
        with pytest.raises(LiteServerError, match="unsupported getMasterchainInfo mode") as caught:
            await client.masterchain_info_ext(1, TIMEOUT)
        assert (caught.value.code, caught.value.reason) == (-400, R.UNSUPPORTED)


def info_ext(*, capabilities: int = 7, seqno: int = 2016, last_utime: int = MADE) -> bytes:
    """The recorded ``masterchainInfoExt`` with other values at their places."""
    answer = bytearray(recorded()["getMasterchainInfoExt mode 0"].answer)
    answer[12:20] = capabilities.to_bytes(8, "little")
    answer[32:36] = seqno.to_bytes(4, "little")
    answer[100:104] = last_utime.to_bytes(4, "little")
    return bytes(answer)


def wall() -> float:
    """Half a second past the whole second that the node's clock showed."""
    return MADE + 1.5


HEAD: Final = Head(
    seqno=2016,
    root_hash=LAST.root_hash,
    gen_utime=MADE,
    zerostate=ZEROSTATE,
    shard_client_seqno=2016,
    shard_client_time=MADE,
    clock_offset=None,
    version=0x0101,
)


_WITHOUT_SHARD_CLIENT: Final = replace(HEAD, shard_client_seqno=None, shard_client_time=None)


class TestHeadProbe:
    """The recorded node has capabilities 7: no mode 1, so an account shows the shard client."""

    @pytest.mark.parametrize(
        ("answers", "expected"),
        [
            pytest.param(node(account=NO_SUCH_ACCOUNT), HEAD, id="as recorded"),
            pytest.param(
                node(account=OUT_OF_SYNC),
                replace(HEAD, shard_client_seqno=1950, shard_client_time=None),
                id="shard client lags",
            ),
            pytest.param(
                node(
                    account=OUT_OF_SYNC,
                    replaced={
                        EXT: info_ext(capabilities=7 | CAPABILITY_SHARD_CLIENT),
                        EXT_SHARD_CLIENT: info_ext(seqno=2010, last_utime=MADE - 3),
                    },
                ),
                replace(HEAD, shard_client_seqno=2010, shard_client_time=MADE - 3),
                id="newer node reports its shard client's block",
            ),
            pytest.param(
                node(
                    account=NO_SUCH_ACCOUNT,
                    replaced={EXT: lite_error(0, "Unknown constructor found 0x70a671df")},
                ),
                HEAD,
                id="older node without getMasterchainInfoExt",
            ),
        ],
    )
    async def test_ok(self, answers: dict[bytes, bytes], expected: Head) -> None:
        async with Server(replay(answers)) as server:
            link = server.link()
            samples = [
                await probes.head("node", link, timeout=TIMEOUT, wall=wall) for _ in range(2)
            ]
            await link.drop()
            assert server.connections == 1, "the connection is kept"
        opened, kept = samples
        assert set(opened.phases) == {"resolve", "connect", "handshake", "ping", "query"}
        assert set(kept.phases) == {"ping", "query"}
        for sample in samples:
            assert sample.ok, sample.detail
            assert (sample.target, sample.probe) == ("node", Probe.HEAD)
            assert sample.head is not None
            assert sample.head.clock_offset is not None
            # By half of the time that the answer took, since the clocks of the test stand still.
            assert -sample.duration / 2 <= sample.head.clock_offset <= 0.0
            assert replace(sample.head, clock_offset=None) == expected

    @pytest.mark.parametrize(
        ("answers", "reason"),
        [
            pytest.param(
                node(account=lite_error(651, "block is not applied")),
                R.SHARD_LAG,
                id="shard client lags and does not say how far",
            ),
            pytest.param(
                node(account=b"", replaced={EXT: lite_error(-503, "timeout")}),
                R.UPSTREAM_TIMEOUT,
                id="the node's own timeout",
            ),
            pytest.param(
                node(account=b"", replaced={EXT: recorded()["getTime"].answer}),
                R.BAD_ANSWER,
                id="the answer to another question",
            ),
        ],
    )
    async def test_failures(self, answers: dict[bytes, bytes], reason: Reason) -> None:
        async with Server(replay(answers)) as server:
            link = server.link()
            sample = await probes.head("node", link, timeout=TIMEOUT, wall=wall)
            await link.drop()
        assert sample.reason is reason, sample.detail

    @pytest.mark.parametrize(
        ("answers", "expected"),
        [
            pytest.param(
                node(account=lite_error(code, text)), _WITHOUT_SHARD_CLIENT, id=f"{code} {text}"
            )
            for code, text in (
                (651, "cannot load block : block is not in db"),
                (651, "no such luck"),
                (-400, "not in db"),
                (652, "timeout"),
                (500, "internal"),
            )
        ],
    )
    async def test_what_the_first_answer_says_stands(
        self, answers: dict[bytes, bytes], expected: Head
    ) -> None:
        """Behind one address there may be a server without the block of the first answer."""
        async with Server(replay(answers)) as server:
            link = server.link()
            sample = await probes.head("node", link, timeout=TIMEOUT, wall=wall)
            await link.drop()
        assert sample.ok, sample.detail
        assert sample.head is not None
        assert replace(sample.head, clock_offset=None) == expected

    async def test_a_further_question_is_repeated_once(self) -> None:
        """Of two servers that take turns one is a block behind."""
        answers = node(account=NO_SUCH_ACCOUNT)
        behind = lite_error(651, "cannot load block : block is not in db")
        asked = 0

        async def script(peer: Peer) -> None:
            nonlocal asked
            await peer.accept()
            while True:
                query = await peer.query()
                question = lite_query(query)
                asked += question == account_question()
                is_behind = question == account_question() and asked % 2
                peer.answer(query, behind if is_behind else answers[question])

        async with Server(script) as server:
            link = server.link()
            for _ in range(3):
                sample = await probes.head("node", link, timeout=TIMEOUT, wall=wall)
                assert sample.head is not None, sample.detail
                assert replace(sample.head, clock_offset=None) == HEAD
            await link.drop()
        assert asked == 6

    async def test_clock_of_an_older_node_is_compared_with_the_time_of_its_answer(self) -> None:
        """Three queries lie between the first one and the clock, and may be slow."""
        answers = node(
            account=NO_SUCH_ACCOUNT,
            replaced={EXT: lite_error(0, "Unknown constructor found 0x70a671df")},
        )
        times = iter([MADE - 9.0, MADE - 8.0, MADE + 1.5])
        async with Server(replay(answers)) as server:
            link = server.link()
            sample = await probes.head("node", link, timeout=TIMEOUT, wall=lambda: next(times))
            await link.drop()
        assert sample.head is not None, sample.detail
        assert sample.head.clock_offset == pytest.approx(0.0, abs=1.0)


CONNECTED: Final = Head(seqno=2016, root_hash=LAST.root_hash, zerostate=ZEROSTATE, gen_utime=MADE)

connect = partial(probes.connect, patience=TIMEOUT)


def key_id(key: bytes) -> str:
    return hashlib.sha256(bytes.fromhex("c6b41348") + key).hexdigest()


class TestConnectProbe:
    async def test_ok(self) -> None:
        async with Server(replay(recorded_answers())) as server:
            link = server.link()
            sample = await connect("node", link, timeout=TIMEOUT, wall=wall)
            assert server.connections == 1
        assert sample.ok, sample.detail
        assert (sample.target, sample.probe) == ("node", Probe.CONNECT)
        assert set(sample.phases) == {"resolve", "connect", "handshake", "query"}
        assert 0 < sum(sample.phases.values()) <= sample.duration
        assert sample.server == key_id(SERVER_KEY)
        assert sample.head == CONNECTED

    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            pytest.param(
                recorded()["lookupBlock seqno-5"].answer, R.BAD_ANSWER, id="of another block"
            ),
            pytest.param(
                recorded()["getBlockHeader last"].answer[:84]
                + recorded()["lookupBlock seqno-5"].answer[84:],
                R.PROOF_INVALID,
                id="with another block's proof",
            ),
        ],
    )
    async def test_header(self, header: bytes, reason: Reason) -> None:
        answers = node(account=b"", replaced={"getBlockHeader last": header})
        async with Server(replay(answers)) as server:
            sample = await connect("node", server.link(), timeout=TIMEOUT, wall=wall)
        assert sample.reason is reason, sample.detail

    async def test_header_that_the_node_does_not_have(self) -> None:
        missing = lite_error(651, "cannot load block : block is not in db")
        answers = node(account=b"", replaced={"getBlockHeader last": missing})
        async with Server(replay(answers)) as server:
            sample = await connect("node", server.link(), timeout=TIMEOUT, wall=wall)
        assert sample.ok, sample.detail
        assert sample.head == replace(CONNECTED, gen_utime=None)

    async def test_wrong_key(self) -> None:
        async def script(peer: Peer) -> None:
            """As the node does: close the connection without an answer."""
            await peer.reader.readexactly(wire.HANDSHAKE_SIZE)

        async with Server(script) as server:
            sample = await connect("node", server.link(OTHER_KEY), timeout=1, wall=wall)
        assert sample.reason is R.HANDSHAKE_FAILED, sample.detail


REFUSED: Final = "cannot apply external message to current state : "
NOT_ACCEPTED: Final = "External message was not accepted: cannot run message on account: "


class TestWriteProbe:
    """What a node of v2026.06 answered to the very messages that the probe sends."""

    @pytest.mark.parametrize("kind", KINDS)
    async def test_each_wallets_refusal_is_ok(self, kind: WalletKind) -> None:
        refusal = recorded(NEWER_ERRORS)[f"sendMessage tonwatch probe to {kind}"].answer
        code, text = tl.decode_error(refusal)
        assert code == -701
        for code in (-701, 0):  # those of newer and of older nodes
            sample = await self.asked(kind, lite_error(code, text))
            assert sample is not None
            assert sample.ok, sample.detail

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            pytest.param(
                recorded(NEWER_ERRORS)["sendMessage to missing account"].answer,
                R.MESSAGE_REJECTED,
                id="no such wallet",
            ),
            pytest.param(
                recorded(NEWER_ERRORS)["sendMessage tonwatch probe to highload_v3"].answer,
                R.MESSAGE_REJECTED,
                id="another wallet's refusal",
            ),
            pytest.param(
                lite_error(0, "too many pending external message checks"),
                R.OVERLOADED,
                id="too many messages of all users",
            ),
            pytest.param(lite_error(429, "too many requests"), R.RATE_LIMITED, id="throttled"),
            pytest.param(
                lite_error(-701, f"{REFUSED}configuration parameter 43 is invalid"),
                R.MESSAGE_REJECTED,
                id="the node cannot run any message",
            ),
            pytest.param(
                lite_error(-701, "refused in words to come"),
                R.MESSAGE_REJECTED,
                id="unknown words",
            ),
        ],
    )
    async def test_any_other_answer_is_a_failure(self, answer: bytes, reason: Reason) -> None:
        sample = await self.asked(WalletKind.V5R1, answer)
        assert sample is not None
        assert sample.reason is reason

    @pytest.mark.parametrize("code", [0, -701])
    async def test_a_wallet_whose_code_was_not_run_is_no_verdict(self, code: int) -> None:
        """It is frozen, or has no state or no gas."""
        address = "AB" * 32
        text = f"inbound external message rejected by account {address} before smart-contract"
        answer = lite_error(code, f"{REFUSED}{NOT_ACCEPTED}{text} execution")
        assert await self.asked(WalletKind.V5R1, answer) is None

    @staticmethod
    async def asked(kind: WalletKind, answer: bytes) -> Sample | None:
        """The sample of a probe that a node answers so."""

        async def script(peer: Peer) -> None:
            await peer.accept()
            while True:
                peer.answer(await peer.query(), answer)

        async with Server(script) as server:
            link = server.link()
            source = LiteServerSource("node", link, KnownBlocks(), lambda: TIMEOUT)
            sample = await write_path(source, Address(0, bytes(32)), kind, wall=wall)
            await link.drop()
        return sample
