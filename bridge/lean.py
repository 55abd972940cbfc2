"""Imports libraries without what they take along for uses that are not ours, and takes long to import."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Let ``modules`` be as good as not installed for what is imported meanwhile.

    Only for modules that the importer can do without: it must catch ImportError.
    """
    kept = {name: sys.modules[name] for name in modules if name in sys.modules}
    # None is how Python itself is told that there is no such module.
    sys.modules.update(dict.fromkeys(modules))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
        sys.modules.update(kept)
