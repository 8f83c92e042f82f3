"""The page's charts as Vega-Lite; the page puts in data, colours and widths.

Every chart reads rows of the data set ``rows``; ``optimizers`` in a scale's domain stands for the
names shown and their colours.
"""

from typing import Any

from rllc.suite.plotting import BLUE, GREY, VERMILION

Spec = dict[str, Any]
WORDS = {"domain": ["better", "worse", "no difference found", "no interval"]}
LEVELS = {  # steps of the maps' colours
    "points": [0.1, 0.2, 0.5, 1, 2, 5, 10],
    "percent": [1, 2, 5, 10, 20, 50, 100],
}
SHORT = "datum.value == 0 ? '0' : datum.value < 0.001 ? format(datum.value, '~e') : format(datum.value, '~r')"


def _field(name: str, kind: str = "quantitative", title: str | None = None, **more) -> Spec:
    return {"field": name, "type": kind, "title": title, **more}


def all_charts() -> dict[str, Spec]:
    """Every chart by the id of its place on the page."""
    return {
        "forest": intervals(), "ranking": intervals(), "curves": curves(), "probes": probes(),
        "maps": maps(),
    }  # fmt: skip


def intervals() -> Spec:
    """A forest plot, a panel per task: dots with their intervals, best first, and a line at 0."""
    y = _field("name", "nominal", sort={"field": "gain", "op": "max", "order": "descending"})
    colours = {**WORDS, "range": [BLUE, VERMILION, GREY, GREY]}
    shapes = {**WORDS, "range": ["triangle-up", "triangle-down", "circle", "cross"]}
    tips = [
        _field("name", "nominal", "optimizer"), _field("against", "nominal", "against"),
        _field("gain", title="difference"), _field("low", title="95 % from"),
        _field("high", title="to"), _field("n", title="runs"),
    ]  # fmt: skip
    dot = {
        "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
        "encoding": {
            "shape": _field("word", "nominal", scale=shapes, legend={"orient": "bottom"}),
            "tooltip": tips,
        },
    }
    bar = {
        "mark": {"type": "rule", "strokeWidth": 2},
        "encoding": {"x": _field("low"), "x2": {"field": "high"}},
    }
    zero = {"data": {"values": [{"at": 0}]}, "mark": "rule", "encoding": {"x": _field("at")}}
    return {
        "data": {"name": "rows"},
        "facet": _field("panel", "nominal"),
        "columns": 1,
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "spec": {
            "height": {"step": 20},
            "layer": [
                zero,
                *(
                    {**mark, "encoding": {
                        "x": _field("gain"), "y": y,
                        "color": _field(
                            "word", "nominal", scale=colours, legend={"orient": "bottom"}
                        ),
                        **mark["encoding"],
                    }}
                    for mark in (bar, dot)
                ),
            ],
        },
    }  # fmt: skip


def _lines(colour: Spec, dash: Spec | None, tips: list[Spec]) -> list[Spec]:
    """Band, mean and single seeds over steps."""
    x = _field("step", title="step", axis={"format": "~s", "tickCount": 5})
    styles = {"color": colour, **({"strokeDash": dash} if dash else {})}
    mean, seeds = "datum.seed == null", "datum.seed != null"
    band = {
        "transform": [{"filter": mean}],
        "mark": {"type": "area", "opacity": 0.15, "clip": True},
        "encoding": {
            "x": x, "color": colour, "y": _field("low", scale={"zero": False}),
            "y2": {"field": "high"},
        },
    }  # fmt: skip
    thin = {
        "transform": [{"filter": seeds}],
        "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.5, "clip": True},
        "encoding": {"x": x, "y": _field("value"), "detail": {"field": "seed"}, **styles},
    }
    line = {
        "transform": [{"filter": mean}],
        "mark": {
            "type": "line", "strokeWidth": 2, "clip": True,
            "point": {"size": 50, "opacity": 0}, "tooltip": True,
        },
        "encoding": {"x": x, "y": _field("value"), **styles, "tooltip": tips},
    }  # fmt: skip
    return [band, thin, line]


TIPS = [
    _field("step"), _field("value", title="mean"), _field("low", title="95 % from"),
    _field("high", title="to"),
]  # fmt: skip


def curves() -> Spec:
    """Learning curves of one task; a click on the legend leaves one optimizer in full colour."""
    picked = {"param": "picked", "value": 1}
    layers = _lines(
        _field("name", "nominal", scale={"domain": "optimizers", "range": "colours"},
               legend={"orient": "bottom", "columns": 4, "symbolType": "stroke"}),
        _field("name", "nominal", scale={"domain": "optimizers", "range": "dashes"}),
        [_field("name", "nominal", "optimizer"), *TIPS],
    )  # fmt: skip
    for layer, faint in zip(layers, (0.02, 0.08, 0.1), strict=True):
        full = layer["mark"].pop("opacity", 1)
        layer["encoding"]["opacity"] = {"condition": {**picked, "value": full}, "value": faint}
    layers[-1]["params"] = [
        {"name": "picked", "select": {"type": "point", "fields": ["name"]}, "bind": "legend"}
    ]
    return {"data": {"name": "rows"}, "height": 360, "layer": layers}


def probes() -> Spec:
    """What a probe read over training, a panel per optimizer, a colour per component."""
    colour = _field(
        "component", "nominal", "component",
        scale={"scheme": "tableau10"}, legend={"orient": "bottom"},
    )  # fmt: skip
    return {
        "data": {"name": "rows"},
        "facet": _field("panel", "nominal"),
        "columns": 1,
        "resolve": {"scale": {"y": "independent"}},
        "spec": {"height": 190, "layer": _lines(colour, None, [_field("component"), *TIPS])},
    }


def maps() -> Spec:
    """Maps of the tuning grids, a panel per optimizer; a frame around what was chosen."""
    x = _field("x", "ordinal", "learning rate", axis={"labelExpr": SHORT, "labelAngle": -60})
    y = _field("y", "ordinal", axis={"labelExpr": SHORT}, sort="descending")
    colour = _field(
        "excess", title=None, legend={"orient": "bottom", "gradientLength": 260},
        scale={"type": "threshold", "domain": LEVELS["points"], "scheme": "viridis",
               "reverse": True},
    )  # fmt: skip
    tips = [
        _field("x", title="learning rate"), _field("y", title="upwards"),
        _field("value", title="validation value"), _field("excess", title="from the best"),
        _field("steps"), _field("seeds"),
    ]  # fmt: skip
    place = {"x": x, "y": y}
    layers: list[Spec] = [
        {"mark": "rect", "encoding": {**place, "color": colour, "tooltip": tips}},
        {
            "transform": [{"filter": "datum.value == null"}],
            "mark": {"type": "text", "text": "×", "color": VERMILION, "fontSize": 13},
            "encoding": place,
        },
        {
            "transform": [{"filter": "datum.chosen"}],
            "mark": {"type": "rect", "filled": False, "stroke": VERMILION, "strokeWidth": 3},
            "encoding": place,
        },
    ]
    return {
        "data": {"name": "rows"},
        "facet": _field("panel", "nominal"),
        "columns": 1,
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "spec": {"height": {"step": 18}, "layer": layers},
    }
