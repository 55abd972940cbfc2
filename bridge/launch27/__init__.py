"""Launch27's API, and all its accounts read as one source."""
