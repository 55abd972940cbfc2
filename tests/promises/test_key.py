"""Key: the prefix and the Launch27 id."""

from __future__ import annotations

import pytest

from tests.support.club import Club


@pytest.mark.parametrize("prefix", ["", "north-", "a/b ?#%é-"])
async def test_the_key_is_the_prefix_and_the_launch27_id(club: Club, prefix: str) -> None:
    """Also with a prefix that a path cannot carry as it is."""
    club.remap(id_prefix=prefix)
    number = club.book()
    await club.expect(created=1)
    assert set(club.wingfield.bookings) == {f"{prefix}{number}"}
    await club.expect(unchanged=1)
    club.launch27.cancel(number)
    await club.expect(deleted=1)
    assert not club.wingfield.bookings
