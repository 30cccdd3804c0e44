"""A folder of part files that a manifest closes: it is read whole, or refused by name.

The manifest is written last. It lists every part with its rows and the digest of its bytes, and what the data were
made of. A closed folder is never changed: data that are made anew become another generation of parts beside the old
one, and the manifest, replaced by one rename, says which of them counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import pyarrow as pa

from arms.atomic_file import remove_partial_files, write_file
from arms.input_file import check_is_file, read_text
from bandits.data.parquet_file import open_parquet, read_batches
from bandits.data.parquet_parts import part_header, part_indices, part_path, place_of

MANIFEST = "manifest.json"
_VERSION = 1


class FolderRewrittenError(ValueError):
    """A folder got a new generation while an older one was being read; reading again sees the new one."""


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One part as it was when the folder was closed."""

    name: str
    n_rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What closes a folder.

    Attributes:
        kind: what the parts hold, such as "LoggedData".
        parts: in order, without a gap.
        generation: 1, and one more each time that the data were made anew.
        made_of: what they were made of: digests of models, prompts and the like, as JSON values.
    """

    kind: str
    parts: tuple[PartRecord, ...]
    generation: int = 1
    made_of: Mapping[str, object] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Put the manifest in place, with a digest of its own."""
        content = asdict(self)
        write_file(
            folder / MANIFEST, json.dumps({"version": _VERSION, "digest": _digest(content), **content}, indent=1)
        )

    @classmethod
    def read(cls, folder: str | Path) -> Self | None:
        """Return the manifest of a folder, or None where there is none.

        Raises:
            ValueError: if it is damaged or from a newer version.
        """
        path = Path(folder) / MANIFEST
        try:
            content = json.loads(read_text(path))
            version = content.pop("version")
            if type(version) is not int or version < 1:
                raise ValueError(f"version must be an integer >= 1, got {version!r}")
            if version > _VERSION:
                raise ValueError("from a newer version: upgrade draftpick")
            if content.pop("digest") != _digest(content):
                raise ValueError("its digest does not fit what it says")
            parts = tuple(PartRecord(**part) for part in content.pop("parts"))
            return cls(parts=parts, **content)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is damaged ({error}): run the command that wrote the folder again") from error


def survey(
    folder: str | Path, kind: str, *, made_of: Mapping[str, object] | None = None, generation: int = 1
) -> Manifest:
    """Return the manifest that would close a folder as it is.

    Args:
        folder: of parts 0, 1, 2, ...
        kind: what all parts must hold.
        made_of: see `Manifest`.
        generation: of the parts.

    Raises:
        FileNotFoundError: if there is no part.
        ValueError: if a part is missing, foreign, doubled, damaged or of another kind.
    """
    indices = part_indices(folder, generation)
    if not indices:
        raise FileNotFoundError(f"{folder} holds no part files ({part_path('', 0, generation)}, ...): nothing to close")
    missing = sorted(set(range(max(indices) + 1)) - set(indices))
    if missing:
        raise ValueError(
            f"{part_path(folder, missing[0], generation)} is missing, and {part_path('', max(indices), generation)} "
            "is there: write it before the folder is closed"
        )
    records = survey_parts(folder, kind, indices, generation)
    of_content: dict[str, str] = {}
    for record in records:
        other = of_content.setdefault(record.sha256, record.name)
        if other != record.name:
            raise ValueError(
                f"{Path(folder) / record.name} holds what {other} does, byte for byte: leave one of them out"
            )
    return Manifest(kind, records, generation, json.loads(json.dumps(dict(made_of or {}))))


def survey_parts(folder: str | Path, kind: str, indices: Sequence[int], generation: int = 1) -> tuple[PartRecord, ...]:
    """Return the parts with these indices as they are.

    Raises:
        ValueError: if one is unreadable or of another kind.
    """
    records = []
    for index in indices:
        path = part_path(folder, index, generation)
        with open_parquet(path) as file:
            part_header(path, file.schema_arrow, kind)
            records.append(PartRecord(path.name, file.metadata.num_rows, file_digest(path)))
    return tuple(records)


def close_folder(folder: str | Path, manifest: Manifest) -> None:
    """Put a manifest in place: its parts are what is read from now on, and those of older generations are removed."""
    manifest.write(Path(folder))
    remove_older_parts(Path(folder), manifest)


def remove_older_parts(folder: Path, manifest: Manifest) -> None:
    """Remove the parts of generations before the manifest's, and what dead processes left half-written."""
    for path in folder.glob("part-*.parquet"):
        if place_of(path)[1] < manifest.generation:
            path.unlink()
    remove_partial_files(folder)


def open_again(folder: str | Path) -> None:
    """Take a folder's manifest away, so that a part which got lost can be written again."""
    (Path(folder) / MANIFEST).unlink(missing_ok=True)


def closed_manifest(folder: str | Path, kind: str | None = None) -> Manifest:
    """Return the manifest of a closed folder, after a look at which files are there.

    Raises:
        FileNotFoundError: if the folder is missing or holds neither parts nor a manifest.
        ValueError: if it is not closed, holds something else than `kind`, or a part is missing or foreign.
    """
    manifest = Manifest.read(folder)
    if manifest is None:
        indices = part_indices(folder)
        if not indices and any(Path(folder).glob("segment-????????.jsonl")):
            raise ValueError(f"{folder} is a decision log: read it with DecisionLog.load")
        if not indices:
            raise FileNotFoundError(f"{folder} holds no part files (part-00000.parquet, ...): nothing to load")
        raise ValueError(
            f"{folder} is not closed: it holds {len(indices)} part(s) and no {MANIFEST}. The run that wrote it was "
            "stopped: run the command again and it goes on there; parts that you wrote yourself are closed by "
            f"{kind or 'LoggedData'}.close_folder(folder)"
        )
    if kind is not None and manifest.kind != kind:
        raise ValueError(f"{folder} holds {manifest.kind}, expected {kind}")
    listed = {part.name for part in manifest.parts}
    there = {path.name for path in Path(folder).glob("*.parquet") if not path.name.startswith(".")}
    for name in sorted(listed - there):
        raise _changed(folder, manifest, f"{Path(folder) / name} is missing, and {MANIFEST} lists it")
    for name in sorted(there - listed):
        if place_of(Path(folder) / name)[1] == manifest.generation:
            raise _changed(folder, manifest, f"{Path(folder) / name} is there, and {MANIFEST} does not list it")
    return manifest


def read_closed(
    folder: str | Path, manifest: Manifest, batch_rows: int | None = None
) -> Iterator[tuple[Path, pa.Table, dict[str, object]]]:
    """Yield path, rows and header of every part that the manifest lists, in order.

    Args:
        folder: of the parts.
        manifest: of the folder.
        batch_rows: most rows of a table; None yields a part at once.

    Raises:
        FolderRewrittenError: if a newer generation has replaced what the manifest lists.
        ValueError: if a part is damaged, was replaced, or unfolds to far more than its size.
    """
    for part in manifest.parts:
        path = Path(folder) / part.name
        try:
            if file_digest(path) != part.sha256:
                fault = f"{path} is damaged, half-written or of another run (its digest is not that in {MANIFEST})"
                raise _changed(folder, manifest, fault)
            with open_parquet(path, streamed=batch_rows is not None) as file:
                header = part_header(path, file.schema_arrow, manifest.kind)
                for table in read_batches(path, file, batch_rows):
                    yield path, table, header
        except FileNotFoundError as error:
            raise _changed(folder, manifest, f"{path} is missing, and {MANIFEST} lists it") from error


def read_headers(folder: str | Path, manifest: Manifest) -> Iterator[tuple[Path, pa.Schema, int, dict[str, object]]]:
    """Yield path, schema, number of rows and header of every part, without reading a row; see `read_closed`."""
    for part in manifest.parts:
        path = Path(folder) / part.name
        try:
            with open_parquet(path) as file:
                header = part_header(path, file.schema_arrow, manifest.kind)
                if file.metadata.num_rows != part.n_rows:
                    raise _changed(
                        folder,
                        manifest,
                        f"{path} must hold {part.n_rows} rows as {MANIFEST} says, got {file.metadata.num_rows}",
                    )
                yield path, file.schema_arrow, part.n_rows, header
        except FileNotFoundError as error:
            raise _changed(folder, manifest, f"{path} is missing, and {MANIFEST} lists it") from error


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    check_is_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _changed(folder: str | Path, manifest: Manifest, fault: str) -> ValueError:
    """Return the error of a folder that is not as its manifest says."""
    if Manifest.read(folder) != manifest:
        return FolderRewrittenError(f"{folder} was written anew while it was read: read it again")
    return ValueError(f"{fault}: put the folder's own files back, or run the command that wrote it again")


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
