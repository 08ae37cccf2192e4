"""How the documents become a site: ``scripts/docs`` builds it.

They are written to be read in the repository too, so they link to files: ``layers.rst``, ``../README.rst``. Here such a
link becomes one to the page, the pages of the sidebar are those that ``index.rst`` links to, in its order, and a link
to nothing is a warning, which ends the build.
"""

from __future__ import annotations

import os
import posixpath
import re
import sys
from logging import Filter, LogRecord, getLogger
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from routechan import __version__ as release  # noqa: E402

logger = logging.getLogger(__name__)

project = "routechan"
author = "routechan contributors"
version = release
root_doc = "docs/index"
include_patterns = ["*.rst", "docs/**.rst", "examples/*/README.rst", "benchmarks/README.rst"]
html_theme = "furo"
html_title = f"routechan {release}"
html_baseurl = os.environ.get("DOCS_URL", "")
extensions = ["sphinx_copybutton"]
copybutton_exclude = ".linenos, .gp"
highlight_language = "none"
nitpicky = True
suppress_warnings = ["toc.not_included"]  # what the sidebar leaves out is linked from a page

#: A link to another document, as docutils writes it: the path, and a place in it.
LINK = re.compile(r"<(?P<path>[^<>#: ]+\.rst)(?:#[^<>]*)?>`_")


class SameLabels(Filter):
    """Drops the warning that two documents have a place of the same name: links name the document as well."""

    def filter(self, record: LogRecord) -> bool:
        return not str(record.msg).startswith("duplicate label")


def setup(app: Sphinx) -> None:
    getLogger("sphinx.sphinx.domains.std").addFilter(SameLabels())
    app.connect("source-read", add_sidebar)
    app.connect("doctree-resolved", link_to_pages)


def add_sidebar(app: Sphinx, name: str, source: list[str]) -> None:
    """Name the pages below ``index.rst``, and below each other index, as Sphinx wants them named."""
    if posixpath.basename(name) != "index":
        return
    folder, pages = posixpath.dirname(name), []
    for link in LINK.finditer(source[0]):
        page = posixpath.normpath(posixpath.join(folder, link["path"]))[: -len(".rst")]
        inside = page.startswith(f"{folder}/") or name == root_doc
        nearest = posixpath.join(posixpath.dirname(page), "index")
        if page != nearest != name and os.path.exists(os.path.join(ROOT, f"{nearest}.rst")):
            continue  # it stands below the index of its folder
        if inside and page not in pages and (name == root_doc or page != root_doc):
            pages.append(page)
    entries = "".join(f"   /{page}\n" for page in pages)
    source[0] += f"\n\n.. toctree::\n   :hidden:\n   :titlesonly:\n\n{entries}"


def link_to_pages(app: Sphinx, tree: nodes.document, name: str) -> None:
    """Turn links to files into links to pages."""
    for link in tree.findall(nodes.reference):
        target: str = link.get("refuri", "")
        path, _, place = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            continue
        file = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        page = file.removesuffix(".rst")
        if page != file and page in app.env.found_docs:
            link["refuri"] = app.builder.get_relative_uri(name, page) + (f"#{place}" if place else "")
            if place and place not in places_of(app, page):
                logger.warning("no place %r in %s", place, file, location=link)
        elif not os.path.exists(os.path.join(ROOT, file)):
            logger.warning("no document %s", file, location=link)
        else:  # a file of the repository that is no page
            link.replace_self(nodes.literal(text=link.astext()))


def places_of(app: Sphinx, page: str) -> set[str]:
    """What a link to ``page`` may name behind the ``#``."""
    found: Any = app.env.get_doctree(page).ids
    return set(found)
