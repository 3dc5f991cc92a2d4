"""The control port: sets and lists faults over HTTP."""

import json
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from tonwatch.simulator.faults.fault import ActiveFault, Fault, describe, parse_fault
from tonwatch.simulator.network import CHAIN, Simulator, UnknownTarget

_MAX_BODY: Final = 4096


class Control:
    """Listens inside ``async with``.

    ``GET /targets``: all targets with their kinds, faults and supported faults.
    ``PUT /targets/NAME/fault`` with ``{"fault": "lag", "value": 30}``: set one.
    ``DELETE /targets/NAME/fault``: end the fault.

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
        app.router.add_put("/targets/{name}/fault", self._set)
        app.router.add_delete("/targets/{name}/fault", self._clear)
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
        chain = self._simulator.chain
        stalled = ActiveFault.of(Fault.STALL) if chain.stalled else None
        return web.json_response(
            {
                "targets": [
                    _describe(CHAIN, CHAIN, stalled, [Fault.STALL]),
                    *(
                        _describe(target.name, target.kind, target.fault, target.supported)
                        for target in self._simulator.breakable
                    ),
                ]
            }
        )

    async def _set(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            fault, value = _read_fault(await request.text())
            await self._simulator.set_fault(name, fault, value)
        except UnknownTarget as error:
            return _error(404, error)
        except ValueError as error:
            return _error(400, error)
        active = self._simulator.check(name, fault, value)
        return web.json_response({"name": name, "fault": _fault(active)})

    async def _clear(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            await self._simulator.clear(name)
        except UnknownTarget as error:
            return _error(404, error)
        return web.json_response({"name": name, "fault": None})


def _describe(
    name: str, kind: str, active: ActiveFault | None, supported: list[Fault]
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "fault": _fault(active),
        "supported": {fault: describe(fault) for fault in supported},
    }


def _fault(active: ActiveFault | None) -> dict[str, Any] | None:
    return {"fault": active.fault, "value": active.value} if active is not None else None


def _read_fault(body: str) -> tuple[Fault, float | None]:
    example = 'the body must be JSON such as {"fault": "lag", "value": 30}'
    try:
        wanted = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(example) from None
    fault = wanted.get("fault") if isinstance(wanted, dict) else None
    if not isinstance(fault, str):
        raise ValueError(example)  # noqa: TRY004 - the request is invalid, not a type in this program
    if unknown := wanted.keys() - {"fault", "value"}:
        raise ValueError(f"unknown key {min(unknown)!r}; {example}")
    value = wanted.get("value")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"value must be a number; {example}")
    return parse_fault(fault), value


def _error(status: int, error: Exception) -> web.Response:
    return web.json_response({"error": str(error)}, status=status)
