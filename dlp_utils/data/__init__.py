"""Data sets: one module each, whose `DATASETS` says what it offers, and `fetch`, which brings files here.

`python -m dlp_utils.data` lists them all and fetches what is missing, for work without a network.
"""

import contextlib
import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass

# The registry: add a data module here and its DATASETS are listed and fetched.
MODULES = [
    "toy",  # backpropagation: linear, xor, circles
    "digits",  # learning, training: handwritten digits
    "textures",  # architectures: patches of photographs, weights of EfficientNet-lite0
    "text",  # language_models, sequences: plays, last names, sentences
    "eeg",  # eeg_classification: two real sets, a simulation
    "segmentation",  # segmentation: real nuclei, generated pets, the original pets
    "motion",  # video_generation: motion-capture clips, rendered
    "cats",  # inpainting: generated cat faces, masks, the lab's folder
    "clevr",  # diffusion: generated look-alikes of i-CLEVR, the lab's folder
]


@dataclass(frozen=True)
class Dataset:
    """One data set: what the listing and the book's table say about it.

    chapter: the stem. source: where it comes from, in words. megabytes: what a download costs.
    fetch: brings the files to the cache, by `fetch.from_package` or `fetch.from_url`; None when generated.
    """

    name: str
    chapter: str
    license: str
    source: str
    citation: str = ""
    megabytes: float = 0.0
    fetch: Callable[[], object] | None = None

    def cached(self):
        """Tell whether the files are on this machine, whole and unchanged; a generated set always is."""
        if self.fetch is None:
            return True
        from . import fetch

        with fetch.no_downloads(), contextlib.redirect_stdout(io.StringIO()):
            try:
                self.fetch()
            except Exception:  # a set with another fault is not here either; fetching it will say why
                return False
        return True


def datasets(chapter=None):
    """Return the data sets of all modules, or of one chapter; ValueError for a chapter that has none."""
    found = [entry for name in MODULES for entry in importlib.import_module(f"{__name__}.{name}").DATASETS]
    chapters = sorted({entry.chapter for entry in found})
    if chapter is not None and chapter not in chapters:
        raise ValueError(f"no data sets for chapter {chapter!r}; there are some for: {', '.join(chapters)}.")
    return [entry for entry in found if chapter in (None, entry.chapter)]


def __getattr__(name):
    if name == "fetch" or name in MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"dlp_utils.data has no {name!r}; it offers: {', '.join(sorted(['fetch', *MODULES]))}"
    )
