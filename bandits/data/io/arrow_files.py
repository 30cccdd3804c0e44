"""Tables in Arrow files, alone or in a folder that Hugging Face datasets saved."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from arms.input_file import check_is_file, read_text
from bandits.data.io.arrow_messages import unfolded_bytes
from bandits.data.parquet_file import MOST_GROWTH, most_bytes

_STATE, _SPLITS = "state.json", "dataset_dict.json"  # of a data set, and of several splits of one
_FILE_START = b"ARROW1\0\0"  # of Arrow's file format, which is a stream and a footer; a stream alone has no mark


def read_arrow(path: Path) -> pa.Table:
    """Read a file of Arrow's stream or file format.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is a pipe or a device, damaged, or unfolds to more bytes than any file of its size does.
    """
    check_is_file(path)
    try:
        with pa.OSFile(str(path)) as file:
            start = len(_FILE_START) if file.read(len(_FILE_START)) == _FILE_START else 0
            if start:
                pa.ipc.open_file(file)  # its footer is written last
            file.seek(start)
            unfolded, allowed = unfolded_bytes(file), most_bytes(file.size())
            if unfolded <= allowed:
                file.seek(start)
                table = pa.ipc.open_stream(file).read_all()
                table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path} is not a readable Arrow file ({error})") from error
    if unfolded > allowed:
        raise ValueError(
            f"{path} must unfold to at most {allowed:,} bytes, {MOST_GROWTH} times its size, got {unfolded:,}: it was "
            "made to fill memory, or write it without compression"
        )
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
