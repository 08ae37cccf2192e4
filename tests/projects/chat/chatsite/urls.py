from django.conf.urls import include, url
from django.contrib import admin
from django.contrib.auth.views import login

urlpatterns = [
    url(r'^admin/', include(admin.site.urls)),
    url(r'^accounts/login/$', login, {'template_name': 'admin/login.html'}, name='login'),
    url(r'^', include('chat.urls', namespace='chat')),
]
