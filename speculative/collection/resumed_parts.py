"""Part files that a stopped run leaves: which are still to be written."""

from collections.abc import Callable, Iterator
from pathlib import Path

from bandits.data.closed_folder import Manifest, close_folder, open_again, survey, survey_parts
from bandits.data.parquet_parts import part_indices, part_path


def missing_parts(
    folder: Path, n_parts: int, kind: str, read: Callable[[Path, Manifest], Iterator[object]]
) -> list[int]:
    """Return the indices of the parts that are still to be written, and open the folder again if there are any.

    Args:
        folder: of the parts.
        n_parts: that it shall hold.
        kind: of what they hold.
        read: yields the content of each part that a manifest lists, and refuses a damaged one.

    Raises:
        ValueError: if a part on disk is damaged, foreign or none of these `n_parts`; the message names it.
    """
    there = part_indices(folder)
    if there and there[-1] >= n_parts:
        raise ValueError(f"{part_path(folder, there[-1])} is foreign, there are {n_parts} part(s): move it away")
    manifest = Manifest.read(folder)
    known = {} if manifest is None else {part.name: part for part in manifest.parts}
    found = survey_parts(folder, kind, there)
    for part in found:
        if part != known.get(part.name, part):
            raise ValueError(
                f"{folder / part.name} is damaged or of another run: its digest is not that in the manifest; delete "
                "it and run again"
            )
    for _ in read(folder, Manifest(kind, found)):
        pass
    missing = sorted(set(range(n_parts)) - set(there))
    if missing and manifest is not None:
        open_again(folder)
    return missing


def close_parts(folder: Path, kind: str) -> None:
    """Close a folder that lacks no part."""
    if Manifest.read(folder) is None:
        close_folder(folder, survey(folder, kind))
