"""What omicsfm is measured by: limits of the machine, peers and ourselves in one run. See ``python -m benchmarks``."""
