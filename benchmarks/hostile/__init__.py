"""Files that are wrong on purpose, and how an intake answers them: for ``benchmarks.robustness`` and the tests."""
