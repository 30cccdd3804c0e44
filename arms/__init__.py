"""draftpick."""
