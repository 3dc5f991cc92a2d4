"""The HTTP server: /metrics, /live, /ready, /health, /incidents. No request makes a probe run."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar

from aiohttp import hdrs, web

from tonwatch.samples.incident import Incident, IncidentQuery
from tonwatch.serve import incidents, ready
from tonwatch.serve.bodies import Bodies, Body, Run
from tonwatch.serve.health import document, page
from tonwatch.serve.metrics.collector import MetricsCollector
from tonwatch.serve.metrics.contexts import ScrapeContext
from tonwatch.serve.metrics.exposition import format_for
from tonwatch.serve.negotiation import prefers_page, takes_gzip
from tonwatch.serve.traffic import TRAFFIC, Traffic
from tonwatch.state.store import Unreadable
from tonwatch.system.executors import Busy, Executors, Threads
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.watch.shown import shown, shown_for
from tonwatch.watch.view import LIVE_WITHIN, View

PATHS: Final = ("/metrics", "/live", "/ready", "/health", "/incidents")

WITHIN: Final = 10.0
"""Seconds that writing a response may take, waiting for a thread included."""

SCRAPE_HANGS: Final = 30.0
"""Seconds after which a thread that writes metrics is abandoned. Longer than a scraper waits: until
then further requests are answered with 503."""

RETRY_AFTER: Final = 5
"""Seconds after which a client answered with 503 may try again."""

_GZIP_FROM: Final = 1024
"""Bytes; below that gzip costs more than it saves."""

_GZIP_LEVEL: Final = 1
"""Metrics are repetitive text: level 6 takes twice the time for a tenth less."""

_GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS
"""For zlib: with gzip's header and checksum."""

T = TypeVar("T")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Views(Protocol):
    """The source of views, which is only read."""

    @property
    def view(self) -> View:
        """The newest one."""

    @property
    def alive(self) -> bool:
        """Whether views are still made."""

    def age(self, view: View) -> float:
        """Seconds since a view was made."""


class Record(Protocol):
    """Where incidents are recorded."""

    async def incidents(self, query: IncidentQuery) -> list[Incident]:
        """The newest first.

        Raises:
            Unreadable: it cannot be read for now.
            Busy: too many are being read.
        """


def build(
    views: Views,
    record: Callable[[], Record | None],
    executors: Executors,
    errors: InternalErrors,
) -> web.Application:
    """The application; it shows the newest view.

    Args:
        views: what is shown.
        record: returns where incidents are recorded; None where they are not.
        executors: write metrics and pages.
        errors: counts tonwatch's own failures, and is shown.
    """
    handlers = _Handlers(views, record, executors, errors)
    app = web.Application(middlewares=[_plain_errors(errors), _without_bodies])
    app[TRAFFIC] = handlers.traffic
    app.on_response_prepare.append(handlers.headers)
    app.router.add_get("/", handlers.root)
    app.router.add_get("/metrics", handlers.metrics)
    app.router.add_get("/live", handlers.live)
    app.router.add_get("/ready", handlers.ready)
    app.router.add_get("/health", handlers.health)
    app.router.add_get("/incidents", handlers.incidents)
    return app


class _Handlers:
    def __init__(
        self,
        views: Views,
        record: Callable[[], Record | None],
        executors: Executors,
        errors: InternalErrors,
    ) -> None:
        self._views = views
        self._record = record
        self._executors = executors
        self._errors = errors
        self.traffic = Traffic()
        self._collector = MetricsCollector(self._context, errors)
        self._bodies = Bodies(lambda: views.view)

    async def headers(self, _: web.Request, response: web.StreamResponse) -> None:
        """An exception here would end the connection without an answer."""
        with self._errors.guard(Component.HTTP, "headers"):
            _set_headers(response)

    async def root(self, _: web.Request) -> web.Response:
        # Relative, so that it also works below a proxy's path prefix.
        raise web.HTTPFound("health")

    async def metrics(self, request: web.Request) -> web.Response:
        accept = request.headers.get(hdrs.ACCEPT, "")
        zipped = takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, ""))

        content_type = format_for(accept).content_type

        def make(_: View) -> Body:
            return Body(_compressed(self._collector.write(accept)[0], zipped=zipped))

        kind = ("metrics", content_type, zipped, self._is_current())
        run = partial(_in_thread, self._executors.scrapes, SCRAPE_HANGS)
        body = await self._written("/metrics", run, kind, make)
        return self._respond(body, content_type)

    async def live(self, request: web.Request) -> web.Response:
        alive = self._views.alive
        text = "alive" if alive else _not_alive(LIVE_WITHIN)
        if ready.is_on(request.query.get("verbose", "no")):
            text = f"[{'+' if alive else '-'}]watcher {'ok' if alive else 'stopped'}\n{text}"
        return _text(text, ok=alive)

    async def ready(self, request: web.Request) -> web.Response:
        try:
            question = ready.parse(request.query.items())
        except ValueError as error:
            return _text(str(error), status=HTTPStatus.BAD_REQUEST)
        if not self._is_current():
            # What was last observed may no longer be true.
            return _text(_not_alive(shown_for(self._views.view.config)), ok=False)
        answer = ready.answer(self._views.view, question)
        if not answer.found:
            return _text(answer.text, status=HTTPStatus.NOT_FOUND)
        return _text(answer.text, ok=answer.ready)

    async def health(self, request: web.Request) -> web.Response:
        errors = self._errors.seen()
        wanted = request.query.get("format")
        as_page = wanted == "html" or (
            wanted != "json" and prefers_page(request.headers.get(hdrs.ACCEPT, ""))
        )
        zipped = takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
        refresh = request.query.get("refresh") != "off"

        def make(view: View) -> Body:
            status = HTTPStatus.OK
            view, alive = shown(view, self._views.age(view))
            if as_page:
                text = page.render(view, errors, alive=alive, refresh=refresh)
            else:
                text = document.as_text(document.document(view, errors, alive=alive))
                if document.status(view, alive=alive) == "fail":
                    status = HTTPStatus.SERVICE_UNAVAILABLE
            return Body(_compressed([text.encode(errors="replace")], zipped=zipped), status)

        kind = ("health", as_page, refresh, zipped, self._is_current())
        run = partial(_in_thread, self._executors.pages, WITHIN)
        body = await self._written("/health", run, kind, make)
        if as_page:
            response = self._respond(body, "text/html; charset=utf-8")
            response.headers["Content-Security-Policy"] = page.content_security_policy()
            return response
        return self._respond(body, "application/health+json; charset=utf-8")

    async def incidents(self, request: web.Request) -> web.Response:
        try:
            question = incidents.parse(request.query.items())
        except ValueError as error:
            return _text(str(error), status=HTTPStatus.BAD_REQUEST)
        zipped = takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
        read: list[Incident] = []

        async def run(make: Callable[[], Body]) -> Body:
            record = self._record()
            if record is not None:
                read.extend(await record.incidents(question.query(self._network())))
            return await _in_thread(self._executors.pages, WITHIN, make)

        def make(view: View) -> Body:
            text = incidents.render(read, question, view.snapshot.wall)
            return Body(_compressed([text.encode(errors="replace")], zipped=zipped))

        kind = ("incidents", question, self._network(), zipped)
        try:
            body = await self._written("/incidents", run, kind, make)
        except Unreadable as error:
            return _text(f"the record cannot be read: {error}", ok=False)
        return self._respond(body, "application/json; charset=utf-8")

    def _network(self) -> bytes:
        return self._views.view.config.zerostate

    def _respond(self, body: Body, content_type: str) -> web.Response:
        headers = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if body.content.startswith(b"\x1f\x8b"):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        payload = self._bodies.payload(body)
        return web.Response(body=payload, status=body.status, headers=headers)

    async def _written(
        self, path: str, run: Run, kind: Hashable, make: Callable[[View], Body]
    ) -> Body:
        """What `make` writes in a thread: thousands of wallets take milliseconds, which probes
        would measure as latency.

        Raises:
            HTTPServiceUnavailable: it takes too long, too many requests wait, or all threads hang.
        """
        errors = self._errors
        try:
            async with asyncio.timeout(WITHIN):
                return await self._bodies.get(kind, make, run)
        except TimeoutError as error:
            errors.failed(Component.HTTP, path, error)
        except Busy:
            pass
        text = f"busy; try again in {RETRY_AFTER} s\n"
        raise web.HTTPServiceUnavailable(text=text, headers={hdrs.RETRY_AFTER: str(RETRY_AFTER)})

    def _is_current(self) -> bool:
        return self._views.age(self._views.view) < shown_for(self._views.view.config)

    def _context(self) -> ScrapeContext:
        view = self._views.view
        now, alive = shown(view, self._views.age(view))
        # Where it is not alive only what stays true is shown, which is the same in `view`.
        of = now if alive else view
        return ScrapeContext(of, document.VERSION, alive, self.traffic)


def _not_alive(seconds: float) -> str:
    return f"not alive: nothing has been evaluated for {seconds:g} seconds; see tonwatch's log"


async def _in_thread(threads: Threads, within: float, call: Callable[[], T]) -> T:
    """Return the result of a call in one of these threads.

    Raises:
        Busy: too many calls wait.
        TimeoutError: it takes more than `within` seconds. Its result is dropped then.
    """
    async with asyncio.timeout(within):
        return await asyncio.get_running_loop().run_in_executor(threads, call)


def _text(text: str, *, ok: bool = True, status: int | None = None) -> web.Response:
    fallback = HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE
    return web.Response(text=text + "\n", status=status or fallback)


def _compressed(parts: Sequence[bytes], *, zipped: bool) -> bytes:
    if not zipped or sum(map(len, parts)) < _GZIP_FROM:
        return b"".join(parts)
    compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORMAT)
    return b"".join([*map(compressor.compress, parts), compressor.flush()])


def _set_headers(response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = "tonwatch"
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"


def _plain_errors(errors: InternalErrors) -> Any:
    """Errors as one line of text that helps, without internals."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        part = request.path if request.path in PATHS else "another path"
        try:
            response = await handler(request)
        except web.HTTPNotFound:
            return _text(f"no such path; there are {' '.join(PATHS)}", status=HTTPStatus.NOT_FOUND)
        except web.HTTPMethodNotAllowed:
            text = f"only GET and HEAD, on {' '.join(PATHS)}"
            response = _text(text, status=HTTPStatus.METHOD_NOT_ALLOWED)
            response.headers[hdrs.ALLOW] = "GET, HEAD"
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - any bug costs this response alone
            # Its text may quote anything: it is for the log alone.
            errors.failed(Component.HTTP, part, error)
            text = "internal error; see tonwatch's log"
            return _text(text, status=HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            errors.worked(Component.HTTP, part)
        return response

    return answer


@web.middleware
async def _without_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Rejects requests with a body: no response depends on one."""
    if request.can_read_body and request.method in {hdrs.METH_GET, hdrs.METH_HEAD}:
        text = f"{request.method} takes no body"
        return _text(text, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return await handler(request)
