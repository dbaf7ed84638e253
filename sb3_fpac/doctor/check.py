"""What one check has found."""

from typing import NamedTuple


class Check(NamedTuple):
    """The result of one check."""

    name: str
    """What was checked, in one or two words"""
    ok: bool
    """Whether training can start"""
    text: str
    """What was found"""
    cure: str = ""
    """What to do if it is not ok"""

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '✗'} {self.name}: {self.text}{f': {self.cure}' if self.cure else ''}"


def refusal(name: str, message: str, cure: str = "") -> Check:
    """
    Make a check of an error message of this package, which has the form "cause: cure". A colon in brackets, as of a dict,
    belongs to the cause, and a cure starts with a lower-case word.

    :param name: What was checked
    :param message: The message
    :param cure: What to do if the message has no cure
    :return: The check, not ok
    """
    end = _end_of_cause(message)
    own_cure = message[end + 2 :].rstrip(".")
    is_cure = own_cure[:1].islower()
    return Check(name, False, message[:end], own_cure) if is_cure else Check(name, False, message.rstrip("."), cure)


def _end_of_cause(message: str) -> int:
    """Index of the last colon before a space outside brackets; the length of the message if there is none"""
    depth, end = 0, len(message)
    for i, sign in enumerate(message):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0 and message.startswith(": ", i):
            end = i
    return end
