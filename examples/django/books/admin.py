"""The book in the admin; collections are there by themselves."""

from django.contrib import admin

from books.models import Book

admin.site.register(Book)
