"""The page of a study from its folder, and where on it the links lead."""

import os
from pathlib import Path
from typing import NamedTuple

from rllc.suite import records
from rllc.suite.engine import header
from rllc.suite.show.analysis import Analysis
from rllc.suite.show.page import contents, site
from rllc.suite.show.page.contents import Origin


class Places(NamedTuple):
    """Where files are found from a page.

    Attributes:
      root: of the repository.
      page: folder of the page.
      repository: its address on a code host; "" links to the files on this machine.
      commit: whose files are linked there.
    """

    root: Path
    page: Path
    repository: str = ""
    commit: str = "main"

    def address(self, file: Path) -> str:
        """Of a file, as a link of the page."""
        if self.repository:
            inside = file.resolve().relative_to(self.root.resolve()).as_posix()
            return f"{self.repository.rstrip('/')}/blob/{self.commit}/{inside}"
        return Path(os.path.relpath(file.resolve(), self.page.resolve())).as_posix()


def newest(folder: Path) -> str:
    """When the newest record of a folder was made, ISO 8601; "" without any."""
    made = [str(shard.header.get("created", "")) for shard in records.shards(folder)]
    return max(made, default="")


def write(found: Analysis, folder: Path, output: Path) -> Path:
    """Writes the page of a study; returns the path to open.

    Args:
      found: analysis of its records.
      folder: of the study.
      output: folder of the page.
    """
    places = Places(folder, output)
    origin = Origin(
        created=newest(found.records.folder),
        commit=header.commit(),
        link=lambda file: places.address(found.records.folder / f"{file}.json"),
        command=f"python scripts/verify.py {{run}} --steps all --records {folder.name}",
    )
    sections = [contents.verdict(found), contents.in_practice(found)]
    return site.write(found, output, origin, sections)
