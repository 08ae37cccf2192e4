from django.http import HttpResponse, JsonResponse

from .models import Card


def card_list(request):
    if request.user.is_anonymous():
        return HttpResponse("no", status=403)
    return JsonResponse({"cards": list(Card.objects.values_list("name", flat=True))})
