"""Launch27's accounts: who may log in, what a wrong password costs, and which bearers are alive."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.responses import Response

from bridge.sandbox.watched import Json
from bridge.sandbox.wire import Clock, Failure, encode, json_response

Kind = Literal["customer", "staff", "admin"]

_WRONG_ATTEMPTS = 5
_ATTEMPTS_WITHIN_SECONDS = 60.0
_LOCKED_SECONDS = 300.0
MONTH_SECONDS = 30 * 24 * 3600.0
_ONE_TIME_TOKEN = re.compile(r"\d{6}", re.ASCII)
_TYPES: dict[Kind, str] = {"customer": "Tenant::Customer", "staff": "Tenant::Staff", "admin": "Tenant::Admin"}


@dataclass(slots=True)
class Account:
    """Somebody who may log in; with ``two_factor`` only with a one-time token beside the password."""

    email: str
    password: str = field(repr=False)
    kind: Kind
    id: int
    token_lifetime_seconds: float
    two_factor: bool = False

    def may_be(self, kind: Kind) -> bool:
        """Whether this is theirs to read; an admin reads what staff read."""
        return self.kind == kind or (self.kind, kind) == ("admin", "staff")


@dataclass(slots=True)
class _Attempts:
    """Wrong attempts for one address, known or not."""

    wrong: list[float] = field(default_factory=list)
    locked_until: float = 0.0

    def failed(self, now: float) -> None:
        self.wrong = [moment for moment in self.wrong if now - moment < _ATTEMPTS_WITHIN_SECONDS]
        self.wrong.append(now)
        if len(self.wrong) >= _WRONG_ATTEMPTS:
            self.locked_until = now + _LOCKED_SECONDS
            self.wrong = []


class Logins:
    """Source: Launch27, Login."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._attempts: dict[str, _Attempts] = {}
        self._bearers: dict[str, tuple[Account, float]] = {}
        self._numbers = itertools.count(1)

    def add(
        self,
        email: str,
        password: str,
        *,
        kind: Kind = "customer",
        token_lifetime_seconds: float = MONTH_SECONDS,
        two_factor: bool = False,
    ) -> Account:
        """Let somebody log in; a second time with the same address changes them."""
        account = Account(email, password, kind, len(self._accounts) + 501, token_lifetime_seconds, two_factor)
        self._accounts[email.casefold()] = account
        return account

    @property
    def first_customer(self) -> str | None:
        """The address of the customer who was added first."""
        return next((each.email for each in self._accounts.values() if each.kind == "customer"), None)

    def log_in(self, sent: Json) -> dict[str, Any]:
        """Return the answer to a login; raise :class:`Failure` with 401, 403 or 422."""
        email, password, one_time_token = _credentials(sent)
        now = self._clock()
        attempts = self._attempts.setdefault(email.casefold(), _Attempts())
        if now < attempts.locked_until:
            raise Failure(_message(403, "This account is locked. Try again in five minutes."))
        account = self._accounts.get(email.casefold())
        if account is None or account.password != password:
            attempts.failed(now)
            raise Failure(_message(401, "Invalid email or password."))
        attempts.wrong = []
        if account.two_factor and one_time_token is None:
            raise Failure(_message(403, "Enter the token of your authenticator."))
        return self._welcome(account)

    def bearer(self, email: str) -> str:
        """Return a new bearer of an account, as a person who has logged in finds it."""
        account, now = self._accounts[email.casefold()], self._clock()
        expires = now + account.token_lifetime_seconds
        bearer = _jwt({"sub": account.id, "jti": next(self._numbers), "iat": int(now), "exp": int(expires)})
        self._bearers[bearer] = (account, expires)
        return bearer

    def _welcome(self, account: Account) -> dict[str, Any]:
        name = account.email.partition("@")[0].title()
        return {
            "id": account.id,
            "email": account.email,
            "type": _TYPES[account.kind],
            "first_name": name,
            "last_name": "Sandbox",
            "bearer": self.bearer(account.email),
        }

    def who(self, authorization: str | None) -> Account | None:
        """Return whose bearer an ``Authorization`` header carries; None when it is missing or dead."""
        scheme, _, bearer = (authorization or "").partition(" ")
        account, expires = self._bearers.get(bearer.strip(), (None, 0.0))
        return account if scheme.lower() == "bearer" and self._clock() < expires else None

    def expire(self) -> None:
        """Kill every bearer that was ever given out."""
        self._bearers.clear()


def _message(status: int, text: str) -> Response:
    return json_response({"message": text}, status)


def _credentials(sent: Json) -> tuple[str, str, str | None]:
    wrong = Failure(_message(422, "email and password are required; token has six digits."))
    if not isinstance(sent, dict):
        raise wrong
    email, password, token = sent.get("email"), sent.get("password"), sent.get("token")
    if not (isinstance(email, str) and isinstance(password, str) and email and password):
        raise wrong
    if token is not None and not (isinstance(token, str) and _ONE_TIME_TOKEN.fullmatch(token)):
        raise wrong
    return email, password, token


def _jwt(claims: dict[str, Any]) -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    signed = part(encode({"alg": "HS256", "typ": "JWT"})) + "." + part(encode(claims))
    return signed + "." + part(hmac.digest(b"sandbox", signed.encode(), hashlib.sha256))
