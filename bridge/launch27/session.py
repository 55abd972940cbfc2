"""One account's login: made when it is needed, kept until it is refused; named by the account's number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field

from bridge.config.schema import Account
from bridge.config.secrets import Secret
from bridge.errors import CredentialsRefused, ServiceError, Unavailable
from bridge.http.client import Call, Http, Response
from bridge.launch27.expiry import expires, expiry

T = TypeVar("T")

_REFUSALS = {
    401: "the e-mail address or the password was refused; correct launch27.accounts",
    403: (
        "the login is locked for five minutes (five wrong attempts within a minute), "
        "or it wants a one-time token: with two-factor login, give the account a token in place of the password"
    ),
    422: "the login was not understood; is the e-mail address complete?",
}


_TYPES = ("Tenant::Customer", "Tenant::Staff", "Tenant::Admin")


class _Login(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    bearer: str = Field(pattern=r"^[\x21-\x7e]+$")
    type: object = None


class _Expired(Exception):
    """The token was refused (401); it never leaves this module."""


class Session:
    """What is kept of one account's login: the token until it is refused, the refusal until the next pass.

    An account that has a token in place of a password never logs in. One that failed may rest for a while: until
    then nothing is asked as this account. ``login_type`` is what a login's answer calls it (``Tenant::Staff``), ""
    where there was none.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.token: Secret | None = None
        self.login_type = ""
        self._refusal: str | None = None
        self._rests_until = 0.0
        self._lock = asyncio.Lock()

    def __str__(self) -> str:
        return f"account {self.account.number}"

    @property
    def expires_at(self) -> datetime | None:
        """When the account's own token ends, in UTC; None where it has a password, or that cannot be read."""
        return expiry(self.account.token.reveal()) if self.account.token else None

    @property
    def is_refused(self) -> bool:
        return self._refusal is not None

    @property
    def is_resting(self) -> bool:
        """Whether nothing is asked as this account for a while."""
        return monotonic() < self._rests_until

    def new_pass(self) -> None:
        """Let a refused login be tried once more."""
        if not self.is_resting:
            self._refusal = None

    def rest(self, seconds: float) -> None:
        self._rests_until = monotonic() + seconds

    async def request(self, http: Http, call: Call, check: Callable[[Response], T]) -> T:
        """Ask as this account, as :meth:`Http.request` does; a token that is refused is replaced once.

        Raises CredentialsRefused when the account may not log in.
        """

        def checked(response: Response) -> T:
            if response.status == 401:
                raise _Expired
            return check(response)

        if self._refusal is None and self.is_resting:
            words = f"{self} is not asked for a while: its listing failed"
            raise Unavailable("Launch27", words, kind="resting", maybe_applied=False)
        token = None
        for _ in range(2):
            token = await self._usable_token(http, refused=token)
            with suppress(_Expired):
                return await http.request(replace(call, bearer=token, part=str(self)), checked)
        self.token = None
        raise self._refused(f"the token is refused right after a login ({call.route})")

    async def _usable_token(self, http: Http, *, refused: Secret | None) -> Secret:
        """Return the token, logging in where there is none but the refused one."""
        async with self._lock:
            if self._refusal is not None:
                raise CredentialsRefused("Launch27", self._refusal)
            if self.account.token is not None:
                if self.account.token is refused:
                    when = f" (it {expires(self.expires_at, datetime.now(UTC))})" if self.expires_at else ""
                    raise self._refused(f"its token is refused{when}; put a new one in its place")
                return self.account.token
            if self.token is None or self.token is refused:
                self.token = None
                credentials = {"email": self.account.email, "password": self.account.password.reveal()}
                login = Call("POST", "/login", "/login", json=credentials, part=str(self))
                self.token = await http.request(login, self._read_login)
            return self.token

    def _read_login(self, response: Response) -> Secret:
        """Return a login's token. Source: Launch27, ``POST /login`` (401 refused; 403 locked; 422 schema)."""
        if response.status in _REFUSALS:
            if response.is_html and response.status != 401:
                # Not a ValueError: a login that may have been refused is not tried again.
                words = f"answered the login with a web page (status {response.status})"
                raise Unavailable("Launch27", words, kind=f"status {response.status}")
            raise self._refused(_REFUSALS[response.status])
        login = read_200("/login", _Login.model_validate_json, response)
        self.login_type = str(login.type) if login.type in _TYPES else ""
        return Secret(login.bearer)

    def _refused(self, words: str) -> CredentialsRefused:
        """Return what to raise for this and every other call of the pass."""
        self._refusal = f"{self}: {words}"
        structlog.get_logger().error("login_refused", account=self.account.number, error=self._refusal)
        return CredentialsRefused("Launch27", self._refusal)


def read_200(
    path: str, read: Callable[[bytes], T], response: Response, *, errors: Mapping[int, ServiceError] | None = None
) -> T:
    """Return what ``read`` makes of a 200.

    Raises what ``errors`` has for a status, else Unavailable for any 4xx; ValueError for a web page.
    """
    if response.status >= 400:
        if response.is_html:
            raise ValueError("a web page from a proxy or a portal rather than from the API")
        if errors and response.status in errors:
            raise errors[response.status]
        words = f"answered {response.status} to {path}; is launch27.base_url right?"
        raise Unavailable("Launch27", words, kind=f"status {response.status}")
    if response.status not in {200, 201}:
        raise ValueError("a status nobody documented")
    return read(response.body)
