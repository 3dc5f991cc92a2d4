"""The page in a real browser: Debian's Chromium."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.conftest import Clock
from tests.programs import program
from tests.serve.conftest import Client, served
from tests.serve.stage import NODE, PROVIDER, PUBLIC, Stage
from tests.serve.wallet_stage import Till
from tonwatch.samples.sample import Probe
from tonwatch.serve.health.page import short_hashes
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.errors import Reason

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
]

# One browser for all of them, so one worker and one loop.
pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="module"),
]

Open = Callable[..., Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=program("chromium"), args=ARGUMENTS
        )
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """The browser without any page of an earlier test."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def client(stage: Stage) -> AsyncIterator[Client]:
    async with served(stage) as made:
        yield made


@pytest.fixture
def show(browser: Browser, client: Client) -> Open:
    return opener(browser, client)


@pytest.fixture
def till(clock: Clock) -> Till:
    return Till(clock)


@pytest_asyncio.fixture(loop_scope="module")
async def show_till(browser: Browser, till: Till) -> AsyncIterator[Open]:
    async with served(till) as made:
        yield opener(browser, made)


def opener(browser: Browser, client: Client) -> Open:
    """Opens the page; `complaints` gathers all that the browser has to say against it."""

    async def opened(
        complaints: list[str], path: str = "/health", width: int = 1280, **context: Any
    ) -> Page:
        page = await browser.new_page(viewport={"width": width, "height": 740}, **context)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        await page.goto(str(client.make_url(path)))
        return page

    return opened


def trouble(stage: Stage) -> None:
    """Long and hostile words, a wide state, throttling, and failures of every length."""
    stage.healthy()

    def tick() -> None:
        stage.fail(NODE, Reason.SERVER_ERROR, "<img src=x onerror=alert(1)> " + "A" * 270)
        stage.answer(PUBLIC, gap=75)
        stage.fail(PROVIDER, Reason.RATE_LIMITED, "HTTP 429: Ratelimit exceed")

    stage.ticks(5, tick)


@pytest.mark.parametrize(
    "happened",
    [
        pytest.param(Stage.nothing, id="starting"),
        pytest.param(Stage.healthy, id="healthy"),
        pytest.param(trouble, id="trouble"),
        pytest.param(Stage.recovered, id="recovered"),
        pytest.param(Stage.catching_up, id="catching up"),
        pytest.param(Stage.forked, id="forked"),
    ],
)
async def test_it_fits_and_nobody_complains(show: Open, stage: Stage, happened: Any) -> None:
    happened(stage)
    complaints: list[str] = []
    await fits(await show(complaints), stage)
    assert complaints == []


async def fits(page: Page, stage: Stage) -> None:
    """At no width is anything cut off, and the sentence is seen first."""
    await page.locator("summary").click()
    heading = page.locator("h1")
    sentence = stage.watcher.view.diagnosis.sentence
    assert await heading.inner_text() == short_hashes(sentence)
    for width in (360, 768, 1001, 1201, 1280):
        await page.set_viewport_size({"width": width, "height": 740})
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        assert await heading.is_visible()
        box = await heading.bounding_box()
        assert box is not None
        assert box["y"] < 200


def poor(till: Till) -> None:
    """Wallets in every kind of trouble, long amounts, and long and hostile words."""
    till.settled()
    till.clock.advance(5)
    till.answers()
    till.read("hot", "usdt", amount=1_000_499_999, proven=False, source="toncenter")
    till.walk("hot", totals=till.failed(32), backlog=12_345)
    till.walk("hot", "usdt", totals=replace(till.bounced(4), sent_amount=10**36))
    till.read("cold", status=AccountStatus.FROZEN, amount=10**36 + 1)
    till.read("vault", "", code_hash=b"\x01" * 32)
    till.fail(till.targets[0], Reason.SERVER_ERROR, "<b>" + "A" * 270, Probe.WRITE)
    till.watcher.look()


def read_failing(till: Till) -> None:
    def tick() -> None:
        till.answers()
        for watched in till.accounts:
            till.read_failing(*watched.key, Reason.SERVER_ERROR, "<img src=x> " + "A" * 280)

    till.ticks(3, tick)


@pytest.mark.parametrize("happened", [Till.nothing, Till.settled, poor, read_failing])
async def test_wallets_fit_and_nobody_complains(show_till: Open, till: Till, happened: Any) -> None:
    happened(till)
    complaints: list[str] = []
    await fits(await show_till(complaints), till)
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("happened", [poor, read_failing])
async def test_wallets_have_the_contrast_of_wcag_aa(
    show_till: Open, till: Till, happened: Any, scheme: str
) -> None:
    happened(till)
    page = await show_till([], color_scheme=scheme)
    assert await page.evaluate(CONTRAST) == []


OVERLAPS = """() => {
  const boxes = [...document.querySelectorAll('.wallets tbody :is(th, td)')]
    .filter(cell => cell.innerText.trim())
    .map(cell => {
      const range = document.createRange();
      range.selectNodeContents(cell);
      return [cell.innerText, range.getBoundingClientRect()];
    }).filter(([, box]) => box.width > 1);
  const pairs = boxes.flatMap(([a, p], i) => boxes.slice(i + 1).map(([b, q]) => [a, p, b, q]));
  return pairs.filter(([, p, , q]) =>
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1
  ).map(([a, , b]) => [a, b]);
}"""


@pytest.mark.parametrize("width", [360, 768, 1001, 1280])
async def test_nothing_is_written_over_the_next_cell(
    show_till: Open, till: Till, width: int
) -> None:
    poor(till)
    page = await show_till([], width=width)
    assert await page.evaluate(OVERLAPS) == []


async def test_the_table_of_wallets(show_till: Open, till: Till) -> None:
    """Worst first; a state by its shape and its word; the whole address where it is pointed at."""
    poor(till)
    page = await show_till([])
    table = page.get_by_role("table", name="Wallets")
    assert await table.locator("tbody th").evaluate_all(
        "all => all.map(th => th.firstChild.data.trim())"
    ) == ["hot", "cold"]
    assert await table.locator(".pill").all_inner_texts() == ["low", "frozen"]
    uses = await table.locator(".pill use").evaluate_all("all => all.map(u => u.href.baseVal)")
    assert uses == ["#bad", "#bad"]
    assert await table.get_by_title(till.config.wallets[0].address).inner_text() == "EQAR…EeYT"
    assert await table.get_by_role("columnheader").all_inner_texts() == [
        "Wallet",
        "State",
        "Asset",
        "Balance",
        "Proof",
        "Sent",
        "Came back\n10 min",
        "Failed\n10 min",
        "Backlog",
    ]


async def test_its_style_is_let_through_and_nothing_else(show: Open, stage: Stage) -> None:
    """The policy's hash fits, and the policy works: what it forbids is refused."""
    stage.healthy()
    complaints: list[str] = []
    page = await show(complaints)
    border = "getComputedStyle(document.querySelector('.verdict')).borderLeftWidth"
    assert await page.evaluate(border) == "8px"
    await page.evaluate("document.body.setAttribute('style', 'color: red')")
    assert any("Content Security Policy" in complaint for complaint in complaints)


async def test_dark_where_the_reader_prefers_it(show: Open, stage: Stage) -> None:
    stage.healthy()
    colours = []
    for scheme in ("light", "dark"):
        page = await show([], color_scheme=scheme)
        colours.append(
            await page.evaluate(
                "[document.body, document.querySelector('h1')].map("
                " element => getComputedStyle(element))"
                ".map(style => [style.backgroundColor, style.color])"
            )
        )
    assert colours[0] != colours[1]


CONTRAST = """() => {
  const parse = text => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d');
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b]
    .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest('svg')) continue;
    const pair = [parse(getComputedStyle(element).color), behind(element)].map(luminance);
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) faint.push([element.className, walker.currentNode.data, ratio]);
  }
  return faint;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("happened", [Stage.recovered, Stage.forked, trouble])
async def test_all_text_has_the_contrast_of_wcag_aa(
    show: Open, stage: Stage, happened: Any, scheme: str
) -> None:
    happened(stage)
    page = await show([], color_scheme=scheme)
    assert await page.evaluate(CONTRAST) == []


async def test_a_states_shape_says_what_its_colour_says(show: Open, stage: Stage) -> None:
    stage.node_down()
    page = await show([])
    uses = await page.locator(".pill use").evaluate_all("all => all.map(u => u.href.baseVal)")
    assert uses == ["#bad", "#ok", "#ok"]
    assert await page.locator(".pill").all_inner_texts() == ["down", "ok", "ok"]


async def test_it_keeps_still_on_request(show: Open, stage: Stage) -> None:
    stage.healthy()
    page = await show([])
    await page.get_by_role("link", name="pause").click()
    await page.get_by_role("link", name="resume").wait_for()
    assert await page.locator("meta[http-equiv=refresh]").count() == 0


async def test_its_links_lead_somewhere(show: Open, client: Client, stage: Stage) -> None:
    stage.healthy()
    page = await show([])
    links = await page.locator("a").evaluate_all("all => all.map(a => a.href)")
    assert len(links) == 5
    for link in links:
        assert (await client.session.get(link)).status == 200, link
