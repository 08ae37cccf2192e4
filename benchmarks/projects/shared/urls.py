"""A page to be asked for beside sockets, and how many statements the database has had."""

from django.db.backends.utils import CursorWrapper
from django.http import HttpRequest, HttpResponse
from django.urls import path

COUNTED = ("SELECT", "INSERT", "UPDATE", "DELETE")
count = 0
execute = CursorWrapper.execute


def counted(cursor, sql, params=None):
    global count
    count += sql.startswith(COUNTED)
    return execute(cursor, sql, params)


CursorWrapper.execute = counted


def text(content: str) -> HttpResponse:
    return HttpResponse(content, content_type="text/plain", headers={"Content-Length": str(len(content))})


def page(request: HttpRequest) -> HttpResponse:
    return text("hello")


def queries(request: HttpRequest) -> HttpResponse:
    return text(str(count))


urlpatterns = [path("page", page), path("queries", queries)]
