"""Which e-mail addresses Wingfield takes. Pure."""

from __future__ import annotations

import re

# Narrower than RFC 5321: an address that Wingfield might refuse would have the whole booking held.
_ADDRESS = re.compile(
    r"(?=.{1,64}@)[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9])"
)


def usable_address(text: str) -> str | None:
    """Return the e-mail address in lower case, or None for what Wingfield may not take as one."""
    # Before lower(): the Kelvin sign, for one, would become a plain k.
    if not text.isascii() or len(text) > 254:
        return None
    address = text.lower()
    return address if _ADDRESS.fullmatch(address) else None
