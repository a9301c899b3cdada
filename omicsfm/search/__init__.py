"""Hyper-parameters chosen on training participants only."""
