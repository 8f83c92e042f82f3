"""Sphinx's settings: `make docs` builds these pages into build/docs, warnings as errors."""

import re

import rllc

project = "rllc"
copyright = "the rllc developers"
version = release = rllc.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"  # `make notebooks` executes them; their outputs are committed
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"rllc {release}"

default_role = "code"  # single backticks in docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_use_ivar = True  # attributes as one list, not as entries of their own

_NORM = re.compile(r"(?<![\w`|])\|(\w+)\|(?![\w`])")


def norms(app, what, name, obj, options, lines) -> None:
    """|g| in the text of a docstring is a norm; reStructuredText would take it for a macro."""
    del app, what, name, obj, options
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[i] = _NORM.sub(r":math:`|\1|`", line)


def outside(app, docname, source) -> None:
    """Links to files outside docs/ become downloads; in the source they work in the repository."""
    del app, docname
    source[0] = re.sub(r"(?<!!)(\[[^\]]*\])\(\.\./(?!docs/)", r"\1(path:../", source[0])


def setup(app) -> None:
    """Registers the two."""
    app.connect("autodoc-process-docstring", norms)
    app.connect("source-read", outside)
