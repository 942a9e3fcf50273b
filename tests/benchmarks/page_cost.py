"""What the page of `audiotransfer serve` costs: time to the first sound, memory, long tasks.

    python tests/benchmarks/page_cost.py [--style jazz] [--minutes 4] [--only preview page]

Needs chromium and the extra test. ``preview``: seconds from the click on "Preview 15 s" to the
first sound, against the wall time of the command for the same 15 s, start-up included; no cache.
``page``: a song of so many minutes, the demo song over and over, as a cover; the proportional set
size of the page's process while its stems play, after seeks too, and the main thread's tasks while
the timeline is scrolled, by elapsed and by processor time. On a busy machine elapsed times hold
what other programs take.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep

import psutil
import torch
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))
from serving import Running

from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.writing import write_audio
from audiotransfer.demo.run import song_path
from audiotransfer.evaluation import plain_table

PLAYING = "() => audiotransfer.player.level() > 0"
LONG = 3_600_000  # ms


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--style", default="jazz")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--only", nargs="*", default=["preview", "page"])
    args = parser.parse_args()
    rows: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as place, opened() as browser:
        folder = Path(place)
        server = Running(folder / "tmp")
        try:
            sleep(3)
            rows.append(row("idle server", f"{megabytes(server.process.pid):.0f} MB"))
            if "preview" in args.only:
                rows += preview(browser, server, args.style, folder)
            if "page" in args.only:
                rows += whole_page(browser, server, args.style, args.minutes, folder)
        finally:
            server.end()
    print(plain_table(rows))


def row(what: str, figure: str) -> dict[str, str]:
    return {"what": what, "figure": figure, "load": f"{os.getloadavg()[0]:.1f}"}


@contextmanager
def opened() -> Iterator[Browser]:
    """Debian's chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--autoplay-policy=no-user-gesture-required", "--no-sandbox"],
        )
        yield browser
        browser.close()


def visit(browser: Browser, server: Running, song: Path) -> Page:
    """A page on which a song was chosen."""
    page = browser.new_page()
    page.set_default_timeout(LONG)
    page.goto(server.url)
    page.locator("#file").set_input_files(song)
    page.wait_for_selector("#request:not([hidden])")
    return page


def preview(browser: Browser, server: Running, style: str, folder: Path) -> list[dict[str, str]]:
    """Seconds to the first sound on the page, and of the command."""
    begin = perf_counter()
    words = [song_path(), "--style", style, "--preview", "-q", "-o", folder / "own.wav"]
    subprocess.run(
        [sys.executable, "-m", "audiotransfer", *words],
        env=os.environ | {"AUDIOTRANSFER_CACHE": str(folder / "cache")},
        check=True,
    )
    command = perf_counter() - begin
    page = visit(browser, server, song_path())
    page.locator(f'input[name=style][value="{style}"]').check()
    sleep(5)  # as somebody who looks at the styles
    begin = perf_counter()
    page.locator("#preview").click()
    page.wait_for_function("() => document.documentElement.dataset.audible")
    page.locator("#play").click()
    page.wait_for_function(PLAYING)
    sounding = perf_counter() - begin
    page.close()
    return [
        row("command, 15 s", f"{command:.1f} s"),
        row("click to first sound, 15 s", f"{sounding:.1f} s, {sounding / command:.2f} x"),
    ]


def whole_page(
    browser: Browser, server: Running, style: str, minutes: float, folder: Path
) -> list[dict[str, str]]:
    """Memory and long tasks of a page with a long cover."""
    audio, rate = read_audio(song_path())
    times = round(60 * minutes * rate / audio.shape[-1]) + 1
    song = folder / "long.flac"
    write_audio(song, audio.repeat(1, times)[:, : round(60 * minutes * rate)], rate)
    page = visit(browser, server, song)
    page.locator(f'input[name=style][value="{style}"]').check()
    page.locator("input[name=mode][value=cover]").check()
    page.locator("#whole").click()
    page.wait_for_function("() => document.documentElement.dataset.done")
    tracks = int(page.evaluate("audiotransfer.player.tracks.size"))
    page.evaluate("audiotransfer.mixer.stems.forEach((stem) => { stem.fade = 0.5; })")
    page.evaluate("audiotransfer.mixer.apply()")
    page.locator("#zoom").fill("20")
    page.locator("#play").click()
    page.wait_for_function(PLAYING)
    browser.start_tracing(
        page=page, categories=["toplevel", "disabled-by-default-devtools.timeline"]
    )
    box = page.locator("#timeline").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    for step in range(150):
        page.mouse.wheel(200 if step % 60 < 40 else -400, 40 if step % 20 < 10 else -40)
        page.wait_for_timeout(100)
    trace = json.loads(browser.stop_tracing())
    playing = renderer_megabytes()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(400)
    after = renderer_megabytes()
    elapsed, processor, count = tasks(trace)
    page.close()
    return [
        row(f"page, {minutes:g} minutes, {tracks} tracks, playing", f"{playing:.0f} MB"),
        row("the same after 20 seeks", f"{after:.0f} MB"),
        row(f"longest of {count} tasks, elapsed", f"{elapsed:.0f} ms"),
        row("longest task, processor time", f"{processor:.0f} ms"),
        row("server and its processes after it", f"{megabytes(server.process.pid):.0f} MB"),
    ]


def tasks(trace: dict[str, list[dict[str, object]]]) -> tuple[float, float, int]:
    """Longest elapsed and processor milliseconds of the page's main thread, and its tasks."""
    events = trace["traceEvents"]
    mains = {
        (one["pid"], one["tid"])
        for one in events
        if one.get("name") == "thread_name" and dict(one["args"])["name"] == "CrRendererMain"  # type: ignore[call-overload]
    }
    found = [
        one
        for one in events
        if "dur" in one
        and (one["pid"], one["tid"]) in mains
        and str(one["name"]).endswith("RunTask")
    ]
    elapsed = torch.tensor([float(str(one["dur"])) for one in found])
    processor = torch.tensor([float(str(one.get("tdur", 0))) for one in found])
    return float(elapsed.max()) / 1000, float(processor.max()) / 1000, len(found)


def renderer_megabytes() -> float:
    """Proportional set size of the largest process of the browser that shows pages."""
    every = psutil.Process().children(recursive=True)
    shown = [one for one in every if "--type=renderer" in one.cmdline()]
    return max(float(one.memory_full_info().pss) for one in shown) / 1e6


def megabytes(pid: int) -> float:
    """Proportional set size of a process and those that it started."""
    process = psutil.Process(pid)
    every = [process, *process.children(recursive=True)]
    return sum(float(one.memory_full_info().pss) for one in every) / 1e6


if __name__ == "__main__":
    main()
