"""What the browser tests share: a web server for the built book, and what happened while a page opened."""

import functools
import gzip
import http.server
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "_build" / "html"
SCREENSHOTS = ROOT / "_build" / "screenshots"
# What a machine without a network and without a screen needs, and a root user in a container.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
VIEWS = {
    "desktop": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True},
}


TEXT = (".html", ".css", ".js", ".svg", ".json", ".inv")


@functools.cache
def compressed(path):
    return gzip.compress(path.read_bytes(), 6)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of the book; text goes out compressed where the browser takes it, as from any web host."""

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if path.suffix not in TEXT or not path.is_file() or "gzip" not in self.headers["Accept-Encoding"]:
            return super().do_GET()
        body = compressed(path)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self):
        self.send_header("Cache-Control", "max-age=3600")  # what all pages share is fetched once
        super().end_headers()

    def log_message(self, *args):
        pass


@dataclass
class Visit:
    """What happened while a page was open."""

    errors: list = field(default_factory=list)  # console errors, exceptions, failed requests
    outside: list = field(default_factory=list)  # addresses that are not this server's

    def forget(self):
        self.errors.clear()
        self.outside.clear()


def watch(page, visit, inside):
    """Note everything that goes wrong on `page` in `visit`; requests that leave the book are refused."""

    def refuse(route, request):
        visit.outside.append(request.url)
        route.abort()

    page.route(re.compile(f"^(?!{re.escape(inside)}|data:|blob:)"), refuse)
    page.on("console", lambda m: visit.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("response", lambda r: visit.errors.append(f"{r.status} {r.url}") if r.status >= 400 else None)


def settle(page):
    """Wait until a page is loaded, its formulas are typeset, and its fonts are there."""
    page.wait_for_load_state("load")
    page.evaluate("() => window.MathJax?.startup?.promise?.then(() => document.fonts.ready).then(() => null)")


def weight(page):
    """Bytes of all files that `page` has asked for: as they lie on the disk, and as they come over the wire."""
    asked = page.evaluate(
        "[location.href, ...performance.getEntriesByType('resource').map((entry) => entry.name)]"
    )
    places = {unquote(urlsplit(address).path).lstrip("/") for address in asked if address.startswith("http")}
    files = [BUILT / place for place in places]
    sent = [len(compressed(file)) if file.suffix in TEXT else file.stat().st_size for file in files]
    return sum(file.stat().st_size for file in files), sum(sent)
