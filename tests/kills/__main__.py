"""The long form of the kills: ``python -m tests.kills --rounds 300 --seed 7``."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.kills.job import job


def main() -> int:
    """Run the rounds asked for; return 1 when one went wrong, after saying how to see it again."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="how many (default: 300)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    said = parser.parse_args()
    print(f"seed {said.seed}, {said.rounds} rounds", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="courtbridge-kills-") as folder, job(Path(folder), said.seed) as kills:
        try:
            for number in range(1, said.rounds + 1):
                kills.round()
                if number % 25 == 0:
                    print(f"{number} rounds, {time.monotonic() - began:.0f} s", flush=True)
        except AssertionError as error:
            print(f"round {number}: {error}")
            print("".join((Path(folder) / "said.log").read_text().splitlines(keepends=True)[-20:]))
            print(f"again: python -m tests.kills --rounds {number} --seed {said.seed}")
            return 1
        for what, count in sorted(kills.counts.items()):
            print(f"{count:6} {what}")
        print(f"{len(kills.writes()):6} writes, all in order; {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
