"""Settings of the documentation site: `make docs` builds it, and a warning is an error.

The pages make no request to another host: fonts are those of the reader's system.
"""

from __future__ import annotations

import importlib.metadata

project = "seawall"
author = "The seawall maintainers"
project_copyright = author
release = importlib.metadata.version("seawall")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "**/README.md"]
source_suffix = {".md": "markdown"}
needs_sphinx = "9.0"

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Source", "notes_style")]

html_theme = "furo"
html_title = "seawall"
html_static_path = ["_static"]
html_css_files = ["fonts.css"]
html_copy_source = False
html_show_sphinx = False
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'
MONOSPACE = 'ui-monospace, "SF Mono", "Cascadia Mono", "Noto Sans Mono", monospace'
COLOURS = {"light": ("#0b5e7a", "#0b5e7a"), "dark": ("#6cc3df", "#6cc3df")}
html_theme_options = {
    f"{mode}_css_variables": {
        "font-stack": FONT,
        "font-stack--monospace": MONOSPACE,
        "color-brand-primary": primary,
        "color-brand-content": content,
    }
    for mode, (primary, content) in COLOURS.items()
}
