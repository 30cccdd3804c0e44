"""What policies learn from: logged and full-information data, splits, propensities, Parquet parts."""

from bandits.data.closed_folder import FolderRewrittenError
from bandits.data.data_stream import DataStream
from bandits.data.logged_data import DeterministicLogWarning
from bandits.data.parquet_parts import part_indices
from bandits.data.policy_data import PolicyData
from bandits.data.propensity import arm_frequencies, estimate_propensities
from bandits.data.splits import Split

__all__ = [
    "DataStream",
    "DeterministicLogWarning",
    "FolderRewrittenError",
    "PolicyData",
    "Split",
    "arm_frequencies",
    "estimate_propensities",
    "part_indices",
]
