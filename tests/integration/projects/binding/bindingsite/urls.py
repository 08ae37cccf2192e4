from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import path
from django.views.generic import RedirectView

from values.views import index

urlpatterns = [
    path("", index),
    path("accounts/login/", LoginView.as_view(template_name="login.html")),
    path("favicon.ico", RedirectView.as_view(url="/static/values/icon.svg")),
    path("admin/", admin.site.urls),
]
urlpatterns += staticfiles_urlpatterns()
