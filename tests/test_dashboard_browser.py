"""The page in a real browser: it draws, tails, decides and logs in, and anyone can use it.

Every view is opened in light, in dark and 360 pixels wide: no issue that axe calls serious or
critical, nothing wider than the window, no word on the console, no request to another host.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import MISSING, chromium
from conftest import running_gateway
from gateways import Gateway
from log_fixtures import Server
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect
from test_chat_completions import ask
from test_dashboard import HOSTILE, listed
from test_dashboard_login import KEYS
from upstream_stub import UpstreamStub

LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
}
VIEWS = ("/dashboard", "/dashboard/decisions", "/dashboard/models", "/dashboard/try")
POOLS = """
pools:
  default:
    profiles: [small, large]
    modes: {peak: 0.0, iso: 0.2, aggressive: 5}
    default_mode: iso
    baseline: large
  failing:
    profiles: [status-503, large]
    modes: {peak: 0.0, iso: 0.2, aggressive: 5}
    default_mode: aggressive
    baseline: large
"""
LONG = "a-name-without-a-break-" * 11


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        if found is None:
            pytest.skip(MISSING)
        yield found


@pytest.fixture(scope="module")
def few_models(catalog_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of the size that people have: axe looks at every model that is shown."""
    folder = tmp_path_factory.mktemp("few")
    for name in ("small", "large", "unpriced", "status-503", "dimensions"):
        shutil.copy(catalog_folder / f"{name}.yaml", folder)
    (folder / "pools.yaml").write_text(POOLS)
    return folder


@pytest.fixture(scope="module")
def shown(
    redis_server: str,
    few_models: Path,
    provider: UpstreamStub,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """An open gateway with some decisions: chosen, pinned, failed, of unknown cost, hostile."""
    environ = {"HYDRA_REDIS_URL": redis_server, "HYDRA_PROFILES": str(few_models)}
    with running_gateway(tmp_path_factory.mktemp("data"), environ) as gateway:
        with gateway.http() as http:
            for model in (
                "auto",
                "auto:peak",
                "auto:aggressive",
                "large",
                "unpriced",
                "status-503",
            ):
                ask(http, model, hydra={"tags": ["shown"]}, user="somebody")
            ask(http, user=HOSTILE, hydra={"tags": [HOSTILE, "shown"], "session": HOSTILE})
            ask(http, user=LONG[:255], hydra={"tags": [LONG[:255], "shown"], "session": LONG[:255]})
            ask(http, hydra={"pool": "failing", "tags": ["shown"]})
            listed(http, 9, tag="shown")
        yield gateway


class Visit:
    """A page of the browser, and all that went wrong on it."""

    def __init__(self, browser: Browser, gateway: Gateway, look: str = "light") -> None:
        self.gateway = gateway
        self.context = browser.new_context(base_url=gateway.url, **LOOKS[look])  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):  # a breach of the policy is an error
            self.wrong.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.gateway.url, "data:")):
            self.wrong.append(f"asked {request.url}")


@pytest.fixture
def visit(browser: Browser, shown: Gateway) -> Iterator[Callable[..., Visit]]:
    visits: list[Visit] = []

    def open_in(look: str = "light", gateway: Gateway = shown) -> Visit:
        visits.append(Visit(browser, gateway, look))
        return visits[-1]

    yield open_in
    for each in visits:
        each.context.close()
    assert [words for each in visits for words in each.wrong] == []


def assert_accessible(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    bad = [each for each in found if each["impact"] in ("serious", "critical")]
    assert bad == [], [(each["id"], each["nodes"][0]["html"][:200]) for each in bad]


def assert_fits(page: Page) -> None:
    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    scroll, client = page.evaluate(widths)
    assert scroll <= client, f"{page.url} is {scroll} wide in a window of {client}"


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("path", VIEWS)
def test_a_view_is_usable_by_anyone(visit: Callable[..., Visit], path: str, look: str) -> None:
    page = visit(look).page
    page.goto(path)
    if path == "/dashboard":
        page.wait_for_selector("#chart[data-drawn]")
        page.get_by_text("The same as a table").click()
    if path == "/dashboard/try":
        page.wait_for_selector("#sentence")
    if path == "/dashboard/decisions":
        page.get_by_text("Filters").click()
    assert_fits(page)
    assert_accessible(page)


@pytest.mark.parametrize("look", LOOKS)
def test_every_kind_of_decision_is_usable_by_anyone(
    visit: Callable[..., Visit], shown: Gateway, look: str
) -> None:
    with shown.http() as http:
        shown_now = listed(http, 9, tag="shown")
    ids = {(each["status"], each["reason"], each.get("user")): each["id"] for each in shown_now}
    page = visit(look).page
    for decision_id in ids.values():
        page.goto(f"/dashboard/decisions/{decision_id}")
        assert_fits(page)
        assert_accessible(page)


def test_the_chart_draws_what_the_table_says(visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto("/dashboard?period=7d")
    page.wait_for_selector("#chart[data-drawn]")
    drawn = page.evaluate(
        "Chart.getChart('chart').data.datasets.map(d => [d.label, d.data[d.data.length - 1]])"
    )
    last = page.locator("#series tbody tr").last.locator("td[data-value]")
    cells = [cell.get_attribute("data-value") for cell in last.all()]
    told = [None if text == "" else pytest.approx(float(text or 0)) for text in cells]
    assert [value for _, value in drawn[1:]] == told[:-1]
    assert drawn[0] == ["baseline", told[-1]]
    assert ["unpriced", None] in drawn  # unknown is a gap, not a zero


def test_the_chart_follows_the_colours_of_the_system(visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto("/dashboard")
    page.wait_for_selector("#chart[data-drawn]")
    colour = "Chart.getChart('chart').data.datasets[1].backgroundColor"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    deadline = time.monotonic() + 5
    while page.evaluate(colour) == light:
        assert time.monotonic() < deadline


def test_a_person_gets_everywhere_by_keyboard(visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto("/dashboard")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "24 hours"
    page.goto("/dashboard")
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert reached[1:6] == ["HyDRA", "Overview", "Decisions", "Models", "Try it"]
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("somebody")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/decisions?user=somebody")


def test_filters_are_a_form(visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto("/dashboard/decisions")
    page.get_by_text("Filters").click()
    page.get_by_label("Tag", exact=True).fill("shown")
    page.get_by_label("Reason").select_option(label="pinned")
    page.get_by_role("button", name="Apply").click()
    assert page.locator("#rows tr").count() == 3
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url("**/dashboard/decisions")


def test_the_live_tail_shows_what_is_logged_and_says_so(
    visit: Callable[..., Visit], shown: Gateway
) -> None:
    page = visit().page
    page.goto("/dashboard/decisions?tag=tailed")
    assert "Nothing matches" in page.inner_text("main")
    with shown.http() as http:
        ask(http, hydra={"tags": ["tailed"]})
        listed(http, 1, tag="tailed")
        page.reload()
        button = page.get_by_role("button", name="Live tail")
        assert button.get_attribute("aria-pressed") == "false"
        button.click()
        status = page.locator("#tail-says")
        expect(status).to_have_text("Waiting for decisions")
        link = page.locator("#rows a").first
        link.focus()
        focused = link.get_attribute("href")
        for number in (1, 2):
            ask(http, hydra={"tags": ["tailed"]})
            ask(http, hydra={"tags": ["not this"]})
            expect(status).to_contain_text(f"{number} new decision", timeout=10_000)
        assert page.locator("#rows tr").count() == 3
        assert page.evaluate("document.activeElement.getAttribute('href')") == focused
        assert_accessible(page)
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        expect(status).to_have_text("")


def test_the_slider_changes_the_choice_and_the_cost(visit: Callable[..., Visit]) -> None:
    """The threshold decides: with none accepted it is the strong one, with much the cheap one."""
    there = visit()
    page = there.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    page.goto("/dashboard/try")
    page.get_by_label("Prompt").fill("Prove that every bounded monotone sequence converges.")
    slider = page.get_by_role("slider")
    slider.fill("0")
    expect(page.locator("#chosen")).to_have_text("large")
    expect(page.locator("#sentence")).to_contain_text("within the threshold of 0,")
    dear = page.locator("#expected-cost").inner_text()
    assert page.get_by_label("threshold", exact=True).is_checked()
    slider.fill("0.35")
    expect(page.locator("#answer")).to_contain_text("at most 0.35")
    page.get_by_label("aggressive").check()
    expect(page.locator("#chosen")).to_have_text("small")
    assert page.locator("#expected-cost").inner_text() != dear
    assert page.locator("#says").inner_text().startswith("small is chosen because")
    assert f"POST {there.gateway.url}/v1/route" in asked
    assert_accessible(page)


def test_a_hostile_prompt_is_text(visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto("/dashboard/try")
    page.get_by_label("Prompt").fill(HOSTILE)
    page.wait_for_selector("#sentence")
    page.get_by_label("Prompt").fill("")
    expect(page.locator("#answer")).to_be_empty()


def test_a_refusal_is_told_in_its_words(visit: Callable[..., Visit]) -> None:
    """No model of the pool has the context for it."""
    there = visit()
    page = there.page
    page.goto("/dashboard/try")
    page.wait_for_selector("#sentence")
    page.evaluate("document.getElementById('prompt').removeAttribute('maxlength')")
    page.get_by_label("Prompt").fill("x" * 800_000)
    expect(page.locator("#answer .error")).to_contain_text("can take this request")
    there.wrong.clear()  # the browser notes the 400


def test_an_empty_gateway_is_usable_by_anyone(
    visit: Callable[..., Visit],
    new_server: Callable[..., Server],
    few_models: Path,
    tmp_path: Path,
) -> None:
    redis = new_server(appendonly=False)
    environ = {"HYDRA_REDIS_URL": redis.url, "HYDRA_PROFILES": str(few_models)}
    with running_gateway(tmp_path, environ) as gateway:
        there = visit("narrow", gateway)
        for path in VIEWS:
            there.page.goto(path)
            assert_fits(there.page)
            assert_accessible(there.page)
        redis.kill()
        with gateway.http() as http:
            deadline = time.monotonic() + 10
            while http.get("/readyz").json()["checks"]["redis"]["ok"]:
                assert time.monotonic() < deadline
        there.page.goto("/dashboard")
        assert "Redis is away" in there.page.inner_text("body")
        assert_fits(there.page)
        assert_accessible(there.page)
        there.wrong.clear()  # the browser notes the 503
        there.page.close()
        redis.start()


@pytest.mark.parametrize("look", LOOKS)
def test_a_key_logs_in_and_out(
    visit: Callable[..., Visit],
    redis_server: str,
    few_models: Path,
    tmp_path: Path,
    look: str,
) -> None:
    environ = {"HYDRA_REDIS_URL": redis_server, "HYDRA_PROFILES": str(few_models), **KEYS}
    tag = f"mine-{look}"
    with running_gateway(tmp_path, environ) as gateway:
        there = visit(look, gateway)
        page = there.page
        page.goto(f"/dashboard/decisions?tag={tag}")
        page.get_by_label("API key of the gateway").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("not one of the gateway's keys")
        assert_accessible(page)
        assert_fits(page)
        there.wrong.clear()  # the browser notes the 401
        page.get_by_label("API key of the gateway").fill("s3cret-of-alice")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"**/dashboard/decisions?tag={tag}")
        assert page.locator(".who").inner_text().startswith("alice")
        (cookie,) = there.context.cookies()
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        assert page.evaluate("document.cookie") == ""
        with gateway.http(headers={"x-api-key": "s3cret-of-alice"}) as http:
            ask(http, hydra={"tags": [tag]})
            listed(http, 1, tag=tag)
            page.reload()
            page.get_by_role("button", name="Live tail").click()
            expect(page.locator("#tail-says")).to_have_text("Waiting for decisions")
            ask(http, hydra={"tags": [tag]})
            expect(page.locator("#tail-says")).to_contain_text("1 new", timeout=10_000)
        page.goto("/dashboard/try")
        page.wait_for_selector("#sentence")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/dashboard/login")
        page.goto("/dashboard")
        assert re.search(r"/dashboard/login\?next=", page.url)
        there.context.close()


def test_the_first_paint_is_within_a_second(visit: Callable[..., Visit]) -> None:
    """The best of some visits with nothing in the cache: the machine may be busy."""
    paints = []
    for _ in range(3):
        page = visit().page
        page.goto("/dashboard")
        page.wait_for_selector("#chart[data-drawn]")
        paints.append(
            page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        )
    assert min(paints) < 1000


def test_a_second_visit_asks_for_no_file_again(visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto("/dashboard")
    page.wait_for_selector("#chart[data-drawn]")
    page.goto("/dashboard?period=7d")
    page.wait_for_selector("#chart[data-drawn]")
    sent = page.evaluate(
        "performance.getEntriesByType('resource').map(e => [e.name, e.transferSize])"
    )
    assert any(name.endswith("/chart.js") for name, _ in sent)
    assert [name for name, size in sent if size and "/static/" in name] == []
