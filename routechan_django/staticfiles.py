"""Static files for requests that a route takes, in development (``consumer-api`` 6.5)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from django.conf import settings
from django.contrib.staticfiles import utils
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.contrib.staticfiles.views import serve
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.exception import response_for_exception
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views import debug

from .handler import AsgiHandler, ViewConsumer

__all__ = ["AsgiHandler", "StaticFilesConsumer", "StaticFilesHandler", "ViewConsumer", "serve", "utils"]


class StaticFilesHandler(AsgiHandler):
    """``AsgiHandler`` that answers requests below ``STATIC_URL`` with static files, whatever ``DEBUG`` is.

    Lifetime: process.

    Args:
        *args: Unused, as in 1.x.
        **kwargs: Unused, as in 1.x.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.base_url = urlparse(self.get_base_url())

    def get_base_url(self) -> str:
        """The URL of static files: ``STATIC_URL``, checked."""
        utils.check_settings()
        return settings.STATIC_URL or ""

    def _should_handle(self, path: str) -> bool:
        return path.startswith(self.base_url.path) and not self.base_url.netloc

    def file_path(self, url: str) -> str:
        """The path of a file below the static directories, for the path ``url`` of its request."""
        return url2pathname(url[len(self.base_url.path) :])

    def serve(self, request: HttpRequest) -> HttpResponseBase:
        """The response with the file of ``request``, a 400 for one outside; ``Http404`` where there is none."""
        try:
            response: HttpResponseBase = serve(request, self.file_path(request.path), insecure=True)
        except SuspiciousOperation as error:
            response = response_for_exception(request, error)
        return response

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """The file, or the response of the views for any other path and, without ``DEBUG``, for a missing file."""
        if self._should_handle(request.path):
            try:
                response = self.serve(request)
            except Http404 as error:  # a view may answer it, but not with DEBUG (HT-45)
                if settings.DEBUG:
                    response = debug.technical_404_response(request, error)
                else:
                    return super().get_response(request)
            response._resource_closers.append(request.close)  # type: ignore[attr-defined]
            return response
        return super().get_response(request)


class StaticFilesConsumer(ViewConsumer):
    """``ViewConsumer`` that serves static files too. Lifetime: process."""

    handler_class = StaticFilesHandler


class ASGIStaticFiles(ASGIStaticFilesHandler):
    """Django's ASGI application for static files, where a path out of their directories is a 400 and not an error.

    Lifetime: process.
    """

    def serve(self, request: HttpRequest) -> Any:
        """The response with the file that ``request`` asks for; ``Http404`` where there is none."""
        try:
            return super().serve(request)
        except SuspiciousOperation as error:
            return response_for_exception(request, error)
