"""toncenter's API over real HTTP: what each status and body means."""

import asyncio
import gzip
import json

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.targets.toncenter_v2.providers import (
    JSON,
    KEY,
    ROOT_HASH,
    TIMEOUT,
    ZEROSTATE,
    always,
    ask,
    client_of,
    failed,
    failure,
    header,
    healthy,
    info,
    ok,
    raw,
    serving,
)
from tests.ton.peers import HOST, Server
from tonwatch.targets.toncenter_v2.client import MasterchainInfo
from tonwatch.targets.toncenter_v2.envelope import parse_answer
from tonwatch.targets.toncenter_v2.errors import reason_for, reason_for_transactions
from tonwatch.ton.errors import Reason, TonError
from tonwatch.ton.http import MAX_BODY, Timing

pytestmark = pytest.mark.usefixtures("nothing_left")

R = Reason


class TestAnswers:
    async def test_masterchain_info(self) -> None:
        async with serving(healthy) as url:
            answer = await ask(url)
        assert answer.last.seqno == 100
        assert answer.last.workchain == -1
        assert answer.last.root_hash == ROOT_HASH
        assert answer.init.root_hash == ZEROSTATE

    async def test_block_header(self) -> None:
        asked: list[web.BaseRequest] = []

        async def handler(request: web.BaseRequest) -> web.Response:
            asked.append(request)
            return web.Response(body=ok(header()))

        async with serving(handler) as url, client_of(f"{url}/") as client:
            answer = await client.block_header(100, TIMEOUT, Timing())
        assert answer.gen_utime == 1_700_000_000
        (request,) = asked
        assert request.path == "/api/v2/getBlockHeader"
        assert dict(request.query) == {
            "workchain": "-1",
            "shard": "-9223372036854775808",
            "seqno": "100",
        }

    async def test_header_of_another_block(self) -> None:
        async with serving(always(200, ok(header(seqno=99)))) as url, client_of(url) as client:
            with pytest.raises(TonError, match="asked for block 100, got block 99") as caught:
                await client.block_header(100, TIMEOUT, Timing())
        assert caught.value.reason is R.BAD_ANSWER

    async def test_timing(self) -> None:
        async def handler(request: web.BaseRequest) -> web.Response:
            await asyncio.sleep(0.05)
            return await healthy(request)

        first, second = Timing(), Timing()
        async with serving(handler) as url, client_of(url) as client:
            await client.masterchain_info(TIMEOUT, first)
            await client.masterchain_info(TIMEOUT, second)
        assert first.connect is not None
        assert first.query is not None
        assert first.query >= 0.045
        assert second.connect is None, "the connection is kept"


@pytest.mark.parametrize(
    ("status", "body", "reason", "says"),
    [
        # As documented, without `error`.
        (429, b'{"ok":false,"result":"Ratelimit exceed","code":429}', R.RATE_LIMITED, "Ratelimit"),
        (429, b"slow down", R.RATE_LIMITED, "slow down"),
        (429, b"", R.RATE_LIMITED, "HTTP 429"),
        (401, failed("API key does not exist", 401), R.FORBIDDEN, "does not exist"),
        (403, failed("forbidden", 403), R.FORBIDDEN, "forbidden"),
        (403, b"<html>Cloudflare</html>", R.FORBIDDEN, "Cloudflare"),
        (200, failed("forbidden", 403), R.FORBIDDEN, "forbidden"),
        (404, b'{"detail":"Not Found"}', R.NOT_FOUND, "Not Found"),
        (405, b'{"detail":"Method Not Allowed"}', R.NOT_FOUND, "Not Allowed"),
        (409, failed("incorrect address", 409), R.UNSUPPORTED, "incorrect"),
        (422, b'{"ok":false,"error":"validation","code":422}', R.UNSUPPORTED, "validation"),
        (422, b'{"detail":[{"loc":["query"]}]}', R.UNSUPPORTED, "loc"),
        (500, failed("tonlib error", 500), R.SERVER_ERROR, "tonlib"),
        (500, failed("LITE_SERVER_NOTREADY: x", 500), R.UPSTREAM_FAILED, "NOTREADY"),
        (502, b"<html>nginx</html>", R.SERVER_ERROR, "nginx"),
        (503, failed("No working liteservers", 503), R.UPSTREAM_FAILED, "No working"),
        (
            503,
            failed("unhandled errors in a TaskGroup (1 sub-exception)", 503),
            R.UPSTREAM_FAILED,
            "TaskGroup",
        ),
        (503, b"", R.SERVER_ERROR, "HTTP 503"),
        (504, failed("Liteserver timeout", 504), R.UPSTREAM_TIMEOUT, "timeout"),
        (542, failed("cannot load block", 542), R.UPSTREAM_FAILED, "cannot load block"),
        # The node's text, which both servers pass on.
        (500, failed("LITE_SERVER_UNKNOWN: state already gc'd", 500), R.PRUNED, "gc'd"),
        (542, failed("LITE_SERVER_NOTREADY: lt not in db", 542), R.PRUNED, "lt not in db"),
        (
            500,
            failed(
                "LITE_SERVER_NOTREADY: cannot find block (-1,80) seqno=9: ltdb: block not found",
                500,
            ),
            R.PRUNED,
            "block not found",
        ),
        (
            542,
            failed("LITE_SERVER_NOTREADY: seqno not in db (last known masterchain block: 8)", 542),
            R.UPSTREAM_FAILED,
            "last known",
        ),
        (
            500,
            failed("LITE_SERVER_NOTREADY: block handle not in db", 500),
            R.UPSTREAM_FAILED,
            "handle",
        ),
        # The target of a redirect is not configured.
        (302, b"", R.BAD_ANSWER, "HTTP 302"),
        (204, b"", R.BAD_ANSWER, "HTTP 204"),
        # The status is false.
        (200, failed("Ratelimit exceed", 429), R.RATE_LIMITED, "Ratelimit"),
        (200, failed("No working liteservers", 503), R.UPSTREAM_FAILED, "No working"),
        (200, failed("tonlib error", 500), R.SERVER_ERROR, "tonlib"),
        # No answer of this API.
        (200, b"", R.BAD_ANSWER, "not a JSON object"),
        (200, b"<html>maintenance</html>", R.BAD_ANSWER, "maintenance"),
        (200, ok(info())[:-20], R.BAD_ANSWER, "not a JSON object"),
        (200, b"[]", R.BAD_ANSWER, "not a JSON object"),
        (200, b"null", R.BAD_ANSWER, "not a JSON object"),
        (200, b"[" * 100_000, R.BAD_ANSWER, "not a JSON object"),
        (200, b'{"a":' * 40_000, R.BAD_ANSWER, "not a JSON object"),
        (200, b"\xff\xfe\x00", R.BAD_ANSWER, "not a JSON object"),
        (200, b'{"ok": true, "result": ' + b"9" * 10_000 + b"}", R.BAD_ANSWER, "not a JSON"),
        (200, b" " * (MAX_BODY + 1), R.ANSWER_TOO_LARGE, "more than 262144 bytes"),
        (500, b" " * (MAX_BODY + 1), R.ANSWER_TOO_LARGE, "more than 262144 bytes"),
        (200, b'{"ok": true}', R.BAD_ANSWER, "result"),
        (200, ok(None), R.BAD_ANSWER, ""),
        (200, ok([]), R.BAD_ANSWER, ""),
        (200, ok({}), R.BAD_ANSWER, "last"),
        # No block of any chain.
        (200, ok(info(seqno=-1)), R.BAD_ANSWER, "last.seqno"),
        (200, ok(info(seqno="ten")), R.BAD_ANSWER, "last.seqno"),
        (200, ok(info(seqno=1.5)), R.BAD_ANSWER, "last.seqno"),
        (200, ok(info(seqno=None)), R.BAD_ANSWER, "last.seqno"),
        (200, ok(info(seqno=2**63)), R.BAD_ANSWER, "last.seqno"),
        (200, ok(info(seqno=2**32)), R.BAD_ANSWER, "last.seqno"),
        # No liteserver can be asked for it.
        (200, ok(info(seqno=2**31)), R.BAD_ANSWER, "last.seqno"),
        (200, ok(info(seqno=True)), R.BAD_ANSWER, "last.seqno"),
        (200, ok(info(seqno=5.0)), R.BAD_ANSWER, "last.seqno"),
        (200, ok(info(seqno=10**4000)), R.BAD_ANSWER, "last.seqno"),
        (200, ok(info(workchain=0)), R.BAD_ANSWER, "last.workchain"),
        (200, ok(info(root_hash="")), R.BAD_ANSWER, "last.root_hash"),
        (200, ok(info(root_hash="AAAA")), R.BAD_ANSWER, "a hash of 3 bytes"),
        (200, ok(info(root_hash="A" * 44)), R.BAD_ANSWER, "a hash of 33 bytes"),
        (200, ok(info(root_hash="\u2603" * 44)), R.BAD_ANSWER, "last.root_hash"),
        (200, ok(info(root_hash=5)), R.BAD_ANSWER, "last.root_hash"),
    ],
)
async def test_status_and_body(status: int, body: bytes, reason: Reason, says: str) -> None:
    async with serving(always(status, body)) as url:
        error = await failure(url)
    assert error.reason is reason, error
    assert says in error.detail
    assert len(error.detail) <= 300


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(429, b"", id="empty"),
        pytest.param(429, b"<html>nginx</html>", id="page"),
        pytest.param(429, b"{}", id="empty JSON"),
        pytest.param(429, b'{"error": {"message": "slow down"}}', id="JSON in JSON"),
        pytest.param(429, b"null", id="null"),
        pytest.param(429, ok(info()), id="with an answer"),
        pytest.param(429, failed("LITE_SERVER_NOTREADY: x", 500), id="another code"),
        *(
            pytest.param(status, b'{"ok": false, "code": 429}', id=f"code under {status}")
            for status in (200, 400, 403, 404, 500, 503, 542)
        ),
        pytest.param(200, b'{"ok": false, "code": "429"}', id="code as text"),
        pytest.param(200, b'{"error": {"code": 429}}', id="code as JSON-RPC has it"),
        pytest.param(503, b'{"result": "Ratelimit exceed"}', id="as documented, another status"),
        pytest.param(500, failed("rate limit", 500), id="rate limit"),
        pytest.param(403, failed("Rate-Limited", 403), id="with a hyphen"),
        pytest.param(502, b"Too many requests", id="too many requests"),
        pytest.param(420, b"Enhance your calm", id="another status of some gateways"),
        pytest.param(403, failed("Quota exceeded", 403), id="a quota, as if forbidden"),
        pytest.param(200, b"<title>Too Many Requests</title>", id="a page, as if all were well"),
        pytest.param(
            403,
            b'{"error": {"code": -32007, "message": "50/second request limit reached"}}',
            id="request limit",
        ),
        pytest.param(500, failed("LITE_SERVER_UNKNOWN: too many requests", 500), id="liteserver's"),
        pytest.param(403, b"error code: 1015", id="Cloudflare in one line"),
        pytest.param(
            403,
            b"<title>Access denied | example.org used Cloudflare</title><h1>Error 1015</h1>"
            b"<h2>You are being rate limited</h2>",
            id="Cloudflare's page",
        ),
    ],
)
async def test_throttling_in_any_form(status: int, body: bytes) -> None:
    async with serving(always(status, body)) as url:
        error = await failure(url)
    assert error.reason is R.RATE_LIMITED, error


@pytest.mark.parametrize("status", [429, 500, 542])
@pytest.mark.parametrize(
    "text", ["too many external messages to address", "too many pending external message checks"]
)
def test_too_many_messages_of_all_users_are_no_rate_limit(status: int, text: str) -> None:
    error = f"LITE_SERVER_UNKNOWN: cannot apply external message to current state : {text}"
    assert reason_for(status, error) is R.OVERLOADED


def test_a_404_page_that_mentions_limits() -> None:
    assert reason_for(404, "<html>Not found. Docs: Rate limits</html>") is R.NOT_FOUND


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cannot locate transaction in block with specified logical time", R.PRUNED),
        ("block handle not in db", R.PRUNED),
        ("cannot load block (0,80,5) with specified transaction: not in db", R.PRUNED),
        ("lt not in db (possibly out of sync: shard_client_seqno=1 ls_seqno=9)", R.SHARD_LAG),
        ("lt not in db (possibly out of sync: shard_client_seqno=9 ls_seqno=9)", R.NOT_READY),
        ("transaction hash mismatch", R.UPSTREAM_FAILED),
    ],
)
@pytest.mark.parametrize("prefix", ["LITE_SERVER_UNKNOWN: ", "LITE_SERVER_NOTREADY: ", ""])
def test_transactions_that_a_providers_node_does_not_have(
    prefix: str, text: str, reason: Reason
) -> None:
    for status in (500, 542):
        alone = R.SERVER_ERROR if status == 500 and not prefix else R.UPSTREAM_FAILED
        expected = alone if reason is R.UPSTREAM_FAILED else reason
        assert reason_for_transactions(status, prefix + text) is expected


async def test_a_seqno_in_quotes_is_read() -> None:
    async with serving(always(200, ok(info(seqno="123")))) as url:
        assert (await ask(url)).last.seqno == 123


async def test_unasked_compression_is_not_undone() -> None:
    """A few KiB of gzip could become gigabytes: it is neither requested nor decoded."""
    body = gzip.compress(ok(info()))
    async with serving(always(200, body, **{"Content-Encoding": "gzip"})) as url:
        error = await failure(url)
    assert error.reason is R.BAD_ANSWER


async def test_what_is_sent() -> None:
    asked: list[web.BaseRequest] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        asked.append(request)
        response = await healthy(request)
        response.set_cookie("session", "1")
        return response

    async with serving(handler) as url, client_of(url) as client:
        for _ in range(2):
            await client.masterchain_info(TIMEOUT, Timing())
    for request in asked:
        assert request.path == "/api/v2/getMasterchainInfo"
        assert request.headers["Accept-Encoding"] == "identity"
        assert "X-API-Key" not in request.headers
        assert "Cookie" not in request.headers


async def test_redirect_is_not_followed() -> None:
    paths: list[str] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        paths.append(request.path)
        return web.Response(status=301, headers={"Location": "/elsewhere"})

    async with serving(handler) as url:
        await failure(url, api_key=KEY)
    assert paths == ["/api/v2/getMasterchainInfo"]


class TestApiKey:
    @pytest.mark.parametrize(
        ("key", "reason"), [(KEY, R.UNAUTHORIZED), (None, R.FORBIDDEN)], ids=["sent", "none"]
    )
    @pytest.mark.parametrize("status", [401, 403])
    async def test_refused_with_a_key_and_without(
        self, key: str | None, reason: Reason, status: int
    ) -> None:
        async with serving(always(status, failed("no", status))) as url:
            assert (await failure(url, api_key=key)).reason is reason

    async def test_is_sent_and_read_anew_for_each_request(self) -> None:
        sent: list[str | None] = []

        async def handler(request: web.BaseRequest) -> web.Response:
            sent.append(request.headers.get("X-API-Key"))
            return await healthy(request)

        keys: list[str | None] = ["first", "second", None]
        given_keys = iter(keys)
        async with (
            serving(handler) as url,
            client_of(url, api_key=lambda: next(given_keys)) as client,
        ):
            for _ in keys:
                await client.masterchain_info(TIMEOUT, Timing())
        assert sent == keys

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(failed(f"API key {KEY} does not exist", 401), id="in an error"),
            pytest.param(f"bad key: {KEY}".encode(), id="in plain text"),
            pytest.param(failed("x" * 290 + KEY, 401), id="where the text is cut"),
            pytest.param(b"x" * 190 + KEY.encode(), id="where plain text is cut"),
            pytest.param(
                failed(KEY, 401).replace(b"-", b"\\u002d"),
                id="in JSON escapes",
            ),
            pytest.param(
                failed("x" * 290 + KEY, 401).replace(b"-", b"\\u002d"),
                id="in JSON escapes where the text is cut",
            ),
        ],
    )
    @pytest.mark.parametrize("status", [200, 401])
    async def test_is_never_repeated(self, status: int, body: bytes) -> None:
        async with serving(always(status, body)) as url:
            error = await failure(url, api_key=KEY)
        while error is not None:
            assert KEY[:6] not in str(error)
            assert KEY[:6] not in repr(vars(error))
            error = error.__cause__  # type: ignore[assignment]  # any exception will do

    async def test_is_never_repeated_from_what_is_not_http(self) -> None:
        async with Server(raw(f"{KEY} {KEY}\r\n\r\n".encode())) as server:
            error = await failure(f"http://{HOST}:{server.port}", api_key=KEY)
        assert error.reason is R.PROTOCOL_ERROR
        assert KEY[:6] not in str(error)


@given(st.integers(-1000, 1000), st.text(max_size=50))
def test_any_status_has_a_reason_that_is_not_ok(code: int, text: str) -> None:
    assert reason_for(code, text) not in {R.OK, R.PROBE_FAILED}
    assert reason_for_transactions(code, text) not in {R.OK, R.PROBE_FAILED}


@given(
    status=st.sampled_from([200, 401, 404, 429, 500, 542]),
    body=st.one_of(
        st.binary(max_size=300),
        JSON.map(lambda value: json.dumps(value).encode()),
        JSON.map(ok),
        JSON.map(lambda value: ok(info() | {"last": value})),
        st.builds(lambda seqno, root_hash: ok(info(seqno=seqno, root_hash=root_hash)), JSON, JSON),
    ),
)
def test_any_body_is_an_answer_or_a_ton_error(status: int, body: bytes) -> None:
    try:
        answer = parse_answer(status, body, model=MasterchainInfo)
    except TonError:
        return
    assert answer.last.seqno >= 0
    assert len(answer.last.root_hash) == 32
