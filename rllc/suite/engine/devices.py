"""The machine: host devices, compilation cache, and how a record names the hardware.

`configure` has to run before JAX starts its backend, so scripts call it first.
"""

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

from rllc.suite.caches import cache_folder
from rllc.suite.errors import PlanError
from rllc.suite.optimizers.implementation import implementation

HOST_DEVICES = "--xla_force_host_platform_device_count"
MAX_HOST_DEVICES = 16


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def configure(host_devices: int | None = None, cache: str | Path | None = None) -> bool:
    """Give a CPU one host device per core and JAX a persistent compilation cache.

    On a GPU memory is taken as it is needed, unless ``XLA_PYTHON_CLIENT_PREALLOCATE`` is set:
    groups are small, and several processes can share one.

    Args:
      host_devices: number of host devices; None takes one per core (at most 16). An
        explicit count in ``XLA_FLAGS`` wins.
      cache: folder of the compilation cache; None takes ``RLLC_CACHE`` or
        ``~/.cache/rllc``. Unlike CPUs get different sub-folders. A user's own
        ``JAX_COMPILATION_CACHE_DIR`` stays.

    Returns:
      False if JAX is already running, so that nothing could be changed any more.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if HOST_DEVICES not in flags:
        count = host_devices or min(cores(), MAX_HOST_DEVICES)
        os.environ["XLA_FLAGS"] = f"{flags} {HOST_DEVICES}={count}".strip()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    if jax._src.xla_bridge.backends_are_initialized():
        return False
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return True
    folder = Path(cache or cache_folder()) / "xla" / _cpu_fingerprint()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return True  # a read-only home costs compile time, nothing else
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return True


def check() -> None:
    """Starts JAX's backend.

    Raises:
      PlanError: it cannot be started, as where ``JAX_PLATFORMS`` names a platform that is not here.
    """
    import jax

    try:
        jax.devices()
    except Exception as error:  # jaxlib raises several types, some without a message
        wanted = os.environ.get("JAX_PLATFORMS") or "unset"
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        raise PlanError(f"JAX cannot start a device (JAX_PLATFORMS is {wanted}): {why}") from None


def describe() -> str:
    """One line for the records, such as ``cpu (AMD EPYC, 2 cores)`` or the GPU's name."""
    import jax

    devices = jax.devices()
    kind = devices[0].device_kind
    if devices[0].platform == "cpu":
        words = filter(None, (_cpu_model(), f"{cores()} cores", implementation()))
        return f"cpu ({', '.join(words)})"
    return kind if len(devices) == 1 else f"{len(devices)}x {kind}"


def machine() -> dict[str, Any]:
    """What of the machine the last bits of a number depend on: equal for equal machines."""
    import jax

    return {
        "cpu": _cpu_model(),
        "cpu_flags": _cpu_fingerprint(),
        "cores": cores(),
        "host_devices": len(jax.devices()) if jax.default_backend() == "cpu" else 0,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        **({"updates": implementation()} if implementation() else {}),
    }


def _cpu_model() -> str:
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _cpu_fingerprint() -> str:
    lines = [line for line in _cpuinfo() if line.startswith(("model name", "flags", "Features"))]
    text = "\n".join(sorted(set(lines))) or platform.machine()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
