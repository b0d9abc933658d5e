"""Files that are whole at any moment: links, permissions, what is no file, leftovers, and a disk that says no."""

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import training
from fastnn.training import _atomic


def write(path, text="new"):
    with training.atomic_write(path, "w") as file:
        file.write(text)


def test_atomic_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def write():
        with training.atomic_write(path, "w") as file:
            file.write("new")
            file.flush()
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_atomic_write_has_the_rights_of_other_files(tmp_path):
    (tmp_path / "plain").write_text("")
    with training.atomic_write(tmp_path / "a", "w") as file:
        file.write("x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_atomic_write_into_a_missing_folder_raises(tmp_path):
    with pytest.raises(FileNotFoundError), training.atomic_write(tmp_path / "x/y"):
        pass


# ---- what was there before -------------------------------------------------------------------------------------------
def test_atomic_write_through_a_link_replaces_its_target(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "target").write_text("old")
    (tmp_path / "middle").symlink_to("disk/target")
    (tmp_path / "link").symlink_to("middle")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "middle").is_symlink()
    assert (tmp_path / "disk" / "target").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["disk", "link", "middle"]
    assert os.listdir(tmp_path / "disk") == ["target"]


def test_atomic_write_through_a_link_to_nothing_makes_its_target(tmp_path):
    (tmp_path / "link").symlink_to("target")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_atomic_write_into_a_circle_of_links_is_an_error(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=r"/a'") as info:
        write(tmp_path / "a")
    assert info.value.errno == errno.ELOOP


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444])
def test_atomic_write_keeps_the_mode(tmp_path, mode):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(mode)
    write(path)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_atomic_write_of_a_private_file_is_never_open_to_others(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o600)
    with training.atomic_write(path, "w"):
        assert [stat.S_IMODE(entry.stat().st_mode) for entry in os.scandir(tmp_path)] == [0o600, 0o600]


def test_atomic_write_of_a_new_file_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_atomic_write_keeps_the_owner_where_it_can(tmp_path, monkeypatch):
    path, owners = tmp_path / "a", []
    path.write_text("old")
    monkeypatch.setattr(os, "fchown", lambda descriptor, *owner: owners.append(owner))
    write(path)
    assert owners == [(path.stat().st_uid, path.stat().st_gid)]

    def refuse(*_):
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(os, "fchown", refuse)
    write(path, "newer")
    assert path.read_text() == "newer"


# ---- what is no file -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["folder", "FIFO", "socket", "device", "link to a device"])
def test_atomic_write_refuses_what_is_no_file_before_it_writes(tmp_path, kind):
    path = tmp_path / "a"
    # A terminal: nobody can replace it, not even root with a faulty program, as happens to /dev/null.
    terminal = os.openpty()
    device = os.ttyname(terminal[1])
    if kind == "folder":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "device":
        path = device
    else:
        path.symlink_to(device)
    before = os.stat(path)
    with pytest.raises(OSError, match=f"cannot be written: it is a {kind.split()[-1]}") as info:
        fastnn.save({"a": np.zeros(3)}, path)
    assert info.value.filename == str(path)
    assert os.stat(path).st_mode == before.st_mode
    assert len(os.listdir(tmp_path)) == (kind != "device")
    for descriptor in terminal:
        os.close(descriptor)


# ---- a disk that says no ---------------------------------------------------------------------------------------------
def test_atomic_write_of_a_long_name_works_up_to_that_of_the_system(tmp_path):
    for name in ("n" * 255, "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 127):
        write(tmp_path / name)
        write(tmp_path / name, "again")
        assert (tmp_path / name).read_text() == "again"
    with pytest.raises(OSError, match="nnn'") as info:
        write(tmp_path / ("n" * 256))
    assert info.value.errno == errno.ENAMETOOLONG
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("moment", ["fsync", "replace", "write"])
def test_atomic_write_on_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, monkeypatch, moment):
    path = tmp_path / "weights.safetensors"
    fastnn.save({"a": np.arange(3.0)}, path)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if moment == "write":  # RLIMIT_FSIZE is what a process can do to its own disk
        code = (
            "import resource, sys, numpy as np, fastnn; resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))\n"
            "try: fastnn.save({'a': np.zeros(9999)}, sys.argv[1])\nexcept OSError as e: print(e.errno, e.filename)"
        )
        run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        assert run.stdout.split() == [str(errno.EFBIG), str(path)]
    else:
        monkeypatch.setattr(os, moment, full)
        with pytest.raises(OSError, match="No space left on device") as info:
            fastnn.save({"a": np.zeros(9999)}, path)
        assert info.value.filename == str(path)
    np.testing.assert_array_equal(fastnn.load(path)["a"], [0, 1, 2])
    assert os.listdir(tmp_path) == [path.name]


def test_atomic_write_into_a_folder_without_rights_names_the_file(tmp_path, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError) as info:
        write(tmp_path / "a")
    assert info.value.filename == str(tmp_path / "a")


def test_atomic_write_errors_of_the_block_stay_what_they_are(tmp_path):
    with pytest.raises(TimeoutError) as info, training.atomic_write(tmp_path / "a"):
        raise TimeoutError(errno.ETIMEDOUT, "a server")
    assert info.value.filename is None


def test_atomic_write_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace

    def spy_fsync(descriptor):
        status = os.fstat(descriptor)
        events.append("folder" if stat.S_ISDIR(status.st_mode) else f"file of {status.st_size} bytes")
        assert os.fstat(descriptor).st_ino == (tmp_path.stat().st_ino if events[-1] == "folder" else status.st_ino)
        fsync(descriptor)

    def spy_replace(source, target):
        events.append("named")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    write(tmp_path / "a", "seven..")
    assert events == ["file of 7 bytes", "named", "folder"]


# ---- leftovers -------------------------------------------------------------------------------------------------------
def test_atomic_write_removes_what_a_killed_process_has_left(tmp_path):
    path = tmp_path / "last.safetensors"
    code = (
        "import os, signal, sys; from fastnn.training import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file: file.write(bytes(999)); file.flush(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == -9
    assert [name for name in os.listdir(tmp_path) if name.startswith(".last.safetensors.")]
    (tmp_path / ".last.safetensors.k_3jx0qz.part").write_bytes(b"of an earlier version")
    write(path)
    assert os.listdir(tmp_path) == ["last.safetensors"]


def test_atomic_write_leaves_what_is_not_its_own(tmp_path):
    others = [
        ".last.safetensors.0123abcd.part",  # of another name
        ".a.notes.part",
        ".a.0123abcd.part.txt",
        "a.0123abcd.part",
    ]
    for name in others:
        (tmp_path / name).write_text("kept")
    (tmp_path / ".a.01234567.part").mkdir()
    os.mkfifo(tmp_path / ".a.76543210.part")
    (tmp_path / ".a.11111111.part").symlink_to("a.0123abcd.part")
    before = set(os.listdir(tmp_path))
    write(tmp_path / "a")
    assert set(os.listdir(tmp_path)) == before | {"a"}


def test_atomic_write_leaves_the_file_of_a_running_writer(tmp_path):
    path = tmp_path / "a"
    with training.atomic_write(path, "w") as first:
        first.write("first")
        write(path, "second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["a"]


def test_atomic_write_begins_again_if_its_new_file_is_taken_for_a_leftover(tmp_path, monkeypatch):
    flock, taken = fcntl.flock, []

    def take_first(descriptor, operation):
        if not taken:  # another process locks and removes it first
            (path,) = tmp_path.iterdir()
            taken.append(path)
            path.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(_atomic.fcntl, "flock", take_first)
    write(tmp_path / "a")
    assert taken
    assert (tmp_path / "a").read_text() == "new"
