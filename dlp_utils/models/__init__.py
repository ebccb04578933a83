"""One module a chapter, generated from the `#| export` cells of `notebooks/<stem>.ipynb`. Edit the notebook, not these."""
