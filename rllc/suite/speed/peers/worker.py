"""Runs in the peer's process: trains so many steps for each number read, and says how long.

  python worker.py flax '{"task": "mnist_mlp", …}'

Reads one number of steps per line from standard input, answers with one JSON line each:
first ``{"ready": true, "version": …}`` or ``{"error": …}``, then ``{"seconds": …}``.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]


def load(kind: str) -> ModuleType:
    """The module ``<kind>_loop.py`` beside this file."""
    spec = importlib.util.spec_from_file_location(f"{kind}_loop", HERE / f"{kind}_loop.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Builds the peer, then serves."""
    out, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not spoil the answers
    sys.path[0] = str(ROOT)
    try:
        module = load(sys.argv[1])
        train = module.make(json.loads(sys.argv[2]))
        train(2)
        print(json.dumps({"ready": True, "version": module.version()}), file=out, flush=True)
    except Exception as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        print(json.dumps({"error": text}), file=out, flush=True)
        return
    for line in sys.stdin:
        started = time.perf_counter()
        train(int(line))
        answer = {"seconds": time.perf_counter() - started}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
