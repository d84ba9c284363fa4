"""The command that colors photographs."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from colornet import cli
from colornet.color import rgb_to_lab
from colornet.colorize import ColorizeConfig, check, main
from colornet.errors import InputError
from colornet.inference import photos
from colornet.runs import pretrained as released
from tests.colornet.inference.test_photos import odd_exif
from tests.images import photo
from tests.runs import save_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Make a folder of photographs: two with the same name in different folders, and a file that is none."""
    album = tmp_path / "album"
    for name, size in {"a.png": (40, 60), "1/a.png": (30, 20), "1/b.JPG": (40, 40), "2/c.gif": (25, 35)}.items():
        (album / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(*size)).convert("L").save(album / name)
    (album / "notes.txt").write_text("no photograph")
    return album


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def chroma(path: Path) -> float:
    with Image.open(path) as image:
        pixels = torch.from_numpy(np.asarray(image.convert("RGB")) / 255.0).permute(2, 0, 1)
    return rgb_to_lab(pixels)[1:].abs().mean().item()


def refused(config: ColorizeConfig) -> str:
    with pytest.raises(InputError) as raised:
        check(config)
    return str(raised.value)


def test_folder_keeps_its_structure(run: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (album / name).read_bytes() for name in files(album)}
    out = album.parent / "out"
    cli.main(["colorize", str(album), "--out", str(out), "--model", str(run), "--cpu"])
    assert files(out) == ["1/a.png", "1/b.JPG", "2/c.png", "a.png"]
    assert capsys.readouterr() == (f"4 of 4 colored, in {out}.\n", "")  # no bar where there is no terminal
    assert {name: (album / name).read_bytes() for name in files(album)} == before
    with Image.open(out / "1/b.JPG") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (40, 40))
    with Image.open(album / "a.png") as gray, Image.open(out / "a.png") as colored:
        assert colored.size == gray.size
        lab = [
            rgb_to_lab(torch.from_numpy(np.asarray(i.convert("RGB")) / 255.0).permute(2, 0, 1)) for i in (gray, colored)
        ]
    assert (lab[0][0] - lab[1][0]).abs().max() < 0.26
    assert lab[1][1:].abs().mean() > 3


def test_files_of_different_kinds_upright_and_with_transparency(run: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(20, 30)).save(tmp_path / "turned.jpg", exif=exif)
    transparent = Image.fromarray(photo(20, 30)).convert("LA")
    transparent.putalpha(100)
    transparent.save(tmp_path / "clear.webp", lossless=True)
    Image.fromarray(photo(20, 30)[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.tif")
    main([*map(str, tmp_path.iterdir()), "--out", str(tmp_path / "out"), "--model", str(run)])
    opened = {path.name: Image.open(path) for path in (tmp_path / "out").iterdir()}
    seen = {name: (image.format, image.mode, image.size) for name, image in opened.items()}
    assert seen == {
        "turned.jpg": ("JPEG", "RGB", (20, 30)),
        "clear.webp": ("WEBP", "RGBA", (30, 20)),
        "deep.tif": ("TIFF", "RGB", (30, 20)),
    }
    assert opened["clear.webp"].getchannel("A").getextrema() == (100, 100)
    for image in opened.values():
        image.close()


def test_saturation(run: Path, album: Path) -> None:
    colored = {value: album.parent / value for value in ("0", "0.5", "1")}
    for value, out in colored.items():
        main([str(album / "a.png"), "--out", str(out), "--model", str(run), "--saturation", value])
    gray, half, full = (chroma(out / "a.png") for out in colored.values())
    assert gray < 0.02
    assert 1 < 0.9 * full / 2 < half < 0.8 * full


def test_comparison_stands_beside(run: Path, tmp_path: Path) -> None:
    Image.fromarray(photo(30, 2000)).save(tmp_path / "wide.png")
    out = tmp_path / "out"
    main([str(tmp_path / "wide.png"), "--out", str(out), "--model", str(run), "--compare"])
    assert files(out) == ["wide.png", "wide.png.compare.png"]
    with Image.open(out / "wide.png.compare.png") as image:
        assert image.size == (2048, 15)
        image.crop((0, 0, 1024, 15)).save(tmp_path / "left.png")
        image.crop((1024, 0, 2048, 15)).save(tmp_path / "right.png")
    assert chroma(tmp_path / "left.png") < 0.1 < 3 < chroma(tmp_path / "right.png")


def test_samples_of_a_model_with_noise(run: Path, album: Path) -> None:
    noisy = save_run(album.parent / "noisy", noise_channels=4)
    out = album.parent / "out"
    call = [str(album / "1"), "--out", str(out), "--model", str(noisy), "--compare"]
    main([*call, "--samples", "3"])
    names = [f"{name}.{i}{end}" for name, end in (("a", ".png"), ("b", ".JPG")) for i in (1, 2, 3)]
    assert files(out) == sorted([*names, *(f"{name}.compare.png" for name in names)])
    pixels = [np.asarray(Image.open(out / f"a.{i}.png")).astype(int) for i in (1, 2, 3)]
    assert min(np.abs(a - b).max() for a, b in itertools.combinations(pixels, 2)) > 2
    main(call)  # the first of them is the one that a single coloring is
    assert np.array_equal(np.asarray(Image.open(out / "a.png")), pixels[0])
    assert "exist" in refused(ColorizeConfig((album / "1",), out, model=str(noisy), samples=2))
    too_many = (10**9, "--samples is 1000000000: it must be from 1 to 100")
    for count, words in (
        too_many,
        (0, "--samples is 0: it must be from 1 to 100"),
        (2, f"the model '{run}' has no noise input"),
    ):
        assert words in refused(ColorizeConfig((album,), album.parent / "other", model=str(run), samples=count))


def test_nothing_is_overwritten_unless_forced(run: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = album.parent / "out"
    (out / "1").mkdir(parents=True)
    (out / "1/a.png").write_text("mine")
    call = [str(album), "--out", str(out), "--model", str(run)]
    with pytest.raises(SystemExit, match="2"):
        main(call)
    assert f"'{out}/1/a.png' exists already" in capsys.readouterr().err
    assert files(out) == ["1/a.png"]
    assert (out / "1/a.png").read_text() == "mine"
    main([*call, "--force"])
    assert chroma(out / "1/a.png") > 1


def test_bad_file_among_good_ones(run: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (album / "0.jpg").write_text("hello")
    (album / "1/aa.png").write_bytes((album / "a.png").read_bytes()[:500])
    out = album.parent / "out"
    with pytest.raises(SystemExit, match="1"):
        main([str(album), "--out", str(out), "--model", str(run)])
    assert files(out) == ["1/a.png", "1/b.JPG", "2/c.png", "a.png"]
    printed, errors = capsys.readouterr()
    assert printed == f"4 of 6 colored, in {out}.\n"
    first, second = errors.splitlines()
    assert first == f"error: '{album}/0.jpg': it is not an image, or damaged"
    assert second.startswith(f"error: '{album}/1/aa.png': ")


def test_odd_metadata_ends_no_album_and_is_said(run: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(photo(20, 30)).save(album / "0.jpg", exif=odd_exif())
    pages = [Image.fromarray(photo(20, 30)), Image.fromarray(photo(20, 30))]
    pages[0].save(album / "00.tif", save_all=True, append_images=pages[1:])
    out = album.parent / "out"
    main([str(album), "--out", str(out), "--model", str(run)])
    assert files(out) == ["0.jpg", "00.tif", "1/a.png", "1/b.JPG", "2/c.png", "a.png"]
    with Image.open(out / "0.jpg") as image:
        assert image.size == (20, 30)
    printed, said = capsys.readouterr()
    assert printed == f"6 of 6 colored, in {out}.\n"
    assert said.splitlines() == [
        f"note: '{album}/0.jpg': what cannot be written was left out: ExposureBiasValue",
        f"note: '{album}/00.tif': only page 1 of 2 is colored",
    ]


def test_memory_that_is_not_enough_costs_one_photograph(
    run: Path, album: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(path: Path) -> photos.Photo:
        if path.name == "b.JPG":
            torch.empty(2**60)
        return photos.read_photo(path)

    monkeypatch.setattr("colornet.colorize.read_photo", read)
    out = album.parent / "out"
    with pytest.raises(SystemExit, match="1"):
        main([str(album), "--out", str(out), "--model", str(run)])
    assert files(out) == ["1/a.png", "2/c.png", "a.png"]
    assert capsys.readouterr().err == f"error: '{album}/1/b.JPG': there is not enough memory for its size\n"


def test_an_album_is_continued(run: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = album.parent / "out"
    call = [str(album), "--out", str(out), "--model", str(run), "--compare"]
    main(call)
    whole = {name: (out / name).read_bytes() for name in files(out)}
    (out / "1/a.png").unlink()
    (out / "a.png.compare.png").unlink()
    (out / "a.png").write_text("mine")
    capsys.readouterr()
    assert "color what is missing with --skip-existing" in refused(ColorizeConfig((album,), out, model=str(run)))
    main([*call, "--skip-existing"])
    assert capsys.readouterr().out == f"2 of 4 colored, in {out}. 2 more were there already.\n"
    assert {name: (out / name).read_bytes() for name in files(out)} == whole | {"a.png": b"mine"}
    both = ColorizeConfig((album,), out, model=str(run), skip_existing=True, force=True)
    assert "choose one of them" in refused(both)


def test_limit_of_pixels_is_a_sentence(
    run: Path, album: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(photos, "MAX_PIXELS", 2000)
    with pytest.raises(SystemExit, match="1"):
        main([str(album / "a.png"), "--out", str(album / "out"), "--model", str(run)])
    assert "a.png': it has more than 0.002 megapixels, the limit" in capsys.readouterr().err


def test_what_was_made_in_the_folder_is_not_read_again(run: Path, album: Path) -> None:
    config = ColorizeConfig((album,), album / "colored", model=str(run))
    first = check(config)
    Image.fromarray(photo(5, 5)).save(album / "colored" / "made.png")
    assert check(config) == first
    assert len(first) == 4
    # The other way round, what is to be colored may lie below --out.
    assert [job.source for job in check(ColorizeConfig((album / "1",), album / "2", model=str(run)))] == [
        album / "1/a.png",
        album / "1/b.JPG",
    ]
    above = check(ColorizeConfig((album / "1",), album.parent, model=str(run)))
    assert [job.targets for job in above] == [(album.parent / "a.png",), (album.parent / "b.JPG",)]


def test_photographs_are_never_overwritten(run: Path, album: Path) -> None:
    for given, out in [(album / "a.png", album), (album / "1", album)]:
        config = ColorizeConfig((given, album / "a.png"), out, model=str(run), force=True)
        assert "is a photograph to color: choose another --out" in refused(config)
    assert "is a folder of photographs" in refused(ColorizeConfig((album,), album, model=str(run), force=True))
    twice = ColorizeConfig((album / "1", album / "2"), album / "2", model=str(run), force=True)
    assert "is a folder of photographs" in refused(twice)


def test_two_photographs_of_one_name(run: Path, album: Path) -> None:
    both = ColorizeConfig((album / "a.png", album / "1"), album.parent / "out", model=str(run))
    assert "'1/a.png' would both become" in refused(both).replace(f"{album}/", "")
    Image.fromarray(photo(5, 5)).save(album / "2/c.bmp")
    assert "would both become" in refused(ColorizeConfig((album / "2",), album.parent / "out", model=str(run)))
    same = ColorizeConfig((album / "a.png", album / "a.png"), album.parent / "out", model=str(run))
    assert len(check(same)) == 1
    (album / "2/c.bmp").rename(album / "c.png.bmp")
    named_alike = ColorizeConfig((album / "2/c.gif", album / "c.png.bmp"), album / "out", model=str(run), compare=True)
    assert len(check(named_alike)) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"photos": ()}, "No photograph is named"),
        ({"photos": (Path("nowhere"),)}, "'nowhere' does not exist"),
        ({"saturation": -1.0}, "--saturation is -1.0: it must be"),
        ({"saturation": float("nan")}, "--saturation is nan"),
        ({"out": "file"}, "is a file: choose a folder"),
        ({"out": "file/below"}, "cannot be written (Not a directory): choose another folder"),
        ({"saturation": 1e30}, "--saturation is 1e+30: it must be from 0 to 100"),  # gray, where it should be vivid
        ({"photos": (Path(os.devnull),)}, "is neither a file nor a folder"),
        ({"photos": "empty"}, "holds no images"),
        ({"model": "cgann"}, "is neither a released one"),
        ({"model": "cgan"}, "does not come with this installation of colornet (it has: none): train one"),
        ({"model": "empty"}, "is not a run folder"),
        ({"model": "half"}, "has no model.safetensors yet"),
    ],
)
def test_mistakes(
    changes: dict[str, object], words: str, run: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {name: album.parent / name for name in ("file", "file/below", "empty", "half")}
    places["file"].write_text("mine")
    places["empty"].mkdir()
    places["half"].mkdir()
    (places["half"] / "config.json").write_bytes((run / "config.json").read_bytes())
    monkeypatch.setattr(released, "WEIGHTS", places["empty"])
    values: dict[str, object] = {"photos": (album,), "out": album.parent / "out", "model": str(run)}
    for name, value in changes.items():
        place = places.get(value) if isinstance(value, str) else None
        values[name] = value if place is None else {"photos": (place,), "out": place, "model": str(place)}[name]
    assert words in refused(ColorizeConfig(**values))  # type: ignore[arg-type]
    assert not (album.parent / "out").exists()


def test_released_model_is_the_default(run: Path, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = album.parent / "weights"
    weights.mkdir()
    run.rename(weights / "cgan")
    monkeypatch.setattr(released, "WEIGHTS", weights)
    main([str(album / "a.png"), "--out", str(album / "out")])
    (weights / "cgan").rename(run)
    assert chroma(album / "out/a.png") > 1


def test_help_is_honest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Expect modest colors of a model that was trained on CIFAR-10, 32-pixel images of ten kinds" in text
    for option in ("--out", "--model", "--saturation", "--compare", "--force", "--cpu"):
        assert option in text


def test_names_that_differ_in_case_are_one_file_where_the_system_says_so(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, name in (("one", "Mill.png"), ("two", "mill.png")):
        (tmp_path / folder).mkdir()
        Image.fromarray(photo(20, 30)).save(tmp_path / folder / name)
    config = ColorizeConfig((tmp_path / "one", tmp_path / "two"), tmp_path / "out", model=str(run))
    assert len(check(config)) == 2
    for system in ("darwin", "win32"):
        monkeypatch.setattr("colornet.colorize.sys.platform", system)
        with pytest.raises(InputError, match="would both become"):
            check(config)


def test_what_a_killed_call_left_is_removed(run: Path, album: Path) -> None:
    out = album / "out"
    (out / "2").mkdir(parents=True)
    for name in (".part-0badcafe.png", "2/.part-0badcafe.png", ".part-of-mine", "2/.part-0badcafe.tar.gz"):
        (out / name).touch()
    main([str(album), "--out", str(out), "--model", str(run)])
    assert sorted(path.name for path in out.rglob(".*")) == [".part-0badcafe.tar.gz", ".part-of-mine"]
