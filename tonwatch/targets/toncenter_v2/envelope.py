"""How toncenter's API v2 wraps answers and errors: ``{"ok": true, "result": ...}``."""

import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from tonwatch.targets.toncenter_v2.errors import reason_for, with_exit_code
from tonwatch.ton.errors import BadAnswer, ProviderError, Reason
from tonwatch.ton.http import redacted
from tonwatch.ton.liteserver.errors import is_throttled

_CODE: Final = re.compile(r"-?[0-9]{1,4}")
_CODES: Final = 10_000
"""No code of an error is as large."""

_PAYMENT_REQUIRED: Final = 402

_LARGE: Final = 1024 * 1024
_MOST_PARTS: Final = 16 * 1024
"""Values of an answer of more than `_LARGE` bytes: a large account or message is few long texts.
The parser of JSON holds the interpreter's lock, for 0.3 s where 10 MiB are all small parts."""

Answer = TypeVar("Answer", bound=BaseModel)

Meaning = Callable[[int, str, int | None], Reason]
"""The reason behind an error: see `reason_for`."""


def parse_answer(
    status: int,
    body: bytes,
    secret: str | None = None,
    *,
    model: type[Answer],
    meaning: Meaning = reason_for,
) -> Answer:
    """The value of ``result``, or the error by status and body.

    `secret`, the API key that was sent, is redacted from errors before any text is cut. Without
    one, a refused key means that requests without a key are forbidden.
    """
    if len(body) > _LARGE and body.count(b",") + body.count(b"\\") > _MOST_PARTS:
        raise BadAnswer(f"{len(body):,} bytes of small parts", Reason.ANSWER_TOO_LARGE)
    answer = _json_object(body)
    text = redacted(_error_text(answer, body), secret)
    # Some gateways refuse requests with a page that has status 200.
    if status == 200 and answer is None and not is_throttled(text.lower()):
        raise BadAnswer(f"the body is not a JSON object: {text[:80]!r}")
    if status != 200 or answer is None or answer.get("ok") is not True:
        code = _code(answer)
        real = code if status == 200 and code is not None else status
        reason = meaning(real, text, code)
        if reason is Reason.UNAUTHORIZED and not secret:
            reason = Reason.FORBIDDEN
        if real == _PAYMENT_REQUIRED:
            text = f"asks for payment: the plan has ended or the account is not paid ({text})"
        raise ProviderError(reason, real, with_exit_code(text))
    try:
        return model.model_validate(answer.get("result"))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "result"
        raise BadAnswer(f"{where}: {first['msg']}") from None


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _code(answer: dict[str, Any] | None) -> int | None:
    """The code that an answer gives for its error; None without one that can be such a code."""
    for place in _places(answer):
        code = place.get("code")
        if isinstance(code, str) and _CODE.fullmatch(code):
            code = int(code)
        if type(code) is int and abs(code) < _CODES:
            return code
    return None


def _error_text(answer: dict[str, Any] | None, body: bytes) -> str:
    # The documented 429 has its text in `result`, all others in `error`.
    for place in _places(answer):
        for key in ("error", "result", "detail", "message"):
            if isinstance(text := place.get(key), str):
                return text
    return body.decode(errors="replace")


def _places(answer: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Where an error's code and text are: the answer itself or, as in JSON-RPC, its `error`."""
    inner = answer.get("error") if answer else None
    return [place for place in (answer, inner) if isinstance(place, dict)]
