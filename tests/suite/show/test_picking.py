"""Labels with a comma, as those of schedules, among words that separate values by commas."""

import pandas as pd

from rllc.suite.show import picking

RUNS = pd.DataFrame({"optimizer": ["Adam", "Adam, cosine", "SGD"], "hyper": ["{}"] * 3})


def picked(text):
    return picking.pick(RUNS, [f"optimizer={text}"], {"adam": "Adam"}).optimizer.tolist()


def test_a_label_with_a_comma_is_one_value():
    assert picked("Adam, cosine") == ["Adam, cosine"]
    assert picked("adam, COSINE") == ["Adam, cosine"]
    assert picked("sgd,adam") == ["SGD", "Adam"]
