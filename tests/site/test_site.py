"""The built book, used as a reader uses it: opened, searched, clicked, on a phone, in the dark, offline."""

import ast
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "book" / "_ext"))
from reader import BUILT, ROOT, SCREENSHOTS, VIEWS, Visit, settle, watch
from repository import read_address

pytestmark = [pytest.mark.site, pytest.mark.timeout(240)]

PAGES = re.findall(r"^\s*(?:- file|root): (\S+)$", (ROOT / "_toc.yml").read_text(encoding="utf-8"), re.M)
LABS = [page for page in PAGES if page.startswith("notebooks/")]
CHAPTERS = [page.replace("notebooks/", "book/") for page in LABS]
MEGABYTE = 1_000_000


def test_the_table_of_contents_is_read():
    assert PAGES[0] == "book/intro" and LABS and set(CHAPTERS) <= set(PAGES)


# --- opening ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_without_a_complaint_and_asks_nothing_from_outside(opened, name):
    page, visit = opened(name)
    assert visit.outside == []
    assert visit.errors == []
    assert page.locator("h1:visible").count() == 1
    broken = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
    assert broken == []


@pytest.mark.parametrize("name", PAGES)
def test_every_formula_is_typeset(opened, name):
    page, _ = opened(name)
    formulas = page.locator(".bd-article .math")
    unset = formulas.evaluate_all(
        "all => all.filter(e => !e.querySelector('mjx-container') || e.querySelector('mjx-merror'))"
        ".map(e => e.textContent.slice(0, 80))"
    )
    assert unset == []
    assert page.locator("mjx-container").count() >= formulas.count()
    assert (formulas.count() > 0) == (name in [*CHAPTERS, *LABS, "book/notation"])


def test_a_chapter_works_straight_from_the_disk(browser):
    if not BUILT.is_dir():
        pytest.fail("the book is not built: run make book")
    page, visit = browser.new_page(), Visit()
    watch(page, visit, "file://")
    page.goto((BUILT / f"{CHAPTERS[0]}.html").as_uri())
    settle(page)
    assert page.locator("mjx-container").count() > 50
    assert visit.errors == [] and visit.outside == []
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_page_is_light(opened, name):
    _, visit = opened(name)
    print(
        f"{name}: {visit.transferred / MEGABYTE:.2f} MB transferred, {visit.raw / MEGABYTE:.2f} MB in files"
    )
    assert 0 < visit.transferred <= 2 * MEGABYTE
    assert visit.raw <= 3 * MEGABYTE  # from a server that does not compress


# --- using --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LABS)
def test_each_slider_changes_its_picture(opened, fresh, name):
    page = fresh(name)
    players = page.locator(".dlp-player")
    for index in range(players.count()):
        player = players.nth(index)
        for slider in player.locator("input").all():
            picture, value = player.locator("img"), slider.evaluate("e => e.nextElementSibling.textContent")
            before = picture.get_attribute("src"), picture.get_attribute("alt")
            slider.focus()
            page.keyboard.press("End")
            after = picture.get_attribute("src"), picture.get_attribute("alt")
            assert after[0] != before[0] and after[1] != before[1]
            shown = slider.evaluate("e => e.nextElementSibling.textContent")
            assert shown != value and shown == slider.get_attribute("aria-valuetext")
            assert after[1].endswith(f"{slider.get_attribute('aria-label')} = {shown}") or "," in after[1]
            assert picture.evaluate("i => i.decode().then(() => i.naturalWidth)") > 100


def test_the_first_chapter_has_something_to_move(opened):
    page, _ = opened("notebooks/backpropagation")
    assert page.locator(".dlp-player input").count() >= 1


def test_an_animation_plays_pauses_and_never_starts_by_itself(fresh):
    page = fresh("notebooks/backpropagation")
    player = page.locator(".dlp-player:has(button)").first
    slider, button = player.locator("input"), player.locator("button")
    page.wait_for_timeout(600)
    assert slider.input_value() == "0" and button.inner_text() == "▶ Play"
    button.click()
    page.wait_for_function("e => Number(e.value) >= 2", arg=slider.element_handle())
    button.click()
    paused = slider.input_value()
    page.wait_for_timeout(600)
    assert slider.input_value() == paused and button.inner_text() == "▶ Play"


def test_without_scripts_a_player_still_shows_its_first_frame(fresh):
    page = fresh("notebooks/backpropagation", java_script_enabled=False)
    player = page.locator(".dlp-player").first
    assert player.locator("img").bounding_box()["height"] > 100
    assert not player.locator("input").first.is_visible()


@pytest.mark.parametrize("name", CHAPTERS)
def test_solutions_are_closed_and_open_on_a_click(fresh, name):
    page = fresh(name)
    solutions = page.locator(".solution")
    exercises = (ROOT / f"{name}.md").read_text(encoding="utf-8").count("{solution}")
    assert solutions.count() == exercises >= 5
    for index in range(solutions.count()):
        solution = solutions.nth(index)
        content = solution.locator(".section, p:not(.admonition-title), pre").first
        assert not content.is_visible()
        solution.locator("button, summary").first.click()
        assert content.is_visible()


def test_a_search_finds_the_chapter(fresh):
    page = fresh("book/intro")
    page.keyboard.press("Control+k")
    page.locator("input[type=search]:visible").fill("saddle")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert any("book/backpropagation.html" in link for link in found)


def test_the_dark_switch_works_and_is_remembered(fresh):
    page = fresh("book/intro")
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = {page.evaluate(ground)}
    for _ in range(2):  # from automatic through light to dark
        page.locator("button.theme-switch-button:visible").first.click()
        seen.add(page.evaluate(ground))
    assert len(seen) == 2
    last = page.evaluate("document.documentElement.dataset.theme")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == last


@pytest.mark.parametrize("name", LABS)
def test_a_lab_offers_colab_and_no_other_service(opened, name):
    page, _ = opened(name)
    links = page.locator("a").evaluate_all("all => all.map(a => a.href)")
    where = urlsplit(read_address(ROOT / "pyproject.toml")).path.strip("/")
    colab = f"https://colab.research.google.com/github/{where}/blob/main/{name}.ipynb"
    assert links.count(colab) >= 2  # the rocket above and the badge in the first cell
    assert not [link for link in links if "mybinder" in link]


@pytest.mark.parametrize("name", CHAPTERS)
def test_each_claim_is_marked_and_its_mark_leads_to_the_test(opened, name):
    page, _ = opened(name)
    source = (ROOT / f"{name}.md").read_text(encoding="utf-8")
    labels = re.findall(r"\$\$\s*\((eq-[\w-]+)\)", source)
    marks = page.locator(".dlp-equation")
    assert marks.count() == len(labels) > 0
    path = f"tests/derivations/test_{name.split('/')[-1]}.py"
    start = f"{read_address(ROOT / 'pyproject.toml')}/blob/main/{path}#L"
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    for index, label in enumerate(labels):
        box = marks.nth(index)
        assert box.locator(f"[id='equation-{label}']").count() == 1
        links = box.locator(".dlp-verified a").all()
        assert links, f"{label} carries no mark"
        for link in links:
            address = link.get_attribute("href")
            assert address.startswith(start)
            first, last = (int(number) for number in re.findall(r"L(\d+)", address.split("#")[1]))
            assert f'"{label}"' in "\n".join(lines[first - 1 : last])
            assert "tested by test_" in link.get_attribute("title")


# --- links --------------------------------------------------------------------------------------------------


class Links(HTMLParser):
    """All ids, and all addresses that a page points to or loads."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.addresses = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids |= {values[key] for key in ("id", "name") if values.get(key)}
        self.addresses += [values[key] for key in ("href", "src") if values.get(key)]
        if values.get("http-equiv", "").lower() == "refresh":
            self.addresses.append(values["content"].split("url=")[-1])


def test_all_internal_links_and_pictures_resolve():
    files = (
        sorted(BUILT.glob("*.html"))
        + sorted(BUILT.glob("book/*.html"))
        + sorted(BUILT.glob("notebooks/*.html"))
    )
    if not files:
        pytest.fail("the book is not built: run make book")
    parsed = {file: Links(file.read_text(encoding="utf-8")) for file in files}
    assert sum(len(links.addresses) for links in parsed.values()) > 300
    dead = []
    for file, links in parsed.items():
        for address in links.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if parts.scheme not in ("https", "data", "mailto"):
                    dead.append(f"{file.name}: {address} is neither in the book nor https")
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.is_file():
                dead.append(f"{file.name}: {address} leads nowhere")
            elif parts.fragment and target in parsed and unquote(parts.fragment) not in parsed[target].ids:
                dead.append(f"{file.name}: {address} has no such place")
    assert dead == []


def test_no_page_is_left_out_of_the_table_of_contents():
    built = {
        str(path.relative_to(BUILT).with_suffix(""))
        for path in BUILT.glob("*/*.html")
        if path.parent.name[0] != "_"
    }
    assert built == set(PAGES)


# --- looking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_picture_of_the_page_is_kept(opened, name, view):
    page, _ = opened(name, view)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name.replace('/', '_')}_{view}.png"
    page.screenshot(path=path)
    from PIL import Image

    picture = Image.open(path).convert("L")
    brightness = sum(picture.resize((64, 64)).tobytes()) / 64**2
    assert (brightness < 110) == (view == "dark"), f"brightness {brightness:.0f} of 255"
    assert len(set(picture.tobytes())) > 30  # something is drawn


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(opened, name, view):
    page, _ = opened(name, view)
    violations = Axe().run(page).response["violations"]
    serious = [
        f"{violation['id']}: {node['html'][:120]} ({node.get('failureSummary', '')[:200]})"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    assert serious == []


@pytest.mark.parametrize("name", PAGES)
def test_phone_shows_the_whole_width(opened, name):
    page, _ = opened(name, "phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    outside = page.evaluate(
        """() => {
            const scrolls = (e) => e && e !== document.body &&
                (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
            return [...document.querySelectorAll(".bd-article *")]
                .filter((e) => e.getBoundingClientRect().right > 391 && e.checkVisibility() && !scrolls(e.parentElement)
                    && !scrolls(e) && !e.closest("mjx-assistive-mml, .bd-sidebar-secondary"))
                .map((e) => e.tagName + "." + e.className).slice(0, 5);
        }"""
    )
    assert outside == []


@pytest.mark.parametrize("name", PAGES)
def test_what_scrolls_sideways_on_a_phone_can_be_reached_by_keyboard(opened, name):
    page, _ = opened(name, "phone")
    missed = page.evaluate(
        """() => [...document.querySelectorAll(".bd-article mjx-container, .bd-article pre")]
            .filter((e) => e.scrollWidth > e.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(e).overflowX))
            .filter((e) => e.checkVisibility() && e.tabIndex < 0).map((e) => e.textContent.slice(0, 40))"""
    )
    assert missed == []


def test_coverage_marks_belong_to_existing_tests():
    """The site reads tests from their text; the names it shows must be functions that pytest collects."""
    for name in CHAPTERS:
        tree = ast.parse(
            (ROOT / "tests" / "derivations" / f"test_{name.split('/')[-1]}.py").read_text("utf-8")
        )
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        html = (BUILT / f"{name}.html").read_text(encoding="utf-8")
        shown = set(re.findall(r'title="[^"]*tested by (\w+) in', html))
        assert shown and shown <= {test for test in names if test.startswith("test_")}
