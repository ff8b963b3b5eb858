"""What a figure was measured on: a line about the machine, and the command."""

import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

from mgr_cli.cores import n_cores

PACKAGES = ("numpy", "librosa", "torch", "onnxruntime")


def describe() -> dict[str, str]:
    """Say what this machine is, what runs on it, and how busy it is now.

    Returns
    -------
    dict of str
        Processor, cores that this process may use, memory in GB, system, versions, and the load
        average of the last one, five and fifteen minutes. Torch is not imported for its version.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return {
        "processor": _processor(),
        "cores": str(n_cores()),
        "memory": f"{memory:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "load": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        **({"OMP_NUM_THREADS": threads} if threads else {}),
    }


def told(machine: dict[str, str]) -> str:
    """Say it in a line."""
    versions = ", ".join(f"{name} {machine[name]}" for name in PACKAGES)
    threads = machine.get("OMP_NUM_THREADS")
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, "
        f"{machine['system']}, Python {machine['python']}, {versions}; "
        f"load {machine['load']} at the start{f', OMP_NUM_THREADS={threads}' if threads else ''}"
    )


def command(module: str) -> str:
    """Say how a module was started."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown processor"
