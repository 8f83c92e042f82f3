"""The part of README.md that follows from the records: does the paper's main claim hold?"""

from pathlib import Path

from rllc.replication import opening
from rllc.replication.analysis import Replication

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def update(path: Path, r: Replication) -> None:
    """Rewrites the text between the markers of the README at `path`.

    Raises:
      ValueError: the markers are not there, once each and in order.
    """
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks {BEGIN} … {END}")
    path.write_text(f"{before}{BEGIN}\n{opening.verdict(r.worlds)}\n{END}{after}")
