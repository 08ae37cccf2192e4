from django.urls import path

from idioms import views

urlpatterns = [
    path("hello/", views.hello),
    path("announce/", views.announce),
]
