"""The page in a real browser: it fits a phone, prints, turns dark, and complains of nothing."""

import json
import os
import re
import shutil
import struct
import subprocess
import zlib
from html import escape, unescape
from pathlib import Path

import pytest

from togi.report.page import build

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--enable-logging=stderr",
]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason=f"no browser on this machine: {', '.join(NAMES)}"),
]

MEASURE = """<!doctype html><title>measure</title><body style="margin:0">
<iframe style="border:0;width:{width}px;height:844px" srcdoc="{page}"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement;
  for (const d of page.querySelectorAll("details")) d.open = true;
  const inBox = e => e.parentElement.closest(".scroll, pre, svg");
  const wide = [...page.querySelectorAll("body *:not(.skip, .unseen)")].filter(e =>
    e.getBoundingClientRect().right > {width} + 1 && !inBox(e));
  const loaded = frame.contentWindow.performance.getEntriesByType("resource").length;
  const tops = [...page.querySelectorAll("main > section")].map(e =>
    e.getBoundingClientRect().top);
  document.body.dataset.found = JSON.stringify({{
    scroll: root.scrollWidth, wide: wide.map(e => e.outerHTML.slice(0, 120)), loaded,
    rising: tops.every((top, at) => !at || top > tops[at - 1]),
    boxes: page.querySelectorAll(".scroll").length,
    scrolled: [...page.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth + 1)
      .length,
    letters: Math.min(...[...page.querySelectorAll("svg text")].map(e =>
      parseFloat(getComputedStyle(e).fontSize)).filter(Number.isFinite)),
  }});
}};
</script>"""


def browse(tmp_path: Path, page: Path, *flags: str) -> subprocess.CompletedProcess:
    """Open a page and return what the browser said."""
    profile = tmp_path / f"profile-{len(list(tmp_path.iterdir()))}"
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def complaints(done: subprocess.CompletedProcess) -> list[str]:
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def measured(tmp_path: Path, page: Path, width: int) -> dict:
    """Return what a test page reads of the report in a frame of that width."""
    outer = tmp_path / "measure.html"
    text = escape(page.read_text(encoding="utf-8"), quote=True)
    outer.write_text(MEASURE.format(width=width, page=text), encoding="utf-8")
    done = browse(tmp_path, outer, "--dump-dom", "--virtual-time-budget=4000")
    assert complaints(done) == []
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found, done.stdout[:500]
    return json.loads(unescape(found[1]))


def first_pixel(path: Path) -> tuple[int, ...]:
    """Return the colour in the upper left corner of a PNG."""
    data, parts, place = path.read_bytes(), b"", 8
    channels = {2: 3, 6: 4}[data[25]]
    while place < len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        if data[place + 4 : place + 8] == b"IDAT":
            parts += data[place + 8 : place + 8 + size]
        place += 12 + size
    return tuple(zlib.decompress(parts)[1 : 1 + channels][:3])


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_never_scrolls_sideways(fake_run, tmp_path, width):
    found = measured(tmp_path, build(fake_run(hostile="long_" * 60)), width)
    assert found["wide"] == []
    assert found["scroll"] <= width
    assert found["rising"]
    assert found["loaded"] == 0
    assert found["letters"] >= 12


def test_on_a_phone_wide_tables_scroll_inside_their_own_box(fake_run, tmp_path):
    found = measured(tmp_path, build(fake_run()), 390)
    assert 0 < found["scrolled"] < found["boxes"]


def test_the_measuring_sees_what_is_too_wide(tmp_path):
    page = tmp_path / "wide.html"
    page.write_text(
        '<!doctype html><title>w</title><body style="margin:0"><p style="width:600px">wide</p>'
    )
    found = measured(tmp_path, page, 390)
    assert found["scroll"] == 600
    assert len(found["wide"]) == 1


def test_the_browser_complains_of_nothing_and_would_be_heard(fake_run, tmp_path):
    page = build(fake_run(hostile="<script>console.error('obeyed')</script>"))
    done = browse(tmp_path, page, "--dump-dom")
    assert complaints(done) == []
    assert "<h1>quickstart</h1>" in done.stdout
    page.write_text("<!doctype html><title>x</title><script>console.error('heard')</script>")
    heard = complaints(browse(tmp_path, page, "--dump-dom"))
    assert len(heard) == 1
    assert "heard" in heard[0]


def test_light_and_dark_follow_the_reader(fake_run, tmp_path):
    page, corners = build(fake_run()), {}
    for scheme, number in (("dark", 0), ("light", 1)):
        shot = tmp_path / f"{scheme}.png"
        flags = (f"--blink-settings=preferredColorScheme={number}", "--window-size=390,844")
        browse(tmp_path, page, f"--screenshot={shot}", *flags)
        corners[scheme] = first_pixel(shot)
    assert corners == {"light": (0xFD, 0xFD, 0xFB), "dark": (0x15, 0x17, 0x1A)}


def test_it_prints_with_all_details_open(fake_run, tmp_path):
    page, paper = build(fake_run(hostile="many words " * 120)), tmp_path / "page.pdf"
    browse(tmp_path, page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    data = paper.read_bytes()
    assert data.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", data))
    page.write_text(page.read_text().replace("details::details-content {", "nothing {"))
    browse(tmp_path, page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert 8 < len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) < pages - 8


def test_the_pictures_of_the_page_can_be_kept(fake_run, tmp_path):
    """Write the page as a person sees it where TOGI_SCREENSHOTS says, to be looked at."""
    page = build(fake_run(samples=120))
    folder = Path(os.environ.get("TOGI_SCREENSHOTS") or tmp_path)
    for name, size in (("phone", "390,844"), ("desk", "1280,900")):
        shot = folder / f"report-{name}.png"
        browse(tmp_path, page, f"--screenshot={shot}", f"--window-size={size}")
        data = shot.read_bytes()
        width, height = struct.unpack(">II", data[16:24])
        assert (width, height) == tuple(map(int, size.split(","))) or name == "phone"
        assert len(data) > 20_000  # a blank page is a tenth of that
