"""How Sphinx makes the site from the pages of this folder: ``make docs``.

- The pages are plain Markdown, to be read on a code host too, so links are relative paths.
- The reference is read from the docstrings.
- Nothing is fetched, neither when the site is built nor when it is read.
- A name of ours that leads nowhere is an error. Names of others are not looked up.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "adapters")]

project = "paxos"
author = "The paxos maintainers"
project_copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["figures/*.md"]
suppress_warnings = ["misc.highlighting_failure"]

myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline", "deflist"]

autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
nitpick_ignore_regex = [("py:.*", r"(?!paxos).*"), ("py:.*", r"paxos.*\.[A-Z](_co|_contra)?")]

html_theme = "furo"
html_title = "paxos"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b5cad",
        "color-brand-content": "#0b5cad",
    },
    "dark_css_variables": {
        "color-brand-primary": "#6cb6ff",
        "color-brand-content": "#6cb6ff",
    },
}
