"""The page in a real Chromium: it loads, filters, sorts, draws, darkens and fits a phone."""

import json
import shutil

import pytest

from rllc.suite.show.page import site
from rllc.suite.show.page.contents import Origin
from tests.suite.show import pages

webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: make dev installs it")
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no Chromium: apt-get install chromium chromium-driver"
    ),
]
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1280,900",
)  # fmt: skip
PATIENCE = 60.0  # seconds, on a machine that is busy otherwise
FIGURES = ("forest", "ranking", "curves", "probes", "maps")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """A page of made-up records, with its library."""
    root = tmp_path_factory.mktemp("browser")
    origin = Origin(link=lambda file: f"../records/{file}.json", command="again {run}")
    return site.write(pages.analysed(root / "records"), root / "page", origin)


@pytest.fixture(scope="module")
def chromium(index):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    from selenium.webdriver.chrome.service import Service

    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    browser.set_page_load_timeout(PATIENCE)
    yield browser
    browser.quit()


@pytest.fixture
def page(chromium, index):
    """The page freshly loaded from its file, as wide as a desktop, in light colours."""
    emulate(chromium, width=1280)
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    chromium.get(index.as_uri())
    chromium.execute_script("try { localStorage.clear() } catch {}")
    chromium.get_log("browser")
    chromium.get(index.as_uri())
    yield chromium
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


def emulate(browser, width, **more):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size | more)


def wait(page, script, *arguments):
    """Until a script returns something true; returns that."""
    from selenium.webdriver.support.ui import WebDriverWait

    def told(page):
        return page.execute_script(script, *arguments)

    return WebDriverWait(page, PATIENCE, 0.1).until(told, message=script)


def texts(page, selector):
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
    return page.execute_script(script, selector)


def drawn(page, figure):
    """Scrolls to a figure and waits for it; returns the number of marks in it."""
    page.execute_script(
        "document.querySelector(arguments[0]).scrollIntoView({behavior: 'instant'})",
        f"#chart-{figure}",
    )
    wait(page, "return document.querySelector(arguments[0]).dataset.drawn", f"#chart-{figure}")
    marks = "return document.querySelectorAll(arguments[0]).length"
    kinds = {
        "forest": "symbol",
        "ranking": "symbol",
        "curves": "line",
        "probes": "line",
        "maps": "rect",
    }
    return page.execute_script(marks, f"#chart-{figure} svg .mark-{kinds[figure]} path")


def choose(page, selector, value):
    page.execute_script(
        "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event('change', {bubbles: true}))", selector, value,
    )  # fmt: skip


def rows(page):
    return texts(page, "#cells tbody tr")


def test_a_filter_changes_the_table(page):
    assert len(rows(page)) == 10  # two tasks, five optimizers of the study
    choose(page, "#task", "mnist_conv")
    assert len(rows(page)) == 5
    assert all(row.startswith("MNIST Conv") for row in rows(page))
    page.execute_script("document.querySelector('[data-all=all]').click()")
    assert len(rows(page)) == 6
    page.execute_script("document.querySelector('input[value=SGD]').click()")
    assert len(rows(page)) == 5
    before = texts(page, "#cells tbody td")
    choose(page, "#reading", "last")
    assert texts(page, "#cells tbody td") != before


def test_the_table_sorts_by_a_click_and_says_so(page):
    mean = "#cells [data-key=mean]"
    column = (
        "return [...document.querySelectorAll('#cells tbody tr')]"
        ".map((row) => parseFloat(row.children[2].innerText))"
    )
    state = "return document.querySelector(arguments[0]).parentElement.getAttribute('aria-sort')"
    assert page.execute_script(state, mean) == "none"
    page.find_element("css selector", mean).click()
    assert page.execute_script(state, mean) == "descending"
    found = page.execute_script(column)
    assert found == sorted(found, reverse=True)
    page.find_element("css selector", mean).click()
    assert page.execute_script(state, mean) == "ascending"
    assert page.execute_script(column) == sorted(found)


def test_a_row_opens_by_keyboard_and_shows_records_and_commands(page):
    from selenium.webdriver.common.keys import Keys

    button = page.find_element("css selector", "#cells button.open")
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-expanded") == "true"
    link = page.find_element("css selector", "#cells tr.more a")
    assert link.get_dom_attribute("href") == "../records/mnist_mlp/SGD.json"
    assert len(page.find_elements("css selector", "#cells tr.more code.command")) == 3
    assert texts(page, "#cells tr.more code.command")[0].startswith("again mnist_mlp-SGD-0")
    button.send_keys(Keys.ENTER)
    assert page.find_elements("css selector", "#cells tr.more") == []


@pytest.mark.parametrize("figure", FIGURES)
def test_charts_are_drawn(page, figure):
    least = {"forest": 4, "ranking": 5, "curves": 5, "probes": 5, "maps": 27}
    assert drawn(page, figure) >= least[figure]


def test_every_seed_is_drawn_on_demand(page):
    few = drawn(page, "curves")
    page.execute_script("document.querySelector('#seeds').click()")
    lines = "document.querySelectorAll('#chart-curves svg .mark-line path').length"
    wait(page, f"return {lines} === arguments[0]", few + 15)  # five optimizers, three seeds


@pytest.mark.parametrize("preferred", ["light", "dark"])
def test_colours_follow_the_system_and_the_button(page, index, preferred):
    dark = {"name": "prefers-color-scheme", "value": preferred}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [dark]})
    page.get(index.as_uri())
    back = "return getComputedStyle(document.body).backgroundColor"
    brightness = {name: sum(json.loads(f"[{text[4:-1]}]")) for name, text in {
        "before": page.execute_script(back),
        "after": page.execute_script("document.querySelector('#theme').click();" + back),
    }.items()}  # fmt: skip
    assert (brightness["before"] < 150) == (preferred == "dark")
    assert (brightness["after"] < 150) == (preferred == "light")
    stroke = (
        "return [...document.querySelectorAll('#chart-curves svg .mark-line path')]"
        ".map((line) => line.getAttribute('stroke'))"
    )
    assert drawn(page, "curves")
    assert ("#000000" in page.execute_script(stroke)) == (preferred == "dark")  # Adam's line


def test_a_phone_scrolls_sideways_in_tables_only(page, index):
    emulate(page, width=375)
    page.get(index.as_uri())
    for figure in FIGURES:
        drawn(page, figure)
    wide = page.execute_script("return document.documentElement.scrollWidth")
    assert wide <= 375
    inner = page.execute_script("return document.querySelector('#numbers .scroll').scrollWidth")
    assert inner > 375


HEADS = "#ranking-table thead th"


def unfolded(page):
    drawn(page, "ranking")
    page.execute_script("document.querySelector('#ranking-table').parentElement.open = true")
    return texts(page, HEADS)


def test_the_ranking_says_what_untuned_runs_reach(page, tmp_path):
    plain = unfolded(page)
    assert "untuned" not in " ".join([*plain, *texts(page, "#ranking-note")])
    found = pages.analysed(tmp_path / "records", untuned=("Adam",))
    page.get(site.write(found, tmp_path / "page").as_uri())
    heads = unfolded(page)
    assert heads[:-3] == plain[:-1]
    assert heads[-3:] == ["untuned (%)", "its interval", "runs"]
    assert "“Untuned”, in the table" in texts(page, "#ranking-note")[0]
    lines = {
        line.split("\t")[0]: line.split("\t") for line in texts(page, "#ranking-table tbody tr")
    }
    assert all(len(line) == len(heads) for line in lines.values())
    assert lines["SGD"][-3:-1] == ["–", "–"]
    assert float(lines["Adam"][-3].replace("−", "-")) < 0  # made up with 96 %, baselines with 98
