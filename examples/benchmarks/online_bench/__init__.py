"""What the bench of learning while serving is made of: queries, streams of them, and a policy that serves one."""
