"""`colornet fetch`: a data set is there before the job, or one sentence says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchvision.datasets import CIFAR10

from colornet.cli import main
from tests.server import reply, serving


def test_every_source_and_its_failure_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(lambda request: reply(request, status=404)) as server:
        monkeypatch.setattr(CIFAR10, "url", f"{server.address}/archive")
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setattr("colornet.data.cifar10_copy.has_pyarrow", lambda: True)
        with pytest.raises(SystemExit) as caught:
            main(["fetch", "cifar10", "--cache-dir", str(tmp_path)])
    assert caught.value.code == 2
    hub = f"{server.address}/datasets/uoft-cs/cifar10"
    assert f"({server.address}/archive: HTTP status 404; {hub}: HTTP status 404)" in capsys.readouterr().err


def test_what_needs_no_download_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["fetch", "sample"])
    assert "needs no download" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["fetch", str(tmp_path)])
    assert caught.value.code == 2
    assert "is no data set that is downloaded" in capsys.readouterr().err
