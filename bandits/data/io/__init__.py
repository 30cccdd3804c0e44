"""Other people's tables: long and wide tables, pandas frames, the Open Bandit data set, Vowpal Wabbit's dsjson."""

from bandits.data.io.dsjson import read_dsjson, write_dsjson
from bandits.data.io.open_bandit import from_open_bandit, to_open_bandit
from bandits.data.io.pandas import to_pandas
from bandits.data.io.table_layout import TableLayout
from bandits.data.io.wide_table import from_wide_table

__all__ = [
    "TableLayout",
    "from_open_bandit",
    "from_wide_table",
    "read_dsjson",
    "to_open_bandit",
    "to_pandas",
    "write_dsjson",
]
