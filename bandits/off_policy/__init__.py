"""What a policy is worth on another policy's log: problem, estimators, intervals, diagnostics."""
