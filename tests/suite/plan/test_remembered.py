"""Compositions are remembered by what they are made of, and by nothing less."""

import pytest
from omegaconf import OmegaConf

from rllc.suite.errors import PlanError
from rllc.suite.plan import configuration, remembered

MAIN = """
defaults: [_self_, {task: one}]
size: 3
twice: ${size}
missing: ???
"""


@pytest.fixture
def conf(tmp_path, monkeypatch):
    monkeypatch.setenv("RLLC_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "conf"
    (folder / "task").mkdir(parents=True)
    (folder / "config.yaml").write_text(MAIN)
    (folder / "task" / "one.yaml").write_text("name: one\n")
    return folder


@pytest.fixture
def composed(conf, monkeypatch):
    """Composes; returns the configuration, and how often Hydra was asked."""
    asked = []
    ours = configuration._composed

    def counted(*arguments):
        asked.append(arguments)
        return ours(*arguments)

    monkeypatch.setattr(configuration, "_composed", counted)
    return lambda *words: (configuration.compose(conf, words), len(asked))


def files(conf):
    return list((conf.parent / "cache" / "configs").glob("*.pickle"))


def test_the_same_configuration_comes_back(composed):
    first, asked = composed("size=4")
    again, still = composed("size=4")
    assert (asked, still) == (1, 1)
    assert again == first
    assert OmegaConf.to_yaml(again) == OmegaConf.to_yaml(first)
    assert again.twice == 4
    assert OmegaConf.is_missing(again, "missing")
    assert OmegaConf.is_struct(again)
    again.size = 5  # what a caller changes is its own
    assert composed("size=4")[0].size == 4


def test_other_words_and_other_files_are_composed(composed, conf):
    assert composed()[0].size == 3
    assert composed("size=7")[0].size == 7
    (conf / "task" / "one.yaml").write_text("name: other\n")
    cfg, asked = composed()
    assert (cfg.task.name, asked) == ("other", 3)
    (conf / "task" / "two.yaml").write_text("name: two\n")  # a name alone may be all that is new
    assert composed()[1] == 4
    assert composed("task=two")[0].task.name == "two"


def test_a_file_of_another_name_is_another_one(composed, conf):
    composed()
    (conf / "task" / "one.yaml").rename(conf / "task" / "uno.yaml")
    with pytest.raises(PlanError, match="one"):
        composed()


def test_what_hangs_on_the_environment_is_composed_each_time(composed, conf, monkeypatch):
    (conf / "config.yaml").write_text(MAIN.replace("task: one", "task: '${oc.env:WHICH}'"))
    (conf / "task" / "two.yaml").write_text("name: two\n")
    for name in ("one", "two"):
        monkeypatch.setenv("WHICH", name)
        assert composed()[0].task.name == name
    assert not files(conf)


def test_a_file_beside_that_is_no_text_is_no_hindrance(composed, conf):
    (conf / "task" / "old.yaml").write_bytes(b"\xff\xfe")
    assert composed()[0].size == 3
    assert composed()[1] == 1
    (conf / "task" / "folder.yaml").mkdir()
    assert composed()[0].size == 3


def test_words_and_files_do_not_run_into_one_another(composed):
    assert composed("size=1", "task.name=b")[0].task.name == "b"
    assert composed("size=12")[0].size == 12
    assert composed("size=1")[1] == 3


def test_a_mistake_is_not_remembered(composed):
    for _ in range(2):
        with pytest.raises(PlanError, match="sise"):
            composed("sise=4")


@pytest.mark.parametrize("damage", [b"", b"not a pickle", b"\x80\x05K\x01."])
def test_a_damaged_file_costs_time_only(composed, conf, damage):
    composed()
    (file,) = files(conf)
    file.write_bytes(damage)
    assert composed()[0].size == 3
    assert composed() == (composed()[0], 2)


def test_the_oldest_are_forgotten(composed, conf, monkeypatch):
    monkeypatch.setattr(remembered, "MOST", 2)
    for size in range(4):
        composed(f"size={size}")
    assert len(files(conf)) == 2


def test_a_folder_that_cannot_be_written_costs_time_only(composed, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RLLC_CACHE", str(tmp_path / "file"))
    assert composed()[0].size == 3
