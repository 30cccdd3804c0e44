"""Where a model comes from: a folder, a GGUF file, an installed package, a shipped draft or the hub."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speculative.models.gguf_config import ARCHITECTURES, config_of
from speculative.models.gguf_conversion import convert_gguf
from speculative.models.gguf_file import GgufFile
from speculative.models.json_file import read_json_object
from speculative.models.rope import UnsupportedModelError
from speculative.models.settings import DEFAULT_SETTINGS, ModelSettings

SHIPPED_DRAFTS = Path(__file__).parents[1] / "drafts" / "shipped"
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_NOT_READ = ["*/*", "consolidated*"]  # other formats of the same weights: ONNX in folders, Mistral's own files


def resolve_model(name: str, settings: ModelSettings = DEFAULT_SETTINGS) -> Path:
    """Give the checkpoint folder of a model, converting or downloading it when needed.

    Args:
        name: a folder; a `.gguf` file, of a split one any part (converted once to safetensors and cached);
            `package:NAME`, the one GGUF file inside an installed Python package, none of whose code is run;
            `shipped:NAME`, a draft that draftpick ships; or a hub id `owner/name`, which `owner/name@revision` pins to
            a commit, a branch or a tag.
        settings: the form that a converted model takes, and where it is kept.

    Raises:
        ValueError: if nothing of that name can be had; the message says what was looked for.
    """
    file = gguf_file(name)
    if file is not None:
        return convert_gguf(file, settings)
    if name.startswith("shipped:"):
        return _shipped(name.removeprefix("shipped:"))
    path = _path(name)
    if path.is_dir():
        return path
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
        raise ValueError(f"model {name!r} is neither a folder, a .gguf file nor a hub id of the form owner/name")
    return _download(*_hub_name(name))


@dataclass(frozen=True, slots=True)
class Description:
    """What a model says of itself before any weight is read.

    Attributes:
        config: its `config.json`, of a GGUF file what that would be.
        n_bytes: of its weights as they are stored.
    """

    config: dict[str, Any]
    n_bytes: int


def describe_gguf(path: Path) -> Description:
    """Read what a GGUF file says of its model; nothing is converted.

    Raises:
        UnsupportedModelError: if it is of another architecture than the decoder's.
        ValueError: if the file is missing or damaged.
    """
    file = GgufFile.open(path)
    if file.metadata.get("general.architecture") not in ARCHITECTURES:
        raise UnsupportedModelError(f"{path}: the decoder does not compute its architecture")
    return Description(config_of(file), sum(part.stat().st_size for part in file.parts))


def describe_folder(folder: Path) -> Description:
    """Read what a checkpoint folder says of its model.

    Raises:
        ValueError: if its configuration is missing or broken.
    """
    path = folder / "config.json"
    if not path.exists():
        raise ValueError(f"{folder} holds no config.json; name a checkpoint folder, a hub id or a .gguf file")
    return Description(read_json_object(path), sum(part.stat().st_size for part in folder.glob("*.safetensors")))


def gguf_file(name: str) -> Path | None:
    """Return the GGUF file that a name which `resolve_model` takes stands for; None where it is something else.

    Raises:
        ValueError: if a package that should hold it is not installed, or does not hold one.
    """
    if name.startswith("package:"):
        return _gguf_in_package(name.removeprefix("package:"))
    path = _path(name)
    return path if path.suffix == ".gguf" and not path.is_dir() else None


def _path(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:  # there is no such user
        raise ValueError(f"model {name!r}: there is no such home folder; write the path out") from error


def _gguf_in_package(package: str) -> Path:
    """Find the file without importing anything: a spec of a top-level name is found by looking at folders only."""
    top, *inner = package.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # no name of a module, or one that was made without a spec
        spec = None
    if spec is None:
        raise ValueError(f"Python package {package!r} is not installed; install it or name another model")
    folders = [Path(folder).joinpath(*inner) for folder in spec.submodule_search_locations or ()]
    files = sorted(file for folder in folders for file in folder.glob("*.gguf"))
    if len(files) != 1:
        raise ValueError(f"Python package {package!r} must hold one .gguf file, found {len(files)}")
    return files[0]


def _shipped(name: str) -> Path:
    folder = SHIPPED_DRAFTS / name
    if not folder.is_dir():
        known = sorted(path.parent.name for path in SHIPPED_DRAFTS.glob("*/config.json"))
        raise ValueError(f"no shipped draft is named {name!r}; there are {known}")
    return folder


def _hub_name(name: str) -> tuple[str, str | None]:
    """Return hub id and revision."""
    hub_id, at, revision = name.partition("@")
    if at and not revision:
        raise ValueError(f"model {name!r} must name a revision after the @: a commit, a branch or a tag")
    return hub_id, revision or None


def _download(hub_id: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(hub_id, revision=revision, allow_patterns=_HUB_FILES, ignore_patterns=_NOT_READ)
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ValueError(
            f"model {hub_id!r} is not a folder here and could not be downloaded from the hub: {error}"
        ) from error
    return Path(folder)
