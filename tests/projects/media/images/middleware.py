class VersionMiddleware(object):
    """Says which version answers."""

    def process_response(self, request, response):
        response['X-Version'] = u'1'
        return response
