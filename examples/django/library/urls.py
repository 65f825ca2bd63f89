"""The pages of the example, and the admin."""

from books import views
from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("", views.search, name="search"),
    path("similar/", views.similar, name="similar"),
    path("reviews/", views.reviews, name="reviews"),
    path("reviews/add/", views.add_review, name="add_review"),
    path("admin/", admin.site.urls),
]
