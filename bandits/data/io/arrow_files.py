"""Tables in Arrow files, alone or in a folder that Hugging Face datasets saved."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from arms.input_file import check_is_file, read_text

_STATE, _SPLITS = "state.json", "dataset_dict.json"  # of a data set, and of several splits of one
_FILE_START = b"ARROW1"  # a file of Arrow's file format; the stream format has no mark


def read_arrow(path: Path) -> pa.Table:
    """Read a file of Arrow's stream or file format.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is a pipe or a device, or damaged.
    """
    check_is_file(path)
    try:
        with pa.OSFile(str(path)) as file:
            of_file_format = file.read(len(_FILE_START)) == _FILE_START
            file.seek(0)
            table = (pa.ipc.open_file if of_file_format else pa.ipc.open_stream)(file).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a readable Arrow file ({error})") from error
    return table


def is_saved_dataset(folder: Path) -> bool:
    """Return whether Hugging Face datasets' `save_to_disk` wrote a folder."""
    return any((folder / name).is_file() for name in (_STATE, _SPLITS))


def read_saved_dataset(folder: Path) -> pa.Table:
    """Read a folder that Hugging Face datasets' `save_to_disk` wrote, its files in their order.

    Raises:
        FileNotFoundError: if one of its files is not there.
        ValueError: if it holds several splits, which are named, or is damaged.
    """
    if (folder / _SPLITS).is_file():
        splits = _listed(folder / _SPLITS, "splits")
        raise ValueError(f"{folder} holds the splits {', '.join(splits)}: name one, such as {folder / splits[0]}")
    files = _listed(folder / _STATE, "_data_files", "filename")
    return pa.concat_tables([read_arrow(folder / Path(name).name) for name in files])


def _listed(path: Path, key: str, name: str | None = None) -> list[str]:
    """Return the texts that a JSON file lists under a key, or their objects' under a name."""
    try:
        listed = [str(entry if name is None else entry[name]) for entry in json.loads(read_text(path))[key]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must list {key!r}, as Hugging Face datasets writes it ({error!r})") from error
    if not listed:
        raise ValueError(f"{path} must list at least one of {key!r}, got none")
    return listed
