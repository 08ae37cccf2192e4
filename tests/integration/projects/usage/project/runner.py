"""Says which tests passed, for the test that maps the idioms to them."""

import json
import os
from unittest import TextTestResult

from django.test.runner import DiscoverRunner


class Result(TextTestResult):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.passed = []

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed.append(test.id().removeprefix("idioms."))


class Runner(DiscoverRunner):
    def get_resultclass(self):
        return Result

    def suite_result(self, suite, result, **kwargs):
        with open(os.environ["PASSED"], "w") as file:
            json.dump(result.passed, file)
        return super().suite_result(suite, result, **kwargs)
