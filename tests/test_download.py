"""Downloads, from a server on this machine that does what servers on the internet do."""

import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading

import numpy as np
import pytest

from fastnn import data
from fastnn.data import _files, cifar10, mnist

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        behaviour, _, name = self.path[1:].partition("/")
        content = self.server.files.get(name, CONTENT)
        if behaviour == "missing":
            self.send_error(404)
            return
        if behaviour == "corrupt":
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(200)
        if behaviour != "unannounced":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if behaviour in ("interrupted", "unannounced") else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "FASTNN_DATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(_files, "cache_folder", lambda: tmp_path / "cache")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.requests, server.files = [], {}
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def sources(server, *behaviours, sha256=SHA256):
    return [_files.Source("file.bin", f"{server.url}/{behaviour}/file.bin", sha256) for behaviour in behaviours]


def cached(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*"))


def test_download_stores_the_verified_file(server, tmp_path):
    path = _files.download(sources(server, "good"))
    assert path == tmp_path / "cache" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert cached(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("behaviour", ["missing", "corrupt", "interrupted", "unannounced"])
def test_download_goes_on_to_the_next_mirror(server, behaviour, tmp_path):
    assert _files.download(sources(server, behaviour, "good", "good")).read_bytes() == CONTENT
    assert server.requests == [f"/{behaviour}/file.bin", "/good/file.bin"]
    assert cached(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("behaviour", ["missing", "corrupt", "interrupted", "unannounced"])
def test_download_that_fails_leaves_nothing_and_names_every_mirror(server, behaviour, tmp_path):
    closed = _files.Source("file.bin", "http://127.0.0.1:9/file.bin", SHA256)
    with pytest.raises(data.DataNotFoundError, match=rf"download failed: .*/{behaviour}/file.bin: .*127.0.0.1:9"):
        _files.download([*sources(server, behaviour), closed])
    assert cached(tmp_path) == []


def test_download_replaces_a_half_file_of_someone_else(server, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "file.bin").write_bytes(CONTENT[:100])
    assert _files.download(sources(server, "good")).read_bytes() == CONTENT


@pytest.mark.parametrize("given", [True, False])
def test_cifar10_downloads_an_archive_once_into_the_folder_that_is_given(server, tmp_path, monkeypatch, given):
    monkeypatch.setattr(cifar10, "_RECORDS", 3)
    record = bytes([4]) + bytes(3072)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]:
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = 3 * len(record)
            archive.addfile(info, io.BytesIO(3 * record))
    name = "cifar-10-binary.tar.gz"
    server.files[name] = buffer.getvalue()
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    mirrors = [_files.Source(name, f"{server.url}/{behaviour}/{name}", sha256) for behaviour in ("missing", "good")]
    monkeypatch.setattr(cifar10, "SOURCES", mirrors)
    with pytest.raises(data.DataNotFoundError, match="download=True"):
        data.CIFAR10()
    assert server.requests == []
    root = tmp_path / "mine" if given else None
    np.testing.assert_array_equal(data.CIFAR10(root, download=True).labels, np.full(15, 4))
    assert len(data.CIFAR10(root, train=False, download=True)) == len(data.CIFAR10(root, train=False)) == 3
    assert len(server.requests) == 2
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")] == [
        f"{'mine' if given else 'cache'}/{name}"
    ]


@pytest.mark.parametrize("given", [True, False])
def test_mnist_downloads_into_the_folder_that_is_given(server, tmp_path, monkeypatch, given):
    for what, array in (("images-idx3", np.zeros((2, 28, 28), np.uint8)), ("labels-idx1", np.zeros(2, np.uint8))):
        header = struct.pack(f">I{array.ndim}I", 8 << 8 | array.ndim, *array.shape)
        name = f"train-{what}-ubyte.gz"
        server.files[name] = gzip.compress(header + array.tobytes())
        monkeypatch.setitem(mnist._SHA256, name, hashlib.sha256(server.files[name]).hexdigest())
    monkeypatch.setattr(mnist, "_MIRRORS", [f"{server.url}/good/"])
    root = tmp_path / "mine" if given else None
    assert len(data.MNIST(root, download=True)) == len(data.MNIST(root)) == 2
    assert sorted(path.name for path in (tmp_path / ("mine" if given else "cache")).iterdir()) == sorted(server.files)
    assert len(list(tmp_path.iterdir())) == 1


def test_mnist_refuses_a_download_with_another_checksum(server, monkeypatch, tmp_path):
    monkeypatch.setattr(mnist, "_MIRRORS", [f"{server.url}/good/"])
    with pytest.raises(data.DataNotFoundError, match="hash"):
        data.MNIST(download=True)
    assert cached(tmp_path) == []


def test_sources_are_pinned_to_the_published_checksums():
    assert {(source.filename, source.sha256[:8]) for source in cifar10.SOURCES} == {
        ("cifar-10-python.tar.gz", "6d958be0"),
        ("cifar-10-binary.tar.gz", "c4a38c50"),
    }
    hashes = [source.sha256 for source in cifar10.SOURCES] + list(mnist._SHA256.values())
    assert all(len(value) == 64 and set(value) <= set("0123456789abcdef") for value in hashes)
    assert all(source.url.startswith("https://") for source in cifar10.SOURCES)
    assert all(mirror.startswith("https://") for mirror in mnist._MIRRORS)
