import six


@six.python_2_unicode_compatible
class Store(object):

    def __init__(self):
        self.lines = []
        self.widths = {}

    def write(self, text):
        self.lines.append(text)

    def put(self, name, width):
        self.widths.setdefault(six.text_type(name), []).append(width)

    def sizes(self, name):
        return [width for key, widths in six.iteritems(self.widths) if key == name for width in widths]

    def __str__(self):
        return 'store of %d' % len(self.widths)

    def __nonzero__(self):
        return True
