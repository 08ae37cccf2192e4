from channels import route

# A consumer as a function and as a dotted string, side by side (UE-02).
from blogs.consumers import connect_blog

stream = r"^/blog/(?P<slug>[^/]+)/stream/$"

channel_routing = [
    route("websocket.connect", connect_blog, path=stream),
    route("websocket.disconnect", "blogs.consumers.disconnect_blog", path=stream),
]
