"""Looking for leaks in a prepared cohort: what a model could use that no new patient would have."""
