"""One answer's body: unpacked in small steps, and never beyond a limit."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import Final

from bridge.http.failures import NOT_THE_APIS, Failed

_STEP_BYTES: Final = 65_536
_GZIP: Final = zlib.MAX_WBITS | 16


class Body:
    """Takes a body chunk by chunk. All methods raise Failed where it cannot be unpacked, or is too long.

    One encoding at most is unpacked (``gzip`` or ``deflate``): a few bytes that are packed twice can hold
    gigabytes. A chunk is unpacked no further than the limit, whatever it holds.
    """

    def __init__(self, encoding: str, limit_bytes: int) -> None:
        self.size = 0
        self._limit_bytes = limit_bytes
        self._raw_bytes = 0
        self._whole = io.BytesIO()
        self._unpacker: zlib._Decompress | None = None
        self._encoding = encoding.strip().lower()
        if self._encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise _not_unpacked()

    def take(self, chunk: bytes) -> Iterator[None]:
        """Add what was received; yields after each step of at most 64 KiB that it was unpacked by."""
        self._raw_bytes += len(chunk)
        if self._raw_bytes > self._limit_bytes:
            raise too_long(self._limit_bytes)
        if self._encoding in {"", "identity"}:
            self._add(chunk)
            yield
            return
        if self._unpacker is None and chunk:
            self._unpacker = zlib.decompressobj(self._window(chunk))
        try:
            # What follows the packed data is dropped, as browsers do.
            while chunk and self._unpacker is not None and not self._unpacker.eof:
                self._add(self._unpacker.decompress(chunk, _STEP_BYTES))
                chunk = self._unpacker.unconsumed_tail
                yield
        except zlib.error:
            raise _not_unpacked() from None

    def whole(self) -> bytes:
        """Return the whole body, when its last chunk was taken."""
        if self._unpacker is not None and not self._unpacker.eof:
            raise _not_unpacked()
        return self._whole.getvalue()

    def _add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._limit_bytes:
            self._whole.close()  # an error may be kept for long, and with it what its frames hold
            raise too_long(self._limit_bytes)
        self._whole.write(chunk)

    def _window(self, chunk: bytes) -> int:
        """Return zlib's word for the format. What is called deflate comes with zlib's header or without."""
        if self._encoding != "deflate":
            return _GZIP
        has_header = chunk[0] & 0x0F == zlib.DEFLATED and chunk[0] >> 4 < 8
        return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def too_long(limit_bytes: int) -> Failed:
    """Return the failure for a body beyond the limit."""
    return Failed(f"the answer is longer than {limit_bytes // 1024**2} MiB", NOT_THE_APIS)


def _not_unpacked() -> Failed:
    return Failed("the answer could not be unpacked", NOT_THE_APIS)
