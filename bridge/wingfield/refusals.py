"""What Wingfield's 4xx answers mean. Its own ``message`` is never kept: it could name people."""

from __future__ import annotations

import re
from typing import Final

from pydantic_core import from_json

from bridge.errors import AccessDenied, CredentialsRefused, NotFound, Rejected
from bridge.http.client import Response

SERVICE: Final = "Wingfield"
UNEXPECTED: Final = "unexpected_answer"
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

_CREDENTIALS: Final = {
    "scope_permission_denied": "the token lacks a scope; it needs court-booking: write",
    "external_service_access_denied": "wingfield.external_service_id does not belong to this token",
}
_MEANINGS: Final = {
    "stale_write": "has a newer version of this booking",
    "version_conflict": "has other content under this version",
    "court_booking_overlap": "has another booking on this court at that time",
    "court_not_found": 'knows no such court; compare court_id with "courtbridge courts"',
    "user_access_denied": "a participant has not accepted this service",
    "organization_access_denied": "the court's organization has not given this service access",
    "invalid_schema": "does not accept this request's shape",
    "invalid_time_range": "the end is not after the start",
    "invalid_filter_time_range": "the listing's end is not after its start",
    "invalid_updated_filter_time_range": "the listing's end is not after its start",
    "mutually_exclusive_fields_violation": "a participant is not named in exactly one way",
    "duplicate_entries_provided": "a participant is there twice",
    "external_court_id_already_in_use": "another court is mapped to this id",
}
_BY_STATUS: Final = {403: AccessDenied, 404: NotFound}


def refusal(response: Response) -> Rejected | CredentialsRefused:
    """Return what a 4xx means. Raises ValueError when it has not the documented shape.

    Source: Wingfield, errors (``{"error": {"type", "message", "issues"?}}``; 401 is always the token's).
    """
    if response.status == 401:
        return CredentialsRefused(SERVICE, "the token was refused; correct wingfield.token")
    type_ = _error_type(response.body)
    if type_ in _CREDENTIALS:
        return CredentialsRefused(SERVICE, _CREDENTIALS[type_])
    if type_ == "rate_limit_exceeded":
        raise ValueError("not now")
    reason = type_ if _TYPE.fullmatch(type_) else UNEXPECTED
    meaning = _MEANINGS.get(reason, f"rejected with status {response.status}")
    return _BY_STATUS.get(response.status, Rejected)(SERVICE, f"{meaning} ({reason})", reason=reason)


def _error_type(body: bytes) -> str:
    answer = from_json(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    type_ = error.get("type") if isinstance(error, dict) else None
    if isinstance(type_, str):
        return type_
    raise ValueError("no documented error")
