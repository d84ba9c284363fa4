"""The folder of a demo's files: one of its own, swept after a crash, and of bounded size."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from colornet.inference.demo_folder import KEPT, Disk, NoRoomError, own_folder

SERVER = """
import sys, time
from colornet.inference.demo_folder import own_folder
with own_folder() as folder:
    (folder / "upload.png").touch()
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is swept on Windows")
def test_what_a_killed_server_left_is_swept_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    others = [tmp_path / name for name in ("colornet-demo-older", "colornet-demo-link")]
    others[0].mkdir()
    others[1].symlink_to(others[0])
    servers, folders = [], []
    for _ in range(2):
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        assert server.stdout
        servers.append(server)
        folders.append(Path(server.stdout.readline().strip()))
    try:
        servers[0].kill()
        servers[0].wait()
        assert all(folder.is_dir() for folder in folders)
        with own_folder() as mine:
            assert sorted(tmp_path.iterdir()) == sorted([*others, folders[1], mine])
        assert sorted(tmp_path.iterdir()) == sorted([*others, folders[1]])
    finally:
        for server in servers:
            server.kill()
            server.communicate()


def test_the_oldest_files_make_room(tmp_path: Path) -> None:
    disk = Disk(tmp_path, 100)
    for age, name in enumerate((f"{KEPT}/a", "new", "b/old", "oldest")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(30))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))

    def there() -> list[str]:
        return [path.name for path in sorted(tmp_path.rglob("*")) if path.is_file()]

    disk.make_room(10)
    assert there() == ["old", "a", "new", "oldest"]
    with disk.writing(30):
        assert there() == ["old", "a", "new"]
        with pytest.raises(NoRoomError, match="in use, try again later"):
            disk.make_room(71)
        disk.make_room(40)
        assert there() == ["a", "new"]
    disk.make_room(100)
    assert there() == ["a"]
