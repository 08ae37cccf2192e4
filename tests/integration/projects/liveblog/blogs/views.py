from django.shortcuts import get_object_or_404, render

from .models import Blog


def index(request):
    return render(request, "index.html", {"blogs": Blog.objects.order_by("id")})


def blog(request, slug):
    found = get_object_or_404(Blog, slug=slug)
    return render(request, "blog.html", {"blog": found, "posts": found.posts.all()})
