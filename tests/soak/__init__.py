"""The daemon for thousands of passes: ``python -m tests.soak``; not part of the test run."""
