"""What is sent to toncenter: get-methods and messages, both by POST."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.targets.toncenter_v2.providers import (
    JSON,
    KEY,
    LAST,
    TIMEOUT,
    Json,
    always,
    answering,
    b64,
    block,
    client_of,
    error_of,
    failed,
    name_of,
    ok,
    raw,
    serving,
)
from tests.ton.peers import HOST, Server
from tonwatch.targets.toncenter_v2.answers import RunResult
from tonwatch.targets.toncenter_v2.client import ToncenterClient
from tonwatch.targets.toncenter_v2.envelope import parse_answer
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, boc, cell
from tonwatch.ton.contracts.accounts import MethodResult
from tonwatch.ton.errors import MAX_DETAIL, Reason, TonError
from tonwatch.ton.http import MAX_BODY, Timing

pytestmark = pytest.mark.usefixtures("nothing_left")

R = Reason

WALLET: Final = Address(0, bytes(range(32)))
CODE: Final = cell(b"code", cell(b"more code"))
DATA: Final = cell(b"data")


def run(*stack: Any, **changes: Any) -> Json:
    return {
        "@type": "smc.runResult",
        "gas_used": 549,
        "stack": list(stack),
        "exit_code": 0,
        "block_id": block(),
        "last_transaction_id": name_of(LAST),
    } | changes


def stack_cell(value: Cell) -> Json:
    return {"bytes": b64(value), "object": {"data": {"b64": "", "len": 0}, "refs": []}}


class TestRunMethod:
    async def test_what_is_sent(self) -> None:
        async with answering(run()) as (asked, client):
            await client.run_method(WALLET, "seqno", [5, -7, 2**200, DATA], TIMEOUT, Timing())
        stack = [["num", "5"], ["num", "-7"], ["num", str(2**200)], ["tvm.Slice", b64(DATA)]]
        sent = {"address": str(WALLET), "method": "seqno", "stack": stack}
        assert asked.requests == [("POST runGetMethod", {}, sent)]

    @pytest.mark.parametrize(
        ("entry", "value"),
        [
            (["num", "0x0"], 0),
            (["num", "0x1f"], 31),
            (["num", "0x1F"], 31),
            (["num", "-0x1"], -1),
            (["num", "0x" + "f" * 64], 2**256 - 1),
            (["num", "-0x1" + "0" * 63], -(2**252)),
            (["num", str(-(2**256))], -(2**256)),
            (["num", "17"], 17),
            (["tuple", {"@type": "tvm.tuple", "elements": []}], None),
            (["list", {"@type": "tvm.list", "elements": []}], None),
            (["unsupported", ""], None),
            (["null", None], None),
        ],
    )
    async def test_values(self, entry: list[Any], value: int | None) -> None:
        async with answering(run(entry)) as (_, client):
            result = await client.run_method(WALLET, "get", [], TIMEOUT, Timing())
        assert result == MethodResult(0, (value,))

    @pytest.mark.parametrize(
        "entry",
        [
            ["cell", stack_cell(CODE)],
            ["slice", stack_cell(CODE)],
            ["cell", {"bytes": b64(CODE)}],
            ["slice", b64(CODE)],
        ],
    )
    async def test_cells(self, entry: list[Any]) -> None:
        async with answering(run(["num", "0x1"], entry)) as (_, client):
            exit_code, stack = await client.run_method(WALLET, "get", [], TIMEOUT, Timing())
        number, found = stack
        assert (exit_code, number) == (0, 1)
        assert isinstance(found, Cell)
        assert found.hash == CODE.hash

    @pytest.mark.parametrize("code", [1, 11, -13, -256, "-14"])
    async def test_exit_codes(self, code: Any) -> None:
        async with answering(run(exit_code=code)) as (_, client):
            result = await client.run_method(WALLET, "get", [], TIMEOUT, Timing())
        assert result == MethodResult(int(code), ())

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (run("num"), "stack.0: not a pair"),
            (run([]), "stack.0: not a pair"),
            (run(["num"]), "stack.0: not a pair"),
            (run([[], []]), "stack.0: a value whose type is not a string"),
            (run([{}, {}]), "stack.0: a value whose type is not a string"),
            (run([None, None]), "stack.0: a value whose type is not a string"),
            (run([["num"], "0x1"]), "stack.0: a value whose type is not a string"),
            (run({"@type": "tvm.stackEntryNumber"}), "stack.0: not a pair"),
            (run(["num", "0x1"], ["num", "five"]), "stack.1: not a number"),
            (run(["num", 5.0]), "stack.0: not a number"),
            (run(["num", None]), "stack.0: not a number"),
            (run(["num", "0x"]), "stack.0: not a number"),
            (run(["num", "0x" + "f" * 65]), "stack.0: not a number"),
            (run(["num", "0x-5"]), "stack.0: not a number"),
            (run(["num", str(2**256)]), "stack.0: a number of more than 257 bits"),
            (run(["num", "9" * 100_000]), "stack.0: not a number"),
            (run(["cell", None]), "stack.0: no cell in base64"),
            (run(["cell", {}]), "stack.0: no cell in base64"),
            (run(["cell", {"bytes": 5}]), "stack.0: no cell in base64"),
            (run(["slice", {"bytes": "AAAA"}]), "stack.0: not a bag of cells"),
            (run(*[["num", "0x1"]] * 256), "stack"),
            (run(stack=None), "stack"),
            (run(exit_code=None), "exit_code"),
            (run(exit_code=0.0), "exit_code"),
            (run(exit_code=False), "exit_code"),
            (run(exit_code=2**31), "exit_code"),
            ([], ""),
        ],
    )
    async def test_bad(self, answer: Any, says: str) -> None:
        async with answering(answer) as (_, client):
            error = await error_of(client.run_method(WALLET, "get", [], TIMEOUT, Timing()))
        assert error.reason is R.BAD_ANSWER
        assert error.detail.startswith(says), error.detail


MESSAGE: Final = boc(cell(b"message"))


NODE: Final = "LITE_SERVER_UNKNOWN: cannot apply external message to current state : "
END: Final = f"rejected by transaction {'4C6FE61A' * 8}:\nexitcode=135, steps=45, gas_used=0"
"""Of a refusal in the words of v2026.06."""


def refused(exit_code: int, *, prefix: str = "LITE_SERVER_UNKNOWN: ") -> str:
    """A node's text, as both servers pass it on."""
    return (
        f"{prefix}cannot apply external message to current state : External message was not "
        "accepted\nCannot run message on account: inbound external message rejected by "
        f"transaction {'4C6FE61A' * 8}:\nexitcode={exit_code}, steps=49, gas_used=0\n"
        f"VM Log (truncated):\n{'...execute THROWIFNOT 33' * 30}"
    )


class TestSendMessage:
    @pytest.mark.parametrize(
        "answer",
        [
            {"@type": "ok", "@extra": "1700000008.0:3:0.1"},
            {"@type": "raw.extMessageInfo", "hash": b64(bytes(32)), "hash_norm": b64(bytes(32))},
        ],
        ids=["Python", "C++"],
    )
    async def test_accepted(self, answer: Json) -> None:
        async with answering(answer) as (asked, client):
            await client.send_message(MESSAGE, TIMEOUT, Timing())
        assert asked.requests == [("POST sendBoc", {}, {"boc": b64(MESSAGE)})]

    @pytest.mark.parametrize(
        ("status", "text", "reason", "says"),
        [
            (500, refused(33), R.MESSAGE_REJECTED, "exitcode=33,"),
            (542, refused(-13), R.MESSAGE_REJECTED, "exitcode=-13,"),
            (400, refused(133, prefix=""), R.MESSAGE_REJECTED, "exitcode=133,"),
            (422, refused(35), R.MESSAGE_REJECTED, "exitcode=35,"),
            (500, refused(36, prefix="failed: " * 20), R.MESSAGE_REJECTED, "exitcode=36,"),
            (
                500,
                f"{NODE}configuration parameter 43 is invalid",
                R.MESSAGE_REJECTED,
                "parameter 43 is invalid",
            ),
            (
                500,
                f"{NODE}Failed to unpack account state",
                R.MESSAGE_REJECTED,
                "unpack account state",
            ),
            (500, "LITE_SERVER_UNKNOWN: duplicate message", R.MESSAGE_REJECTED, "duplicate"),
            (
                500,
                f"{NODE}too many external messages to address 0:00",
                R.OVERLOADED,
                "too many",
            ),
            (
                500,
                f"{NODE}External message was not accepted: cannot run message on account: {END}",
                R.MESSAGE_REJECTED,
                "exitcode=135,",
            ),
            (422, "empty boc", R.UNSUPPORTED, "empty boc"),
            (429, "Ratelimit exceed", R.RATE_LIMITED, "Ratelimit"),
            (503, "No working liteservers with ls_index=None", R.UPSTREAM_FAILED, "No working"),
        ],
    )
    async def test_refused(self, status: int, text: str, reason: Reason, says: str) -> None:
        async with answering((status, failed(text, status))) as (asked, client):
            error = await error_of(client.send_message(MESSAGE, TIMEOUT, Timing()))
        assert error.reason is reason
        assert error.detail.startswith(f"HTTP {status}: ")
        assert says in error.detail
        assert len(error.detail) <= MAX_DETAIL
        assert len(asked.requests) == 1

    @pytest.mark.parametrize("body", [ok(None), ok([]), ok("ok"), b"{}", b""])
    async def test_bad(self, body: bytes) -> None:
        async with answering((200, body)) as (_, client):
            error = await error_of(client.send_message(MESSAGE, TIMEOUT, Timing()))
        assert error.reason is R.BAD_ANSWER


Question = Callable[[ToncenterClient, float, Timing], Awaitable[object]]

POSTS: Final[Sequence[tuple[str, Question]]] = (
    ("sendBoc", lambda client, *limits: client.send_message(MESSAGE, *limits)),
    ("runGetMethod", lambda client, *limits: client.run_method(WALLET, "get", [], *limits)),
)
posts = pytest.mark.parametrize(
    "ask", [ask for _, ask in POSTS], ids=[method for method, _ in POSTS]
)


@posts
class TestPosts:
    """A POST has the guarantees of a GET, and is sent once."""

    async def test_is_never_sent_again(self, ask: Question) -> None:
        seen: list[str] = []

        async def handler(request: web.BaseRequest) -> web.Response:
            seen.append(request.method)
            # The first answer keeps the connection, which is lost under the second question.
            if len(seen) > 1:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(body=ok(run()))

        async with serving(handler) as url, client_of(url) as client:
            await ask(client, TIMEOUT, Timing())
            error = await error_of(ask(client, TIMEOUT, Timing()))
        assert error.reason is R.CONNECTION_LOST
        assert seen == ["POST", "POST"]

    async def test_redirect_is_not_followed(self, ask: Question) -> None:
        paths: list[str] = []

        async def handler(request: web.BaseRequest) -> web.Response:
            paths.append(request.path)
            return web.Response(status=307, headers={"Location": "/elsewhere"})

        async with serving(handler) as url, client_of(url, api_key=lambda: KEY) as client:
            error = await error_of(ask(client, TIMEOUT, Timing()))
        assert error.reason is R.BAD_ANSWER
        assert len(paths) == 1

    async def test_is_paced_then_timed(self, ask: Question) -> None:
        turn = asyncio.Event()

        class Limiter:
            async def acquire(self) -> None:
                await turn.wait()

        async def handler(_: web.BaseRequest) -> web.Response:
            assert turn.is_set()
            return web.Response(body=ok(run()))

        async with serving(handler) as url, client_of(url, limiter=Limiter()) as client:
            timing = Timing()
            asyncio.get_running_loop().call_later(0.05, turn.set)
            await ask(client, TIMEOUT, timing)
        assert timing.waited >= 0.045
        assert timing.connect is not None
        assert timing.query is not None

    async def test_times_out(self, ask: Question) -> None:
        async with Server(raw(b"", then="wait")) as server:
            url = f"http://{HOST}:{server.port}"
            async with client_of(url) as client:
                error = await error_of(ask(client, 0.1, Timing()))
        assert error.reason is R.QUERY_TIMEOUT

    async def test_bounds_the_answer(self, ask: Question) -> None:
        async with serving(always(200, b" " * (MAX_BODY + 1))) as url, client_of(url) as client:
            error = await error_of(ask(client, TIMEOUT, Timing()))
        assert error.reason is R.ANSWER_TOO_LARGE

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(failed(f"API key {KEY} does not exist", 401), id="in an error"),
            pytest.param(f"bad key: {KEY}".encode(), id="in plain text"),
            pytest.param(failed("x" * 290 + KEY, 401), id="where the text is cut"),
            pytest.param(failed(f"{refused(33)} {KEY}", 500), id="after an exit code"),
            pytest.param(failed(f"{KEY} {'x' * 400} exitcode={KEY}", 500), id="around what is cut"),
        ],
    )
    @pytest.mark.parametrize("status", [200, 401, 500])
    async def test_never_repeats_the_key(self, ask: Question, status: int, body: bytes) -> None:
        sent: list[str | None] = []

        async def handler(request: web.BaseRequest) -> web.Response:
            sent.append(request.headers.get("X-API-Key"))
            return web.Response(status=status, body=body)

        async with serving(handler) as url, client_of(url, api_key=lambda: KEY) as client:
            error: BaseException | None = await error_of(ask(client, TIMEOUT, Timing()))
        assert sent == [KEY]
        while error is not None:
            assert KEY[:6] not in str(error)
            assert KEY[:6] not in repr(vars(error))
            error = error.__cause__


KINDS = st.sampled_from(["num", "cell", "slice", "tuple", "list", "tvm.Slice"])


@given(JSON | st.lists(st.tuples(KINDS, JSON).map(list), max_size=5))
def test_any_stack_is_a_result_or_a_ton_error(stack: Any) -> None:
    try:
        result = parse_answer(200, ok(run(stack=stack)), model=RunResult).read()
    except TonError:
        return
    assert all(value is None or isinstance(value, int | Cell) for value in result.stack)
