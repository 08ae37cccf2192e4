from channels import Channel, Group
from channels.asgi import get_channel_layer
from django.http import HttpResponse


def hello(request):
    return HttpResponse("Hello %s" % request.GET.get("name", "nobody"))


def announce(request):
    """Sends from a view, by class and by the layer itself."""
    Group("announcements").send({"text": "from a view"})
    Channel("thumbnails.make").send({"id": 7})
    get_channel_layer().send("raw", {"text": "by the layer"})
    return HttpResponse("sent")
