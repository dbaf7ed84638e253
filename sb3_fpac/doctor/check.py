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
    Make a check of an error message of this package, which has the form "cause: cure".

    :param name: What was checked
    :param message: The message
    :param cure: What to do if the message has no cure
    :return: The check, not ok
    """
    text, colon, own_cure = message.rpartition(": ")
    return Check(name, False, text, own_cure.rstrip(".")) if colon else Check(name, False, message.rstrip("."), cure)
