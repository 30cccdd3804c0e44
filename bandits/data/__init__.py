"""What policies learn from: logged and full-information data, splits, propensities, Parquet parts."""
