"""The chosen law on what is no image: a language model and noisy quadratics.

The rules, written before the runs, are in ``docs/rules_of_evidence.md``.
"""

from pathlib import Path

import pandas as pd

from rllc.replication import law_variants, quadratics
from rllc.replication.law_variants import DEFAULT, TUNED
from rllc.replication.paper import pretty
from rllc.replication.quadratics import ADAM, ADAM_DECAYED, DECAYED, MOMENTUM, SINGLE, VARIANT
from rllc.suite.markdown import markdown_table, shown, with_interval
from rllc.suite.show.analysis import Analysis
from rllc.suite.templates import render

STUDY = "language_model"  # folder under results/studies
MARGIN = 0.01  # bits per byte
SHOWN = (VARIANT, SINGLE, ADAM, DECAYED, ADAM_DECAYED)
VERDICTS = ("lower", "tie", "higher")


def language(a: Analysis, name: str | None) -> pd.DataFrame:
    """`law_variants.TEST_NUMBERS` of the language model, in bits per byte that are saved.

    Args:
      a: of its study.
      name: the chosen candidate.
    """
    rates = law_variants.momentum_rates(a)
    return law_variants.judged(a, rates, name, a.study.tasks, MARGIN)


def on_quadratics(runs: pd.DataFrame) -> pd.DataFrame:
    """In how many cells an optimizer's excess loss is lower, level, higher than tuned momentum's.

    Args:
      runs: see `quadratics.read`.

    Returns:
      Columns: optimizer, way (tuned or default), then `VERDICTS`.
    """
    tuned = quadratics.against(runs, MOMENTUM).assign(way=TUNED)
    default = quadratics.at_default(runs).assign(optimizer=VARIANT, way=DEFAULT)
    every = pd.concat([default, tuned]) if len(default) else tuned
    keys = [
        (VARIANT, DEFAULT),
        *((n, TUNED) for n in (VARIANT, SINGLE, ADAM, DECAYED, ADAM_DECAYED)),
    ]
    counts = every.groupby(["optimizer", "way"]).verdict.value_counts().unstack(fill_value=0)
    known = counts.reindex(columns=VERDICTS, fill_value=0)
    return known.loc[[key for key in keys if key in known.index]].reset_index()


def section(name: str | None, study: Analysis | None, runs_file: Path) -> str:
    """Both tests in Markdown, as far as they are measured.

    Args:
      name: the chosen candidate, None before there is one.
      study: of the language model.
      runs_file: of the quadratics.
    """
    found = language(study, name) if study and name else pd.DataFrame()
    counts = on_quadratics(quadratics.read(runs_file)) if runs_file.exists() and name else None
    if found.empty and counts is None:
        return ""
    return render(
        __file__, "law_variants_beyond.md", language=_language(found), margin=MARGIN,
        steps=study.study.steps if study else 0,
        quadratics="" if counts is None else _counts(counts),
    )  # fmt: skip


def _language(found: pd.DataFrame) -> str:
    body = [
        [
            pretty(row.optimizer), pretty(row.rival),
            with_interval(row.difference, row.low, row.high, "+.3f"), row.seeds, row.word,
            shown(100 * row.law_left, ".1f", " %"),
        ]
        for row in found.itertuples()
    ]  # fmt: skip
    head = ["optimizer", "best constant baseline", "bits saved", "seeds", "word", "law left"]
    return markdown_table(head, body) if body else ""


def _counts(counts: pd.DataFrame) -> str:
    body = [
        [pretty(row.optimizer), row.way, *(getattr(row, word) for word in VERDICTS)]
        for row in counts.itertuples()
    ]
    return markdown_table(["optimizer", "rates", *VERDICTS], body)
