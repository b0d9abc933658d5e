"""How Sphinx builds the documentation: `make docs`."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import fastnn  # noqa: E402  (the installed package: pages are of what a user gets)

project = "fastnn"
author = "The fastnn developers"
copyright = "the fastnn developers"
version = release = fastnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # the page brings MathJax along
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "myst_nb",
    "docstrings",  # ours, in _ext
]
root_doc = "index"
exclude_patterns = ["_build", "gallery/*.py", "gallery/README.rst", "**/.ipynb_checkpoints"]

# Pages with code are notebooks: MyST Markdown with {code-cell}, run from a fresh kernel when the page is built.
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True  # files that a page writes are gone when it ends
nb_execution_timeout = 300
nb_merge_streams = True
nb_number_source_lines = False
os.environ.setdefault("FASTNN_DATA", "")  # no page may depend on what lies on this machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # pages are run side by side: who waits leaves the core to others
os.environ["MATPLOTLIBRC"] = str(HERE / "_ext" / "matplotlibrc")  # one look for the pictures of all pages

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "gallery_pages",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "backreferences_dir": "reference/backreferences",
    "doc_module": ("fastnn",),
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
}

autosummary_generate = True
autosummary_imported_members = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_custom_sections = [("Shape", "params_style"), "Source"]
default_role = "py:obj"

html_theme = "furo"
html_title = f"fastnn {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_theme_options = {"navigation_with_keys": True}
