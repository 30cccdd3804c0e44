"""How much memory can still be taken: of a card, or of this machine and the container that the process runs in."""

from pathlib import Path

import psutil
import torch

_NO_LIMIT = 2**62  # version 1 writes no limit as the largest number of whole pages
_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def free_bytes(device: torch.device) -> int:
    """Memory of a device that can still be allocated, bytes.

    What torch's allocator has reserved on a card and not given out is free; on the CPU a container's limit counts.
    """
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    available = int(psutil.virtual_memory().available)
    container = container_free_bytes()
    return available if container is None else min(available, container)


def container_free_bytes(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int | None:
    """Memory that this process's control groups still allow, bytes; None where there is no limit.

    Pages of files that were not used lately are free: the kernel drops them before it refuses memory.

    Args:
        cgroups: where the kernel shows the groups, version 1 or 2.
        membership: the file that names the groups of the process.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
    """
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:  # no Linux
        return None
    found: list[int] = []
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers == "":
            files = ("memory.max", "memory.current", "inactive_file")
            found += _free_of_groups(cgroups, path, files)
        elif "memory" in controllers.split(","):
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            found += _free_of_groups(cgroups / "memory", path, files)
    return min(found, default=None)


def _free_of_groups(root: Path, path: str, files: tuple[str, str, str]) -> list[int]:
    """Free bytes of a group and of all groups around it that have a limit; inside a container `root` may be its own."""
    limit_file, used_file, reclaimable = files
    group = root / path.strip("/")
    free = []
    for folder in (group, *group.parents):
        if not folder.is_relative_to(root):
            break
        limit = _number(folder / limit_file)
        if limit is None or limit >= _NO_LIMIT:
            continue
        used = _number(folder / used_file)
        if used is not None:
            free.append(max(0, limit - used + _statistic(folder / "memory.stat", reclaimable)))
    return free


def _number(file: Path) -> int | None:
    """Read a file of one whole number; None if it is not there or says `max`."""
    try:
        content = file.read_text().strip()
    except OSError:
        return None
    return int(content) if content.isdecimal() else None


def _statistic(file: Path, name: str) -> int:
    try:
        rows = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return 0
    return next((int(row[1]) for row in rows if len(row) == 2 and row[0] == name and row[1].isdecimal()), 0)
