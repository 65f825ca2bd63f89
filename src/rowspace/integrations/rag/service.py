"""The service that answers questions from a collection: retrieves, packs, asks the model, numbers the sources."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Unpack

from rowspace.errors import ConfigurationError
from rowspace.integrations._sides import Connection, Sides
from rowspace.integrations.rag import extractive
from rowspace.integrations.rag.chat import Chat, Reply
from rowspace.integrations.rag.condensing import Sought
from rowspace.integrations.rag.embedders import guarded
from rowspace.integrations.rag.models import Answer, AnswerEvent, AnswerOptions, AnswerRequest, Source
from rowspace.integrations.rag.packing import TokenCounter, pack
from rowspace.integrations.rag.prompting import SYSTEM_PROMPT, cited, condensing_messages_for, messages_for
from rowspace.integrations.rag.sentences import approximate_tokens
from rowspace.repositories.given import several, size
from rowspace.services import AsyncSearchService, Embedder, SearchRequest, SearchService
from rowspace.services.embedding import aembed_query, aembed_texts, embed_query, embed_texts

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool

__all__ = ["AnswerService"]

_NOTHING = "Nothing was found in the collection {!r} that could answer this."
_NOTHING_NOTICE = "The search found no documents, so no model was asked."


class AnswerService:
    """Answers questions from the documents of a collection, with sync and async methods.

    Without a model, the answer is extractive: the best sentences of the sources. The transaction of the search ends
    before the model is called.

    Args:
        connection: a URL, which serves sync and async calls; an engine, a `Database` or `AsyncDatabase`, a session
            factory, or a session. None uses `ROWSPACE_DATABASE_URL`, otherwise the embedded server.
        embedder: the embedder that filled the collection.
        model: a LangChain `BaseChatModel`; a string for `init_chat_model`, if `langchain` is installed; None for
            extractive answers.
        collection: the collection for requests that do not name one.
        system_prompt: the system prompt; `{fence}` in it is replaced by the token that delimits the sources.
        metadata_keys: metadata keys to show to the model with each source.
        count_tokens: counts the tokens of a text, such as `model.get_num_tokens`; by default one per CJK character and
            one per four others.
        sentences: the maximum number of sentences in an extractive answer.

    Raises:
        ConfigurationError: the model, embedder or connection is invalid, the system prompt lacks `{fence}`,
            `metadata_keys` is a single string, or `sentences` is not an integer of at least 1.
        MissingExtra: a model was passed, but LangChain is not installed.
    """

    def __init__(
        self,
        connection: Connection = None,
        embedder: Embedder | None = None,
        *,
        model: Any = None,
        collection: str | None = None,
        system_prompt: str = SYSTEM_PROMPT,
        metadata_keys: Sequence[str] = (),
        count_tokens: TokenCounter = approximate_tokens,
        sentences: int = 4,
    ) -> None:
        if "{fence}" not in system_prompt:
            message = "The system prompt must explain {fence}. Without it, a document can pass for an instruction."
            raise ConfigurationError(message)
        self._sides = Sides(connection)
        self._embedder = guarded(embedder)
        self._chat = None if model is None else Chat(model)
        self._collection = collection
        self._system, self._keys = system_prompt, tuple(several(metadata_keys, "metadata_keys"))
        self._count, self._sentences = count_tokens, size("sentences", sentences)

    def answer(self, question: AnswerRequest | str, **options: Unpack[AnswerOptions]) -> Answer:
        """Return the answer to a question.

        Args:
            question: an `AnswerRequest`, or a text, with other fields as keyword arguments.
            options: the other fields of an `AnswerRequest`.

        Raises:
            CollectionNotFound, EmbedderMismatch, InvalidFilter: as in a search.
            ModelUnavailable: the model or a hosted embedder did not respond.
            ModelError: the model or embedder refused, or returned an invalid response.
            ConfigurationError: there is no collection or no embedder.
        """
        request = self._request(question, options)
        sought = self._sought(request)
        sources = self._found(request, sought)
        if not sources:
            return self._nothing(request, sought)
        if self._chat is None:
            return self._extracted(request, sources)
        return self._finished(request, sources, self._chat.ask(self._messages(request, sources)), sought)

    async def aanswer(self, question: AnswerRequest | str, **options: Unpack[AnswerOptions]) -> Answer:
        """Return the answer to a question; see `answer`."""
        request = self._request(question, options)
        sought = await self._asought(request)
        sources = await self._afound(request, sought)
        if not sources:
            return self._nothing(request, sought)
        if self._chat is None:
            return await self._aextracted(request, sources)
        return self._finished(request, sources, await self._chat.aask(self._messages(request, sources)), sought)

    def stream(
        self, question: AnswerRequest | str, **options: Unpack[AnswerOptions]
    ) -> Generator[AnswerEvent, None, None]:
        """Yield the sources, the text as it arrives, and the complete answer. Takes the arguments of `answer`."""
        request = self._request(question, options)
        sought = self._sought(request)
        sources = self._found(request, sought)
        yield AnswerEvent(type="sources", sources=tuple(sources))
        if sources and self._chat is not None:
            reply = Reply()
            for chunk in self._chat.chunks(self._messages(request, sources)):
                if text := reply.add(chunk):
                    yield AnswerEvent(type="token", token=text)
            yield AnswerEvent(type="answer", answer=self._finished(request, sources, reply, sought))
            return
        answer = self._extracted(request, sources) if sources else self._nothing(request, sought)
        yield AnswerEvent(type="token", token=answer.text)
        yield AnswerEvent(type="answer", answer=answer)

    async def astream(
        self, question: AnswerRequest | str, **options: Unpack[AnswerOptions]
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the sources, the text as it arrives, and the complete answer. Takes the arguments of `answer`."""
        request = self._request(question, options)
        sought = await self._asought(request)
        sources = await self._afound(request, sought)
        yield AnswerEvent(type="sources", sources=tuple(sources))
        if sources and self._chat is not None:
            reply = Reply()
            # If the reader stops, close the model's stream and its connection at once.
            async with aclosing(self._chat.achunks(self._messages(request, sources))) as chunks:
                async for chunk in chunks:
                    if text := reply.add(chunk):
                        yield AnswerEvent(type="token", token=text)
            yield AnswerEvent(type="answer", answer=self._finished(request, sources, reply, sought))
            return
        answer = await self._aextracted(request, sources) if sources else self._nothing(request, sought)
        yield AnswerEvent(type="token", token=answer.text)
        yield AnswerEvent(type="answer", answer=answer)

    def retrieve(self, question: AnswerRequest | str, **options: Unpack[AnswerOptions]) -> list[Source]:
        """Return the sources for a question, within its token budget, without an answer.

        It calls the model only to rewrite a question with a history.
        """
        request = self._request(question, options)
        return self._found(request, self._sought(request))

    async def aretrieve(self, question: AnswerRequest | str, **options: Unpack[AnswerOptions]) -> list[Source]:
        """Return the sources for a question, within its token budget; see `retrieve`."""
        request = self._request(question, options)
        return await self._afound(request, await self._asought(request))

    def as_runnable(self) -> Runnable[Any, Answer]:
        """Return a LangChain `Runnable` that maps a question, a dict or an `AnswerRequest` to an `Answer`."""
        from rowspace.integrations.rag.adapters import runnable

        return runnable(self)

    def as_tool(
        self, name: str = "search_documents", description: str | None = None, **options: Unpack[AnswerOptions]
    ) -> BaseTool:
        """Return a LangChain tool for an agent: it takes a question and returns the answer with its sources.

        Args:
            name: the tool's name for the model.
            description: the tool's description for the model.
            options: fields of an `AnswerRequest` for every question; the model chooses only the question.
        """
        from rowspace.integrations.rag.adapters import tool

        given: dict[str, Any] = {**options}
        AnswerRequest(question="Do these options fit together?", **given)
        return tool(self, name, description, given)

    def close(self) -> None:
        """Close the sync engine that this service opened; one that was passed in stays open."""
        self._sides.close()

    async def aclose(self) -> None:
        """Close the engines that this service opened, including the async one of this event loop."""
        await self._sides.aclose()

    def _request(self, question: AnswerRequest | str, options: Mapping[str, Any]) -> AnswerRequest:
        if isinstance(question, AnswerRequest):
            given = question.model_dump(exclude_unset=True)
            request = AnswerRequest(**{**given, **options}) if options else question
        else:
            request = AnswerRequest(question=question, **options)
        self._name(request)  # fail before the model is called
        return request

    def _name(self, request: AnswerRequest) -> str:
        name = request.collection or self._collection
        if name is None:
            message = "There is no collection to search. Name one in the request, or pass one to the service."
            raise ConfigurationError(message)
        return name

    def _sought(self, request: AnswerRequest) -> Sought:
        if self._chat is None or not (request.history and request.condense):
            return Sought(request.question)
        return Sought.from_reply(self._chat.ask(condensing_messages_for(request)))

    async def _asought(self, request: AnswerRequest) -> Sought:
        if self._chat is None or not (request.history and request.condense):
            return Sought(request.question)
        return Sought.from_reply(await self._chat.aask(condensing_messages_for(request)))

    def _found(self, request: AnswerRequest, sought: Sought) -> list[Source]:
        searches = SearchService(self._sides.sync, self._embedder)
        hits = searches.search(self._name(request), _search_of(request, sought))
        return pack(hits, request.token_budget, self._count)

    async def _afound(self, request: AnswerRequest, sought: Sought) -> list[Source]:
        searches = AsyncSearchService(self._sides.asynchronous, self._embedder)
        hits = await searches.search(self._name(request), _search_of(request, sought))
        return pack(hits, request.token_budget, self._count)

    def _messages(self, request: AnswerRequest, sources: Sequence[Source]) -> list[tuple[str, str]]:
        return messages_for(request, sources, system=self._system, keys=self._keys)

    def _finished(self, request: AnswerRequest, sources: Sequence[Source], reply: Reply, sought: Sought) -> Answer:
        assert self._chat is not None  # noqa: S101 -- it returned the reply
        text, usage = reply.text(), sought.usage_with(reply)
        more = {"kind": "generated", "notice": reply.notice, "model": self._chat.name, "usage": usage}
        return self._made(request, sources, text, cited(text), **more, **_shown(sought))

    def _extracted(self, request: AnswerRequest, sources: Sequence[Source]) -> Answer:
        given = extractive.candidates(sources)
        query = embed_query(self._needed_embedder(), request.question)
        vectors = embed_texts(self._embedder, [one.sentence for one in given])
        return self._made_of(request, sources, extractive.chosen(given, query, vectors, self._sentences))

    async def _aextracted(self, request: AnswerRequest, sources: Sequence[Source]) -> Answer:
        given = extractive.candidates(sources)
        query = await aembed_query(self._needed_embedder(), request.question)
        vectors = await aembed_texts(self._embedder, [one.sentence for one in given])
        return self._made_of(request, sources, extractive.chosen(given, query, vectors, self._sentences))

    def _needed_embedder(self) -> Embedder:
        if self._embedder is None:
            message = "An extractive answer needs an embedder. Pass one to the service, or pass a model."
            raise ConfigurationError(message)
        return self._embedder

    def _made_of(
        self, request: AnswerRequest, sources: Sequence[Source], best: Sequence[extractive.Candidate]
    ) -> Answer:
        text = " ".join(f"{one.sentence} [{one.number}]" for one in best)
        numbers = {one.number for one in best}
        return self._made(request, sources, text, numbers, kind="extractive", notice=extractive.NOTICE)

    def _nothing(self, request: AnswerRequest, sought: Sought) -> Answer:
        more = {"kind": "nothing_found", "notice": _NOTHING_NOTICE, "usage": sought.usage, **_shown(sought)}
        return self._made(request, (), _NOTHING.format(self._name(request)), set(), **more)

    def _made(
        self, request: AnswerRequest, sources: Sequence[Source], text: str, numbers: set[int], **more: Any
    ) -> Answer:
        marked = tuple(source.model_copy(update={"cited": source.number in numbers}) for source in sources)
        return Answer(question=request.question, text=text, collection=self._name(request), sources=marked, **more)


def _shown(sought: Sought) -> dict[str, Any]:
    return {"searched_for": sought.text if sought.condensed else None}


def _search_of(request: AnswerRequest, sought: Sought) -> SearchRequest:
    names = ("k", "mode", "filter", "max_distance", "min_similarity", "fetch_k", "lambda_mult")
    fields: dict[str, Any] = {name: getattr(request, name) for name in names}
    return SearchRequest(text=sought.text, **fields)
