"""What a figure was measured on."""

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def machine_facts(
    packages: Sequence[str] = ("torch", "transformers", "numpy", "scipy"), threads: int | None = None
) -> dict[str, Any]:
    """Processor, cores, threads and versions, for the head of a report.

    Args:
        packages: whose versions are told; those not installed are left out. torch is imported only if named.
        threads: how many were used; None asks torch, which must be among the packages.
    """
    accelerator = None
    if "torch" in packages:
        import torch

        accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        threads = torch.get_num_threads() if threads is None else threads
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "accelerator": accelerator,
        "python": sys.version.split()[0],
        "system": platform.system(),
        "versions": {name: found for name in packages if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
