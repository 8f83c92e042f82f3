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
SHORT = (  # of a tick: 0.003, but 3e-4
    "datum.value == null ? '' : datum.value == 0 ? '0' : "
    "datum.value < 0.001 ? format(datum.value, '~e') : format(datum.value, '~r')"
)


def _field(name: str, kind: str = "quantitative", title: str | None = None, **more: Any) -> Spec:
    return {"field": name, "type": kind, "title": title, **more}


def all_charts() -> dict[str, Spec]:
    """Every chart by the id of its place on the page."""
    return {
        "forest": intervals(), "ranking": intervals(), "curves": curves(), "probes": probes(),
        "maps": maps(),
    }  # fmt: skip


def intervals() -> Spec:
    """A forest plot, a panel per task: dots with their intervals, best first, the line at 0 dashed.

    Every row needs both ends of its interval: rows left out would split a panel's data in two.
    """
    y = _field("name", "nominal", sort={"field": "gain", "op": "max", "order": "descending"})
    at_zero = {"test": "datum.value == 0"}
    axis = {
        "gridWidth": {"condition": {**at_zero, "value": 2}, "value": 1},
        "gridDash": {"condition": {**at_zero, "value": [4, 3]}, "value": []},
    }
    colours = {**WORDS, "range": [BLUE, VERMILION, GREY, GREY]}
    shapes = {**WORDS, "range": ["triangle-up", "triangle-down", "circle", "cross"]}
    tips = [
        _field("name", "nominal", "optimizer"), _field("against", "nominal", "against"),
        _field("gain", title="difference"), _field("from", title="95 % from"),
        _field("to"), _field("n", title="runs"),
    ]  # fmt: skip
    dot: Spec = {
        "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1, "invalid": None},
        "encoding": {
            "shape": _field("word", "nominal", scale=shapes, legend={"orient": "bottom"}),
            "tooltip": tips,
        },
    }
    bar: Spec = {
        "mark": {"type": "rule", "strokeWidth": 2, "invalid": None},
        "encoding": {
            "x": _field("low", scale={"zero": True}, axis=axis), "x2": {"field": "high"}
        },
    }  # fmt: skip
    return {
        "data": {"name": "rows"},
        "facet": _field("panel", "nominal"),
        "columns": 1,
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "spec": {
            "height": {"step": 20},
            "layer": [
                {**mark, "encoding": {
                    "x": _field("at", scale={"zero": True}, axis=axis), "y": y,
                    "color": _field("word", "nominal", scale=colours, legend={"orient": "bottom"}),
                    **mark["encoding"],
                }}
                for mark in (bar, dot)
            ],
        },
    }  # fmt: skip


def _lines(colour: Spec, dash: Spec | None, tips: list[Spec], band: float) -> list[Spec]:
    """Band, mean, points for tooltips, and single seeds over steps; the page drops the last."""
    x = _field("step", title="step", axis={"format": "~s", "tickCount": 5})
    y = _field("value", scale={"zero": False})
    dashes = {"strokeDash": dash} if dash else {}
    mean, seed = ([{"filter": f"datum.seed {sign} null"}] for sign in ("==", "!="))
    return [
        {
            "transform": mean,
            "mark": {"type": "area", "opacity": band, "clip": True},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"},
                         "color": colour},
        },
        {
            "transform": mean,
            "mark": {"type": "line", "opacity": 1, "strokeWidth": 2, "clip": True},
            "encoding": {"x": x, "y": y, "color": colour, **dashes},
        },
        {
            "transform": mean,
            "mark": {"type": "point", "size": 60, "clip": True},
            "encoding": {"x": x, "y": y, "color": colour, "tooltip": tips, "opacity": {"value": 0}},
        },
        {
            "transform": seed,
            "mark": {"type": "line", "opacity": 0.5, "strokeWidth": 1, "clip": True},
            "encoding": {"x": x, "y": y, "color": colour, "detail": {"field": "seed"}},
        },
    ]  # fmt: skip


TIPS = [
    _field("step"), _field("value", title="mean"), _field("low", title="95 % from"),
    _field("high", title="to"),
]  # fmt: skip


LEGEND = {
    "orient": "bottom", "symbolType": "stroke", "symbolSize": 300, "symbolStrokeWidth": 2.5,
    "symbolOpacity": 1,
}  # fmt: skip


def curves() -> Spec:
    """Learning curves of one task; a click on the legend leaves one optimizer in full colour."""
    layers = _lines(
        _field("name", "nominal", scale={"domain": "optimizers", "range": "colours"},
               legend=LEGEND),
        _field("name", "nominal", scale={"domain": "optimizers", "range": "dashes"}),
        [_field("name", "nominal", "optimizer"), *TIPS],
        band=0.1,
    )  # fmt: skip
    for layer in layers:
        if full := layer["mark"].pop("opacity", None):
            picked = {"param": "picked", "value": full}
            layer["encoding"]["opacity"] = {"condition": picked, "value": full / 10}
    layers[1]["params"] = [
        {"name": "picked", "select": {"type": "point", "fields": ["name"]}, "bind": "legend"}
    ]
    return {"data": {"name": "rows"}, "height": 380, "layer": layers}


def probes() -> Spec:
    """What a probe read over training, a panel per optimizer, a colour per component."""
    scale = {"scheme": "tableau10"}
    colour = _field("component", "nominal", "component", scale=scale, legend=LEGEND)
    return {
        "data": {"name": "rows"},
        "facet": _field("panel", "nominal"),
        "columns": 1,
        "resolve": {"scale": {"y": "independent"}, "axis": {"x": "independent"}},
        "spec": {
            "height": 190, "layer": _lines(colour, None, [_field("component"), *TIPS], band=0.2)
        },
    }  # fmt: skip


def maps() -> Spec:
    """Maps of the tuning grids, a panel per optimizer; a frame around what was chosen."""
    x = _field("x", "ordinal", "learning rate", axis={"labelExpr": SHORT, "labelAngle": -60})
    y = _field("y", "ordinal", axis={"labelExpr": SHORT}, sort="descending")
    colour = _field(
        "band", "ordinal", sort=None, legend={"orient": "bottom", "symbolType": "square"},
        scale={"domain": ["band"], "scheme": "viridis", "reverse": True},
    )  # fmt: skip
    tips = [
        _field("x", title="learning rate"), _field("y", title="upwards"),
        _field("value", title="validation value"), _field("excess", title="from the best"),
        _field("steps"), _field("seeds"),
    ]  # fmt: skip
    place = {"x": x, "y": y}
    hidden = {"test": "datum.value == null", "value": "×"}
    layers: list[Spec] = [
        {"mark": "rect", "encoding": {**place, "color": colour, "tooltip": tips}},
        {
            "mark": {"type": "text", "color": VERMILION, "fontSize": 13},
            "encoding": {**place, "text": {"condition": hidden, "value": ""}},
        },
        {
            "mark": {"type": "rect", "filled": False, "stroke": VERMILION},
            "encoding": {
                **place,
                "strokeWidth": {"condition": {"test": "datum.chosen", "value": 3}, "value": 0},
            },
        },
    ]
    return {
        "data": {"name": "rows"},
        "facet": _field("panel", "nominal"),
        "columns": 1,
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "spec": {"height": {"step": 18}, "layer": layers},
    }
