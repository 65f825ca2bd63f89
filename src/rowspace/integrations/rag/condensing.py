"""What is searched for: the question, or what a model made of it and the conversation before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from rowspace.errors import ModelError
from rowspace.integrations.rag.chat import Reply
from rowspace.integrations.rag.prompting import visible

__all__ = ["Sought"]

# A question is not longer; an answer in its place would be.
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Sought:
    """What is searched for, whether a model made it, and the tokens that it counted."""

    text: str
    condensed: bool = False
    usage: dict[str, int] | None = None

    @classmethod
    def from_reply(cls, reply: Reply) -> Self:
        """Return the question that a model made, on one line and of at most 1,000 characters.

        Raises:
            ModelError: there is none.
        """
        text = " ".join(visible(reply.text()).split())
        if not text:
            message = "The chat model was asked for a question to search for, and returned none."
            raise ModelError(message)
        return cls(text[:_LONGEST], condensed=True, usage=reply.usage)

    def usage_with(self, reply: Reply) -> dict[str, int] | None:
        """Return the tokens of this and of a reply together."""
        both = (self.usage or {}, reply.usage or {})
        return {name: sum(one.get(name, 0) for one in both) for name in dict.fromkeys([*both[0], *both[1]])} or None
