"""Look at the normal form of a linear memory.

    python scripts/normal_form.py '[[0,1,0,0],[0,0,1,0],[0,0,0,1],[1,0,0,0]]*0.9'
    python scripts/normal_form.py 'M(0.9)+M(0.5)+M(0.9)' --plot form.png

Prints the Jordan block propagators, the map of the learning law, and the abstract rule of every
unit (the weights of past gradients), as numbers and as a plot of bars; `--plot` draws them too.
An expression that begins with a minus comes after `--`.
"""

from __future__ import annotations

import argparse
import ast
import operator
import sys
import warnings
from pathlib import Path

import numpy as np

import rllc

OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.MatMult: operator.matmul,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
BARS = "▁▂▃▄▅▆▇█"


def evaluate(text: str) -> np.ndarray:
    """The array an expression of numbers, lists and + - * / @ stands for; nothing else is read."""
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused as a table
            return np.asarray(_value(ast.parse(text.strip(), mode="eval").body), dtype=np.float64)
    except SyntaxError as error:
        raise ValueError(f"cannot read {text!r}: {error.msg} at position {error.offset}") from None
    except TypeError as error:
        raise ValueError(f"cannot read {text!r}: {error}") from None


def _value(node: ast.expr) -> np.ndarray:
    match node:
        case ast.Constant(value=int() | float()):
            return np.asarray(node.value, dtype=np.float64)
        case ast.List() | ast.Tuple():
            parts = [_value(element) for element in node.elts]
            if len({part.shape for part in parts}) != 1:
                raise ValueError(f"{ast.unparse(node)!r} is empty, or its rows differ in length")
            return np.stack(parts)
        case ast.UnaryOp() if type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](_value(node.operand))
        case ast.BinOp() if type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError(f"{ast.unparse(node)!r} is not a number, a list, or a sum or product of them")


def read_propagator(text: str, injection: str | None) -> rllc.Propagator:
    """A propagator from its notation or from a matrix; the injection is e_1 unless given."""
    if text.lstrip().startswith(("M", "C")):
        if injection is not None:
            raise ValueError(f"{text!r} has an injection of its own; give one only with a matrix")
        return rllc.parse(text)
    transition = evaluate(text)
    first = np.eye(len(np.atleast_1d(transition)))[0]
    return rllc.Propagator(transition, first if injection is None else evaluate(injection))


def bars(rule: np.ndarray) -> str:
    """One character for each weight, from the lowest to the highest of the unit."""
    low, high = min(rule.min(), 0.0), max(rule.max(), 0.0)
    steps = np.rint((rule - low) / (high - low or 1.0) * (len(BARS) - 1)).astype(int)
    return "".join(BARS[i] for i in steps)


def describe(title: str, p: rllc.Propagator, length: int) -> str:
    """The abstract rules of a propagator's units as text."""
    lines = [title]
    for unit, rule in enumerate(p.abstract_rule(length).T, start=1):
        numbers = " ".join(f"{x:7.3f}" for x in rule[:8])
        lines.append(f"  unit {unit}: {numbers} …  {bars(rule)}")
    return "\n".join(lines)


def save_plot(path: Path, panels: dict[str, rllc.Propagator], length: int) -> None:
    """Abstract rules over the gradients' age, one panel for each propagator."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(panels), 3.2), layout="constrained")
    for axis, (title, p) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axis.axhline(0, color="0.8", linewidth=0.8)
        for unit, rule in enumerate(p.abstract_rule(length).T, start=1):
            axis.plot(rule, marker=".", linewidth=1, label=f"unit {unit}")
        axis.set(title=title, xlabel="age of the gradient (steps)", ylabel="weight in the unit")
        axis.legend(frameon=False, fontsize="small")
    figure.savefig(path)


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def read_command_line() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "memory", help="the transition B as an expression, or a propagator's notation"
    )
    parser.add_argument(
        "injection", nargs="?", help="the vector a (default: the first unit vector)"
    )
    parser.add_argument("--length", type=positive, default=40, help="ages to show (default: 40)")
    parser.add_argument("--plot", type=Path, help="also draw the abstract rules into this file")
    return parser.parse_args()


def main() -> None:
    """Print the normal form, and save the plot if asked to; bad input ends in one line."""
    arguments = read_command_line()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            p = read_propagator(arguments.memory, arguments.injection)
            form = rllc.normal_form(p)
        except ValueError as error:
            sys.exit(f"error: {error}")
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    length = arguments.length
    print(f"normal form: {form.propagator}")
    with np.printoptions(precision=4, suppress=True):
        print(f"law map C (the law L becomes C L):\n{form.law_map.round(12) + 0.0}")
    print(f"Weights of past gradients, newest first; bars from age 0 to {length - 1}.")
    print(describe("abstract rules of the memory given:", p, length))
    print(describe(f"abstract rules of {form.propagator}:", form.propagator, length))
    if arguments.plot:
        panels = {"as given": p, str(form.propagator): form.propagator}
        try:
            save_plot(arguments.plot, panels, length)
        except (OSError, ValueError) as error:
            sys.exit(f"error: cannot draw into {arguments.plot}: {error}")
        print(f"plot: {arguments.plot}")


if __name__ == "__main__":
    main()
