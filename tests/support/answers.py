"""A service in memory, for the tests of one client: it gives the answers it was given."""

from __future__ import annotations

from typing import Any

import httpx


class Server:
    """Gives its answers in turn, the last for ever, and keeps what it was asked.

    An answer is a response, an error to raise, an async function of the request, or the JSON of a 200.
    """

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = await answer(request)
        if isinstance(answer, httpx.Response):
            return again(answer) if answer.is_stream_consumed else answer
        return httpx.Response(200, json=answer)


def again(answer: httpx.Response) -> httpx.Response:
    """Return the same answer anew: a response can be read once."""
    return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
