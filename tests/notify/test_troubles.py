"""What is told when: trouble that lasts, once, again, and when it is over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import CredentialsRefused, Unavailable
from bridge.model import DAY_MS, MINUTE_MS, Held
from bridge.notify.troubles import Message, Troubles, sentences

KINDS = ("held", "pending", "refused", "withheld_deletes")
AFTER_MS, REMIND_MS = 10 * MINUTE_MS, DAY_MS


class Channel:
    """A channel, and a clock in minutes."""

    def __init__(self) -> None:
        self.troubles = Troubles()
        self.told: list[Message] = []
        self.minute = 1

    def passes(self, *kinds: str, minutes: int = 1, takes: bool = True) -> list[Message]:
        """Let so many minutes go by with a pass in each; return what was told."""
        found = []
        for _ in range(minutes):
            now_ms = self.minute * MINUTE_MS
            self.troubles = self.troubles.now(kinds, now_ms)
            message = self.troubles.due("webhook", {kind: f"{kind}." for kind in kinds}, now_ms, AFTER_MS, REMIND_MS)
            if message is not None:
                found.append(message)
                if takes:
                    self.troubles = self.troubles.told("webhook", message, now_ms)
            self.minute += 1
        self.told += found
        return found


def test_what_is_short_is_not_told() -> None:
    channel = Channel()
    assert channel.passes("held", minutes=10) == []
    assert channel.passes(minutes=5) == []
    assert channel.passes("held", minutes=10) == []


def test_what_lasts_is_told_once_then_daily_and_once_when_it_is_over() -> None:
    channel = Channel()
    (begins,) = channel.passes("held", minutes=24 * 60)
    assert begins == Message("begins", ("held",), MINUTE_MS, "held.")
    assert [each.event for each in channel.passes("held", minutes=2 * 24 * 60)] == ["lasts", "lasts"]
    (over,) = channel.passes(minutes=60)
    assert (over.event, over.kinds, over.since_ms) == ("over", ("held",), MINUTE_MS)


def test_what_joins_is_told_when_it_has_lasted_itself_with_all_the_others() -> None:
    channel = Channel()
    channel.passes("held", minutes=20)
    assert channel.passes("held", "refused", minutes=10) == []
    (joined,) = channel.passes("held", "refused", minutes=10)
    assert (joined.event, joined.kinds, joined.text) == ("begins", ("held", "refused"), "held.\nrefused.")
    assert channel.passes("refused", minutes=30) == []
    assert [each.kinds for each in channel.passes()] == [("held", "refused")]


def test_what_a_channel_did_not_take_is_told_with_the_next_pass_as_things_are_then() -> None:
    channel = Channel()
    channel.passes("held", minutes=10)
    assert [each.event for each in channel.passes("held", minutes=3, takes=False)] == ["begins"] * 3
    assert [each.event for each in channel.passes("held")] == ["begins"]
    assert [each.event for each in channel.passes(minutes=2, takes=False)] == ["over"] * 2
    assert [each.event for each in channel.passes(minutes=5)] == ["over"]


@given(st.lists(st.tuples(st.sets(st.sampled_from(KINDS)), st.integers(1, 40), st.booleans()), max_size=12))
def test_nothing_is_told_twice_within_a_day_and_over_comes_only_after_something(
    days: list[tuple[set[str], int, bool]],
) -> None:
    channel = Channel()
    taken: set[str] = set()
    for kinds, minutes, takes in days:
        for _ in range(minutes):
            for message in channel.passes(*kinds, takes=takes):
                if message.event == "over":
                    assert (not kinds, set(message.kinds)) == (True, taken)
                else:
                    assert message.event == "begins"
                    assert set(message.kinds) <= kinds
                    assert set(message.kinds) - taken
                if takes:
                    taken = set() if message.event == "over" else taken | set(message.kinds)


def test_each_sentence_says_how_much_of_what_and_what_to_do() -> None:
    held = [Held(str(n), "no_participant", "") for n in range(7)] + [Held("9", "drift", "")]
    errors = [CredentialsRefused("Wingfield", "the token is refused"), Unavailable("Launch27", "answered 503")]
    texts = sentences(held, 1, ("11", "12"), errors, ("sync.interval: too short",))
    assert set(texts) == {"held", "drift", "pending", "withheld_deletes", "refused", "unreachable", "config_rejected"}
    assert texts["held"] == (
        "7 bookings are held: 7 × no_participant (0, 1, 2, 3, 4 and others). See: courtbridge status"
    )
    assert "courtbridge approve" in texts["withheld_deletes"]
    assert texts["pending"].startswith("1 booking is ")
    assert "sync.interval" in texts["config_rejected"]
    assert "the token is refused" in texts["refused"]
    assert sentences([], 0, (), [], ()) == {}
    soon = sentences([], 0, (), [], (), ["account 1: its token expires tomorrow; put a new one in its place"])
    assert list(soon) == ["refused"]
    assert "put a new one" in soon["refused"]
