import json

from channels import Group
from django.db import models
from django.urls import reverse


class Blog(models.Model):
    title = models.CharField(max_length=200)
    slug = models.SlugField(unique=True)

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("blog", kwargs={"slug": self.slug})

    @property
    def group(self):
        return Group("blog-%s" % self.slug)


class Post(models.Model):
    blog = models.ForeignKey(Blog, related_name="posts", on_delete=models.CASCADE)
    body = models.TextField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created", "-id"]

    def __str__(self):
        return "%s: %s" % (self.blog, self.body[:40])

    def save(self, *args, **kwargs):
        result = super().save(*args, **kwargs)
        self.send_notification()
        return result

    def send_notification(self):
        """To everybody who looks at the blog, new or changed (UE-07)."""
        notification = {"id": self.id, "body": self.body, "created": self.created.strftime("%H:%M")}
        self.blog.group.send({"text": json.dumps(notification)})
