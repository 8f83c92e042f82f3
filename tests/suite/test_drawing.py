"""A figure is drawn again where it, its code or its files have changed, and nowhere else."""

import matplotlib as mpl
import pytest

from rllc.suite import drawing, plotting
from rllc.suite.drawing import Drawer
from rllc.suite.show.figures import thousands

pytestmark = pytest.mark.slow


def curve(colour="red", last=2.0, title="$M_2$"):
    """A figure with what ours have: a grid, mathtext, a legend, a function of ours for ticks."""
    with mpl.rc_context(plotting.RC):
        figure, axes = plotting.grid_figure(1, 2, 5, 2)
        for panel in axes.flat:
            panel.plot([1000, 2000], [1.0, last], color=colour, label=title)
            panel.xaxis.set_major_formatter(thousands)
            panel.legend()
        figure.suptitle(title)
    return figure


def drawn(folder, figure, **options):
    """How many figures had to be drawn for this one, which is ``folder/figure``."""
    with Drawer(folder / "memory.json", processes=1, **options) as drawer:
        drawer.save(figure, folder / "figure")
    return drawer.drawn


def contents(files):
    return [path.read_bytes() for path in files]


def test_another_process_draws_the_same_bytes(tmp_path):
    plain = contents(plotting.save(curve(), tmp_path / "plain"))
    assert drawn(tmp_path, curve()) == 1
    assert contents(plotting.files(tmp_path / "figure")) == plain


def test_only_what_changed_is_drawn(tmp_path, monkeypatch):
    assert drawn(tmp_path, curve()) == 1
    assert drawn(tmp_path, curve()) == 0
    assert drawn(tmp_path, curve(), every=True) == 1
    png, pdf = plotting.files(tmp_path / "figure")
    before = pdf.read_bytes()
    pdf.write_bytes(before[:-1])
    assert drawn(tmp_path, curve()) == 1
    assert pdf.read_bytes() == before
    png.unlink()
    assert drawn(tmp_path, curve()) == 1
    assert drawn(tmp_path, curve(last=2.1)) == 1
    (tmp_path / "memory.json").write_text("half a fi")
    assert drawn(tmp_path, curve(last=2.1)) == 1


@pytest.mark.parametrize("change", [{"colour": "blue"}, {"last": 2 + 1e-12}, {"title": "$M_3$"}])
def test_every_change_shows_in_the_digest(change):
    assert drawing.shown(curve()) == drawing.shown(curve())
    assert drawing.shown(curve(**change)) != drawing.shown(curve())


def test_the_code_of_a_function_and_the_versions_count(tmp_path, monkeypatch):
    before = drawing.shown(curve())
    module = drawing.sys.modules[thousands.__module__]
    other = tmp_path / "figures.py"
    other.write_text("changed")
    with monkeypatch.context() as patch:
        patch.setattr(module, "__file__", str(other))
        assert drawing.shown(curve()) != before
    with monkeypatch.context() as patch:
        patch.setitem(plotting.RC, "savefig.dpi", 80)
        assert drawing.shown(curve()) != before
    monkeypatch.setattr(drawing.importlib.metadata, "version", lambda name: "0")
    assert drawing.shown(curve()) != before


def test_a_figure_that_cannot_be_pickled_is_drawn_at_once(tmp_path):
    figure = curve()
    figure.axes[0].xaxis.set_major_formatter(lambda x, position: f"{x:g}")
    drawn(tmp_path, figure)
    assert all(path.exists() for path in plotting.files(tmp_path / "figure"))


def test_a_figure_that_fails_elsewhere_is_an_error_here(tmp_path):
    figure = curve(title="$\\unknown$")
    with pytest.raises(ValueError, match="unknown"):
        drawn(tmp_path, figure)
