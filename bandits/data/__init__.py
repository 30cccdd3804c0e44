"""What policies learn from: logged and full-information data, splits, propensities, Parquet parts."""

from bandits.data.closed_folder import FolderRewrittenError
from bandits.data.data_stream import DataStream
from bandits.data.logged_data import DeterministicLogWarning
from bandits.data.parquet_parts import part_indices
from bandits.data.policy_data import PolicyData
from bandits.data.propensity import arm_frequencies, estimate_propensities
from bandits.data.splits import Split, folds_by_query, split_by_domain, split_by_query, split_by_time

__all__ = [
    "DataStream",
    "DeterministicLogWarning",
    "FolderRewrittenError",
    "PolicyData",
    "Split",
    "arm_frequencies",
    "estimate_propensities",
    "folds_by_query",
    "part_indices",
    "split_by_domain",
    "split_by_query",
    "split_by_time",
]
