from django.conf.urls import patterns, url

from images import views

urlpatterns = patterns('',
    url(r'^upload/$', views.upload, name='upload'),
    url(r'^about/$', views.about, name='about'),
)
