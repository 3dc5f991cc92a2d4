"""A provider that speaks toncenter's API v2, with faults on command."""

import json
from typing import ClassVar

from aiohttp import web

from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.http_provider import HTTP_FAULTS, HttpProvider
from tonwatch.simulator.servers.toncenter_v2.formats import (
    ErrorResponse,
    Parameters,
    ProviderState,
    error_response,
)
from tonwatch.simulator.servers.toncenter_v2.methods import METHODS


class ToncenterV2(HttpProvider):
    """One provider of a chain; the arguments are those of `HttpProvider`."""

    kind: ClassVar = "toncenter-v2"
    supported_faults: ClassVar = HTTP_FAULTS | {
        Fault.FALSE_BALANCE,
        Fault.PRUNE_HISTORY,
        Fault.REJECT_EXTERNALS,
        Fault.SHARD_LAG,
        Fault.ACCOUNTS_FAIL,
        Fault.KEPT_STALE,
        Fault.FALSE_TIME,
        Fault.UNDECIDED_EXTERNALS,
    }
    prefix: ClassVar = "/api/v2/"

    def state(self, *, kept: bool = False) -> ProviderState:
        """The state for the next answer; called once for each. `kept` is as for `view`."""
        code = self.fault_value(Fault.ACCOUNTS_FAIL)
        return ProviderState(
            self.answering_view(kept=kept),
            self.now,
            false_balances=self.has_fault(Fault.FALSE_BALANCE),
            history=self.fault_value(Fault.PRUNE_HISTORY),
            rejects_externals=self.has_fault(Fault.REJECT_EXTERNALS),
            undecided_externals=self.has_fault(Fault.UNDECIDED_EXTERNALS),
            accounts_code=None if code is None else int(code),
            time_error=int(self.fault_value(Fault.FALSE_TIME) or 0),
        )

    def answer(self, request: web.BaseRequest, body: bytes) -> tuple[int, str]:
        try:
            method = METHODS.get(request.path.removeprefix(self.prefix))
            if method is None or not request.path.startswith(self.prefix):
                raise error_response(404, "Not Found")
            if request.method != method.verb:
                raise error_response(405, "Method Not Allowed")
            # The key first, then the limit, as toncenter does.
            if not self.key_is_valid(request.headers.get("X-API-Key")):
                text = "API key does not exist"
                raise ErrorResponse(401, {"ok": False, "result": text, "code": 401})
            if self.over_limit():
                raise ErrorResponse(429, {"ok": False, "result": "Ratelimit exceed", "code": 429})
            parameters = request.query if method.verb == "GET" else _json_object(body)
            state = self.state(kept=self.is_kept(request.transport))
            return 200, json.dumps({"ok": True, "result": method.answer(state, parameters)})
        except ErrorResponse as error:
            return error.status, json.dumps(error.body)


def _json_object(sent: bytes) -> Parameters:
    try:
        parameters = json.loads(sent)
    except (ValueError, RecursionError):
        parameters = None
    if not isinstance(parameters, dict):
        raise error_response(422, "Validation error: value is not a valid dict")
    return parameters
