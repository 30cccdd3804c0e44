"""REINFORCE: the policy network and its training."""
