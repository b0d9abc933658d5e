"""What a page needs lies in the site: MathJax with its fonts; and a sidebar that shows where one is, not everything."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

# Of the 24 MB that `sphinx-mathjax-offline` brings: TeX to HTML, its fonts, and what it loads when it is asked for.
_MATHJAX = ("tex-chtml.js", "output/chtml/fonts", "input/tex/extensions")


def copy_mathjax(app: Any, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    source = Path(package.origin).parent / "static/mathjax"
    target = Path(app.outdir) / "_static/mathjax"
    for name in _MATHJAX:
        copy = shutil.copytree if (source / name).is_dir() else shutil.copyfile
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        copy(source / name, target / name, **({"dirs_exist_ok": True} if copy is shutil.copytree else {}))


def narrow_sidebar(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Of the tree of all pages, show the branch of this one."""
    whole = context.get("toctree")
    if whole is not None:
        context["toctree"] = lambda **options: whole(**{**options, "collapse": True})


def setup(app: Any) -> dict[str, bool]:
    app.config.mathjax_path = "mathjax/tex-chtml.js"
    app.connect("build-finished", copy_mathjax)
    app.connect("html-page-context", narrow_sidebar, priority=100)  # before the theme asks
    return {"parallel_read_safe": True, "parallel_write_safe": True}
