"""What a liteserver's error means: code and text together."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ton.peers import NEWER_ERRORS, recorded
from tonwatch.ton.contracts.wallets import REJECTIONS, WalletKind, exit_code
from tonwatch.ton.errors import LiteServerError, Reason
from tonwatch.ton.liteserver import tl
from tonwatch.ton.liteserver.errors import classify, classify_transactions, shard_client_seqno

R = Reason

ANY_TEXT = st.binary(max_size=200).map(lambda data: data.decode("latin-1"))


BLOCK: Final = "(0,8000000000000000,9):AB:CD"
LOST: Final = f"cannot load block {BLOCK} with specified transaction: "
NOWHERE: Final = (
    "cannot compute block with specified transaction: cannot find block (0,4C6F) lt=5: "
)
LAGS: Final = " (possibly out of sync: shard_client_seqno=100 ls_seqno=160)"
AHEAD: Final = " (possibly out of sync: shard_client_seqno=160 ls_seqno=160)"
BEYOND: Final = " (last known masterchain block: 160)"
REFUSED: Final = "cannot apply external message to current state : "


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        # History that this node no longer keeps: not an outage.
        (-400, "lt not in db", R.PRUNED),
        (651, "cannot find block (-1,8000000000000000) seqno=5: seqno not in db", R.PRUNED),
        (651, "cannot find block (-1,8000000000000000) seqno=9: ltdb: block not found", R.PRUNED),
        (651, "cannot find block (0,4C6F) utime=9: ts not in db", R.PRUNED),
        (651, "cannot find block (0,4C6F) lt=9: handle not in archive slice", R.PRUNED),
        (601, f"cannot load state for {BLOCK} : state already gc'd", R.PRUNED),
        (651, f"cannot load state for {BLOCK} : state not in db", R.PRUNED),
        (651, f"cannot load block {BLOCK} : file not in db: block_0_8000", R.PRUNED),
        (651, f"cannot load block {BLOCK} : file not in archive slice", R.PRUNED),
        (651, f"cannot load block {BLOCK} : package already gc'd", R.PRUNED),
        (-400, "cannot locate transaction in block with specified logical time", R.PRUNED),
        (-400, f"{LOST}not in db", R.PRUNED),
        (-400, f"{LOST}block handle not in db", R.PRUNED),
        (-400, f"{LOST}file not in db: block_0_8000", R.PRUNED),
        (-400, f"{LOST}package already gc'd", R.PRUNED),
        (-400, f"{NOWHERE}lt not in db", R.PRUNED),
        (-400, f"{NOWHERE}ltdb: block not found", R.PRUNED),
        # Not pruned, but a disk's trouble.
        (-400, f"{LOST}[PosixError : Input/output error : 5]", R.SERVER_ERROR),
        # The shard client is behind the masterchain.
        (651, "possibly out of sync: shard_client_seqno=100 ls_seqno=160", R.SHARD_LAG),
        (651, f"cannot load block {BLOCK} : block handle not in db{LAGS}", R.SHARD_LAG),
        (651, f"cannot load block {BLOCK} : block handle not in db{AHEAD}", R.SHARD_LAG),
        (651, f"cannot load block {BLOCK} : block (0,80,9) is not applied", R.SHARD_LAG),
        (651, "block is not applied", R.SHARD_LAG),
        (651, "specified mc block is older than the reference", R.SHARD_LAG),
        (-400, f"{NOWHERE}lt not in db{LAGS}", R.SHARD_LAG),
        # What was asked for does not exist yet, without any lag.
        (651, "too big masterchain block seqno", R.NOT_READY),
        (-400, f"{NOWHERE}ltdb: block not found{AHEAD}", R.NOT_READY),
        (-400, f"{NOWHERE}ltdb: block not found{BEYOND}", R.NOT_READY),
        # The block asked for is not known: of a fork, of the future, or none at all.
        (651, f"cannot load block {BLOCK} : block is not in db", R.NOT_FOUND),
        (651, f"cannot load block {BLOCK} : block handle not in db", R.NOT_FOUND),
        (651, f"cannot load block {BLOCK} : block handle not in db{BEYOND}", R.NOT_FOUND),
        (651, f"cannot find block (-1,80) seqno=9: ltdb: block not found{BEYOND}", R.NOT_FOUND),
        (651, "cannot find block (-1,80) seqno=0: ltdb: block not found", R.NOT_FOUND),
        (651, "cannot find block (-1,80) seqno=10: ltdb: block not found", R.PRUNED),
        (-400, "not in db", R.NOT_FOUND),
        # Too many queries of all its users.
        (0, "too many pending external message checks", R.OVERLOADED),
        (0, f"{REFUSED}too many external messages to address 0:AB", R.OVERLOADED),
        (-701, f"{REFUSED}too many pending external message checks", R.OVERLOADED),
        (653, "cancelled", R.OVERLOADED),
        # Too many queries of this client, by a proxy in front of it.
        (429, "", R.RATE_LIMITED),
        (429, "slow down", R.RATE_LIMITED),
        (0, "too many requests", R.RATE_LIMITED),
        (-400, "Rate limit exceeded", R.RATE_LIMITED),
        (602, "ratelimit", R.RATE_LIMITED),
        (651, "requests limit reached", R.RATE_LIMITED),
        (429, "too many external messages to address 0:AB", R.OVERLOADED),
        # The sender's own error.
        (0, f"{REFUSED}exitcode=33", R.MESSAGE_REJECTED),
        (-701, f"{REFUSED}External message was not accepted:\nexitcode=35", R.MESSAGE_REJECTED),
        (-701, "refused in words to come", R.MESSAGE_REJECTED),
        (0, "cannot apply external message : Failed to unpack account state", R.MESSAGE_REJECTED),
        (0, f"{REFUSED}configuration parameter 43 is invalid", R.MESSAGE_REJECTED),
        (0, "cannot send external message : duplicate message", R.MESSAGE_REJECTED),
        # Questions that this version does not know.
        (-400, "unsupported getMasterchainInfo mode", R.UNSUPPORTED),
        (0, "Unknown constructor found 0xdeadbeef", R.UNSUPPORTED),
        (602, "unknown query", R.UNSUPPORTED),
        (621, "protocol violation", R.UNSUPPORTED),
        # By code alone.
        (-503, "timeout", R.UPSTREAM_TIMEOUT),
        (652, "timeout", R.UPSTREAM_TIMEOUT),
        (651, "no such luck", R.NOT_READY),
        (601, "failure", R.SERVER_ERROR),
        (602, "error", R.SERVER_ERROR),
        (603, "warning", R.SERVER_ERROR),
        # Anything else; another transaction at that time is one of a fork.
        (-400, "transaction hash mismatch", R.SERVER_ERROR),
        (-400, "cannot request total state: possibly too large", R.SERVER_ERROR),
        (0, "Too much data to fetch", R.SERVER_ERROR),
        (0, "Not enough data to read", R.SERVER_ERROR),
        (12345, "", R.SERVER_ERROR),
    ],
)
def test_reason(code: int, text: str, reason: Reason) -> None:
    assert classify(code, text) is reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # Texts of other releases: what a transaction refers to has existed.
        ("block handle not in db", R.PRUNED),
        ("not in db", R.PRUNED),
        ("ltdb: block not found", R.PRUNED),
        (f"cannot load block {BLOCK} : block is not in db", R.PRUNED),
        ("cannot locate transaction in block with specified logical time", R.PRUNED),
        (f"block handle not in db{LAGS}", R.SHARD_LAG),
        (f"block handle not in db{AHEAD}", R.NOT_READY),
        (f"block handle not in db{BEYOND}", R.NOT_READY),
        ("block is not applied", R.SHARD_LAG),
        ("transaction hash mismatch", R.SERVER_ERROR),
        (f"{LOST}timeout", R.SERVER_ERROR),
        ("too many requests", R.RATE_LIMITED),
    ],
)
def test_reason_where_transactions_were_asked_for(text: str, reason: Reason) -> None:
    assert classify_transactions(-400, text) is reason


RECORDED: Final = {
    "lookupBlock future": R.NOT_FOUND,
    "lookupBlock 2^31-1": R.NOT_FOUND,
    "lookupBlock seqno 0": R.NOT_FOUND,
    "getAccountState at unknown future block": R.NOT_FOUND,
    "getAccountState wrong root hash": R.NOT_FOUND,
    "getBlockHeader zerostate": R.NOT_FOUND,
    "getTransactions wallet v3r2 wrong hash": R.SERVER_ERROR,
    "getTransactions wallet v4r2 wrong hash": R.SERVER_ERROR,
    "getTransactions wallet v5r1 wrong hash": R.SERVER_ERROR,
    "getTransactions highload v2 wrong hash": R.SERVER_ERROR,
    "getTransactions main wallet wrong hash": R.SERVER_ERROR,
    "getTransactions count 17": R.PRUNED,
    "sendMessage to wallet v3r2, impossible seqno": R.MESSAGE_REJECTED,
    "sendMessage to wallet v3r2, right seqno, random signature": R.MESSAGE_REJECTED,
    "sendMessage tonwatch probe to v3r1": R.MESSAGE_REJECTED,
    "sendMessage tonwatch probe to v3r2": R.MESSAGE_REJECTED,
    "sendMessage tonwatch probe to v4r2": R.MESSAGE_REJECTED,
    "sendMessage tonwatch probe to v5r1": R.MESSAGE_REJECTED,
    "sendMessage tonwatch probe to highload_v2": R.MESSAGE_REJECTED,
    "sendMessage tonwatch probe to highload_v3": R.MESSAGE_REJECTED,
    "sendMessage the same again": R.MESSAGE_REJECTED,
    "sendMessage to missing account": R.MESSAGE_REJECTED,
    "sendMessage garbage": R.MESSAGE_REJECTED,
    "getMasterchainInfoExt mode 2": R.UNSUPPORTED,
    "getMasterchainInfoExt mode -1": R.SERVER_ERROR,
    "unknown function": R.UNSUPPORTED,
    "waitMasterchainSeqno far": R.NOT_READY,
    "waitMasterchainSeqno timeout": R.UPSTREAM_TIMEOUT,
    "syncing 0.0 s: getAccountState at last": R.NOT_FOUND,
    "syncing 0.0 s: lookupBlock 2^31-1": R.NOT_FOUND,
    "syncing 4.7 s: getAccountState at last": R.SHARD_LAG,
    "syncing 4.7 s: lookupBlock 2^31-1": R.NOT_FOUND,
}
"""What a node of v2026.06 answered. `test_recorded` has the older node's errors."""


@pytest.mark.parametrize(("label", "reason"), RECORDED.items(), ids=RECORDED.keys())
def test_recorded_errors(label: str, reason: Reason) -> None:
    code, text = tl.decode_error(recorded(NEWER_ERRORS)[label].answer)
    assert classify(code, text) is reason, text


def test_every_recorded_error_is_in_the_table() -> None:
    assert RECORDED.keys() == recorded(NEWER_ERRORS).keys()


@pytest.mark.parametrize("label", [label for label in RECORDED if "tonwatch probe to" in label])
def test_the_write_probe_knows_its_refusals(label: str) -> None:
    """Code -701 in v2026.06, 0 before; the exit code is the wallet's own check."""
    code, text = tl.decode_error(recorded(NEWER_ERRORS)[label].answer)
    kind = WalletKind(label.rpartition(" ")[2])
    error = LiteServerError(classify(code, text), code, text)
    assert code == -701
    assert exit_code(error.detail) in REJECTIONS[kind]


def test_case_does_not_matter() -> None:
    assert classify(651, "Possibly Out Of Sync") is R.SHARD_LAG


@given(st.integers(-(2**31), 2**31 - 1), ANY_TEXT)
def test_any_error_has_a_reason_that_is_not_ok(code: int, text: str) -> None:
    assert classify(code, text) not in {R.OK, R.PROBE_FAILED}
    assert classify_transactions(code, text) not in {R.OK, R.PROBE_FAILED}


@pytest.mark.parametrize(
    ("text", "seqno"),
    [
        ("possibly out of sync: shard_client_seqno=100 ls_seqno=160", 100),
        ("possibly out of sync: shard_client_seqno=4294967295 ls_seqno=1", 4294967295),
        ("possibly out of sync", None),
        ("shard_client_seqno=", None),
        ("shard_client_seqno=-5", None),
        ("", None),
    ],
)
def test_shard_client_seqno(text: str, seqno: int | None) -> None:
    assert shard_client_seqno(text) == seqno


@given(ANY_TEXT)
def test_shard_client_seqno_is_bounded(digits: str) -> None:
    seqno = shard_client_seqno(f"shard_client_seqno={digits}")
    assert seqno is None or 0 <= seqno < 10**10


@pytest.mark.parametrize(
    "text",
    [
        *("too many request", "TooManyRequests", "too_many_requests", "Too many parallel requests"),
        *("too many queries", "too many connections", "rate exceeded", "429", "HTTP 429: wait"),
        *("requests per second exceeded", "You have exceeded your requests per second limit"),
        *("quota exceeded", "limit exceeded", "Limit Exceeded: 10 rps", "daily limit reached"),
        *("requests limit per second reached", "calls per second exceeded", "slow down"),
    ],
)
@pytest.mark.parametrize("code", [0, 228])
def test_texts_of_throttling(code: int, text: str) -> None:
    assert classify(code, text) is Reason.RATE_LIMITED


@pytest.mark.parametrize(
    "text",
    [
        *(
            "gas limit exceeded",
            "message size limit exceeded",
            "context deadline exceeded in query",
        ),
        *(
            "query timeout exceeded",
            "upstream rate limit service unavailable",
            "block 429 not known",
        ),
    ],
)
def test_texts_that_are_no_throttling(text: str) -> None:
    assert classify(0, text) is not Reason.RATE_LIMITED
