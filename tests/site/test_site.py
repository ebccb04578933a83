"""The built book, used as a reader uses it: opened, searched, clicked, on a phone, in the dark, offline."""

import ast
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "book" / "_ext"))
from reader import BUILT, ROOT, SCREENSHOTS, Visit, settle, watch, weight
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
def test_page_opens_with_its_title_and_pictures(opened, name):
    page, _ = opened(name)
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
    page, _ = opened(name)
    raw, transferred = weight(page)
    print(f"{name}: {transferred / MEGABYTE:.2f} MB transferred, {raw / MEGABYTE:.2f} MB in files")
    assert 0 < transferred <= 2 * MEGABYTE
    assert raw <= 3 * MEGABYTE  # from a server that does not compress


# --- using --------------------------------------------------------------------------------------------------


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


# The outputs of a cell as JupyterLab lays them out when it opens a notebook without its kernel.
LAB = """<div class="jp-OutputArea">
<div class="jp-OutputArea-child"><div class="jp-OutputArea-output">{player}</div></div>
<div class="jp-OutputArea-child"><div class="jp-OutputArea-output{kind}">model not found</div></div></div>"""


def test_jupyterlab_hides_a_lost_widget_behind_the_player_and_nothing_else(browser):
    from dlp_utils.interact import _page as player_of

    player = player_of(["data:,a", "data:,b"], (10, 10), {"depth": [1, 2]}, "a figure")
    page = browser.new_page()
    for kind, seen in ((" jupyter-widgets", False), ("", True)):
        page.set_content(LAB.format(player=player, kind=kind))
        assert page.get_by_text("model not found").is_visible() == seen
    page.set_content(LAB.format(player="", kind=" jupyter-widgets"))
    assert page.get_by_text("model not found").is_visible()
    page.close()


def test_without_scripts_a_player_still_shows_its_first_frame(fresh):
    page = fresh("notebooks/backpropagation", java_script_enabled=False)
    player = page.locator(".dlp-player").first
    assert player.locator("img").bounding_box()["height"] > 100
    assert not player.locator("input").first.is_visible()


# What a reader types, and the section that teaches it: among the first two results.
QUERIES = {
    "U-Net": "book/segmentation",
    "u net": "book/segmentation",
    "KL": "book/video_generation",
    "KL divergence": "book/video_generation",
    "ELBO": "book/video_generation",
    "softmax": "book/backpropagation#losses-from-logits-cross-entropy-without-overflow",
    "batch norm": "",
    "learning rate": "book/training#",
    "gradient descent": "book/backpropagation#",
    "overfitting": "book/learning#overfitting-and-capacity",
    "cross-validation": "book/learning#training-validation-and-test-data",
    "data leakage": "book/learning#data-leakage",
    "precision": "book/learning#",
    "calibration": "book/learning#",
    "double descent": "book/learning#",
    "Adam": "book/training#",
    "weight decay": "book/training#",
    "warm-up": "book/training#",
    "dropout": "book/training#",
    "group norm": "book/training#",
    "Dice": "book/segmentation",
    "IoU": "book/segmentation",
    "skip connection": "book/segmentation",
    "transposed convolution": "book/segmentation",
    "receptive field": "book/convolution#",
    "compound scaling": "book/architectures#",
    "squeeze-and-excitation": "book/architectures#",
    "n-gram": "book/language_models#",
    "perplexity": "book/language_models#",
    "temperature": "book/language_models#",
    "naive Bayes": "book/language_models#",
    "LSTM": "book/sequences#",
    "gradient clipping": "book/sequences#gradient-clipping",
    "multi-head attention": "book/attention#",
    "RoPE": "book/attention#",
    "byte-pair encoding": "book/transformers#tokens-by-byte-pair-encoding",
    "LoRA": "book/transformers#",
    "v-prediction": "book/diffusion",
    "DDIM": "book/diffusion",
    "classifier-free guidance": "book/diffusion",
    "score matching": "book/diffusion",
    "rectified flow": "book/diffusion",
    "vanishing gradient": "book/backpropagation#vanishing-and-exploding-gradients",
    "Xavier initialization": "book/backpropagation#weight-initialization-keep-the-variance",
    "chain rule": "book/backpropagation#computational-graphs-and-the-chain-rule",
    "saddle": "book/backpropagation#the-plateau-of-xor-a-saddle-point",
    "ReLU": "book/backpropagation#",
    "attention": "book/attention",
    "vector quantization": "book/inpainting",
    "FID": "book/inpainting",
    "reparameterization trick": "book/video_generation",
    "teacher forcing": "book/video_generation",
    "common spatial patterns": "book/eeg_classification",
    "common spatial pattrens": "book/eeg_classification",
    "反向傳播": "book/backpropagation#in-ten-minutes",
    "學習率": "book/training#",
    "경사 하강법": "book/backpropagation#",
}


def sections_of_terms():
    """{name in small letters: the section that teaches it} from the glossary."""
    terms = yaml.safe_load((ROOT / "book" / "glossary.yml").read_text(encoding="utf-8"))
    names = {name.lower(): term["see"] for term in terms for name in [term["term"], *term.get("also", [])]}
    return names | {term[tongue]: term["see"] for term in terms for tongue in ("zh", "ko")}


def test_a_search_leads_to_the_section_that_teaches_it(fresh):
    page, taught = fresh("search"), sections_of_terms()
    lost = []
    for query, place in QUERIES.items():
        found = page.evaluate("query => dlpSearch(query).slice(0, 2).map(one => one.url)", query)
        found = [url.replace(".html", "") for url in found]
        wanted = taught.get(query.lower(), place)
        if not any(url.startswith(place) and url.startswith(wanted) for url in found):
            lost.append(f"{query}: {found}, wanted {wanted}")
    assert lost == []


def test_results_are_words_without_formulas_and_outputs(fresh):
    page = fresh("book/intro")
    page.keyboard.press("Control+k")
    page.locator("input[type=search]:visible").first.fill("gradient")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    text = page.locator("#search-results").inner_text()
    assert "sections for “gradient”" in text
    assert not re.search(r"\\[a-z]+|[{}$]|\bnot attempted yet\b", text)
    links = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.href)")
    assert len(links) > 5 and all(link.startswith(page.url.split("search.html")[0]) for link in links)


def test_the_magnifier_does_not_cover_what_is_typed(fresh):
    page = fresh("search")
    box = page.locator(".bd-search-container form.bd-search")
    icon = box.locator("svg, i, .fa-magnifying-glass").first.bounding_box()
    field = box.locator("input")
    padding = float(field.evaluate("e => parseFloat(getComputedStyle(e).paddingLeft)"))
    assert icon["x"] + icon["width"] <= field.bounding_box()["x"] + padding


def test_the_search_works_from_the_disk(browser):
    page, visit = browser.new_page(), Visit()
    watch(page, visit, "file://")
    page.goto(f"{(BUILT / 'search.html').as_uri()}?q=U-Net")
    page.wait_for_selector("#search-results li a")
    link = page.locator("#search-results li a").first
    assert "segmentation" in link.get_attribute("href")
    link.click()
    page.wait_for_url("**/book/*", wait_until="domcontentloaded")
    assert "/segmentation.html" in page.url and visit.outside == []
    page.close()


def test_the_search_field_stays_in_sight(fresh):
    page = fresh("book/claims")
    page.locator(".bd-sidebar-primary").evaluate("e => e.scrollTo(0, e.scrollHeight)")
    assert page.locator(".bd-sidebar-primary .search-button-field").bounding_box()["y"] >= 0


# --- three depths -------------------------------------------------------------------------------------------


def test_a_link_into_a_closed_block_opens_it(fresh):
    page = fresh("book/attention", place="deeper-induction-heads-two-layers-compose")
    assert page.locator("#deeper-induction-heads-two-layers-compose").evaluate("e => e.open")
    inside = page.locator("[id='equation-eq-attention-view']")
    block = page.locator("details.dlp-deeper", has=inside)
    assert not inside.is_visible()
    page.evaluate("location.hash = 'equation-eq-attention-view'")
    page.wait_for_function("e => e.open", arg=block.element_handle())
    assert inside.is_visible()


def test_on_paper_closed_blocks_are_open(fresh):
    page = fresh("book/transformers")
    blocks = page.locator("details.dlp-deeper")
    states = "all => all.map(e => e.open)"
    assert not any(blocks.evaluate_all(states))
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert all(blocks.evaluate_all(states))
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert not any(blocks.evaluate_all(states))


def test_the_mark_opens_by_keyboard_and_by_touch(fresh):
    page = fresh("book/transformers")
    mark = page.locator("details.dlp-verified").first
    mark.locator("summary").focus()
    page.keyboard.press("Enter")
    assert mark.locator("pre").is_visible() and "@verifies(" in mark.inner_text()
    page = fresh("book/transformers", "phone")
    mark = page.locator("details.dlp-verified").first
    mark.locator("summary").tap()
    assert mark.locator("pre").is_visible()


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
def test_each_claim_is_marked_and_its_mark_shows_the_test(opened, name):
    page, _ = opened(name)
    source = (ROOT / f"{name}.md").read_text(encoding="utf-8")
    labels = re.findall(r"\$\$\s*\((eq-[\w-]+)\)", source)
    marks = page.locator(".dlp-equation").evaluate_all(
        """all => all.map(box => ({
            ids: [...box.querySelectorAll("[id]")].map(e => e.id),
            code: [...box.querySelectorAll(".dlp-verified pre")].map(e => e.textContent),
            links: [...box.querySelectorAll(".dlp-verified a")].map(e => e.getAttribute("href")),
        }))"""
    )
    assert len(marks) == len(labels) > 0
    path = f"tests/derivations/test_{name.split('/')[-1]}.py"
    start = f"{read_address(ROOT / 'pyproject.toml')}/blob/main/{path}#L"
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}
    for label, mark in zip(labels, marks, strict=True):
        assert f"equation-{label}" in mark["ids"]
        assert mark["code"], f"{label} carries no mark"
        assert all(f'"{label}"' in code and "def test_" in code for code in mark["code"])
        assert all(link.startswith(start) for link in mark["links"]) and len(mark["links"]) == len(
            mark["code"]
        )
    shown = {re.search(r"def (test_\w+)", code)[1] for mark in marks for code in mark["code"]}
    assert shown <= tests


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


def keep_picture(page, name, view):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name.replace('/', '_')}_{view}.png"
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=path)
    from PIL import Image

    picture = Image.open(path).convert("L")
    brightness = sum(picture.resize((64, 64)).tobytes()) / 64**2
    assert (brightness < 110) == (view == "dark"), f"brightness {brightness:.0f} of 255"
    assert len(set(picture.tobytes())) > 30  # something is drawn


@pytest.mark.parametrize("view", ["desktop", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_picture_of_the_page_is_kept(opened, name, view):
    page, _ = opened(name, view)
    keep_picture(page, name, view)


# --- using, what changes the page: it is visited once, from here on all that folds is open ----------------------


@pytest.mark.parametrize("name", LABS)
def test_each_slider_changes_its_picture(opened, name):
    page, _ = opened(name)
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


@pytest.mark.parametrize("name", CHAPTERS)
def test_solutions_are_closed_and_open_on_a_click(opened, name):
    page, _ = opened(name)
    solutions = page.locator(".solution")
    exercises = (ROOT / f"{name}.md").read_text(encoding="utf-8").count("{solution}")
    assert solutions.count() == exercises >= 5
    inside = ".section, p:not(.admonition-title), pre"
    shown = f"all => all.map(e => e.querySelector({inside!r}).checkVisibility({{opacityProperty: true}}))"
    assert not any(solutions.evaluate_all(shown))
    solutions.first.locator("button, summary").first.click()  # one as a reader would, the others at once
    page.wait_for_timeout(300)
    assert solutions.evaluate_all(shown) == [True] + [False] * (exercises - 1)
    solutions.evaluate_all("all => all.slice(1).forEach(e => e.querySelector('button, summary').click())")
    for _ in range(30):  # a page of many formulas takes its time on a busy machine
        page.wait_for_timeout(100)
        if all(solutions.evaluate_all(shown)):
            break
    assert all(solutions.evaluate_all(shown))


# Every block of code, every output and every table, opened.
SCROLLS = """() => {
    for (const box of document.querySelectorAll(".bd-article details")) box.open = true;
    for (const box of document.querySelectorAll(".bd-article .toggle-hidden")) box.classList.remove("toggle-hidden");
    const kinds = "pre, table, .output, .pst-scrollable-table-container, .table-wrapper, mjx-container[display]";
    return [...document.querySelectorAll(".bd-article :is(" + kinds + ")")]
        .filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 &&
            !["inline", "table"].includes(getComputedStyle(e).display))
        .map((e) => e.scrollWidth + " > " + e.clientWidth + ": " + e.textContent.trim().slice(0, 60));
}"""


@pytest.mark.parametrize("name", PAGES)
def test_nothing_scrolls_sideways_on_a_desktop(opened, name):
    page, _ = opened(name)
    assert page.evaluate(SCROLLS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


# --- on a phone, with all that folds open ---------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_picture_of_the_page_on_a_phone_is_kept(opened, name):
    page, _ = opened(name, "phone")
    keep_picture(page, name, "phone")


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


# --- for those who do not see well, and at last what went wrong on the way ------------------------------------

COLORS = ["color-contrast", "link-in-text-block"]
# Of many elements of a kind, with the same names and colors on them and around them, the last three.
FEW_OF_A_KIND = """() => {
    const own = (e) => {
        const style = e && getComputedStyle(e);
        return e && [e.tagName, e.getAttribute("class"), style.color, style.backgroundColor, style.fontSize].join();
    };
    const kept = new Map();
    for (const e of [...document.body.querySelectorAll(":not(svg *)")].reverse()) {
        if (e.childElementCount && e.tagName !== "svg") continue;
        const kind = [e, e.parentElement, e.parentElement.parentElement].map(own).join("<");
        kept.set(kind, (kept.get(kind) ?? 0) + 1);
        if (kept.get(kind) > 3) e.remove();
    }
}"""


def serious(page, context=None, **options):
    # preload: axe would ask for style sheets by addresses that it gets wrong
    options = {"resultTypes": ["violations"], "preload": False, **options}
    found = Axe().run(page, context, options).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:120]} ({node.get('failureSummary', '')[:200]})"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("view", ["phone", "desktop", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(opened, name, view):
    """Formulas and code, made the same way everywhere, are looked at in one chapter and taken out of the others, where
    they are nine of ten elements; so are rows of a table after its twentieth. Colors are nearly all of axe's time: they
    come last, on few elements of each kind."""
    page, _ = opened(name, view)
    page.evaluate("document.querySelectorAll('tr:nth-child(n + 21)').forEach((e) => e.remove())")
    if name not in (CHAPTERS[0], LABS[0]):
        page.evaluate("document.querySelectorAll('mjx-container, pre').forEach((e) => e.replaceChildren())")
    but_colors, found = {rule: {"enabled": False} for rule in COLORS}, []
    if view == "phone":
        found += serious(page, rules=but_colors)
    if view == "desktop":  # what a wide window has beside the text
        found += serious(page, {"exclude": [[".bd-article"]]}, rules=but_colors)
    if view != "phone":
        page.evaluate(FEW_OF_A_KIND)
        found += serious(page, runOnly=COLORS)
    assert found == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_failed_and_nothing_was_asked_from_outside(opened, name):
    _, visit = opened(name)
    assert visit.errors == []
    assert visit.outside == []
