"""Wingfield's Partner API."""
