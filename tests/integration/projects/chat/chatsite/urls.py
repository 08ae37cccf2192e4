from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import path

from rooms.views import index

urlpatterns = [
    path("", index),
    path("accounts/login/", LoginView.as_view()),
    path("admin/", admin.site.urls),
]
urlpatterns += staticfiles_urlpatterns()
