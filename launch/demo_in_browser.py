"""Test the page of `colornet demo` in a real browser, and save screenshots.

Needs playwright (pip) and Chromium (`apt-get install chromium`). Start a server, then:

    colornet demo --no-open --models runs/ae runs/cgan &
    python launch/demo_in_browser.py --out screenshots

It checks, and stops at the first failure:

- the page opens with an example colored, and colors an upload;
- the handle and the saturation move, and a PNG of full size arrives;
- a text file and a file that is too large are refused in a sentence, and the next photograph is colored;
- it fits a wide, a narrow and a dark screen;
- it makes no request to another host.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import skimage.data
from PIL import Image
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
LAST_PICTURE = "[...document.images].at(-1).src"  # of the last model
DESK, PHONE = (1280, 900), (390, 844)


def main() -> None:
    """Check the page; an AssertionError names what is wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:7860")
    parser.add_argument("--out", type=Path, required=True, help="folder of the screenshots")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        files = _write_files(Path(name))
        browser = playwright.chromium.launch(executable_path=options.browser, args=FLAGS)
        _use(browser, options.url, options.out, files)
        for name, size, scheme in (("phone", PHONE, "light"), ("dark", DESK, "dark")):
            page = _open(browser, options.url, size, scheme)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name}: wider than the screen"
            _keep(page, options.out / f"{name}.png")
            page.close()
        browser.close()
    print(f"All checks passed; the screenshots are in {options.out}.")


def _write_files(folder: Path) -> dict[str, Path]:
    files = {name: folder / name for name in ("coffee.jpg", "notes.jpg", "large.bmp", "later.png")}
    Image.fromarray(skimage.data.coffee()).save(files["coffee.jpg"], quality=95)
    Image.fromarray(skimage.data.rocket()).convert("L").save(files["later.png"])
    files["notes.jpg"].write_text("Buy milk, and no photograph.")
    files["large.bmp"].write_bytes(b"BM" + bytes(40 * 2**20))
    return files


def _open(browser: Browser, url: str, size: tuple[int, int], scheme: str = "light") -> Page:
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)

    def check_host(request: Request) -> None:
        address = urlsplit(request.url)
        assert address.scheme in ("data", "blob") or address.netloc == urlsplit(url).netloc, f"requests {request.url}"

    page.on("request", check_host)
    page.on("console", lambda message: print(f"console {message.type}: {message.text}"))
    page.goto(url)
    _wait(page, "chelsea.png")
    return page


def _keep(page: Page, path: Path) -> None:
    page.wait_for_timeout(800)  # until transitions have ended
    page.screenshot(path=path, full_page=True)


def _wait(page: Page, name: str) -> None:
    """Wait until a photograph is shown, colored."""
    expect(page.locator("#caption")).to_contain_text(name, timeout=60_000)
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth)")


def _use(browser: Browser, url: str, out: Path, files: dict[str, Path]) -> None:
    page = _open(browser, url, DESK)
    _keep(page, out / "1-start.png")

    page.locator("input[type=file]").first.set_input_files(files["coffee.jpg"])
    _wait(page, "coffee.jpg")
    _drag_handle(page)
    _keep(page, out / "2-uploaded.png")

    before = page.evaluate(LAST_PICTURE)
    page.locator("input[type=range]").fill("1.8")
    page.wait_for_function(f"before => {LAST_PICTURE} !== before", arg=before)
    page.get_by_role("button", name="Make PNGs").click()
    link = page.locator("a[download]").last
    expect(link).to_be_visible(timeout=60_000)
    with page.expect_download() as download:
        link.click()
    with Image.open(files["coffee.jpg"]) as photo, Image.open(download.value.path()) as png:
        assert (png.format, png.size) == ("PNG", photo.size), png
    _keep(page, out / "3-vivid-and-files.png")

    refusals = {"notes.jpg": "it is not an image, or damaged", "large.bmp": "more than 30 MB, the limit"}
    for name, sentence in refusals.items():
        page.locator("input[type=file]").first.set_input_files(files[name])
        expect(page.get_by_text(sentence).first).to_be_visible(timeout=60_000)
        _keep(page, out / f"4-refused-{name}.png")
    page.locator("input[type=file]").first.set_input_files(files["later.png"])
    _wait(page, "later.png")
    _keep(page, out / "5-afterwards.png")
    page.close()


def _drag_handle(page: Page) -> None:
    """Move the handle of the last picture to the left."""
    handle = page.locator("[role=none].outer, .outer").last
    box = handle.bounding_box()
    assert box, "the handle cannot be seen"
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 100, y, steps=5)
    page.mouse.up()
    after = handle.bounding_box()
    assert after, "the handle cannot be seen any more"
    assert abs(after["x"] - box["x"] + 100) < 10, "the handle did not follow"


if __name__ == "__main__":
    main()
