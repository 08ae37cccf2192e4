import json

from .models import Blog


def connect_blog(message, slug):
    try:
        blog = Blog.objects.get(slug=slug)
    except Blog.DoesNotExist:
        # The text opens the socket, so that the page can read why it is closed (UE-03, DM-01).
        message.reply_channel.send({"text": json.dumps({"error": "bad_slug"}), "close": True})
        return
    message.reply_channel.send({"accept": True})
    blog.group.add(message.reply_channel)


def disconnect_blog(message, slug):
    blog = Blog.objects.filter(slug=slug).first()
    if blog is not None:
        blog.group.discard(message.reply_channel)
