"""As from a shell: ``python -m tests.integration.workers.say TEXT`` sends to a group, and ends."""

import sys

from routechan import Group

from .layer import shared_layer

shared_layer()
Group("everyone").send({"text": sys.argv[1]})
