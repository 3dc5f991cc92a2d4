"""Draws every dashboard as Grafana would, over an evening of a simulated network.

    python tools/dashboard-pictures/draw.py [NAME ...]

See README.md.
"""

import argparse
import asyncio
import json
import logging
import math
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import structlog
from playwright.async_api import async_playwright

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
sys.path.append(str(ROOT))

import history  # noqa: E402 - it imports from the root
import services  # noqa: E402
from database import Database, Series, evaluate  # noqa: E402

CACHE: Final = HERE / ".cache"
PAGE: Final = HERE / "dist"
PICTURES: Final = ROOT / "docs" / "dashboards"
RULES: Final = ("recording", "slo", "services", "tonwatch")
WIDTH: Final = 1600
_POINTS_PER_COLUMN: Final = 60
"""Grafana queries as many points as a panel is wide in pixels, which is 65 for a column."""

_HEIGHT: Final = 2600
"""Of the window: tables draw only visible rows."""

_STEPS: Final = (15, 20, 30, 60, 120, 300)
_FONT: Final = "node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2"
_LABEL_VALUES: Final = re.compile(r"label_values\((?P<of>.+), (?P<label>\w+)\)")
_HOURS: Final = re.compile(r"now-(\d+)h")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="of dashboards, without .json; all by default")
    parser.add_argument("--play", action="store_true", help="play the evening again")
    parser.add_argument("--rules", action="store_true", help="evaluate the rules again")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    files = sorted((ROOT / "dashboards").glob("*.json"))
    boards = {file.stem: json.loads(file.read_text()) for file in files}
    chosen = {name: boards[name] for name in options.names or boards}
    database, begin, end = stored(play=options.play, rules=options.rules)
    build()
    with database.serving():
        for name, board in chosen.items():
            content = data(database, board, begin, end)
            (PAGE / f"{name}.data.json").write_text(json.dumps(content))
    asyncio.run(draw(list(chosen), options.theme, end))


def stored(*, play: bool, rules: bool) -> tuple[Database, float, float]:
    """The database, made where it is missing, and the begin and end of its samples."""
    CACHE.mkdir(exist_ok=True)
    samples, times = CACHE / "evening.om", CACHE / "evening.json"
    if play or not times.exists():
        with samples.open("w") as file:
            begin, end = history.play(file)
        times.write_text(json.dumps([begin, end]))
        rules = True
    begin, end = json.loads(times.read_text())
    database = Database(CACHE / "tsdb")
    if rules or not (CACHE / "rules.done").exists():
        (CACHE / "rules.done").unlink(missing_ok=True)
        shutil.rmtree(CACHE / "tsdb", ignore_errors=True)
        everything = CACHE / "everything.om"
        with everything.open("w") as file, samples.open() as evening:
            count = 0
            for line in evening:
                file.write(line)
                count += line.endswith(f" {begin + 3600:.0f}.000\n")
            evening.seek(0)
            services.payouts(file, evening, begin)
            services.services(file, begin, end)
            services.process(file, begin, end, count or 900)
            file.write("# EOF\n")
        database.add(everything)
        existing = [ROOT / "alerts" / f"{name}.yaml" for name in RULES]
        evaluate(database, [file for file in existing if file.exists()], begin, end)
        (CACHE / "rules.done").touch()
    return database, begin, end


def build() -> None:
    """Build the page."""
    if not (HERE / "node_modules").exists():
        options = ("--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund")
        subprocess.run(("npm", "install", *options), cwd=HERE, check=True)
    subprocess.run(
        ("npm", "run", "build", "--silent"), cwd=HERE, check=True, stdout=subprocess.DEVNULL
    )
    # Grafana's styles load them from its server; it measures texts with this font.
    fonts = PAGE / "public" / "fonts" / "inter"
    fonts.mkdir(parents=True)
    for name in ("Inter-Regular.woff2", "Inter-Medium.woff2"):
        shutil.copy(HERE / _FONT, fonts / name)


# Data of a dashboard.


def data(database: Database, board: dict[str, Any], begin: float, end: float) -> dict[str, Any]:
    """A dashboard, and the results of all its panels' queries."""
    found = _HOURS.fullmatch(board["time"]["from"])
    assert found is not None, f"a dashboard over {board['time']['from']}"
    start = max(begin, end - int(found[1]) * 3600)
    variables = _variables(database, board, end)
    board["panels"] = list(_panels(board["panels"]))
    answers = {
        panel["id"]: {
            target["refId"]: _answer(database, panel, target, variables, start, end)
            for target in panel["targets"]
        }
        for panel in board["panels"]
        if "targets" in panel
    }
    return {
        "board": board,
        "answers": answers,
        "variables": list(_shown(board)),
        "range": {
            "from": start,
            "to": end,
            "step": history.SCRAPE,
            "text": f"{_clock(start)} to {_clock(end)} UTC",
        },
    }


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))


def _variables(database: Database, board: Mapping[str, Any], end: float) -> dict[str, str]:
    """The value of each in queries, as a regular expression."""
    found_values: dict[str, str] = {}
    for variable in board["templating"]["list"]:
        chosen = (variable.get("current") or {}).get("value") or ["$__all"]
        values = chosen if isinstance(chosen, list) else [chosen]
        query = _LABEL_VALUES.fullmatch(variable.get("query", ""))
        if "$__all" in values and variable.get("allValue"):
            values = [variable["allValue"]]
        elif "$__all" in values and query is not None:
            expr = f"group by ({query['label']}) ({_filled(query['of'], found_values)})"
            found = database.instant(expr, end)
            values = sorted(series["metric"][query["label"]] for series in found)
        found_values[variable["name"]] = "|".join(values)
    return found_values


def _shown(board: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for variable in board["templating"]["list"]:
        text = (variable.get("current") or {}).get("text") or "Prometheus"
        label = variable.get("label") or variable["name"]
        yield {"label": label, "value": text if isinstance(text, str) else " + ".join(text)}


def _answer(
    database: Database,
    panel: Mapping[str, Any],
    target: Mapping[str, Any],
    variables: Mapping[str, str],
    start: float,
    end: float,
) -> Series:
    wanted = (end - start) / (panel["gridPos"]["w"] * _POINTS_PER_COLUMN)
    step = next(step for step in _STEPS if step >= wanted)
    built_in = {
        "__rate_interval": f"{max(step + history.SCRAPE, 4 * history.SCRAPE):.0f}s",
        "__interval": f"{step}s",
        "__range": f"{end - start:.0f}s",
    }
    expr = _filled(target["expr"], {**built_in, **variables})
    if target.get("instant"):
        return database.instant(expr, end)
    # On round moments, like Grafana.
    first, last = math.ceil(start / step) * step, math.floor(end / step) * step
    found = database.range(expr, first, last, step)
    return [{**each, "values": _with_gaps(each["values"], step)} for each in found]


def _with_gaps(values: list[list[Any]], step: float) -> list[list[Any]]:
    """`values`, with a null where the next one is further than a step away."""
    filled: list[list[Any]] = []
    for moment, value in values:
        if filled and moment - filled[-1][0] > step * 1.5:
            filled.append([filled[-1][0] + step, None])
        filled.append([moment, value])
    return filled


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name in sorted(values, key=len, reverse=True):
        text = re.sub(rf"\$(?:{name}\b|{{{name}(?::\w+)?}})", lambda _, n=name: values[n], text)
    return text


def _clock(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%H:%M}"


# Pictures.


@contextmanager
def served() -> Iterator[str]:
    """The page, on a free port."""
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(PAGE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


async def draw(names: list[str], theme: str, now: float) -> None:
    """Take a picture of each."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium")
    assert chromium, "the pages are drawn in Chromium: apt-get install -y chromium"
    with served() as url:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox"]
            )
            page = await browser.new_page(
                viewport={"width": WIDTH, "height": _HEIGHT}, timezone_id="UTC"
            )
            page.on("pageerror", lambda error: print(f"error: {error}"))
            # Ages are relative to the end of the evening, not to today.
            await page.clock.set_fixed_time(datetime.fromtimestamp(now, UTC))
            for name in names:
                await page.goto(f"{url}/index.html?board={name}&theme={theme}")
                await page.wait_for_selector("body[data-drawn]")
                raw = CACHE / f"{name}.png"
                await page.locator("#root > div").screenshot(path=raw, animations="disabled")
                smaller = ("node", "smaller.js", str(raw), str(PICTURES / f"{name}.png"))
                await asyncio.to_thread(subprocess.run, smaller, cwd=HERE, check=True)
            await browser.close()


if __name__ == "__main__":
    main()
