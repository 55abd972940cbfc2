"""What the bridge costs, beside the least that the same requests can cost: ``python -m tests.bench``."""
