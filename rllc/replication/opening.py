"""The first page: whether the paper replicates, why where it does not, what would change that."""

from math import ceil
from types import MappingProxyType
from typing import Any

import pandas as pd

from rllc.replication import hypotheses, multiverse, paper, reach, second_reading
from rllc.replication.accelerator_queue import FASHION
from rllc.replication.analysis import Replication
from rllc.replication.hypotheses import ALONE, TITLES
from rllc.replication.multiverse import BEST, FORKS, MAIN, NO_RUNS, SHORT_GRID
from rllc.replication.paper import LAW_RATE
from rllc.suite.markdown import MISSING, with_interval
from rllc.suite.score import verdicts
from rllc.suite.table import Column, Table, task_column
from rllc.suite.templates import render

GAINS = Table((
    task_column(paper.STUDY), Column("claimed", "gain in the paper", "+.2f"),
    Column("difference", "our gain, 95 % interval", lambda row: MISSING if pd.isna(row.difference)
           else with_interval(row.difference, row.low, row.high, "+.2f")),
    Column("n", "seeds", ".0f"), Column("", "verdict", lambda row: _in_words(row.word)),
))  # fmt: skip
FORK_NAMES = MappingProxyType({
    "selection": "how rates are chosen", "reading": "the stopping step",
    "test": "how means are compared",
})  # fmt: skip
HINGES = "hinges"  # what a verdict begins with that depends on the way to measure
ORDER = (
    verdicts.REPLICATED, verdicts.SMALLER, verdicts.EQUIVALENT, verdicts.REVERSED,
    verdicts.INCONCLUSIVE, HINGES, SHORT_GRID, NO_RUNS,
)  # fmt: skip


def _in_words(word: str) -> str:
    """A verdict for a reader who does not know the forks."""
    if word.startswith(HINGES):
        forks = (FORK_NAMES[name] for name in word.removeprefix(f"{HINGES} on ").split(", "))
        return f"depends on {', '.join(forks)}"
    return "no verdict yet: few rates tried" if word == SHORT_GRID else word


def gains(worlds: pd.DataFrame) -> pd.DataFrame:
    """RLLC's best against the best baseline, a row per task.

    Args:
      worlds: from `multiverse.table`.

    Returns:
      The columns of `multiverse.WORLDS` in the main world, and ``word``, the verdict over all
      worlds; ``seeds_needed`` on each side to find a gain as large as the paper's with a chance of
      `verdicts.POWER`, from the deviation over our seeds.
    """
    rows = []
    for _, part in worlds[worlds.claim == BEST].groupby("task", sort=False):
        main = part.set_index(FORKS).loc[MAIN].to_dict()
        rows.append(main | {"word": multiverse.overall(part), "seeds_needed": _seeds_needed(main)})
    return pd.DataFrame(rows)


def _seeds_needed(main: dict[str, Any]) -> float:
    """The error of a difference falls with the root of the seeds, and so does what it detects."""
    if pd.isna(main["detectable"]):
        return float("nan")
    share = 1 / main["n"] + 1 / main["baseline_n"]
    return float(ceil(2 / share * (main["detectable"] / main["claimed"]) ** 2))


def by_word(found: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Verdicts with the titles of their tasks, from replicated to not measured.

    Args:
      found: from `gains`.
    """
    words = [HINGES if word.startswith(HINGES) else word for word in found.word]
    titles = pd.Series(map(paper.title, found.task)).groupby(words, sort=False).agg(list)
    return [(word, titles[word]) for word in ORDER if word in titles]


def verdict(worlds: pd.DataFrame) -> str:
    """The sentence and the table of seven rows, also for README.md.

    Args:
      worlds: from `multiverse.table`.
    """
    found = gains(worlds)
    return render(
        __file__, "verdict.md", tasks=len(found), table=GAINS.to_markdown(found),
        words=dict(by_word(found)), verdicts=verdicts, hinges=HINGES, short_grid=SHORT_GRID,
        no_runs=NO_RUNS,
    )  # fmt: skip


def page(r: Replication) -> str:
    """The first page in Markdown; links are relative to ``results``."""
    found = gains(r.worlds)
    open_words = found.word.str.startswith(HINGES) | (found.word == verdicts.INCONCLUSIVE)
    undecided = [_undecided(row) for row in found[open_words].to_dict("records")]
    return render(
        __file__, "opening.md", verdict=verdict(r.worlds), words=dict(by_word(found)),
        reached=reach.by_task(r.reach), falls=_falls(r.law_rates), hypotheses=_judged(r.tried),
        scaled=hypotheses.scaled_verdict(r.tried), confirmed=hypotheses.CONFIRMED,
        settled=_settled(r.tried), second=second_reading.in_words(r.second),
        undecided=undecided, power=verdicts.POWER,
        short=[paper.title(task) for task in found.task[found.word == SHORT_GRID]],
        alone=paper.pretty(ALONE), fashion=paper.title(FASHION),
    )  # fmt: skip


def _undecided(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `gains` with the task's title and, where the word depends on them, the forks."""
    forks = _in_words(row["word"]).removeprefix("depends on ")
    return row | {"title": paper.title(row["task"]), "forks": forks}


def _falls(rates: pd.DataFrame) -> list[pd.Series]:
    """M(0.9) on Fashion-MNIST Conv from the highest law rate to the lowest, at the learning rate
    with most of them; rows of `law_rates.table`."""
    here = rates[(rates.task == FASHION) & (rates.optimizer == ALONE)]
    if here.empty:
        return []
    most = here.groupby("learning_rate")[LAW_RATE].nunique().idxmax()
    rows = here[here.learning_rate == most].sort_values(LAW_RATE, ascending=False)
    return [rows.loc[i] for i in rows.index]


def _settled(tried: pd.DataFrame) -> dict[str, Any]:
    """The confirmed x of L₀ = x·e₁, the best points of each optimizer there, and how many x have
    runs."""
    words = tried.drop_duplicates("hypothesis").set_index("hypothesis").verdict
    scaled = {h.title: words.get(h.name, hypotheses.UNMEASURED) for h in hypotheses.SCALED}
    names = [h.name for h in hypotheses.SCALED if words.get(h.name) == hypotheses.CONFIRMED]
    here = tried[tried.hypothesis.isin(names) & tried.highest.notna()]
    best = here.sort_values("highest").drop_duplicates(["hypothesis", "optimizer"], keep="last")
    return {
        "titles": [title for title, word in scaled.items() if word == hypotheses.CONFIRMED],
        "points": [
            row._replace(optimizer=paper.pretty(row.optimizer)) for row in best.itertuples()
        ],
        "tried": sum(word != hypotheses.UNMEASURED for word in scaled.values()),
    }


def _judged(tried: pd.DataFrame) -> dict[str, list[str]]:
    """Titles of the hypotheses by verdict."""
    words = tried.drop_duplicates("hypothesis").set_index("hypothesis").verdict
    return {
        word: [TITLES[name] for name in words.index[words == word]]
        for word in (
            hypotheses.CONFIRMED, hypotheses.REJECTED, hypotheses.UNDECIDED, hypotheses.UNMEASURED,
        )
        if (words == word).any()
    }  # fmt: skip
