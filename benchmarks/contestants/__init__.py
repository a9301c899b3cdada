"""What is measured, each a program of its own: ``python -m benchmarks.contestants.NAME JSON``.

A peer runs in an environment without omicsfm, so these files import nothing of it but where they measure it.
"""
