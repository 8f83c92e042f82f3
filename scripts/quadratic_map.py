"""Trains the runs of the map of noisy quadratics, and writes results/quadratics/runs.csv.

`make tables` draws the map from that file.
"""

import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is to be saved
from rllc.suite.engine import devices  # noqa: E402

devices.configure()

import jax  # noqa: E402
import optax  # noqa: E402
from tqdm import tqdm  # noqa: E402

from rllc.replication import quadratic_training as training  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402
from rllc.suite.plan.configuration import Conf  # noqa: E402

OUTPUT = ROOT / "results" / "quadratics" / "runs.csv"


def header(size: training.Size, runs: int, seconds: float) -> str:
    """How the file was made, as comment lines."""
    lines = [
        "Made by python scripts/quadratic_map.py; one line per run.",
        f"Noisy quadratics of {training.DIMENSION} parameters, {training.SPACING}-spaced "
        f"eigenvalues (tasks/known/quadratic.py), {size.steps} steps; excess: 1 at the start.",
        "role: tune chooses the rates, final is what the map shows, off starts M(0.9) at factor "
        "times the rate chosen for momentum, default starts multiplicative M(0.9) there.",
        f"{runs} runs in {seconds:.0f} s on {devices.describe()}; jax {jax.__version__}, "
        f"optax {optax.__version__}.",
    ]
    return "".join(f"# {line}\n" for line in lines)


def main() -> None:
    """Trains everything; there are no checkpoints, since it takes minutes."""
    parser = Parser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--steps", type=int, default=training.Size().steps)
    given = parser.parse_args()
    size, rows, started = training.Size(steps=given.steps), training.entries(), time.time()
    with tqdm(total=(2 * len(rows) + len(training.ASIDE)) * size.steps, unit=" steps") as bar:

        def progress(what: str, runs: int, steps: int) -> None:
            bar.set_description_str(f"{what} × {runs} runs")
            bar.update(steps)

        found = training.train(Conf(ROOT / "conf"), size, rows, progress)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    body = found.assign(diverged=found.diverged.astype(int)).to_csv(
        index=False, float_format="%.6g", lineterminator="\n"
    )
    text = header(size, len(found), time.time() - started) + body
    given.output.write_text(text, encoding="utf-8")
    print(f"{len(found)} runs -> {given.output}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; nothing is written")
