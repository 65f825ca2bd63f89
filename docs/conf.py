"""Sphinx's configuration: Markdown through MyST, docstrings through autodoc, the furo theme."""

import logging
import warnings
from importlib.metadata import version as version_of

project = "Rowspace"
author = "The Rowspace maintainers"
release = version = version_of("rowspace")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
# Every reference to a name of Rowspace has to resolve. Other libraries' names do not: their inventories
# are on the network, and the build needs none.
nitpick_ignore_regex = [
    ("py:.*", r"(?!rowspace\.).*"),
    ("py:class", r"rowspace\..*\.[MT](_co)?"),  # type variables
    ("py:class", r"rowspace\.services\._sync\.sessions\.Sessions"),  # what is meant is said where it is asked for
    ("py:obj", ".*"),
]
# What stands in backquotes in a docstring: code, and a link where there is something of that name.
default_role = "py:obj"

# It says of each of its parts, while it is imported, that it is there.
logging.getLogger("alembic").setLevel(logging.WARNING)
# autodoc looks at every attribute of a mixin, which SQLAlchemy advises against.
warnings.filterwarnings("ignore", message="Unmanaged access of declarative attribute")

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_numpy_docstring = False

# Of what is typed at a prompt, without the prompt; not of output.
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = "Rowspace"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]
