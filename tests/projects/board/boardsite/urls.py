from django.urls import path

from cards.views import card_list

urlpatterns = [
    path("cards/", card_list),
]
