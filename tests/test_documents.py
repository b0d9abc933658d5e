"""The documents: length, links, programs, and that tables have the figures of benchmarks/results."""

import csv
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn

ROOT = Path(__file__).parent.parent
FAQ = ROOT / "docs" / "faq.md"
WAY = ROOT / "docs" / "explanation" / "way_of_an_array.md"
RESULTS = ROOT / "benchmarks" / "results"
GENERATED = ROOT / "docs" / "gallery_pages"  # by the build of the site, which checks the links to it


def documents():
    """Every document of the repository, without what is built or installed beside it."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        listed = ""
    folders = ("docs", "benchmarks")
    unpacked = [*ROOT.glob("*.md"), *(path for folder in folders for path in (ROOT / folder).rglob("*.md"))]
    paths = [ROOT / name for name in listed.split()] or unpacked  # an archive of the sources has no git
    return sorted(path for path in paths if path.is_file())


DOCUMENTS = documents()


def without_code(text):
    """The text with its blocks and pieces of code left out."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def headings(text):
    """The anchors that GitHub gives to the headings of a document."""
    found = set()
    for line in re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE).splitlines():
        if title := re.fullmatch(r"#{1,6} (.*)", line):
            words = re.sub(r"[^\w\- ]", "", title[1].replace("`", "").lower())
            found.add(words.strip().replace(" ", "-"))
    return found


def relative_links(text):
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(text))
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def program(path, start):
    """The one program of a document that has this text in it."""
    programs = [code for code in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL) if start in code]
    assert len(programs) == 1
    return programs[0]


def table(path, header):
    """The rows, as lists of texts, below the header of a table that begins like this."""
    lines = path.read_text().splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.startswith(header))
    rows = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def results(name):
    with (RESULTS / name).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["README.md", "docs/performance.md"])
def test_document_has_at_most_a_thousand_words(name):
    assert len((ROOT / name).read_text().split()) <= 1000


def test_all_documents_are_found():
    names = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    assert {"README.md", "CONTRIBUTING.md", "docs/faq.md", "docs/limits.md", "docs/courses/pku.md"} <= names


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(path):
    broken = []
    for link in relative_links(path.read_text()):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if target.is_relative_to(GENERATED):
            continue
        if not target.exists() or (anchor and anchor not in headings(target.read_text())):
            broken.append(link)
    assert broken == []


def test_headings_have_the_anchors_of_github():
    text = "# Why `a + b`?\n\n```\n# not one\n```\n\n## What's new, in 1.0\n"
    assert headings(text) == {"why-a--b", "whats-new-in-10"}


def test_links_in_code_are_left_out():
    assert relative_links("[a](b.md) `[c](d.md)` [e](https://x.org) [f](#g)") == ["b.md", "#g"]


def programs_of_the_faq():
    """Each program, by the question above it."""
    for section in FAQ.read_text().split("\n### ")[1:]:
        for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
            yield pytest.param(code, id=section.splitlines()[0])


@pytest.mark.parametrize("code", list(programs_of_the_faq()))
def test_program_of_the_faq_runs(code, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    exec(code, {})


def test_faq_says_what_its_programs_print(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    exec(program(FAQ, "val_accuracy"), {})
    assert float(capsys.readouterr().out) > 0.9
    exec(program(FAQ, "Shapes32(32)"), {})
    first, last = capsys.readouterr().out.splitlines()
    assert float(first.split()[0]) == pytest.approx(math.log(10), abs=0.3)
    assert float(last) < 0.1
    exec(program(FAQ, "resume="), {})
    assert capsys.readouterr().out == "True\n"


def test_network_of_the_faq_has_the_same_gradients_by_arrays_and_by_tensors():
    arrays, tensors = program(FAQ, "class Net(").split("loss = criterion(model(fastnn.tensor(x))")
    names = {}
    exec(arrays, names)
    by_arrays = [parameter.grad for parameter in names["model"].parameters()]
    assert names["dx"].shape == (8, 3, 32, 32)
    names["model"].zero_grad()
    exec("loss = criterion(model(fastnn.tensor(x))" + tensors, names)
    for parameter, grad in zip(names["model"].parameters(), by_arrays, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)


def test_programs_of_the_way_of_an_array_print_what_they_say(capsys):
    names = {}
    for code in re.findall(r"```python\n(.*?)```", WAY.read_text(), re.DOTALL):
        exec(code, names)
        said = "".join(f"{line}\n" for line in re.findall(r"^print.*  # (.*)$", code, re.MULTILINE))
        assert capsys.readouterr().out == said


def test_readme_has_the_figures_of_small_networks():
    rows = table(ROOT / "README.md", "| network | fastnn, images/s |")
    assert rows == [list(row.values()) for row in results("small_networks.csv")]


def test_performance_has_the_figures_of_published_networks():
    rows = results("published_networks.csv")
    ratios = {name: [float(row[name]) for row in rows] for name in ("training_ratio", "inference_ratio")}
    shown = [[row["network"], row["training_images"], row["training_ratio"], row["inference_ratio"]] for row in rows]
    means = [f"{math.prod(values) ** (1 / len(values)):.2f}" for values in ratios.values()]
    assert table(ROOT / "docs/performance.md", "| network | images of a training step") == [
        *shown,
        ["geometric mean", "", *means],
    ]
    assert f"{means[0]} times as fast as PyTorch's" in (ROOT / "README.md").read_text()


def test_ratios_are_those_of_the_times_beside_them():
    for row in results("published_networks.csv"):
        for kind in ("training", "inference"):
            ratio = float(row[f"{kind}_torch_ms"]) / float(row[f"{kind}_fastnn_ms"])
            assert float(row[f"{kind}_ratio"]) == pytest.approx(ratio, rel=0.02)


def test_picture_shows_every_network():
    picture = (ROOT / "docs/_static/networks.svg").read_text()
    for row in results("published_networks.csv"):
        assert f">{row['network']}<" in picture
        assert f">{row['training_ratio']}<" in picture


def test_recipe_of_ones_own_runs_as_the_page_says(tmp_path):
    text = (ROOT / "docs/courses/README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    trains = "def train(epochs):\n    return {'losses': [0.364031] * epochs}\n\n\n"
    (tmp_path / "mine.py").write_text(code.replace("@recipe", f"{trains}@recipe"))
    environment = {**os.environ, "PYTHONPATH": str(Path(fastnn.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "mine.py"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/mine/report.html").is_file()
