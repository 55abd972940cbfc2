"""Kills the bridge, for real and again and again, and looks whether the next pass puts everything right.

The long form, which prints its seed and a summary: ``python -m tests.kills --rounds 300 --seed 7``.
A few rounds of it are part of the test run (``tests/kills/test_kills.py``).
"""
