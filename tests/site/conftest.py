"""The built book behind a small web server, and a browser that visits it as a reader does."""

import functools
import http.server
import re
import shutil
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from reader import BUILT, FLAGS, VIEWS, Handler, Visit, settle, watch


@pytest.fixture(scope="session")
def address():
    """Where the book is served."""
    if not (BUILT / "index.html").is_file():
        pytest.fail("the book is not built: run make book")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(BUILT))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("chromium is missing, which these tests drive: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def opened(browser, address, tmp_path_factory, testrun_uid):
    """`opened(name, view)`: a page of the book in the size and colors of a view, with its Visit.

    A page is opened once and changes its view as a window that is made smaller, or a system that goes dark; to load it
    and set its formulas costs more than all that is asked of it. Pages follow each other in one window, so that what
    all share is fetched and read once.
    """
    # Reduced motion: colors change at once, and nothing is judged halfway.
    page, visit = browser.new_context(**VIEWS["desktop"], reduced_motion="reduce").new_page(), Visit()
    watch(page, visit, address)
    shown = {"name": None, "view": "desktop"}
    visited = tmp_path_factory.getbasetemp().parent / f"visited-{testrun_uid}"
    visited.mkdir(exist_ok=True)

    def look(view):
        if page.viewport_size != VIEWS[view]["viewport"]:
            page.set_viewport_size(VIEWS[view]["viewport"])
            if view == "phone":  # the theme asks anew what scrolls when a window has been still for a while
                page.wait_for_timeout(800)
        page.emulate_media(color_scheme=VIEWS[view]["color_scheme"])
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        shown["view"] = view

    def open_page(name, view="desktop"):
        if name != shown["name"]:
            try:
                (visited / name.replace("/", "-")).touch(exist_ok=False)
            except FileExistsError:
                pytest.fail(f"{name} is opened a second time: its tests no longer stand together")
            look("desktop")
            visit.forget()
            page.goto(f"{address}{name}.html")
            settle(page)
            shown["name"] = name
        if view != shown["view"]:
            look(view)
        return page, visit

    yield open_page
    page.context.close()


def pytest_collection_modifyitems(items):
    """All that is asked of one page stands in a row."""
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    order = {item: place for place, item in enumerate(items)}
    items.sort(key=lambda item: (page_of(item.nodeid) if item in here else "", order[item]))


def page_of(nodeid):
    """`book/intro` of `…::test_axe[book/intro-dark]`; of a test of no page in particular, nothing."""
    return re.sub(r"-\w+$", "", nodeid.split("[")[1].rstrip("]")) if "[" in nodeid else ""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """All tests of a page go to one worker. (xdist's own marks do so no more with pytest 9.2: its issue 1386.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByPage(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return page_of(nodeid) or nodeid

    return ByPage(config, log)


@pytest.fixture
def fresh(browser, address):
    """`fresh(name, place="…")`: a page that a test may click around in; fails if the page complained."""
    contexts, visits = [], []

    def open_page(name, view="desktop", place="", **options):
        contexts.append(browser.new_context(**{**VIEWS[view], **options}))
        visits.append(Visit())
        page = contexts[-1].new_page()
        watch(page, visits[-1], address)
        page.goto(f"{address}{name}.html#{place}")
        if options.get("java_script_enabled", True):
            settle(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [error for visit in visits for error in visit.errors + visit.outside] == []
