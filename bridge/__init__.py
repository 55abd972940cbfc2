"""Courtbridge keeps Wingfield's courts in sync with the bookings of Launch27."""

__version__ = "0.2.0"
