"""A Django project of one file, for the tests. Its database is set by the test that uses it."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings
from django.urls import path

urlpatterns: list[Any] = []


def configure() -> None:
    """Sets Django up, once a process."""
    if settings.configured:
        return
    settings.configure(
        ROOT_URLCONF=__name__,
        SECRET_KEY="tests",
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=[
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "unset"}},
    )
    django.setup()


def mount(view: Any) -> None:
    """Puts a view at ``/hooks``."""
    from django.urls import clear_url_caches

    urlpatterns[:] = [path("hooks", view)]
    clear_url_caches()
