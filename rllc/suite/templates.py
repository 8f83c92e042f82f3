"""Pages of text: jinja2 templates, in the folder ``templates`` of the room they belong to."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rllc.suite.markdown import shown


def render(module: str, name: str, /, **values: Any) -> str:
    """A filled-in template, without newlines at its end.

    Args:
      module: ``__file__`` of the module beside whose folder ``templates`` it lies.
      name: of its file.
      **values: what it names; the filter ``shown`` formats a number.

    Raises:
      jinja2.UndefinedError: the template names something that is not among the values.
    """
    template = _environment(Path(module).parent / "templates").get_template(name)
    return template.render(values).rstrip("\n")


@cache
def _environment(folder: Path) -> Environment:
    found = Environment(
        loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=False,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters["shown"] = shown
    return found
