"""Configuration of the documentation: `make docs` writes build/docs/index.html."""

import logging
import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

for noisy in ("faiss.loader", "luigi-interface"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

project = "CosPlace pipeline"
author = "Authors of the CosPlace pipeline"
release = metadata.version("cosplace-pipeline")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated_pages"]
exclude_patterns = ["extensions"]
myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 3

default_role = "code"  # docstrings are Markdown
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_include_init_with_doc = False

highlight_language = "none"  # of code blocks without a language
html_theme = "furo"
html_title = "CosPlace pipeline"
html_copy_source = False
