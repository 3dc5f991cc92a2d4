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
from tests.serve.scene import NODE, PROVIDER, PUBLIC, Scene
from tests.serve.wallet_scene import WalletScene
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
    """The browser without pages of earlier tests."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def client(scene: Scene) -> AsyncIterator[Client]:
    async with served(scene) as made:
        yield made


@pytest.fixture
def show(browser: Browser, client: Client) -> Open:
    return opener(browser, client)


@pytest.fixture
def wallet_scene(clock: Clock) -> WalletScene:
    return WalletScene(clock)


@pytest_asyncio.fixture(loop_scope="module")
async def show_wallets(browser: Browser, wallet_scene: WalletScene) -> AsyncIterator[Open]:
    async with served(wallet_scene) as made:
        yield opener(browser, made)


def opener(browser: Browser, client: Client) -> Open:
    """Opens the page; `problems` collects console messages, script errors and failed requests."""

    async def opened(
        problems: list[str], path: str = "/health", width: int = 1280, **context: Any
    ) -> Page:
        page = await browser.new_page(viewport={"width": width, "height": 740}, **context)
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        await page.goto(str(client.make_url(path)))
        return page

    return opened


def trouble(scene: Scene) -> None:
    """Long and hostile text, a wide state, throttling, and failures of every length."""
    scene.healthy()

    def tick() -> None:
        scene.fail(NODE, Reason.SERVER_ERROR, "<img src=x onerror=alert(1)> " + "A" * 270)
        scene.answer(PUBLIC, gap=75)
        scene.fail(PROVIDER, Reason.RATE_LIMITED, "HTTP 429: Ratelimit exceed")

    scene.ticks(5, tick)


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(Scene.starting, id="starting"),
        pytest.param(Scene.healthy, id="healthy"),
        pytest.param(trouble, id="trouble"),
        pytest.param(Scene.recovered, id="recovered"),
        pytest.param(Scene.catching_up, id="catching up"),
        pytest.param(Scene.forked, id="forked"),
    ],
)
async def test_it_fits_without_errors(show: Open, scene: Scene, situation: Any) -> None:
    situation(scene)
    problems: list[str] = []
    await fits(await show(problems), scene)
    assert problems == []


async def fits(page: Page, scene: Scene) -> None:
    """Nothing is cut off at any width, and the sentence is visible first."""
    await page.locator("summary").click()
    heading = page.locator("h1")
    sentence = scene.watcher.view.diagnosis.sentence
    assert await heading.inner_text() == short_hashes(sentence)
    for width in (360, 768, 1001, 1201, 1280):
        await page.set_viewport_size({"width": width, "height": 740})
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        assert await heading.is_visible()
        box = await heading.bounding_box()
        assert box is not None
        assert box["y"] < 200


def low_wallets(wallet_scene: WalletScene) -> None:
    """Wallets in every kind of trouble, long amounts, and long and hostile text."""
    wallet_scene.all_healthy()
    wallet_scene.clock.advance(5)
    wallet_scene.all_answer()
    wallet_scene.read("hot", "usdt", amount=1_000_499_999, proven=False, source="toncenter")
    wallet_scene.count_payouts("hot", totals=wallet_scene.failed(32), backlog=12_345)
    wallet_scene.count_payouts(
        "hot", "usdt", totals=replace(wallet_scene.bounced(4), sent_amount=10**36)
    )
    wallet_scene.read("cold", status=AccountStatus.FROZEN, amount=10**36 + 1)
    wallet_scene.read("vault", "", code_hash=b"\x01" * 32)
    wallet_scene.fail(wallet_scene.targets[0], Reason.SERVER_ERROR, "<b>" + "A" * 270, Probe.WRITE)
    wallet_scene.watcher.evaluate()


def read_failing(wallet_scene: WalletScene) -> None:
    def tick() -> None:
        wallet_scene.all_answer()
        for watched in wallet_scene.accounts:
            wallet_scene.read_failing(*watched.key, Reason.SERVER_ERROR, "<img src=x> " + "A" * 280)

    wallet_scene.ticks(3, tick)


@pytest.mark.parametrize(
    "situation", [WalletScene.starting, WalletScene.all_healthy, low_wallets, read_failing]
)
async def test_wallets_fit_without_errors(
    show_wallets: Open, wallet_scene: WalletScene, situation: Any
) -> None:
    situation(wallet_scene)
    problems: list[str] = []
    await fits(await show_wallets(problems), wallet_scene)
    assert problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("situation", [low_wallets, read_failing])
async def test_wallets_have_the_contrast_of_wcag_aa(
    show_wallets: Open, wallet_scene: WalletScene, situation: Any, scheme: str
) -> None:
    situation(wallet_scene)
    page = await show_wallets([], color_scheme=scheme)
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
async def test_no_text_overlaps_the_next_cell(
    show_wallets: Open, wallet_scene: WalletScene, width: int
) -> None:
    low_wallets(wallet_scene)
    page = await show_wallets([], width=width)
    assert await page.evaluate(OVERLAPS) == []


async def test_the_table_of_wallets(show_wallets: Open, wallet_scene: WalletScene) -> None:
    """Worst first; a state by shape and text; the whole address in a tooltip."""
    low_wallets(wallet_scene)
    page = await show_wallets([])
    table = page.get_by_role("table", name="Wallets")
    assert await table.locator("tbody th").evaluate_all(
        "all => all.map(th => th.firstChild.data.trim())"
    ) == ["hot", "cold"]
    assert await table.locator(".pill").all_inner_texts() == ["low", "frozen"]
    uses = await table.locator(".pill use").evaluate_all("all => all.map(u => u.href.baseVal)")
    assert uses == ["#bad", "#bad"]
    assert (
        await table.get_by_title(wallet_scene.config.wallets[0].address).inner_text() == "EQAR…EeYT"
    )
    assert await table.get_by_role("columnheader").all_inner_texts() == [
        "Wallet",
        "State",
        "Asset",
        "Balance",
        "Proof",
        "Sent",
        "Bounced\n10 min",
        "Failed\n10 min",
        "Backlog",
    ]


async def test_the_policy_allows_its_style_and_nothing_else(show: Open, scene: Scene) -> None:
    """The policy's hash matches, and what the policy forbids is refused."""
    scene.healthy()
    problems: list[str] = []
    page = await show(problems)
    border = "getComputedStyle(document.querySelector('.verdict')).borderLeftWidth"
    assert await page.evaluate(border) == "8px"
    await page.evaluate("document.body.setAttribute('style', 'color: red')")
    assert any("Content Security Policy" in problem for problem in problems)


async def test_dark_mode(show: Open, scene: Scene) -> None:
    scene.healthy()
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
@pytest.mark.parametrize("situation", [Scene.recovered, Scene.forked, trouble])
async def test_all_text_has_the_contrast_of_wcag_aa(
    show: Open, scene: Scene, situation: Any, scheme: str
) -> None:
    situation(scene)
    page = await show([], color_scheme=scheme)
    assert await page.evaluate(CONTRAST) == []


async def test_a_states_shape_says_what_its_colour_says(show: Open, scene: Scene) -> None:
    scene.node_down()
    page = await show([])
    uses = await page.locator(".pill use").evaluate_all("all => all.map(u => u.href.baseVal)")
    assert uses == ["#bad", "#ok", "#ok"]
    assert await page.locator(".pill").all_inner_texts() == ["down", "ok", "ok"]


async def test_it_does_not_refresh_on_request(show: Open, scene: Scene) -> None:
    scene.healthy()
    page = await show([])
    await page.get_by_role("link", name="pause").click()
    await page.get_by_role("link", name="resume").wait_for()
    assert await page.locator("meta[http-equiv=refresh]").count() == 0


async def test_its_links_lead_somewhere(show: Open, client: Client, scene: Scene) -> None:
    scene.healthy()
    page = await show([])
    links = await page.locator("a").evaluate_all("all => all.map(a => a.href)")
    assert len(links) == 6
    for link in links:
        assert (await client.session.get(link)).status == 200, link
