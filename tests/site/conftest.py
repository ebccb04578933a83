"""The built book behind a small web server, and a browser that visits it as a reader does."""

import functools
import http.server
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
def opened(browser, address):
    """`opened(name, view)`: a page of the book in the size and colors of a view, with its Visit.

    A page is opened once and changes its view as a window that is made smaller, or a system that goes dark; to load it
    and set its formulas costs more than all that is asked of it. Tests of one page stand together (see below), so the
    window of the page before is closed: a page weighs.
    """
    pages, views = {}, {}

    def open_page(name, view="desktop"):
        if name not in pages:
            for other in list(pages):
                pages.pop(other)[0].context.close()
            # Reduced motion: colors change at once, and nothing is judged halfway.
            context = browser.new_context(**VIEWS["desktop"], reduced_motion="reduce")
            page, visit, responses = context.new_page(), Visit(), []
            watch(page, visit, address)
            page.on("response", lambda response, found=responses: found.append(response))
            page.goto(f"{address}{name}.html")
            settle(page)
            for response in responses:
                visit.raw += len(response.body())
                visit.transferred += response.request.sizes()["responseBodySize"]
            pages[name], views[name] = (page, visit), "desktop"
        page, visit = pages[name]
        if views[name] != view:
            if page.viewport_size != VIEWS[view]["viewport"]:
                page.set_viewport_size(VIEWS[view]["viewport"])
                page.wait_for_timeout(
                    800
                )  # the theme asks anew what scrolls when a window has been still for a while
            page.emulate_media(color_scheme=VIEWS[view]["color_scheme"])
            page.evaluate(
                "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
            )
            views[name] = view
        return page, visit

    yield open_page
    for page, _ in pages.values():
        page.context.close()


def pytest_collection_modifyitems(items):
    """All that is asked of one page goes to one worker, in a row: each page is visited once."""
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in here:
        name = getattr(item, "callspec", None) and item.callspec.params.get("name")
        item.add_marker(pytest.mark.xdist_group(name or item.name))
        item.dlp_page = name or ""
    order = {item: place for place, item in enumerate(items)}
    items.sort(
        key=lambda item: (getattr(item, "dlp_page", ""), order[item]) if item in here else ("", order[item])
    )


@pytest.fixture
def fresh(browser, address):
    """`fresh(name, **options)`: a page that a test may click around in; fails if the page complained."""
    contexts, visits = [], []

    def open_page(name, view="desktop", **options):
        contexts.append(browser.new_context(**{**VIEWS[view], **options}))
        visits.append(Visit())
        page = contexts[-1].new_page()
        watch(page, visits[-1], address)
        page.goto(f"{address}{name}.html")
        if options.get("java_script_enabled", True):
            settle(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [error for visit in visits for error in visit.errors + visit.outside] == []
