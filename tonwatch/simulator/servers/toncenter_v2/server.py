"""A provider that speaks toncenter's API v2, with faults on command."""

import json
from typing import ClassVar

from aiohttp import web

from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.http_provider import HTTP_FAULTS, HttpProvider
from tonwatch.simulator.servers.toncenter_v2.formats import Parameters, Refusal, Service, failed
from tonwatch.simulator.servers.toncenter_v2.methods import METHODS


class ToncenterV2(HttpProvider):
    """One provider of a chain; the arguments are those of `HttpProvider`."""

    kind: ClassVar = "toncenter-v2"
    can: ClassVar = HTTP_FAULTS | {
        Fault.LYING_BALANCE,
        Fault.PRUNE_HISTORY,
        Fault.REJECT_EXTERNALS,
    }
    prefix: ClassVar = "/api/v2/"

    def service(self) -> Service:
        """What the next answer depends on."""
        return Service(
            self.answering_view(),
            self.now,
            lying=self.suffers(Fault.LYING_BALANCE) is not None,
            kept=self.suffers(Fault.PRUNE_HISTORY),
            rejecting=self.suffers(Fault.REJECT_EXTERNALS) is not None,
        )

    def answer(self, request: web.BaseRequest, body: bytes) -> tuple[int, str]:
        try:
            method = METHODS.get(request.path.removeprefix(self.prefix))
            if method is None or not request.path.startswith(self.prefix):
                raise failed(404, "Not Found")
            if request.method != method.verb:
                raise failed(405, "Method Not Allowed")
            # In this order, as toncenter does.
            if not self.key_is_valid(request.headers.get("X-API-Key")):
                text = "API key does not exist"
                raise Refusal(401, {"ok": False, "result": text, "code": 401})
            if self.over_limit():
                raise Refusal(429, {"ok": False, "result": "Ratelimit exceed", "code": 429})
            asked = request.query if method.verb == "GET" else _json_object(body)
            return 200, json.dumps({"ok": True, "result": method.answer(self.service(), asked)})
        except Refusal as refusal:
            return refusal.status, json.dumps(refusal.body)


def _json_object(sent: bytes) -> Parameters:
    try:
        asked = json.loads(sent)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise failed(422, "Validation error: value is not a valid dict")
    return asked
