class ClientError(Exception):
    """The browser asked for what it may not have; it is told the code."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code

    def tell(self, channel, reply):
        reply(channel, {"error": self.code})
