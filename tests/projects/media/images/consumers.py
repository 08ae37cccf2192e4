# -*- coding: utf-8 -*-
import collections
import json
import urlparse

from channels import Group
from channels.sessions import channel_session, enforce_ordering
from django.utils.encoding import force_text, smart_unicode
from six.moves import range

from .signals import resized
from .storage import Store

STORE = Store()


@enforce_ordering(slight=True)
@channel_session
def ws_connect(message):
    path = message['path'].decode('ascii')
    message.channel_session['album'] = path.strip('/').split('/')[-1]
    Group('album-%s' % message.channel_session['album']).add(message.reply_channel)


@enforce_ordering(slight=True)
@channel_session
def ws_receive(message):
    content = json.loads(force_text(message.content['text']))
    if 'ping' in content:
        message.reply_channel.send({'text': 'pong'})
        return
    for key, value in content.iteritems():
        print 'frame', key, value


@enforce_ordering(slight=True)
@channel_session
def ws_disconnect(message):
    Group('album-%s' % message.channel_session['album']).discard(message.reply_channel)


def resize(message):
    """Runs in a worker."""
    url = urlparse.urlparse(message['url'])
    try:
        widths = [int(width) for width in message['widths']]
    except (ValueError, KeyError), e:
        print >>STORE, 'bad message:', e
        raise ValueError, 'bad message: %s' % e
    if isinstance(message['url'], basestring) and isinstance(message.content, collections.Mapping):
        for index in xrange(len(widths)):
            STORE.put(smart_unicode(url.path), widths[index])
            resized.send(sender=None, name=url.path, width=widths[index])
    Group('album-%s' % message['album']).send({'text': json.dumps({'sizes': STORE.sizes(url.path)})})
