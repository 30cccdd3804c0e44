"""Values with intervals, resampling, and results saved as JSON."""

from bandits.statistics.results import ResultRow, Results
from bandits.statistics.table import Table

__all__ = [
    "ResultRow",
    "Results",
    "Table",
]
