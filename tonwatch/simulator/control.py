"""The control port: sets and lists faults over HTTP."""

import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from tonwatch.simulator.faults.breakable import Breakable
from tonwatch.simulator.faults.fault import ActiveFault, Fault, describe, parse_fault
from tonwatch.simulator.network import Simulator, UnknownTarget

_MAX_BODY: Final = 4096

_EXAMPLE: Final = 'the body must be JSON such as [{"fault": "lag", "value": 30}]'


class Control:
    """Listens inside ``async with``.

    ``GET /targets``: all targets with their kinds, faults and supported faults.
    ``PUT /targets/NAME/faults`` with ``[{"fault": "lag", "value": 30}]``: set these faults.
    ``DELETE /targets/NAME/faults``: end its faults.

    Answers are JSON; a failure is ``{"error": TEXT}`` with 404 for an unknown
    target and 400 for anything else; the text names what is valid.

    Args:
        simulator: the network.
        port: port on 127.0.0.1; 0 for a free one.

    Attributes:
        port: the port in use, once started.
    """

    def __init__(self, simulator: Simulator, port: int = 0) -> None:
        self.port = port
        self._simulator = simulator
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_get("/targets", self._list)
        app.router.add_put("/targets/{name}/faults", self._set)
        app.router.add_delete("/targets/{name}/faults", self._clear)
        self._runner = web.AppRunner(app, access_log=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"targets": [_describe(each) for each in self._simulator.breakable]}
        )

    async def _set(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            wanted = _read_faults(await request.text())
            faults = [self._simulator.check(name, fault, value) for fault, value in wanted]
            await self._simulator.set_faults(name, *faults)
        except UnknownTarget as error:
            return _error(404, error)
        except ValueError as error:
            return _error(400, error)
        return web.json_response({"name": name, "faults": _as_json(faults)})

    async def _clear(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            await self._simulator.clear(name)
        except UnknownTarget as error:
            return _error(404, error)
        return web.json_response({"name": name, "faults": []})


def _describe(target: Breakable) -> dict[str, Any]:
    return {
        "name": target.name,
        "kind": target.kind,
        "faults": _as_json(target.faults),
        "supported": {fault: describe(fault) for fault in target.supported},
    }


def _as_json(faults: Sequence[ActiveFault]) -> list[dict[str, Any]]:
    return [{"fault": active.fault, "value": active.value} for active in faults]


def _read_faults(body: str) -> list[tuple[Fault, float | None]]:
    try:
        wanted = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(_EXAMPLE) from None
    if not isinstance(wanted, list) or not wanted:
        raise ValueError(_EXAMPLE)
    return [_read_fault(each) for each in wanted]


def _read_fault(wanted: object) -> tuple[Fault, float | None]:
    fault = wanted.get("fault") if isinstance(wanted, dict) else None
    if not isinstance(wanted, dict) or not isinstance(fault, str):
        raise ValueError(_EXAMPLE)  # noqa: TRY004 - the request is invalid, not a type in this program
    if unknown := wanted.keys() - {"fault", "value"}:
        raise ValueError(f"unknown key {min(unknown)!r}; {_EXAMPLE}")
    value = wanted.get("value")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"value must be a number; {_EXAMPLE}")
    return parse_fault(fault), value


def _error(status: int, error: Exception) -> web.Response:
    return web.json_response({"error": str(error)}, status=status)
