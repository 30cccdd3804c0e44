"""The data that collect writes and the cost profile that priced them, which belong together.

Each generation of the data has its own profile beside it: costs.json, from generation 2 on costs.2.json. The folder's
manifest, replaced in one rename, says which generation counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from arms.atomic_file import write_file
from arms.input_file import read_text
from bandits import FullInformationData
from bandits.data.closed_folder import Manifest, open_again, remove_older_parts
from speculative.measuring.cost_profile import CostProfile, digest_of

COSTS = "costs.json"
_DIGEST = "cost_profile"


def stored_costs(folder: Path) -> CostProfile | None:
    """Return the profile that prices a collection's data; None before one was begun.

    Raises:
        ValueError: if it is damaged, or not the one that the data were priced with.
    """
    manifest = _manifest(folder)
    path = _costs_path(folder, 1 if manifest is None else manifest.generation)
    if not path.exists():
        if manifest is not None and _DIGEST in manifest.made_of:
            raise ValueError(f"{path} is missing, which priced the data beside it: put it back")
        return None
    try:
        text = read_text(path)
        costs = CostProfile.from_json(text)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): put it back, or collect into another folder") from error
    if manifest is not None and manifest.made_of.get(_DIGEST) != digest_of(text):
        raise ValueError(f"{path} is not the cost profile that priced the data beside it: put that one back")
    return costs


def keep_costs(folder: Path, costs: CostProfile) -> None:
    """Store the profile that a new collection's data will be priced with."""
    write_file(_costs_path(folder, 1), costs.to_json())


def whole_data(folder: Path) -> FullInformationData | None:
    """Return a collection's data if they are closed and undamaged."""
    try:
        return FullInformationData.load(folder)
    except (FileNotFoundError, ValueError):
        return None


def write_data(
    folder: Path, parts: Iterable[FullInformationData], costs: CostProfile, made_of: Mapping[str, object]
) -> FullInformationData:
    """Write data as a new generation, and make it the one that counts once it is whole; the older one is removed then.

    Args:
        folder: of the collection.
        parts: in order.
        costs: that priced them.
        made_of: what they were made of, for the manifest.

    Returns:
        What the folder now holds.
    """
    before = _manifest(folder)
    generation = 1 if before is None else before.generation + 1
    if before is None:
        open_again(folder)  # a damaged manifest
    write_file(_costs_path(folder, generation), costs.to_json())
    for index, data in enumerate(parts):
        data.write_part(folder, index, generation=generation)
    facts = {_DIGEST: costs.digest, "machine": costs.machine, "threads": costs.threads, "noise": costs.spread}
    FullInformationData.close_folder(folder, made_of={**made_of, **facts}, generation=generation)
    remove_older_generations(folder)
    return FullInformationData.load(folder)


def remove_older_generations(folder: Path) -> None:
    """Remove what a stopped run left of generations that count no more."""
    manifest = Manifest.read(folder)
    if manifest is not None:
        remove_older_parts(folder, manifest)
        for generation in range(1, manifest.generation):
            _costs_path(folder, generation).unlink(missing_ok=True)


def made_of(folder: Path) -> Mapping[str, object]:
    """Return what a collection's data were made of, without the facts of the profile.

    Raises:
        ValueError: if the folder is not closed, or damaged.
    """
    manifest = Manifest.read(folder)
    if manifest is None:
        raise ValueError(f"{folder} holds no finished collection: run collect first")
    return manifest.made_of


def _manifest(folder: Path) -> Manifest | None:
    try:
        return Manifest.read(folder)
    except ValueError:  # damaged: the data are made anew from the traces
        return None


def _costs_path(folder: Path, generation: int) -> Path:
    return folder / (COSTS if generation == 1 else f"costs.{generation}.json")
