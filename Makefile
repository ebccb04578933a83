# Every command of the book. `make book` and `make test` work from a bare clone: they make .venv first.

PYTHON ?= python3
STEM ?=
FORCE ?=
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
READY := $(VENV)/.ready
SITE := _build/html/index.html
# A cell may take 30 minutes, which a slow machine needs; notebooks/conftest.py takes pytest's own limit away.
NBVAL := --nbval-lax --nbval-kernel-name=python3 --nbval-sanitize-with notebooks/nbval.cfg --nbval-cell-timeout=1800
# One thread for each test worker: two workers with two threads each fight over two cores.
ONE := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
WORKERS ?= 2

.PHONY: help book lab test check lint unit nbval site notebooks export address weights study verified chapter figures bench gpu oldest newest lock serve clean

help:            ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed, $(PYTHON) is older: try make PYTHON=python3.12"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Could not make $(VENV); on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing the pinned packages into $(VENV): once, some minutes, about 6 GB on Linux."
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

book: $(READY)   ## build the book and print where it is
	$(BIN)/jupyter-book build . -W --keep-going -q
	@echo "The book: file://$(CURDIR)/$(SITE)"

lab: $(READY)    ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

test: lint unit nbval book site   ## everything that CI runs

check: lint      ## what to run while developing: lint, fast tests, smoke runs of the notebooks that changed
	$(ONE) $(PY) -m pytest -n $(WORKERS) -m "not slow and not site"
	$(ONE) $(PY) tools/smoke.py $(NBVAL) -n $(WORKERS) --dist loadscope

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

unit: $(READY)
	$(ONE) $(PY) -m pytest -n $(WORKERS) -m "not site"

nbval: $(READY)  ## run every notebook at the cpu profile, compare the marked cells
	$(ONE) DLP_PROFILE=cpu $(PY) -m pytest $(NBVAL) -n $(WORKERS) --dist loadscope notebooks

site: book       ## drive the built book with a browser
	$(ONE) $(PY) -m pytest -m site -n $(WORKERS) --dist loadscope tests/site

notebooks: export  ## run notebooks at the cpu profile and store their outputs (STEM=…, FORCE=1)
	DLP_PROFILE=cpu $(PY) tools/notebooks.py run $(STEM) $(if $(FORCE),--force)

export: $(READY) ## write dlp_utils/models from the notebooks' export cells
	$(PY) tools/notebooks.py export $(STEM)

address: $(READY) ## write the repository's address (pyproject.toml) into every notebook
	$(PY) tools/notebooks.py stamp

weights: $(READY) ## train the weights that a chapter ships (STEM=…)
	@test -f tools/weights/$(STEM).py || { echo "no tools/weights/$(STEM).py: chapter '$(STEM)' ships no weights"; exit 1; }
	$(PY) tools/weights/$(STEM).py

study: $(READY)  ## run a chapter's longer sweeps once and store their rows (STEM=…)
	@test -f notebooks/studies/$(STEM).py || { echo "no notebooks/studies/$(STEM).py: chapter '$(STEM)' has no study"; exit 1; }
	$(PY) notebooks/studies/$(STEM).py

verified: $(READY) ## show formulas that changed beside their tests, and stamp what agrees (STEM=…)
	$(PY) tools/formulas.py $(STEM)

chapter: $(READY) ## lay out the files of a new chapter (STEM=…)
	@test -n "$(STEM)" || { echo "say which: make chapter STEM=my_topic"; exit 1; }
	$(PY) tools/notebooks.py new $(STEM)

figures: $(READY) ## draw the pages' figures anew
	@for script in book/figures/[a-z]*.py; do $(PY) $$script || exit 1; done

bench: $(READY)  ## measure fit's overhead per step, import time and page weight
	$(PY) tools/bench.py

gpu: $(READY)    ## check a CUDA machine: models, resume, notebooks, within 8 minutes (STEM=… for one part)
	$(PY) tools/gpu.py $(if $(STEM),--only $(STEM))

oldest:          ## try the oldest packages that pyproject.toml allows, in .venv-oldest (PYTHON=python3.12)
	$(PYTHON) tools/versions.py oldest

newest:          ## try the newest packages, in .venv-newest (PYTHON=python3.12)
	$(PYTHON) tools/versions.py newest

lock: $(READY)   ## pin anew what requirements.in asks for, for every Python and system
	$(PY) -m pip install --quiet uv
	$(BIN)/uv pip compile requirements.in --universal --python-version 3.10 --no-header --no-annotate -o requirements.txt

clean:           ## remove the built book, keep .venv
	rm -rf _build
