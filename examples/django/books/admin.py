"""Registers the book in the admin. Collections are registered automatically."""

from django.contrib import admin

from books.models import Book

admin.site.register(Book)
