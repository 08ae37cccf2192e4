from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, render

from .models import Room


@login_required
def index(request):
    rooms = Room.objects.order_by("title")
    return render(request, "chat/index.html", {"rooms": rooms})


def room(request, slug):
    room = get_object_or_404(Room, slug=slug)
    if room.staff_only and not request.user.is_staff:
        return render(request, "chat/index.html", {"rooms": []}, status=403)
    if request.is_ajax():
        return JsonResponse({"title": room.title})
    return render(request, "chat/room.html", {"room": room})
