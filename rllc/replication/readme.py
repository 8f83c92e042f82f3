"""The part of README.md that follows from the records: does the paper's main claim hold?"""

from collections import Counter
from pathlib import Path

from rllc.replication import claims, paper
from rllc.replication.analysis import Replication
from rllc.replication.claims import NOT_MEASURED, NOT_SUPPORTED, PARTLY, SUPPORTED, Claim
from rllc.suite.markdown import markdown_table
from rllc.suite.show.analysis import Analysis

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
MARK = "†"
HEAD = ["task", "gain in the paper", "our gain", "95 % interval", "seeds", "verdict"]


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
    path.write_text(f"{before}{BEGIN}\n{_verdict(r.measured)}{END}{after}")


def _verdict(a: Analysis) -> str:
    found = claims.best_of_task(a)
    reduced = [bool(claims.reduced_note(a, task, *paper.OPTIMIZERS)) for task in paper.TASKS]
    rows = [_row(*row) for row in zip(paper.TASKS, found, reduced, strict=True)]
    note = (
        f"\n{MARK} Hyperparameters were chosen from fewer points or shorter runs than the paper's "
        "grids.\n"
        if any(reduced)
        else ""
    )
    return f"{_sentence(found)}\n\n{markdown_table(HEAD, rows)}\n{note}"


def _row(task: str, claim: Claim, is_reduced: bool) -> list[str]:
    mark = f" {MARK}" if is_reduced else ""
    gain = f"{paper_gain(task):+.2f}"
    value = claim.value.removesuffix(" points")
    return [f"{paper.title(task)}{mark}", gain, value, claim.interval, claim.n, claim.verdict]


def paper_gain(task: str) -> float:
    """Accuracy points by which the paper's best RLLC optimizer exceeds its best baseline."""
    table = paper.cells()
    ours = table[(table.task == task) & table.optimizer.isin(paper.RLLC)].test_accuracy_mean
    return float(ours.max() - paper.best_baselines()[task])


def _sentence(found: list[Claim]) -> str:
    count = Counter(claim.verdict for claim in found)
    others = (
        f"{verdict} on {count[verdict]}"
        for verdict in (NOT_SUPPORTED, PARTLY, NOT_MEASURED)
        if count[verdict]
    )
    return (
        f"**That claim is {SUPPORTED} on {count[SUPPORTED]} of {len(found)} tasks**"
        f"{''.join(f', {other}' for other in others)}."
    )
