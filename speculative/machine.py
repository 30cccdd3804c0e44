"""What a figure was measured on."""

import os
import platform
import sys
from importlib.metadata import version
from typing import Any


def machine_facts() -> dict[str, Any]:
    """Processor, cores, threads and versions, for the head of a report."""
    import torch

    packages = ("torch", "transformers", "numpy", "scipy")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": sys.version.split()[0],
        "system": platform.system(),
        "versions": {name: version(name) for name in packages},
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
