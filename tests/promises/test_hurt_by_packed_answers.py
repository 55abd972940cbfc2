"""12. 1,788 bytes of doubly packed gzip took 2 GiB: one encoding at most, and a bound on what comes out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.club import Club, is_listing

pytestmark = pytest.mark.hurt(12)

BOMBS = pytest.mark.parametrize(
    "encodings", [["gzip"], ["deflate"], ["gzip", "gzip"], ["deflate", "gzip"]], ids="-".join
)


@BOMBS
@pytest.mark.parametrize("mib", [31, 512])
def test_packed_answers_take_little_memory(encodings: list[str], mib: int) -> None:
    """Six at once: half a GiB each, or just as much as is read."""
    command = [sys.executable, "-m", "tests.http.bombs", str(mib), *encodings]
    ran = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    assert float(ran.stdout) < 64


@BOMBS
async def test_a_packed_bomb_ends_a_listing_and_deletes_nothing(club: Club, encodings: list[str]) -> None:
    await club.some(3)
    club.launch27.faults.add("bomb", times=None, match=is_listing, encodings=encodings, size_bytes=33 * 1024**2)
    result = await club.try_later()
    words = "could not be unpacked" if len(encodings) > 1 else "longer than 32 MiB"
    assert any(words in str(error) for error in result.errors)
    assert len(club.wingfield.bookings) == 3
    club.clear_faults()
    await club.expect(unchanged=3)
