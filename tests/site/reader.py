"""What the browser tests share: a web server for the built book, and what happened while a page opened."""

import gzip
import http.server
from dataclasses import dataclass, field
from pathlib import Path

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


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of the book; text goes out compressed where the browser takes it, as from any web host."""

    TEXT = (".html", ".css", ".js", ".svg", ".json", ".inv")

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if (
            path.suffix not in self.TEXT
            or not path.is_file()
            or "gzip" not in self.headers["Accept-Encoding"]
        ):
            return super().do_GET()
        body = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@dataclass
class Visit:
    """What happened while a page opened."""

    errors: list = field(default_factory=list)  # console errors, exceptions, failed requests
    outside: list = field(default_factory=list)  # addresses that are not this server's
    raw: int = 0  # bytes of all files
    transferred: int = 0  # the same as they came over the wire, text compressed


def watch(page, visit, inside):
    """Note everything that goes wrong on `page` in `visit`; requests that leave the book are refused."""

    def route(route, request):
        if request.url.startswith((inside, "data:", "blob:")):
            route.continue_()
        else:
            visit.outside.append(request.url)
            route.abort()

    page.route("**/*", route)
    page.on("console", lambda m: visit.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("response", lambda r: visit.errors.append(f"{r.status} {r.url}") if r.status >= 400 else None)


def settle(page):
    """Wait until the page is loaded and its formulas are typeset."""
    page.wait_for_load_state("networkidle")
    page.evaluate("() => window.MathJax?.startup?.promise?.then(() => null)")
