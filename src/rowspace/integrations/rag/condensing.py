"""The text to search for: the question, or one that a model derived from it and the conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from rowspace.errors import ModelError
from rowspace.integrations.rag.chat import Reply
from rowspace.integrations.rag.prompting import visible

__all__ = ["Sought"]

# Questions are not longer. If the model answers the question instead of rewriting it, the result may be.
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Sought:
    """The text to search for, whether a model derived it, and the token counts of that model call."""

    text: str
    condensed: bool = False
    usage: dict[str, int] | None = None

    @classmethod
    def from_reply(cls, reply: Reply) -> Self:
        """Return the question that a model derived, as one line of at most 1,000 characters.

        Raises:
            ModelError: the reply has no question.
        """
        text = " ".join(visible(reply.text()).split())
        if not text:
            message = "The chat model was asked to rewrite the question, but returned no text."
            raise ModelError(message)
        return cls(text[:_LONGEST], condensed=True, usage=reply.usage)

    def usage_with(self, reply: Reply) -> dict[str, int] | None:
        """Return the token counts of this and a reply, summed."""
        both = (self.usage or {}, reply.usage or {})
        return {name: sum(one.get(name, 0) for one in both) for name in dict.fromkeys([*both[0], *both[1]])} or None
