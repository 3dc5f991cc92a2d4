"""The HTTP server: /metrics, /live, /ready, /health. It reads; no request makes a probe run."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web

from tonwatch.config import Config
from tonwatch.serve import health, metrics, page, ready
from tonwatch.serve.bodies import Bodies, Body
from tonwatch.serve.exposition import format_for
from tonwatch.serve.negotiation import prefers_page, takes_gzip
from tonwatch.serve.scene import Scene
from tonwatch.serve.traffic import TRAFFIC, Traffic
from tonwatch.watch.watcher import View, Watcher

log = structlog.get_logger(__name__)

PATHS: Final = ("/metrics", "/live", "/ready", "/health")

_GZIP_FROM: Final = 1024
"""Bytes; below that gzip costs more than it saves."""

WARM_EACH = 1.0
"""Seconds; each time a fifteenth of all wallets has been read anew."""

_GZIP_LEVEL: Final = 1
"""Metrics are the same words over and over: level 6 takes twice the time for a tenth less."""

_GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS
"""zlib's way of saying: with gzip's header and checksum."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(watcher: Watcher, config: Config) -> web.Application:
    """The application; it shows the view that `watcher` made last.

    Args:
        watcher: is only read.
        config: what the watcher judges by.
    """
    site = _Site(watcher, config)
    app = web.Application(middlewares=[_plain_errors, _no_bodies])
    app[TRAFFIC] = site.traffic
    app.on_response_prepare.append(_headers)
    app.cleanup_ctx.append(site.keep_warm)
    app.router.add_get("/", site.root)
    app.router.add_get("/metrics", site.metrics)
    app.router.add_get("/live", site.live)
    app.router.add_get("/ready", site.ready)
    app.router.add_get("/health", site.health)
    return app


class _Site:
    def __init__(self, watcher: Watcher, config: Config) -> None:
        self._watcher = watcher
        self._config = config
        self.traffic = Traffic()
        self._exposition = metrics.Exposition(self._scene)
        # In a thread: thousands of wallets take milliseconds that probes would measure as latency.
        self._bodies = Bodies(asyncio.to_thread, lambda: watcher.view)

    async def keep_warm(self, _: web.Application) -> AsyncIterator[None]:
        """Between scrapes, write what has changed: of thousands of wallets that takes long."""

        async def warm() -> None:
            while True:
                await asyncio.sleep(WARM_EACH)
                await asyncio.to_thread(self._exposition.warm)

        task = asyncio.create_task(warm(), name="metrics")
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def root(self, _: web.Request) -> web.Response:
        # Relative, so that it also works below a proxy's path.
        raise web.HTTPFound("health")

    async def metrics(self, request: web.Request) -> web.Response:
        accept = request.headers.get(hdrs.ACCEPT, "")
        zipped = takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, ""))

        content_type = format_for(accept).content_type

        def make(_: View) -> Body:
            return Body(_packed(self._exposition.write(accept)[0], zipped=zipped))

        kind = ("metrics", content_type, zipped, self._watcher.alive)
        body = await self._bodies.get(kind, make)
        return self._respond(body, content_type)

    async def live(self, request: web.Request) -> web.Response:
        alive = self._watcher.alive
        text = "alive" if alive else "not alive: tonwatch's own loop has stopped beating"
        if ready.is_on(request.query.get("verbose", "no")):
            text = f"[{'+' if alive else '-'}]watcher {'ok' if alive else 'stopped'}\n{text}"
        return _text(text, ok=alive)

    async def ready(self, request: web.Request) -> web.Response:
        try:
            question = ready.parse(request.query.items())
        except ValueError as error:
            return _text(str(error), status=HTTPStatus.BAD_REQUEST)
        if not self._watcher.alive:
            # What was last seen may no longer be true.
            return _text("not alive: tonwatch's own loop has stopped beating", ok=False)
        answer = ready.answer(self._watcher.view, self._config, question)
        return _text(answer.text, ok=answer.ready)

    async def health(self, request: web.Request) -> web.Response:
        alive = self._watcher.alive
        wanted = request.query.get("format")
        as_page = wanted == "html" or (
            wanted != "json" and prefers_page(request.headers.get(hdrs.ACCEPT, ""))
        )
        zipped = takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
        refresh = request.query.get("refresh") != "off"

        def make(view: View) -> Body:
            status = HTTPStatus.OK
            if as_page:
                text = page.render(view, self._config, alive=alive, refresh=refresh)
            else:
                text = health.as_text(health.document(view, self._config, alive=alive))
                if health.status(view, alive=alive) == "fail":
                    status = HTTPStatus.SERVICE_UNAVAILABLE
            return Body(_packed([text.encode(errors="replace")], zipped=zipped), status)

        body = await self._bodies.get(("health", as_page, refresh, zipped, alive), make)
        if as_page:
            response = self._respond(body, "text/html; charset=utf-8")
            response.headers["Content-Security-Policy"] = page.content_security_policy()
            return response
        return self._respond(body, "application/health+json; charset=utf-8")

    def _respond(self, body: Body, content_type: str) -> web.Response:
        headers = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if body.content.startswith(b"\x1f\x8b"):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        payload = self._bodies.payload(body)
        return web.Response(body=payload, status=body.status, headers=headers)

    def _scene(self) -> Scene:
        watcher = self._watcher
        return Scene(watcher.view, self._config, health.VERSION, watcher.alive, self.traffic)


def _text(text: str, *, ok: bool = True, status: int | None = None) -> web.Response:
    fallback = HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE
    return web.Response(text=text + "\n", status=status or fallback)


def _packed(parts: Sequence[bytes], *, zipped: bool) -> bytes:
    if not zipped or sum(map(len, parts)) < _GZIP_FROM:
        return b"".join(parts)
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORMAT)
    return b"".join([*map(packer.compress, parts), packer.flush()])


async def _headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = "tonwatch"
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as one line of text that helps, and never shows our insides."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return _text(f"no such path; there are {' '.join(PATHS)}", status=HTTPStatus.NOT_FOUND)
    except web.HTTPMethodNotAllowed:
        text = f"only GET and HEAD, on {' '.join(PATHS)}"
        response = _text(text, status=HTTPStatus.METHOD_NOT_ALLOWED)
        response.headers[hdrs.ALLOW] = "GET, HEAD"
        return response
    except web.HTTPException:
        raise
    except Exception:
        # The text of an unforeseen error could quote anything: it belongs into the log alone.
        log.exception("request failed", path=request.path)
        return _text("internal error; see tonwatch's log", status=HTTPStatus.INTERNAL_SERVER_ERROR)


@web.middleware
async def _no_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """No answer depends on what a request could carry."""
    if request.can_read_body and request.method in {hdrs.METH_GET, hdrs.METH_HEAD}:
        text = f"{request.method} takes no body"
        return _text(text, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return await handler(request)
