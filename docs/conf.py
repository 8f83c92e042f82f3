"""Sphinx's settings: `make docs` builds these pages into build/docs, warnings as errors."""

import re

import rllc

project = "rllc"
copyright = "the rllc developers"
version = release = rllc.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"rllc {release}"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_use_ivar = True  # attributes as one list, not as entries of their own

_MARKUP = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_SIGNS = re.compile(r"([|*\\])")
_CODE = re.compile(r"(``.*?``)")


def in_rst(app, what, name, obj, options, lines) -> None:
    """Docstrings are plain text: backticks mean code, and other signs mean themselves."""
    del app, what, name, obj, options
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = _CODE.split(_MARKUP.sub(r"``\1``", line))
            lines[i] = "".join(p if p.startswith("``") else _SIGNS.sub(r"\\\1", p) for p in parts)


def outside(app, docname, source) -> None:
    """Links to files beside docs/ become downloads; the source keeps links that a browser of the
    repository can follow."""
    del app, docname
    source[0] = re.sub(r"(?<!!)(\[[^\]]*\])\(\.\./(?!docs/)", r"\1(path:../", source[0])


def setup(app) -> None:
    """Registers the two."""
    app.connect("autodoc-process-docstring", in_rst, priority=400)  # before napoleon's 500
    app.connect("source-read", outside)
