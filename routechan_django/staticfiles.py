"""Static files for requests that a route takes, in development (``consumer-api`` 6.5)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from django.conf import settings
from django.contrib.staticfiles import utils
from django.contrib.staticfiles.views import serve
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views import debug

from .handler import AsgiHandler, ViewConsumer

__all__ = ["AsgiHandler", "StaticFilesConsumer", "StaticFilesHandler", "ViewConsumer", "serve", "utils"]


class StaticFilesHandler(AsgiHandler):
    """``AsgiHandler`` that answers requests below ``STATIC_URL`` from the static files, whatever ``DEBUG`` says."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.base_url = urlparse(self.get_base_url())

    def get_base_url(self) -> str:
        utils.check_settings()
        return settings.STATIC_URL or ""

    def _should_handle(self, path: str) -> bool:
        return path.startswith(self.base_url.path) and not self.base_url.netloc

    def file_path(self, url: str) -> str:
        """The path of a file below the static directories, from the path of its request."""
        return url2pathname(url[len(self.base_url.path) :])

    def serve(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = serve(request, self.file_path(request.path), insecure=True)
        return response

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        if self._should_handle(request.path):
            try:
                response = self.serve(request)
            except Http404 as error:  # with DEBUG it says so; otherwise a view may have it (HT-45)
                if settings.DEBUG:
                    response = debug.technical_404_response(request, error)
                else:
                    return super().get_response(request)
            response._resource_closers.append(request.close)  # type: ignore[attr-defined]
            return response
        return super().get_response(request)


class StaticFilesConsumer(ViewConsumer):
    """``ViewConsumer`` with static files."""

    handler_class = StaticFilesHandler
