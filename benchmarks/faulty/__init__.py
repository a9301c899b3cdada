"""What can go wrong with a run, done to runs on purpose."""
