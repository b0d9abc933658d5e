"""Check a built site: `python check_site.py FOLDER [STARTED]`.

Every link within it leads to a page and an anchor that are there; nothing that a page loads comes from elsewhere; every
page has a title; every public name has an entry.
"""

import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parent))

import public_names
from sphinx.util.inventory import InventoryFile

# Elements that load what an attribute of theirs names; other links wait for a click.
_LOADED = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "script": "src",
    "source": "src",
    "video": "src",
}


class _Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.pictures = 0
        self.title = ""
        self._within_title = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if values.get(_LOADED.get(tag, "")) and values.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(values[_LOADED[tag]])
        self.pictures += tag == "img" and "_images/" in values.get("src", "")
        self._within_title = tag == "title"

    def handle_data(self, data: str) -> None:
        if self._within_title:
            self.title += data.strip()
            self._within_title = False


def _is_elsewhere(link: str) -> bool:
    return bool(urlsplit(link).scheme or urlsplit(link).netloc)


def faults(folder: Path, pages: dict[Path, _Page]) -> list[str]:
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder)
        if not page.title:
            found.append(f"{name}: no title")
        found += [
            f"{name}: loads {link}" for link in page.loaded if _is_elsewhere(link) and not link.startswith("data:")
        ]
        for link in [*page.links, *page.loaded]:
            if _is_elsewhere(link) or not link:
                continue
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                found.append(f"{name}: {link} leads nowhere")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: {link}: no such anchor")
    for css in folder.rglob("*.css"):
        text = css.read_text(encoding="utf-8", errors="replace")
        if "url(http" in text or '@import url("http' in text or '@import "http' in text:
            found.append(f"{css.relative_to(folder)}: loads from elsewhere")
    inventory = InventoryFile.loads((folder / "objects.inv").read_bytes(), uri="")
    described = {name for kind, names in inventory.data.items() if kind.startswith("py:") for name in names}
    found += [f"{name}: no entry in the reference" for name in sorted(public_names.all_names() - described)]
    return found


def main() -> int:
    folder = Path(sys.argv[1]).resolve()
    pages = {path: _Page(path) for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts}
    found = faults(folder, pages)
    print("\n".join(found), file=sys.stderr)
    seconds = f", {time.time() - float(sys.argv[2]):.0f} seconds" if len(sys.argv) > 2 else ""
    pictures = sum(page.pictures for page in pages.values())
    print(f"{len(pages)} pages, {pictures} pictures, {len(found)} faults{seconds}: {folder / 'index.html'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
