"""Executes the notebooks and writes them back with what they show, for readers without Python.

  python scripts/notebooks.py                   all of notebooks/
  python scripts/notebooks.py normal_forms      one of them

They read the committed records or train on made-up data: no data sets, no network, a CPU. What
depends on the moment or the machine is left out, so the same code and records give the same file.
"""

import argparse
import base64
import hashlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
from rllc.suite.execute.parser import Parser  # noqa: E402

FOLDER = ROOT / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SECONDS = 600  # for one cell
COLOURS = 128  # of a figure: a third of the size, and nothing to be seen of it


class Unfit(Exception):
    """An output that should not be committed; the message says where and why."""


def code(notebook: Any) -> list[Any]:
    """Its code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def digest(notebook: Any) -> str:
    """Of the code that outputs belong to: SHA-256 of all code cells."""
    sources = "\0".join(cell.source for cell in code(notebook))
    return hashlib.sha256(sources.encode()).hexdigest()


def executed(path: Path) -> Any:
    """The notebook with the outputs of a fresh kernel, started in the root of the repository.

    Raises:
      CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, 4)
    client = NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", record_timing=False,
        resources={"metadata": {"path": str(ROOT)}},
    )  # fmt: skip
    client.execute()
    return notebook


def tidied(notebook: Any) -> Any:
    """The notebook without traces of the moment and the machine it ran on.

    Raises:
      Unfit: something is left that another run would show differently.
    """
    for number, cell in enumerate(code(notebook), 1):
        cell.execution_count = number
        for output in cell.outputs:
            _check(output, number)
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = smaller(output.data["image/png"])
            if "metadata" in output:
                output.metadata = {}
            if "execution_count" in output:
                output.execution_count = number
    for cell in notebook.cells:
        cell.metadata = {}
    notebook.metadata = {**METADATA, "code_sha256": digest(notebook)}
    return notebook


def smaller(png: str) -> str:
    """A PNG in base64 with a palette of `COLOURS`."""
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode == "P":  # it has one
        return png
    file = io.BytesIO()
    few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _check(output: Any, number: int) -> None:
    said = output.get("text", "") + str(output.get("data", {}).get("text/plain"))
    if output.output_type == "error" or output.get("name") == "stderr":
        raise Unfit(f"code cell {number} complains: {output.get('text', output.get('evalue'))}")
    if found := re.search(r"0x[0-9a-f]{6,}", said):
        raise Unfit(f"code cell {number} shows an address in memory: {found[0]}")
    if str(ROOT) in said or str(Path.home()) + os.sep in said:
        raise Unfit(f"code cell {number} shows a path of this machine")


def write(path: Path) -> int:
    """Executes a notebook in its place; returns its size in bytes.

    Raises:
      CellExecutionError, Unfit: the file is left as it was.
    """
    text = nbformat.writes(tidied(executed(path))) + "\n"
    path.write_text(text, encoding="utf-8")
    return len(text.encode())


def main() -> None:
    """Reads the command line."""
    known = {path.stem: path for path in sorted(FOLDER.glob("*.ipynb"))}
    parser = Parser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    given = parse(parser, known)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"JAX_PLATFORMS": "cpu", "IPYTHONDIR": folder}  # no start-up files
        os.environ.pop("RLLC_RECORDS", None)
        for name in given or known:
            try:
                print(f"{name}: {write(known[name]) / 1e3:.0f} kB", flush=True)
            except (CellExecutionError, Unfit) as error:
                sys.exit(f"error: {name}: {error}")


def parse(parser: argparse.ArgumentParser, known: dict[str, Path]) -> list[str]:
    """The wanted names."""
    names = parser.parse_args().names
    for name in names:
        if name not in known:
            parser.error(f"no notebook {name!r}; there are {', '.join(known)}")
    return names


if __name__ == "__main__":
    main()
