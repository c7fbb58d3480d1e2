"""The page in a real browser, against a real server."""

from __future__ import annotations

import re
import shutil
import signal
import time

import pytest

from tests.support.played import ROOT, played

CHROMIUM = shutil.which("chromium")
try:
    from playwright.sync_api import sync_playwright
except ModuleNotFoundError:
    sync_playwright = None  # type: ignore[assignment]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or sync_playwright is None,
        reason="chromium or playwright is not installed (apt-get install chromium): the page was NOT looked at",
    ),
]

STATIC = ROOT / "src" / "seawall" / "server" / "static"
PICTURES = ROOT / "artifacts" / "page"
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: Text whose contrast with what lies behind it is below what WCAG 2 calls AA.
CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(one).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(style.color).slice(0, 3)), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) poor.push([element.className, element.textContent.slice(0, 40), ratio]);
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=OPTIONS, headless=True)
        yield chromium
        chromium.close()


@pytest.fixture
def server():
    with played() as running:
        yield running


@pytest.fixture
def noise():
    """What the browser logged; a test takes out what it provoked."""
    return []


@pytest.fixture
def look(browser, server, noise):
    """Opens the page; at the end nothing may have been logged, refused or asked of another host."""
    contexts, asked = [], []

    def open_page(width=1280, scheme="light", url=server.url):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        page.wait_for_selector(".row")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert noise == []
    assert [url for url in asked if not url.startswith(server.url)] == []


def picture(page, name):
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def outage(server, page):
    server.scene("outage")
    page.wait_for_selector(".story.l2 .answers >> text=orders: payments degraded")


def test_when_all_is_well_it_says_so_in_one_line(look):
    page = look()
    assert page.inner_text("h1") == "All is well: 7 dependencies, 4 checks, 4 processes."
    assert not page.query_selector(".answers")
    assert page.title() == "shop: well"
    assert page.inner_text("#row-payments .state").strip() == "closed"
    assert "p99" in page.inner_text("#row-payments .figures")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_during_an_outage_the_first_screen_answers_the_four_questions(look, server, width, scheme):
    page = look(width, scheme)
    outage(server, page)
    assert page.inner_text("h1").strip() == "payments is down: killed by SIGKILL."
    answers = page.inner_text(".story")
    assert "Also seen there: circuit open" in answers
    assert re.search(r"orders: payments degraded: \d+% of its calls are answered by a fallback", answers)
    assert "orders: search full" in answers
    assert re.search(r"Since \d\d:\d\d:\d\d \(\d+ s ago\)", answers)
    assert 'Circuit "mail" forced open for 15 min by ops' in answers
    assert re.search(r"Restarts payments in \d+ s", answers)
    assert re.search(r"next trial call in \d+ s", answers)
    # it fits: nothing is wider than the screen, and the last answer begins on it
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.query_selector(".answers > div:last-child h2").bounding_box()["y"] < 800
    # shape, word and colour
    state = page.query_selector("#row-payments .state")
    assert state.inner_text().strip().startswith("down")
    assert state.query_selector("svg")
    assert page.inner_text(".held").startswith(
        "mail is forced open by ops: provider is moving its data centre. Ends in"
    )
    assert "× 212" not in page.inner_text(".timeline")
    page.click("text=single calls too")
    assert "× 212" in page.inner_text(".timeline")
    picture(page, f"outage-{scheme}-{width}")
    assert page.evaluate(CONTRAST) == []
    page.click("#row-payments .line")
    page.wait_for_selector("#row-payments .hold")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) == []
    picture(page, f"open-{scheme}-{width}")


def test_it_gets_well_again_by_itself(look, server):
    page = look()
    outage(server, page)
    server.scene("recovering")
    page.wait_for_selector("#row-payments .state:has-text('half-open')")
    assert "closes when they succeed" in page.inner_text(".answers")
    server.scene("well")
    page.wait_for_selector(".story.l0")
    assert "Nothing has been broken since" in page.inner_text(".story")


def test_a_countdown_counts(look, server):
    page = look()
    outage(server, page)
    seen = set()
    for _ in range(30):
        seen.add(page.inner_text(".answers > div:last-child"))
        page.wait_for_timeout(100)
    assert len(seen) >= 3


def test_everything_can_be_done_with_the_keyboard(look, server):
    page = look()
    focused = "document.activeElement.closest('.row')?.id"
    page.keyboard.press("j")
    assert page.evaluate(focused) == "row-disk"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate(focused) == "row-mail"
    page.keyboard.press("Enter")
    page.wait_for_selector("#row-mail .inside")
    page.keyboard.press("Enter")
    page.wait_for_selector("#row-mail .inside", state="detached")
    page.keyboard.press("/")
    page.keyboard.type("PAY")
    page.wait_for_selector("#row-mail", state="detached")
    assert [row.get_attribute("id") for row in page.query_selector_all(".row")] == ["row-payments"]
    page.keyboard.press("Escape")
    page.wait_for_selector("#row-mail")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    assert page.evaluate(CONTRAST) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="hidden")
    # and by tabs alone: every control can be reached and has a name
    names = page.evaluate(
        "[...document.querySelectorAll('button, input, select, a[href]')]"
        ".map((one) => one.ariaLabel || one.innerText || one.labels?.[0]?.innerText || '')"
    )
    assert all(name.strip() for name in names)


def test_a_circuit_is_forced_where_it_stands_with_the_command_that_does_the_same(look, server):
    page = look()
    page.click("#row-search .line")
    page.fill("#row-search .hold input:not([type])", "it's flapping")
    command = page.inner_text("#row-search .command code")
    assert command == "seawall breaker open search --for 10m --reason 'it'\\''s flapping'"
    page.fill("#row-search .hold input[type=password]", server.token)
    page.click("#row-search .hold button:not(.plain)")
    page.wait_for_selector(".held:has-text('search is forced open by page: it\\'s flapping')")
    assert page.inner_text("#row-search .state").strip().startswith("forced open")
    page.wait_for_selector("#row-search .hold >> text=Release the circuit")
    assert page.inner_text("#row-search .command code") == "seawall breaker release search"
    page.click("#row-search .hold button:not(.plain)")
    page.wait_for_selector(".held", state="detached")


def test_a_wrong_token_is_said_so_and_changes_nothing(look, server, noise):
    page = look()
    page.click("#row-search .line")
    page.fill("#row-search .hold input:not([type])", "why not")
    page.fill("#row-search .hold input[type=password]", "wrong")
    page.click("#row-search .hold button:not(.plain)")
    page.wait_for_selector("#row-search .hold [role=status]:has-text('needs the token')")
    assert page.inner_text("#row-search .state").strip() == "closed"
    noise[:] = [line for line in noise if "401" not in line]  # the browser itself logs that answer


@pytest.mark.slow
def test_news_that_stay_away_are_said_within_seconds_and_caught_up(look, server):
    page = look()
    server.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        page.wait_for_selector(".banner.bad")
        assert 4 < time.monotonic() - began < 9
        assert "No news from the daemon for" in page.inner_text(".banner.bad")
        assert page.inner_text(".live") == "not live"
        picture(page, "stale")
        assert page.evaluate(CONTRAST) == []
    finally:
        server.process.send_signal(signal.SIGCONT)
    page.wait_for_selector(".banner.bad", state="detached")


@pytest.mark.slow
def test_a_daemon_that_is_gone_is_said_so(look, server, noise):
    page = look()
    assert server.process.stdin is not None
    server.process.stdin.close()
    server.process.wait(10)
    page.wait_for_selector(".banner.bad:has-text('Trying to reach it again')")
    noise[:] = [line for line in noise if "ERR_CONNECTION_REFUSED" not in line]


@pytest.mark.slow
@pytest.mark.alone
def test_a_thousand_policies_stay_smooth(browser):
    with played("--policies", "1000") as server:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(server.url)
        page.wait_for_selector(".row")
        page.click("text=Show all 1,0")
        page.wait_for_function("document.querySelectorAll('.row').length > 1000")
        gaps = page.evaluate(
            """() => new Promise((done) => {
              const gaps = []; let last = performance.now();
              const step = (now) => {
                gaps.push(now - last); last = now;
                gaps.length < 300 ? requestAnimationFrame(step) : done(gaps);
              };
              requestAnimationFrame(step);
            })"""
        )
        context.close()
    gaps.sort()
    assert gaps[int(len(gaps) * 0.9)] < 50, gaps[-40:]
    assert gaps[-1] < 500, gaps[-5:]


def test_the_page_is_small_and_holds_nothing_that_the_policy_refuses():
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 100_000
    html = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    for path in files:
        text = path.read_text()
        allowed = {
            "http://www.w3.org",
            "https://svelte.dev",
            "https://github.com",
        }  # names, not addresses that are asked
        assert set(re.findall(r"https?://[\w.-]+", text)) <= allowed


def test_the_committed_build_is_that_of_the_source(tmp_path):
    npm = shutil.which("npm")
    if npm is None or not (ROOT / "web" / "node_modules").is_dir():
        pytest.skip("npm or web/node_modules is missing (npm --prefix web ci): the committed build was NOT compared")
    import subprocess

    command = [npm, "--prefix", str(ROOT / "web"), "run", "build", "--", "--outDir", str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT / "web")
    built = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    committed = {path.name: path.read_bytes() for path in STATIC.rglob("*") if path.is_file()}
    assert built == committed, "run: npm --prefix web run build, and commit src/seawall/server/static"
