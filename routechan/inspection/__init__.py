"""What a thing is: how a callable is run, what it is called, what a dotted path names, where code stands."""

from .importing import import_dotted
from .kinds import Consumer, Kind, kind_of, kind_of_unfinished
from .naming import name_that_thing
from .places import imported_by, is_of_project, place_of, raised_at
from .wording import counted, with_article

__all__ = [
    "Consumer",
    "Kind",
    "counted",
    "import_dotted",
    "imported_by",
    "is_of_project",
    "kind_of",
    "kind_of_unfinished",
    "name_that_thing",
    "place_of",
    "raised_at",
    "with_article",
]
