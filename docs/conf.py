"""How Sphinx builds the documentation: `make docs`."""

import atexit
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

# Networks on these pages are small. Threads of machines that do other things meanwhile would wait for each other.
for _threads in ("FASTNN_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

import fastnn  # noqa: E402  (the installed package: pages are of what a user gets)

project = "fastnn"
author = "The fastnn developers"
copyright = "the fastnn developers"
version = release = fastnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "myst_nb",
    "docstrings",  # ours, in _ext, like those that follow
    "code_links",
    "commands",
    "notebooks",
    "offline",
    "repository_files",
    "signatures",
    "twins",
]
root_doc = "index"
exclude_patterns = ["_build", "gallery/*", "gallery_pages/*.ipynb", "gallery_pages/*.py", "**/.ipynb_checkpoints"]

# Pages with code are notebooks: MyST Markdown with {code-cell}, run from a fresh kernel when the page is built.
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_url_schemes = {"http": None, "https": None, "mailto": None, "repository": None}
nb_execution_mode = "force"
nb_execution_show_tb = True  # a cell that fails is a warning, and with `make docs` an error
nb_execution_in_temp = True  # files that a page writes are gone when it ends
nb_execution_timeout = 300
nb_merge_streams = True
nb_number_source_lines = False

logging.getLogger("traitlets").setLevel(logging.WARNING)  # no line for each page that is run

# No page may depend on what lies on this machine: on data, on the user's settings of IPython.
os.environ["FASTNN_DATA"] = ""
os.environ["MATPLOTLIBRC"] = str(HERE / "_ext" / "matplotlibrc")  # one look for the pictures of all pages
os.environ["IPYTHONDIR"] = tempfile.mkdtemp(prefix="fastnn-docs-")
atexit.register(shutil.rmtree, os.environ["IPYTHONDIR"], ignore_errors=True)
PROFILE = Path(os.environ["IPYTHONDIR"], "profile_default")
PROFILE.mkdir()
# Pages run in a folder of their own; what several pages share lies in these.
SHARED = sorted(str(path.parent) for path in HERE.glob("*/pictures.py"))
(PROFILE / "ipython_kernel_config.py").write_text(
    f"c.IPKernelApp.log_level = 40\nc.IPKernelApp.exec_lines = {['import sys', f'sys.path += {SHARED}', 'del sys']}\n"
)

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

templates_path = ["_templates"]
autosummary_generate = True
autosummary_imported_members = True
autodoc_inherit_docstrings = False  # what a base class documents stands on its page
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
python_display_short_literal_types = True
add_module_names = False
smartquotes = False  # "--" is an option, not a dash
default_role = "literal"  # which code_links makes a link if it is a public name

html_theme = "furo"
html_title = f"fastnn {release}"
html_static_path = ["_static"]
html_theme_options = {"navigation_with_keys": True}
html_css_files = ["fastnn.css", "pages.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_selector = "div:not(.highlight-none) > div.highlight > pre"
