"""Collections in Django's admin, each with a search page over its documents.

Documents have a composite primary key, which the admin does not support. Find them through their collection.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from rowspace.errors import RowspaceError
from rowspace.integrations.django.models import Collection
from rowspace.integrations.django.transactions import document_service, session
from rowspace.repositories.naming import check_language
from rowspace.services import SearchHit, SearchRequest
from rowspace.statements.documents import languages

__all__ = ["CollectionAdmin", "SearchForm"]

_MODES = (("vector", "by meaning"), ("text", "by keyword"), ("hybrid", "by both"))


class CollectionForm(forms.ModelForm):
    """The form of a collection. Values that Rowspace rejects become errors of the form, not of the server."""

    class Meta:
        widgets: ClassVar = {"name": AdminTextInputWidget, "language": AdminTextInputWidget}

    def clean_metadata(self) -> Any:
        """Treat an empty field as no metadata."""
        given = self.cleaned_data["metadata"]
        return {} if given is None else given

    def _post_clean(self) -> None:
        # At this point, the instance has the values, and Django has recorded its own errors.
        super()._post_clean()
        if self.errors:
            return
        try:
            self.instance.check_values()
            if self.instance.pk is None:
                _check_language(self.instance.language)
        except RowspaceError as error:
            self.add_error(None, str(error))


def _check_language(language: str) -> None:
    using = router.db_for_write(Collection)
    with transaction.atomic(using=using), session(using) as made:
        check_language(language, [*made.scalars(languages())])


class FilterField(forms.JSONField):
    """A metadata filter as JSON. Without a filter, the field is empty, where Django would show `null`."""

    widget = forms.Textarea(attrs={"rows": 3, "placeholder": '{"year": {"$gt": 2020}}'})

    def prepare_value(self, value: Any) -> Any:
        """Return the text to show in the field."""
        return "" if value is None else super().prepare_value(value)


class SearchForm(forms.Form):
    """The form of a search in one collection."""

    text = forms.CharField(label="Search for", max_length=1_000)
    mode = forms.ChoiceField(choices=_MODES, initial="vector")
    k = forms.IntegerField(label="Hits", min_value=1, max_value=200, initial=10)
    filter = FilterField(label="Metadata filter", required=False)

    def clean_filter(self) -> Any:
        """Reject JSON that is not an object."""
        given = self.cleaned_data["filter"]
        if given is not None and not isinstance(given, dict):
            message = 'Expected a JSON object, such as {"year": {"$gt": 2020}}.'
            raise forms.ValidationError(message)
        return given


@admin.register(Collection)
class CollectionAdmin(admin.ModelAdmin):
    """The admin of collections: it creates and drops them with their partition, and has a search page for each."""

    form = CollectionForm
    list_display = ("name", "dimension", "distance", "language", "embedder", "search_link")
    search_fields = ("name", "embedder")
    list_filter = ("distance", "language")
    fields = (
        "name",
        "dimension",
        "distance",
        "language",
        "metadata",
        "embedder",
        "index",
        "reembedding",
        "indexed_keys",
        "created_at",
        "updated_at",
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002 -- Django's signature
        """Return the fields that the form shows but cannot change."""
        always = ("embedder", "index", "reembedding", "indexed_keys", "created_at", "updated_at")
        return always if obj is None else ("dimension", "distance", "language", *always)

    def get_urls(self) -> list[Any]:
        """Add the search page."""
        view = self.admin_site.admin_view(self.search)
        return [path("<path:object_id>/search/", view, name="rowspace_collection_search"), *super().get_urls()]

    @admin.display(description="documents")
    def search_link(self, collection: Any) -> Any:
        """Return a link to the search page."""
        url = reverse(f"{self.admin_site.name}:rowspace_collection_search", args=[collection.pk])
        return format_html('<a href="{}">Search</a>', url)

    def search(self, request: HttpRequest, object_id: str) -> TemplateResponse:
        """Show the search page of a collection, with hits if there is a query."""
        collection = self.get_object(request, object_id)
        if collection is None:
            message = f"There is no collection with the id {object_id!r}."
            raise Http404(message)
        if not self.has_view_permission(request, collection):
            raise PermissionDenied
        form = SearchForm(request.GET if "text" in request.GET else None)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": collection,
            "title": f"Search {collection}",
            "form": form,
            "hits": _found(form, collection),
        }
        return TemplateResponse(request, "admin/rowspace/collection/search.html", context)


def _found(form: SearchForm, collection: Any) -> list[dict[str, Any]] | None:
    """Return the hits of a form. An error of the search becomes an error of the form."""
    if not form.is_bound or not form.is_valid():
        return None
    try:
        request = SearchRequest(**form.cleaned_data, highlight=form.cleaned_data["mode"] != "vector")
        hits = document_service(collection._state.db).search(collection.name, request)
    except RowspaceError as error:
        form.add_error(None, str(error))
        return None
    return [_shown(hit) for hit in hits]


def _shown(hit: SearchHit) -> dict[str, Any]:
    # A highlight is already escaped, except for its marks.
    excerpt = mark_safe(hit.highlight) if hit.highlight else hit.content[:500]  # noqa: S308
    # Build the pairs here: in a template, `metadata.items` would first look up a key "items".
    return {**hit.model_dump(), "excerpt": excerpt, "pairs": [*hit.metadata.items()]}
