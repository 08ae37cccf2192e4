import json

from channels import Group
from django.conf import settings
from django.core.urlresolvers import reverse
from django.db import models
from django.utils.encoding import python_2_unicode_compatible
from django.utils.six import text_type
from django.utils.translation import ugettext_lazy as _


@python_2_unicode_compatible
class Room(models.Model):
    """
    A room for people to chat in.
    """

    title = models.CharField(_("title"), max_length=255)
    slug = models.SlugField(unique=True)

    # If only "staff" users are allowed (is_staff on django's User)
    staff_only = models.BooleanField(default=False)

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("chat:room", kwargs={"slug": self.slug})

    @property
    def websocket_group(self):
        """
        Returns the Channels Group that sockets should subscribe to to get sent
        messages as they are generated.
        """
        return Group("room-%s" % self.id)

    def send_message(self, message, user):
        Message.objects.create(room=self, user=user, text=message)
        final_msg = {'room': text_type(self.id), 'message': message, 'username': user.username}
        self.websocket_group.send({"text": json.dumps(final_msg)})


class Message(models.Model):
    room = models.ForeignKey(Room, related_name="messages")
    user = models.ForeignKey(settings.AUTH_USER_MODEL)
    text = models.TextField()
    created = models.DateTimeField(auto_now_add=True)

    def __unicode__(self):
        return self.text[:20]
