from django.shortcuts import render

from .models import Value


def index(request):
    return render(request, "index.html", {"values": Value.objects.order_by("id")})
