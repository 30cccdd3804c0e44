"""Read five public logs of routing and recommendation, each in the form in which it is published."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bandits import FullInformationData, HashingEncoder, LoggedData, from_long_table
from bandits.data.io import TableLayout, from_wide_table


# --8<-- [start:routerbench]
def routerbench(pickle: str) -> FullInformationData:
    layout = TableLayout(columns={"query_id": "sample_id", "query": "prompt", "domain": "eval_name"})
    return from_wide_table(pd.read_pickle(pickle), None, HashingEncoder(256), layout, cost_suffix="|total_cost")


# --8<-- [end:routerbench]
# --8<-- [start:routellm]
def routellm(csv: str) -> FullInformationData:
    arms = ["mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview"]
    return from_wide_table(csv, arms, HashingEncoder(256), TableLayout(columns={"query": "prompt"}))


# --8<-- [end:routellm]
# --8<-- [start:llmrouter]
def llmrouter(jsonl: str) -> FullInformationData | LoggedData:
    names = {"query_id": "embedding_id", "domain": "task_name", "arm": "model_name", "reward": "performance"}
    return from_long_table(jsonl, HashingEncoder(256), TableLayout(columns=names))


# --8<-- [end:llmrouter]
# --8<-- [start:sprout]
def sprout(parquet: str) -> FullInformationData:
    table = pq.read_table(parquet)
    arms = [field.name for field in table.schema if pa.types.is_struct(field.type)]
    scores = {arm: pc.struct_field(table[arm], "score") for arm in arms}
    wide = pa.table({"query": table["prompt"], "domain": table["dataset"], **scores})
    return from_wide_table(wide, arms, HashingEncoder(256))


# --8<-- [end:sprout]
# --8<-- [start:open_bandit]
def open_bandit(csv: str) -> FullInformationData | LoggedData:
    names = {"arm": "item_id", "reward": "click", "propensity": "propensity_score", "time": "timestamp"}
    features = ["position", *(f"user_feature_{number}" for number in range(4))]
    return from_long_table(csv, layout=TableLayout(columns=names, context_columns=features))


# --8<-- [end:open_bandit]
