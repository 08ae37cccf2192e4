from django.contrib import admin

from .models import Blog, Post

admin.site.register(Blog, list_display=["id", "title", "slug"], prepopulated_fields={"slug": ["title"]})
admin.site.register(Post, list_display=["id", "blog", "body"], list_display_links=["id", "blog"])
