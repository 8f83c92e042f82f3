"""Figures are the same bytes whatever the user set."""

import matplotlib as mpl
import pytest

from rllc.suite import plotting


def drawn(folder):
    figure, axes = plotting.grid_figure(1, 1, 3, 2)
    with mpl.rc_context(plotting.RC):
        axes[0, 0].plot([0, 1])
        axes[0, 0].set_title("a")
    return [path.read_bytes() for path in plotting.save(figure, folder / "f")]


@pytest.mark.parametrize(
    "setting",
    [{"savefig.bbox": "tight"}, {"xtick.direction": "in"}, {"pdf.fonttype": 42}, {"font.size": 20}],
)
def test_a_users_settings_change_nothing(tmp_path, setting):
    plain = drawn(tmp_path)
    with mpl.rc_context(setting):
        assert drawn(tmp_path) == plain


def test_a_footnote_stays_within_its_figure():
    for width in (3.0, 12.0):
        figure, _ = plotting.grid_figure(1, 1, width, 2.0)
        plotting.footnote(figure, "a sentence of many words, " * 6 + "\nand a second line")
        plotting.FigureCanvasAgg(figure).draw()
        box = figure.texts[-1].get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
