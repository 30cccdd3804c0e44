"""Interfaces and records that the engine, models, drafts and selectors share."""
