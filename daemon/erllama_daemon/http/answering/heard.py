"""What a worker says of an answer that is under way, as the events that clients hear."""

from __future__ import annotations

from erllama_daemon import frames
from erllama_daemon.messages import Calling, Event, Prefilling, Queued, Thinking, Token

Said = frames.Waiting | frames.Prefilled | frames.Text | frames.Called
"""What is said before the last word."""


def event_of(frame: Said) -> Event:
    """The event that tells of it."""
    match frame:
        case frames.Waiting():
            return Queued(frame.ahead)
        case frames.Prefilled():
            return Prefilling(frame.done, frame.total, frame.cached)
        case frames.Text():
            return Thinking(frame.text) if frame.thinking else Token(frame.text, frame.logprobs)
        case frames.Called():
            return Calling(frame.call)
