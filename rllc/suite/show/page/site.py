"""Writes the page: HTML, its data as scripts, and the charts' library. Nothing is loaded from afar.

Data are scripts that call a function, not JSON, since a page opened as a file may not fetch.
"""

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from rllc.suite.score import tuning_analysis
from rllc.suite.score.readings import HEADLINE, READINGS
from rllc.suite.show.analysis import Analysis
from rllc.suite.show.page import cells, charts, contents, maps, series
from rllc.suite.show.page.contents import Origin, Section
from rllc.suite.show.typesetting import reading_title

FILES = resources.files("rllc.suite.show.page") / "files"


def write(
    a: Analysis, folder: Path, origin: Origin | None = None, sections: Sequence[Section] = ()
) -> Path:
    """Writes the page of an analysis; returns the path to open.

    Args:
      a: the analysis.
      folder: gets ``index.html`` and what it needs.
      origin: where the numbers come from.
      sections: what stands before and after the numbers: the first is the verdict; without any,
        every optimizer is held against the best baseline.
    """
    origin = origin or Origin()
    first, *rest = sections or [contents.verdict(a)]
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("over-steps-*.js"):
        old.unlink()
    measured = cells.tasks(a)
    for place, task in enumerate(measured):
        task["file"] = f"over-steps-{place}.js"
        _script(folder / task["file"], "pageSteps", task["name"], series.of_task(a, task["name"]))
    _script(folder / "data.js", "pageData", data(a, origin, measured))
    for name in ("page.css", "page.js", "charts.js"):
        (folder / name).write_text((FILES / name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "vega.js").write_text(library(), encoding="utf-8")
    index = folder / "index.html"
    index.write_text(_html(a, origin, first, rest), encoding="utf-8")
    return index


def data(a: Analysis, origin: Origin, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything but what runs over steps."""
    points = tuning_analysis.chosen_by(a.study, a.runs, a.records.curves)
    return {
        "headline": HEADLINE,
        "tasks": tasks,
        "optimizers": cells.optimizers(a),
        "source": "" if a.study.published is None else a.study.source,
        "cells": cells.cells(a),
        "made": cells.made(a),
        "files": cells.files(a, origin),
        "command": origin.command,
        "rankings": cells.rankings(a),
        "maps": {task["name"]: maps.of_task(a, points, task["name"]) for task in tasks},
        "levels": charts.LEVELS,
        "charts": charts.all_charts(),
        "saved": a.study.saved(a.final.task) if len(a.final) else "better",
    }


def _script(path: Path, function: str, *arguments: Any) -> None:
    given = (json.dumps(x, ensure_ascii=False, separators=(",", ":")) for x in arguments)
    path.write_text(f"{function}({','.join(given)});\n", encoding="utf-8")


@cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, with their licence, from the locked package."""
    import vl_convert  # a large library, needed here only

    versions = (
        f"Vega {vl_convert.get_vega_version()}, "
        f"Vega-Lite {vl_convert.get_vegalite_versions()[-1]}, "
        f"Vega-Embed {vl_convert.get_vega_embed_version()}"
    )
    licence = (FILES / "vega-licence.txt").read_text(encoding="utf-8")
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # Inside a function, since its top-level names would clash with the page's.
    return f"/*\n{versions}\n\n{licence}*/\n(() => {{\n{bundle}\n}})();\n"


def _html(a: Analysis, origin: Origin, first: Section, rest: Sequence[Section]) -> str:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["markdown"] = markdown
    template = environment.from_string((FILES / "index.html.j2").read_text(encoding="utf-8"))
    tasks = list(a.final.task)
    return template.render(
        study=a.study,
        origin=origin,
        first=first,
        rest=rest,
        devices=contents.devices(a),
        readings=[(name, reading_title(a.study, tasks, name)) for name in READINGS],
        headline=HEADLINE,
        metrics=" or ".join(dict.fromkeys(task["metric"] for task in cells.tasks(a))) or "values",
        is_text=lambda part: isinstance(part, str),
        tasks=[(task, a.study.title(task)) for task in a.study.task_order(tasks)],
        optimizers=cells.optimizers(a),
        probes=len(series.probe_names(a, a.final)) > 0,
    )


def markdown(text: str) -> Markup:
    """Markdown as HTML; tables get scopes, and a frame that scrolls by keyboard, too.

    Raw HTML in the text is shown, not believed.
    """
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    html = re.sub(r"<th\b", '<th scope="col"', html)
    frame = '<div class="scroll" role="region" tabindex="0" aria-label="table">'
    return Markup(html.replace("<table>", f"{frame}<table>").replace("</table>", "</table></div>"))
