"""Data from whatever a command is pointed at, valued by the reward that it is asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from arms.named_call import listed
from speculative.cli.plugins import encoder_of, users_fault
from speculative.cli.progress import busy

if TYPE_CHECKING:
    from arms import Observation
    from bandits import ContextEncoder, FullInformationData, LoggedData
    from bandits.data.io import TableLayout
    from rewards import Reward

STORED_REWARD = "the data's own reward"


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How a table that is no folder of draftpick's is read.

    Attributes:
        encoder: name of what makes contexts from texts.
        columns: "ROLE=NAME" each.
        context_columns: names of columns that are features, separated by commas.
        unknown_levels: what becomes of a level that training did not have.
        propensities: whether a log states them.
        arm_columns: names of a wide table's columns that are arms, separated by commas.
        cost_suffix: of a wide table's columns of costs.
        fixed_by: the mark of a policy, whose columns and levels are taken; None where none is there yet.
    """

    encoder: str | None = None
    columns: Sequence[str] = ()
    context_columns: str | None = None
    unknown_levels: Literal["refuse", "own_column"] = "refuse"
    propensities: Literal["logged", "estimated"] = "logged"
    arm_columns: str | None = None
    cost_suffix: str | None = None
    fixed_by: str | None = None

    def given(self) -> list[str]:
        """Return the options that were given."""
        named = {
            "--encoder": self.encoder is not None,
            "--column": bool(self.columns),
            "--context-columns": self.context_columns is not None,
            "--unknown-levels": self.unknown_levels != "refuse",
            "--propensities": self.propensities != "logged",
            "--arm-columns": self.arm_columns is not None,
            "--cost-suffix": self.cost_suffix is not None,
        }
        return [name for name, given in named.items() if given]


def read_data(path: Path, options: TableOptions) -> "FullInformationData | LoggedData":
    """Read a folder that draftpick wrote (data of either kind, or a decision log), a table, or a .dsjson file.

    Raises:
        ValueError: if it is neither, is damaged, or an option does not suit it.
        FileNotFoundError: if it is not there.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    is_dsjson = path.suffix == ".dsjson" and not path.is_dir()
    if not is_dsjson and (not path.is_dir() or _is_folder_of_tables(path)):
        return _read_table(path, options)
    if options.given():
        kind = "dsjson" if is_dsjson else "a folder"
        raise ValueError(
            f"{options.given()[0]} is for tables, and {path} is {kind}, which has contexts and columns of its own: "
            "leave it out"
        )
    if is_dsjson:
        from bandits.data.io import read_dsjson

        return read_dsjson(path)
    from bandits import DecisionLog, FullInformationData, LoggedData
    from bandits.data.closed_folder import MANIFEST, closed_manifest
    from bandits.online.segments import segment_numbers

    if segment_numbers(path):
        return DecisionLog.load(path)
    if (path / "collect.json").is_file() and not (path / MANIFEST).exists():
        raise ValueError(
            f"{path} is not closed: its collection was stopped. Run the same draftpick collect again: it goes on there"
        )
    return (LoggedData if closed_manifest(path).kind == LoggedData.kind else FullInformationData).load(path)


def read_log(path: Path) -> "LoggedData":
    """Read a decision log, also while it is written, the state folder of a service, or other logged data.

    Raises:
        ValueError: if it is no log, as `read_data`.
        FileNotFoundError: if it is not there.
    """
    from bandits import LoggedData

    data = read_data(log_folder(path) or path, TableOptions())
    if not isinstance(data, LoggedData):
        raise ValueError(f"{path} holds every arm's reward, of which draftpick evaluate takes exact values: use that")
    return data


def log_folder(path: Path) -> Path | None:
    """Return the folder of the decision log that is meant: this one, or the one of a service's state; None for none."""
    from bandits.online.segments import segment_numbers

    return next((folder for folder in (path / "log", path) if folder.is_dir() and segment_numbers(folder)), None)


def _is_folder_of_tables(folder: Path) -> bool:
    """Return whether a folder is a table of Hive, Spark or Hugging Face datasets, and holds nothing of draftpick's."""
    from bandits.data.closed_folder import MANIFEST
    from bandits.data.io.arrow_files import is_saved_dataset
    from bandits.data.io.table_files import visible_files
    from bandits.data.parquet_parts import is_part_name
    from bandits.online.segments import segment_numbers

    if (folder / MANIFEST).exists() or segment_numbers(folder):
        return False
    if is_saved_dataset(folder):
        return True
    files = [path.relative_to(folder) for path in visible_files(folder)]
    values = [part for file in files for part in file.parent.parts]
    return bool(files) and all("=" in part for part in values) and not any(is_part_name(file.name) for file in files)


def read_full_information(path: Path, options: TableOptions) -> "FullInformationData":
    """Read data that hold every arm's reward.

    Raises:
        ValueError: if they are a log, or as `read_data`.
    """
    from bandits import FullInformationData

    data = read_data(path, options)
    if not isinstance(data, FullInformationData):
        raise ValueError(
            f"{path} is a log, which holds the chosen arm's reward only, and exact values need every arm's: "
            "use draftpick compare"
        )
    return data


def valued(
    data: "FullInformationData | LoggedData", formula: str | None
) -> "tuple[FullInformationData | LoggedData, str]":
    """Value data by a reward, and say what the reward is called; a fitted one is fitted on these very data.

    Raises:
        ValueError: as `reward_of`, or if the reward rejects an observation.
    """
    from bandits import FullInformationData

    if not isinstance(data, FullInformationData) or data.observations is None:
        return data, reward_of(data, formula, None)[1]
    reward, name = reward_of(data, formula, data.known_observations())
    return (data if reward is None else data.with_reward(reward)), name


def reward_of(
    data: "FullInformationData | LoggedData", formula: str | None, training: "Iterable[Observation] | None"
) -> "tuple[Reward | None, str]":
    """Choose what values data.

    Args:
        data: of either kind.
        formula: what was asked for; None takes `time_saved` where the data hold observations of drafts (an arm
            `no_draft` and seconds), and the data's own reward elsewhere.
        training: what a fitted reward is fitted on; None where there is nothing.

    Returns:
        The reward, None for the data's own, and its name.

    Raises:
        ValueError: if a reward is asked for that cannot be read, or the data hold no observations.
    """
    from bandits import FullInformationData
    from bandits.evaluation.objective import objective_of
    from rewards.named import DEFAULT_REWARD

    if not isinstance(data, FullInformationData) or data.observations is None:
        if formula is not None:
            raise ValueError(f"--reward {formula!r} values stored observations, and these data hold none: leave it out")
        return None, STORED_REWARD
    if formula is None and objective_of(data) != "seconds":
        return None, STORED_REWARD
    name = formula or DEFAULT_REWARD
    return named_reward(name, training), name


def named_reward(formula: str, training: "Iterable[Observation] | None") -> "Reward":
    """Build the reward of a formula.

    Raises:
        ValueError: if it cannot be read or built.
    """
    from rewards.named import make_reward

    with users_fault("--reward"):
        return make_reward(formula, training)


def file_names(paths: Sequence[Path]) -> list[str]:
    """Return what to call each of several files or folders.

    Raises:
        ValueError: if two have one name.
    """
    names = [path.stem if path.suffix else path.resolve().name for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two of {', '.join(map(str, paths))} are named {name!r}: rename one file or folder")
    return names


def without_observations(data: "FullInformationData | LoggedData") -> "FullInformationData | LoggedData":
    """Return the data without raw observations, which need not go to other processes."""
    from bandits import FullInformationData

    return replace(data, observations=None) if isinstance(data, FullInformationData) else data


def _read_table(path: Path, options: TableOptions) -> "FullInformationData | LoggedData":
    from bandits import from_long_table
    from bandits.data.io import TableLayout, from_wide_table
    from bandits.data.io.table_files import read_table
    from bandits.data.io.table_layout import TEXT_ROLES
    from bandits.encoders import ColumnFeatures

    with busy(f"reading {path.name}"):
        try:
            features = ColumnFeatures.of_name(options.fixed_by)
            named = None if options.context_columns is None else listed(options.context_columns)
            layout = TableLayout(
                columns=dict(_column(setting) for setting in options.columns),
                context_columns=named,
                features=features,
                unknown_levels=options.unknown_levels,
            )
            table = read_table(path, [layout.column(role) for role in TEXT_ROLES])
            encoder, layout = _encoder(options, layout, table.column_names)
            if options.arm_columns is None and options.cost_suffix is None:
                return from_long_table(table, encoder, layout, options.propensities)
            if options.propensities != "logged":
                raise ValueError("a wide table holds every arm's reward and needs no --propensities: leave it out")
            arms = None if options.arm_columns is None else listed(options.arm_columns)
            return from_wide_table(table, arms, encoder, layout, cost_suffix=options.cost_suffix)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error} {_hint(str(error))}".rstrip()) from error


def _encoder(
    options: TableOptions, layout: "TableLayout", columns: Sequence[str]
) -> "tuple[ContextEncoder | None, TableLayout]":
    """Return the encoder asked for, or the one that the policy's contexts were made with, where its name tells all.

    A table of context_0, context_1, ... holds that one's contexts already: the layout says so, and nothing is encoded.
    """
    from bandits.encoders.columns import encoder_beside
    from bandits.encoders.named import recorded_encoder

    if options.encoder is not None:
        return encoder_of(options.encoder), layout
    recorded = encoder_beside(options.fixed_by)
    if recorded is None:
        return None, layout
    if "context_0" in columns and layout.features is None and layout.context_columns is None:
        return None, replace(layout, encoder=recorded)
    return recorded_encoder(recorded), layout


def _hint(message: str) -> str:
    """Return the option that mends what a table lacks."""
    options = {
        "contexts need an encoder": "(--encoder, such as --encoder hashing, or --context-columns NAMES)",
        "ask for estimated ones": "(--column propensity=NAME, or --propensities estimated)",
        "the table needs a column": "(--column ROLE=NAME maps one of another name; --arm-columns NAMES reads a table "
        "with a column of rewards an arm)",
    }
    return next((option for start, option in options.items() if start in message), "")


def _column(setting: str) -> tuple[str, str]:
    role, equals, name = setting.partition("=")
    if not (role and equals and name):
        raise ValueError(f"--column must be ROLE=NAME, such as query=prompt, got {setting!r}")
    return role, name
