"""Views for the tests of ``AsgiHandler``, and middleware of both kinds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template.response import SimpleTemplateResponse
from django.urls import path
from django.utils.decorators import async_only_middleware
from django.views.decorators.cache import cache_page
from django.views.decorators.csrf import csrf_exempt

from routechan import Channel, Group
from routechan_django.handler import AsgiRequest

#: What happened, in order.
events: list[Any] = []


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"hello {request.path_info}")


async def ahello(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse("hello from async")


def form(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.POST.dict())


def counts(request: HttpRequest) -> HttpResponse:
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]))


def later(request: AsgiRequest) -> HttpResponse:
    request.session["later"] = True
    raise request.ResponseLater


async def alater(request: AsgiRequest) -> HttpResponse:
    raise AsgiRequest.ResponseLater


def later_when_rendered(request: HttpRequest) -> HttpResponse:
    class Late(SimpleTemplateResponse):
        @property
        def rendered_content(self) -> Any:
            raise AsgiRequest.ResponseLater

    return Late("none.html")


def later_at_first(request: AsgiRequest) -> HttpResponse:
    events.append("view")
    if "now" not in request.GET:
        raise AsgiRequest.ResponseLater
    return HttpResponse("now")


def broken(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError("on purpose")


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404


def stream(request: HttpRequest) -> StreamingHttpResponse:
    padding = b" " * int(request.GET.get("size", 0))

    def parts() -> Iterator[bytes]:
        try:
            for number in range(int(request.GET["parts"])):
                yield b"%d," % number + padding
        finally:
            events.append("closed")

    return StreamingHttpResponse(parts())


def database_answers() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def astream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        try:
            for number in range(int(request.GET["parts"])):
                await asyncio.sleep(0)
                assert asyncio.get_running_loop() is loop
                await sync_to_async(database_answers)()
                yield b"%d," % number
        finally:
            events.append("closed")

    return StreamingHttpResponse(parts())


def large(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"0123456789abcdef" * (int(request.GET["size"]) // 16))


def upload(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.method} {len(request.body)}")


def cookie(request: HttpRequest) -> HttpResponse:
    response = HttpResponse()
    response.set_cookie("a", "b")
    return response


def closings(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(events.count("closed")))


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(open(__file__, "rb"))


def joins(request: AsgiRequest) -> JsonResponse:
    """What 1.x code does with the reply channel of its request: name it, put it in a group, and answer."""
    Group("requests").add(request.reply_channel)
    return JsonResponse([request.reply_channel.name, Group("requests").channels(), request.message["path"]], safe=False)


async def ajoins(request: AsgiRequest) -> JsonResponse:
    await Group("requests").aadd(request.reply_channel)
    members = await Group("requests").achannels()
    return JsonResponse([request.reply_channel.name, members, request.message["path"]], safe=False)


def sends(request: HttpRequest) -> HttpResponse:
    Channel("from-view").send({"n": 1})
    return HttpResponse("sent")


async def asends(request: HttpRequest) -> HttpResponse:
    await Channel("from-view").asend({"n": 1})
    return HttpResponse("sent")


urlpatterns = [
    path("hello/", hello),
    path("ahello/", ahello),
    path("form/", form),
    path("counts/", counts),
    path("later/", later),
    path("alater/", alater),
    path("later-rendered/", later_when_rendered),
    path("cached/", cache_page(60)(later_at_first)),
    path("twice/", later_at_first),
    path("broken/", broken),
    path("missing/", missing),
    path("stream/", stream),
    path("astream/", astream),
    path("large/", large),
    path("file/", file),
    path("upload/", upload),
    path("exempt/", csrf_exempt(upload)),
    path("cookie/", cookie),
    path("closings/", closings),
    path("joins/", joins),
    path("ajoins/", ajoins),
    path("sends/", sends),
    path("asends/", asends),
    path("static/not-a-file.txt", hello),
]


def handler500(request: HttpRequest) -> HttpResponse:
    if "deeper" in request.GET:
        raise LookupError("the error page failed too")
    return HttpResponse("sorry", status=500)


class BrokenReporter:
    """Django's error page of DEBUG, failing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise LookupError("the error page failed too")


class Recording:
    """Plain middleware with all the hooks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        events.append(response.status_code)
        return HttpResponse(response.content, status=response.status_code) if "replace" in request.GET else response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        events.append(type(exception).__name__)
        return HttpResponse("mended") if "mend" in request.GET else None

    def process_template_response(self, request: HttpRequest, response: Any) -> Any:
        return response


@async_only_middleware
def asynchronous(get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> Any:
    async def middleware(request: HttpRequest) -> HttpResponse:
        response = await get_response(request)
        response["X-Async"] = "yes"
        return response

    return middleware


def once_more(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """Asks again where the first answer is none."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.path == "/twice/" and response.status_code == 202:
            request.GET = request.GET.copy()
            request.GET["now"] = "1"
            response = get_response(request)
        return response

    return middleware
