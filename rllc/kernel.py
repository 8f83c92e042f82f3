"""One loop of C++ for the inner products and one for the memory, in place of XLA's on a CPU.

XLA's CPU backend writes each output in a loop of its own and adds up many products with scalar
instructions, so from three memory units on an update is far from its bytes. `enable`, or the
environment variable ``RLLC_KERNEL=1``, compiles ``kernel.cpp`` for this machine once, which takes
some seconds, and uses it for float32 leaves of programs of one CPU device. Everything else stays
with XLA. The numbers agree up to rounding, so it is not the default: what a run gives should not
depend on who has a compiler.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rllc.placement import varying

VARIABLE = "RLLC_KERNEL"
SOURCE = Path(__file__).with_suffix(".cpp")
COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math")
SMALLEST = 2048  # numbers of a leaf below which a call costs more than it saves
FEWEST = 4  # arrays, units and gradient: with fewer it was no faster in whole training steps
MOST = 7  # arrays whose products the registers hold, or nearly

_enabled: bool | None = None  # None: as the environment says


def enable(on: bool = True) -> None:
    """Use the kernel, or no longer, in every update that is traced from now on.

    A function that `jax.jit` has compiled before keeps what it was compiled with.

    Raises:
      RuntimeError: there is no C++ compiler, or it fails; it says what to do.
    """
    global _enabled
    if on:
        _load()
    _enabled = on


def enabled() -> bool:
    """Whether an update that is traced now uses the kernel where it can.

    Raises:
      ValueError: the environment variable is neither 0 nor 1.
      RuntimeError: see `enable`.
    """
    value = os.environ.get(VARIABLE) or "0"
    if _enabled is None and value not in ("0", "1"):
        raise ValueError(f"{VARIABLE} is {value!r}; it must be 1, or 0 for no kernel")
    if _enabled is None:
        enable(asked())
    return asked()


def asked() -> bool:
    """Whether the kernel is asked for, by `enable` or the environment; compiles nothing."""
    return os.environ.get(VARIABLE) == "1" if _enabled is None else _enabled


@contextlib.contextmanager
def using(on: bool = True) -> Iterator[None]:
    """`enable` for what is traced inside."""
    global _enabled
    before = enabled()
    enable(on)
    try:
        yield
    finally:
        _enabled = before


def takes(arrays: list[jax.Array]) -> bool:
    """Whether the kernel is enabled and worth its while for these arrays, units and gradient.

    They are `FEWEST` to `MOST`, float32, of one shape, not small, and do not vary over the axes of
    a `jax.shard_map` that keeps account of that (``check_vma``), which calls of C++ cannot tell.
    """
    if not FEWEST <= len(arrays) <= MOST or not enabled():
        return False
    alike = all(x.dtype == jnp.float32 and x.shape == arrays[0].shape for x in arrays)
    return alike and arrays[0].size >= SMALLEST and not any(map(varying, arrays))


def products(*arrays: jax.Array) -> list[jax.Array]:
    """Σ a·b for all pairs (i ≤ j) of arrays that it `takes`, each read once.

    Blocks of 2048 numbers are added up in float32, eight lanes side by side, and the blocks in
    float64, in an order that does not depend on the number of threads.
    """
    number = len(arrays) * (len(arrays) + 1) // 2
    shape = jax.ShapeDtypeStruct((number,), jnp.float32)
    call = jax.ffi.ffi_call("rllc_products", shape, vmap_method="broadcast_all")
    sums = call(*arrays, n=np.int64(arrays[0].size))
    return [sums[i] for i in range(number)]


def memory(
    weights: np.ndarray, order: list[int], one: jax.Array, gradient: jax.Array, *old: jax.Array
) -> list[jax.Array]:
    """The k new units, in the place of the old ones where nobody else reads those.

    Args:
      weights: (k, k + 1); row j holds what unit j takes of each old unit and of the gradient. What
        has weight 0 is not read.
      order: in which order the units are written.
      one: a float32 scalar to wait for; its value is not read.
      gradient, *old: k + 1 arrays that it `takes`.
    """
    call = jax.ffi.ffi_call(
        "rllc_memory",
        [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in old],
        vmap_method="broadcast_all",
        input_output_aliases={i + 1: i for i in range(len(old))},
    )
    table = np.asarray(weights, np.float32).ravel()
    return list(call(one, *old, gradient, weights=table, order=np.asarray(order, np.int64)))


@functools.cache
def _load() -> None:
    library = ctypes.CDLL(str(_built()))
    for name in ("rllc_products", "rllc_memory"):
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(library, name)), platform="cpu")


def _built() -> Path:
    """The library of this source, jaxlib and CPU, compiled unless it is in the cache."""
    what = [SOURCE.read_text(), *FLAGS, version("jaxlib"), platform.machine(), _cpu()]
    name = hashlib.sha256("\n".join(what).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("RLLC_CACHE") or "~/.cache/rllc").expanduser() / "kernel"
    library = folder / f"{name}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as own:
            _compile(Path(own) / library.name)
            os.replace(Path(own) / library.name, library)
    return library


def _cpu() -> str:
    """The instructions that -march=native may use, as far as the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x for x in lines if x.startswith(("flags", "Features"))), platform.processor())


def _compile(library: Path) -> None:
    named = os.environ.get("CXX")
    compiler = next(filter(None, map(shutil.which, [named] if named else COMPILERS)), None)
    without = f"or leave {VARIABLE} unset: everything works without the kernel"
    if compiler is None:
        wanted = f"CXX is {named!r}, which is no command" if named else "there is none of c++, g++"
        raise RuntimeError(f"the kernel needs a C++ compiler and {wanted}: install one, {without}")
    command = [compiler, *FLAGS, "-shared", "-fPIC", "-isystem", jax.ffi.include_dir()]
    done = subprocess.run(
        [*command, str(SOURCE), "-o", str(library)], capture_output=True, text=True
    )
    if done.returncode:
        said = next((x for x in done.stderr.splitlines() if "error" in x), done.stderr[-300:])
        raise RuntimeError(f"{compiler} cannot compile the kernel ({said}): try CXX=g++, {without}")
