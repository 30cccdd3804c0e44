"""The loop: an agent that chooses, pulls, rewards and logs, and a learner that reads the log."""
