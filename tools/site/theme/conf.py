"""Sphinx's settings of the site; ``python -m tools.site`` copies this beside the pages."""

import ast
import importlib
import os
import pkgutil
from pathlib import Path

from sphinx.domains.python import PyObject

import qtforge_sdk

# Signatures are evaluated, and some name what a module imports for type checkers alone.
for _found in pkgutil.walk_packages(qtforge_sdk.__path__, "qtforge_sdk."):
    if _found.name.endswith("pytest_plugin"):
        continue
    _module = importlib.import_module(_found.name)
    for _node in ast.parse(Path(_module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(_node, ast.If) and ast.unparse(_node.test) == "TYPE_CHECKING":
            for _import in _node.body:
                if isinstance(_import, ast.ImportFrom):
                    _home = importlib.import_module(_import.module)
                    for _name in _import.names:
                        setattr(_module, _name.asname or _name.name, getattr(_home, _name.name))

project = "QtForge Host"
author = "the authors of QtForge Host"
copyright = "the authors of QtForge Host, MIT licence"
release = os.environ["QTFORGE_SITE_VERSION"]
version = release
language = "en"

# Napoleon's sections "Attributes" are headed as in the docstrings.
for _field in PyObject.doc_field_types:
    if _field.name == "variable":
        _field.label = "Attributes"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["attrs_block", "deflist"]
myst_heading_anchors = 4
exclude_patterns = ["_templates", "_static", "home.md"]
suppress_warnings = ["myst.header"]  # a generated page may begin an entry deeper

default_role = "py:obj"
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = "QtForge Host"
smartquotes = False  # they would make a dash of --json
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("versions.js", {"defer": "defer"})]
templates_path = ["_templates"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/version.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#4338ca",
        "color-brand-content": "#4338ca",
        "color-brand-visited": "#6d28d9",
    },
    "dark_css_variables": {
        "color-brand-primary": "#a5b4fc",
        "color-brand-content": "#a5b4fc",
        "color-brand-visited": "#c4b5fd",
    },
}
pygments_style = "tango"
pygments_dark_style = "github-dark"
