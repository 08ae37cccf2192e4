import json

from channels import Channel
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.six.moves.urllib.parse import urljoin


def upload(request):
    data = json.loads(request.body.decode('utf-8'))
    url = urljoin('http://localhost/', data['name'])
    Channel('images.resize').send({'url': url, 'widths': data['widths'], 'album': data['album']})
    return HttpResponse('ok', mimetype='text/plain')


def about(request):
    return render(request, 'about.html', {'anonymous': request.user.is_anonymous()})
