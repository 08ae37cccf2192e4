"""``django_upgrade``: Django's own changes of names and arguments, by the program django-upgrade.

Only its fixers run whose absence stops code; those that modernise what works are left to whoever wants them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

from .. import programs
from .base import Fixer

#: The Django whose code is written. What it names exists in later ones too.
TARGET = "5.2"

#: Its fixers that run -> what a file has for which they are needed.
FIXERS: Mapping[str, str] = {
    "admin_lookup_needs_distinct": "lookup_needs_distinct",
    "assert_form_error": "assertForm(set)?Error",
    "assert_set_methods": "assertQuerysetEqual",
    "compatibility_imports": r"django\.(core\.urlresolvers|core\.exceptions|conf\.urls|db\.models\.(fields|query|sql)|"
    r"forms|http|shortcuts|template|test|utils|contrib|urls|core\.(cache|files|management|serializers))",
    "crypto_get_random_string": "get_random_string",
    "default_app_config": "default_app_config",
    "email_validator": "whitelist",
    "forms_model_multiple_choice_field": "ModelMultipleChoiceField",
    "index_together": "index_together",
    "null_boolean_field": "NullBooleanField",
    "on_delete": "ForeignKey|OneToOneField",
    "password_reset_timeout_days": "PASSWORD_RESET_TIMEOUT_DAYS",
    "permalink": "permalink",
    "postgres_float_range_field": "FloatRangeField",
    "queryset_paginator": "QuerySetPaginator",
    "render_to_response": "render_to_response",
    "request_user_attributes": r"is_(authenticated|anonymous)\(",
    "settings_database_postgresql": "postgresql_psycopg2",
    "settings_storages": "DEFAULT_FILE_STORAGE|STATICFILES_STORAGE",
    "signal_providing_args": "providing_args",
    "testcase_databases": "multi_db|allow_database_queries",
    "timezone_fixedoffset": "FixedOffset",
    "utils_encoding": "force_text|smart_text",
    "utils_http": r"django\.utils\.http",
    "utils_text": "unescape_entities",
    "utils_timezone": r"\butc\b",
    "utils_translation": "u(n?)(gettext|npgettext|pgettext)",
}

NEEDED = re.compile("|".join(FIXERS.values()))


def _run(texts: Mapping[PurePath, str]) -> Mapping[PurePath, str]:
    """The files after django-upgrade."""
    selected = {path: text for path, text in texts.items() if "django" in text.lower() or NEEDED.search(text)}
    selected = {path: text for path, text in selected.items() if NEEDED.search(text)}
    arguments = ["--target-version", TARGET, "--exit-zero-even-if-changed"]
    for name in FIXERS:
        arguments += ["--only", name]
    return programs.run("django_upgrade", arguments, selected) if selected else {}


FIXER = Fixer("django_upgrade", "Django's changed names and arguments, by django-upgrade", run_program=_run)
