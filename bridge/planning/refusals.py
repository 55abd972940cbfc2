"""Wingfield's error types: what each one means, and what to do about it. The one table of them. Pure.

Each sentence stands after "Wingfield:" in an error, and after "Wingfield rejected it" where a booking is held.

Source: Wingfield, Errors; and the pages of the endpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

USER_DENIED: Final = "user_access_denied"
SCOPE_MISSING: Final = "scope_permission_denied"
OF_THE_TOKEN: Final = frozenset({SCOPE_MISSING, "external_service_access_denied"})
"""Types that refuse the credentials, not the one request."""

MEANINGS: Final[Mapping[str, str]] = {
    # the token
    SCOPE_MISSING: "the token lacks a scope; it needs court-booking: write, user: read for connected_users, "
    "organization: read for court_mappings, and organization: write for courtbridge connect",
    "external_service_access_denied": "wingfield.external_service_id does not belong to this token",
    # court bookings
    "stale_write": "it has a newer version of this booking",
    "version_conflict": "it has other content under this version",
    "court_booking_overlap": "it has another booking on this court at that time",
    "court_not_found": 'it knows no such court; compare the id with "courtbridge courts"',
    USER_DENIED: "a participant has not accepted this external service",
    "organization_access_denied": "the club has not granted this external service access; see courtbridge connect",
    "invalid_schema": "it does not accept the shape of this request",
    "invalid_time_range": "the end is not after the start",
    "invalid_filter_time_range": "the end of the listing is not after its start",
    "invalid_updated_filter_time_range": "the end of the listing is not after its start",
    "mutually_exclusive_fields_violation": "a participant is not named in exactly one way",
    "duplicate_entries_provided": "a participant is there twice",
    # courts
    "facility_not_found": "it knows no such facility; ask Wingfield for the id of yours",
    "external_court_id_already_in_use": "another court is mapped to this id",
    # connect tokens
    "connect_token_not_found": "it knows no such connect token; copy it again, or ask the club for a new one",
    "connect_token_unusable": "the connect token was used or withdrawn before; where the club is not connected "
    "already, ask it for a new one",
    "external_organization_id_mismatch": "the club is known under another name than that of launch27.base_url; "
    "correct base_url, or ask Wingfield to correct the club's",
    "external_organization_id_already_in_use": "another club is connected under the name of launch27.base_url; "
    "correct base_url, or ask Wingfield to end that connection",
    "expired_connect_token": "the connect token has expired; ask the club for a new one",
    "malformed_connect_token": "this is not a whole connect token; copy all of it",
}
