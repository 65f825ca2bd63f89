"""Questions and answers as pydantic models, which web frameworks can use directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rowspace.filters import Filter
from rowspace.services.models import Mode, fault_of_options

__all__ = ["Answer", "AnswerEvent", "AnswerKind", "AnswerOptions", "AnswerRequest", "Source", "Turn"]

#: The origin of the text of an answer: a model, sentences quoted from the sources, or neither.
AnswerKind = Literal["generated", "extractive", "nothing_found"]


class _Model(BaseModel):
    # Like `hide_parameters` of the engine: errors go to logs, which must not contain texts or vectors.
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Turn(_Model):
    """An earlier message of a conversation."""

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1, max_length=100_000)


_ROLES = {"human": "user", "ai": "assistant"}


def _turns(value: Any) -> Any:
    """Convert LangChain messages, and pairs of a role and a text, to turns."""
    return [_turn(one) for one in value] if isinstance(value, list | tuple) else value


def _turn(one: Any) -> Any:
    if isinstance(one, tuple) and len(one) == 2:
        role, content = one
    elif hasattr(one, "type") and hasattr(one, "text"):
        role, content = one.type, str(one.text)
    else:
        return one
    return {"role": _ROLES.get(role, role), "content": content}


if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    Turns: TypeAlias = Sequence[Turn]
    #: Values that are converted to turns.
    History: TypeAlias = Sequence[Turn | BaseMessage | tuple[str, str] | Mapping[str, str]]
else:
    Turns = History = Annotated[tuple[Turn, ...], BeforeValidator(_turns)]


class AnswerOptions(TypedDict, total=False):
    """The fields of an `AnswerRequest` except the question, as keyword arguments."""

    collection: str | None
    history: History
    condense: bool
    k: int
    mode: Mode
    filter: Filter | None
    max_distance: float | None
    min_similarity: float | None
    fetch_k: int | None
    lambda_mult: float | None
    token_budget: int


class AnswerRequest(_Model):
    """A question and its options.

    Args:
        question: the question, which is also searched for.
        collection: the collection to search; by default the service's own.
        history: earlier messages, oldest first, for the model: turns, pairs of a role and a text, or LangChain
            messages.
        condense: whether the model first rewrites a question with a history to one that can be understood alone, and
            the search uses that; otherwise, or without a model, the search uses the question itself.
        k: the number of passages to retrieve.
        mode: `vector` by distance, `text` by keyword, `hybrid` by both, `mmr` by distance with diversity.
        filter: a metadata filter.
        max_distance: in modes `vector` and `mmr`: the maximum distance of documents.
        min_similarity: the same limit as `max_distance`, as a similarity; pass only one of the two.
        fetch_k: in mode `mmr`: the number of candidates, at least k; by default four times k and at least 20.
        lambda_mult: in mode `mmr`: from 1 (only nearness counts) to 0 (only diversity counts); by default 0.5.
        token_budget: the maximum number of tokens of all passages together.
    """

    question: str = Field(min_length=1, max_length=10_000, pattern=r"\S")
    collection: str | None = Field(default=None, min_length=1)
    history: Turns = Field(default=(), max_length=100)
    condense: bool = True
    k: int = Field(default=6, ge=1, le=100)
    mode: Mode = "vector"
    filter: dict[str, Any] | None = None
    max_distance: float | None = Field(default=None, allow_inf_nan=False)
    min_similarity: float | None = Field(default=None, allow_inf_nan=False)
    fetch_k: int | None = Field(default=None, ge=1, le=10_000)
    lambda_mult: float | None = Field(default=None, ge=0, le=1)
    token_budget: int = Field(default=3_000, ge=50, le=1_000_000)

    @model_validator(mode="after")
    def _fits_mode(self) -> Self:
        fault = fault_of_options(self)
        if fault is not None:
            raise ValueError(fault)
        return self


class Source(_Model):
    """A passage that the answer is based on. The text cites it by its number in square brackets.

    `content` is the text that the model saw; `truncated` is True if the document is longer. `cited` is True if the
    answer contains its number. A better match has a smaller `distance`, and a larger `similarity` and `score`; which of
    them are set depends on the mode.
    """

    number: int
    id: str
    content: str
    metadata: dict[str, Any]
    distance: float | None = None
    similarity: float | None = None
    score: float | None = None
    truncated: bool = False
    cited: bool = False


class Answer(_Model):
    """An answer with its numbered sources.

    `searched_for` is the question that the model derived from the history, if the search used it. `notice` is a
    sentence for the reader: that the answer is extractive, that nothing was found, or that the model stopped at its
    limit. `usage` has the model's token counts, if it reports them, summed over its replies.
    """

    question: str
    text: str
    kind: AnswerKind
    collection: str
    sources: tuple[Source, ...] = ()
    searched_for: str | None = None
    notice: str | None = None
    model: str | None = None
    usage: dict[str, int] | None = None


class AnswerEvent(_Model):
    """An event of a streamed answer: first the `sources`, then each `token`, finally the complete `answer`.

    Only the field that `type` names is set. The tokens together are the text of the answer.
    """

    type: Literal["sources", "token", "answer"]
    sources: tuple[Source, ...] | None = None
    token: str | None = None
    answer: Answer | None = None
