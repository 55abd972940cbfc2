"""Courtbridge keeps Wingfield's courts in step with the bookings of Launch27."""

__version__ = "1.0.0"
