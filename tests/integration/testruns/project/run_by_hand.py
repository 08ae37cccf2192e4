"""A runner of the project's own: no argument says that it is one, and no environment is set up."""

from __future__ import annotations

import sys
import unittest

import django

django.setup()

if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromName("tests.integration.testruns.project.cases")
    sys.exit(not unittest.TextTestRunner().run(suite).wasSuccessful())
