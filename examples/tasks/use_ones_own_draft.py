"""Collect, replay and generate with a draft of one's own, which pool.toml names in one line."""

train_prompts = ["Name three rivers in France.", "Write an SQL query that counts the rows of the table orders."]

# --8<-- [start:task]
from speculative import Pool

pool = Pool.load("pool.toml")
policy = pool.learn(train_prompts)
print(pool.generate("Why is the sky blue?", policy="last_token_3").text)
# --8<-- [end:task]
