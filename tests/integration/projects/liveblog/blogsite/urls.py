from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import path
from django.views.generic import RedirectView

from blogs.views import blog, index

urlpatterns = [
    path("", index),
    path("favicon.ico", RedirectView.as_view(url="/static/blogs/icon.svg")),
    path("admin/", admin.site.urls),
    path("blog/<slug:slug>/", blog, name="blog"),
]
urlpatterns += staticfiles_urlpatterns()
