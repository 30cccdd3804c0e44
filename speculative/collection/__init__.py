"""Labels without running speculation: traces, exact replay, collect."""
