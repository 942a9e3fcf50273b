"""The page of `audiotransfer serve` in a real browser: Debian's chromium, by Playwright.

Run with ``pytest -m browser``; the default run leaves these tests out.
"""

from __future__ import annotations

import base64
import io
import json
import shlex
import shutil
import signal
import wave
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="comes with the extra test")
pytest.importorskip("fastapi", reason="comes with the extra serve, which test brings")

import mido
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from serving import Running

from audiotransfer.audio.reading import probe_audio
from audiotransfer.cli import main
from audiotransfer.demo.run import song_path

pytestmark = pytest.mark.browser
CHROMIUM = ("/usr/lib/chromium/chromium", "chromium", "chromium-browser", "google-chrome")
LONG = 300_000  # ms, on a slow machine
NAME = "Paper lanterns.ogg"
expect.set_options(timeout=LONG)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("serve") / "tmp")
    yield made
    made.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((place for one in CHROMIUM if (place := shutil.which(one))), None)
    assert found, "the browser tests need Debian's chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        # As root, as in containers, chromium has no sandbox.
        made = playwright.chromium.launch(
            executable_path=found,
            args=["--autoplay-policy=no-user-gesture-required", "--no-sandbox"],
        )
        yield made
        made.close()


class Visit:
    """A page of the server in a browser of its own, with all requests and errors of it."""

    def __init__(self, browser: Browser, server: Running) -> None:
        self.context = browser.new_context(viewport={"width": 1100, "height": 900})
        self.context.set_default_timeout(LONG)
        self.page: Page = self.context.new_page()
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(server.url)

    def run(self, script: str, *values: Any) -> Any:
        return self.page.evaluate(script, *values)

    def done(self, before: str = "") -> str:
        """Waits until another job than ``before`` is done; returns its id."""
        self.page.wait_for_function(
            "before => (document.documentElement.dataset.done || before) !== before", arg=before
        )
        return str(self.run("document.documentElement.dataset.done"))

    def level(self, seconds: float = 0.0) -> float:
        """RMS of what is heard, once it is heard; ``seconds`` later."""
        self.page.wait_for_function("() => audiotransfer.player.level() > 0")
        self.page.wait_for_timeout(1000 * seconds)
        return float(self.run("audiotransfer.player.level()"))


@pytest.fixture
def visit(browser: Browser, server: Running) -> Iterator[Callable[[], Visit]]:
    """Opens pages, each as another client."""
    made: list[Visit] = []

    def open_page() -> Visit:
        made.append(Visit(browser, server))
        return made[-1]

    yield open_page
    for one in made:
        # Nothing came from elsewhere, and nothing broke.
        places = {url for url in one.asked if not url.startswith((server.base, "blob:", "data:"))}
        assert not places
        assert not one.errors
        one.context.close()


def serious(page: Page) -> list[str]:
    """What axe-core finds that is serious, or worse."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {[node['html'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def drop(page: Page, name: str, data: bytes) -> None:
    """Drops a file on the page."""
    page.evaluate(
        """([name, text]) => {
            const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name));
            document.getElementById("drop").dispatchEvent(
                new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }""",
        [name, base64.b64encode(data).decode()],
    )


def test_a_song_is_dropped_transferred_mixed_corrected_and_downloaded(
    visit: Callable[[], Visit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = visit()
    page = one.page
    assert serious(page) == []
    drop(page, NAME, song_path().read_bytes())
    expect(page.locator("#song-name")).to_have_text(NAME)
    expect(page.locator("#preview")).to_be_focused()
    assert serious(page) == []
    page.keyboard.press("Enter")
    expect(page.locator("#stage")).to_contain_text("%", timeout=LONG)
    page.wait_for_selector("#result:not([hidden])")
    # The song's stems are there before the mix is.
    page.wait_for_function(
        "() => audiotransfer.mixer.tracks.has('dry-bass') && !audiotransfer.mixer.tracks.has('mix')"
    )
    first = one.done()
    assert serious(page) == []

    # It plays, by keyboard; the original is as loud as the mix.
    page.locator("body").click(position={"x": 2, "y": 2})
    page.keyboard.press("Space")
    assert one.level(0.5) > 0.005
    page.keyboard.press("a")
    expect(page.locator("#ab")).to_have_attribute("aria-pressed", "true")
    assert one.level(0.3) > 0.005
    loudness = "audiotransfer.mixer.levels.loudness"
    levels = [
        one.run(
            f"{loudness}(Object.fromEntries([...audiotransfer.player.tracks.values()].map("
            "(track) => [track.name, track.wanted])))"
        )
    ]
    page.keyboard.press("a")
    levels.append(
        one.run(
            f"{loudness}(Object.fromEntries([...audiotransfer.player.tracks.values()].map("
            "(track) => [track.name, track.wanted])))"
        )
    )
    assert abs(levels[0] - levels[1]) < 0.1

    # After a seek, the song's stems null against the song: they are in time to the sample.
    stems = [f"dry-{name}" for name in ("drums", "bass", "other", "vocals")]
    one.run("audiotransfer.player.gains({original: 1})")
    one.run("audiotransfer.player.seek(123457)")
    alone = one.level(1.0)
    one.run(
        "names => audiotransfer.player.gains({original: -1,"
        " ...Object.fromEntries(names.map((name) => [name, 1]))})",
        stems,
    )
    one.run("audiotransfer.player.seek(98765)")
    page.wait_for_function("() => audiotransfer.player.pieces.at(-1)?.tracks.size > 8")
    page.wait_for_timeout(1500)
    assert alone > 0.01
    assert one.run("audiotransfer.player.level()") < 0.01 * alone
    one.run("audiotransfer.mixer.apply()")

    # The mix as it is at first is what the command writes, to the bit.
    page.locator("#download summary").click()
    with page.expect_download() as saved:
        page.locator("#save-mix").click()
    command = shlex.split(page.locator("#command").inner_text())
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(song_path(), tmp_path / NAME)
    assert command[:2] == ["audiotransfer", NAME]
    assert main([*command[1:], "-q", "-o", "own.wav"]) == 0
    assert saved.value.suggested_filename == "Paper lanterns.preview.jazz.wav"
    assert Path(saved.value.path()).read_bytes() == (tmp_path / "own.wav").read_bytes()

    # A crossfade is heard, and downloaded.
    fade = page.get_by_label("drums: from the original to the new")
    fade.focus()
    page.keyboard.press("Home")
    page.wait_for_function(
        "() => [...audiotransfer.player.tracks.values()].every((track) =>"
        " track.stem !== 'drums' || (track.node.gain.value > 0.1) === (track.role === 'dry'))"
    )
    assert "--stem drums=keep" in page.locator("#command").inner_text()
    page.locator("#format").select_option("flac")
    with page.expect_download() as mixed:
        page.locator("#save-mix").click()
    assert mixed.value.suggested_filename == "Paper lanterns.preview.jazz.mix.flac"
    info = probe_audio(Path(mixed.value.path()))
    assert (info.sample_rate, info.channels, info.frames) == (44100, 2, 15 * 44100)

    with page.expect_download() as archive:
        page.locator("#save-all").click()
    with zipfile.ZipFile(archive.value.path()) as files:
        endings = {name.removeprefix("Paper lanterns.preview") for name in files.namelist()}
    assert {".jazz.wav", ".jazz.mix.flac", ".jazz.mid", ".chords.txt", ".musicxml"} <= endings
    assert {".jazz.stems/drums.jazz.wav", ".stems/drums.wav"} <= endings

    # A chord, a section and a bar line are corrected; the page is reloaded while the band plays.
    page.locator("#sheet .chord").nth(1).click()
    page.keyboard.type("nonsense")
    page.keyboard.press("Enter")
    expect(page.locator("#message")).to_contain_text("no chord")
    page.locator("#sheet .chord").nth(1).click()
    page.keyboard.type("Eb7")
    page.keyboard.press("Enter")
    expect(page.locator("#sheet .chord.changed")).to_have_text("Eb7")
    page.locator("#sheet .line").nth(3).focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#sheet .line.changed")).to_have_count(1)
    page.locator("#sheet .line").nth(4).focus()
    page.keyboard.press("s")
    page.keyboard.type("B")
    page.keyboard.press("Enter")
    expect(page.locator("#sheet .section.changed")).to_have_text("B")
    expect(page.locator("#edits")).to_have_text("3 corrections")
    page.locator("#again").click()
    page.wait_for_selector("#working:not([hidden])")
    page.reload()
    second = one.done()
    assert second != first
    expect(page.locator("#sheet .chord").nth(1)).to_have_text("Eb7")
    expect(page.locator("#versions button")).to_have_count(2)
    expect(page.locator("#sheet .section")).to_have_text(["A", "B"])
    # The command of the corrected version, with its lead sheet, is that version to the bit.
    page.locator("#download summary").click()
    for button in (page.locator("#save-mix"), page.get_by_role("link", name=".leadsheet.json")):
        with page.expect_download() as saved:
            button.click()
        saved.value.save_as(tmp_path / saved.value.suggested_filename)
    command = shlex.split(page.locator("#command").inner_text())
    assert main([*command[1:], "-q", "-o", "again.wav"]) == 0
    corrected = (tmp_path / "Paper lanterns.preview.jazz.wav").read_bytes()
    assert corrected == (tmp_path / "again.wav").read_bytes() != (tmp_path / "own.wav").read_bytes()

    # Votes on what cannot be seen.
    page.locator("#blind summary").click()
    assert serious(page) == []
    page.get_by_role("button", name="Hear A").first.click()
    assert one.level() > 0
    expect(page.locator("#ab")).to_have_attribute("aria-pressed", "false")
    for question in page.locator("#blind-pairs fieldset").all():
        question.get_by_role("radio").first.check()
    with page.expect_download() as votes:
        page.locator("#save-votes").click()
    assert main(["evaluate", "--votes", str(votes.value.path()), "-q"]) == 0
    ballot = json.loads(Path(votes.value.path()).read_text())
    assert (ballot["kind"], ballot["version"]) == ("audiotransfer-votes", 1)
    assert ballot["complete"] and sorted(ballot["votes"][0]["order"]) == ["after", "before"]
    assert ballot["votes"][0]["answers"]["original"] == ballot["votes"][0]["order"][0]

    # As on a telephone, and in the dark.
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(300)
    assert one.run("document.documentElement.scrollWidth") <= 360
    assert serious(page) == []


def test_files_that_are_no_songs_and_jobs_that_are_cancelled(
    visit: Callable[[], Visit], server: Running, tmp_path: Path
) -> None:
    one, other = visit(), visit()
    page = one.page
    song = song_path().read_bytes()
    drop(page, "../../broken.mp3", b"\xff\xfb\x90\x00" + bytes(5000))
    expect(page.locator("#message")).to_contain_text("broken.mp3")
    assert "/" not in page.locator("#message").inner_text()
    nonsense = tmp_path / "nonsense.wav"
    nonsense.write_bytes(bytes(range(256)) * 400_000)  # 100 MB
    page.locator("#file").set_input_files(nonsense)
    expect(page.locator("#message")).to_contain_text("nonsense.wav")
    expect(page.locator("#request")).to_be_hidden()

    drop(page, NAME, song)
    page.locator("#whole").click()
    page.wait_for_selector("#working:not([hidden])")
    job = str(one.run("audiotransfer.state.current"))
    # Another client sees nothing of it.
    other.page.reload()
    other.page.wait_for_function("() => window.audiotransfer")  # set after what it asks the server
    assert other.run("audiotransfer.state.jobs") == []
    expect(other.page.locator("#working")).to_be_hidden()
    page.locator("#cancel").click()
    expect(page.locator("#message")).to_have_text("Cancelled.")
    expect(page.locator("#working")).to_be_hidden()
    assert server.call("GET", f"/api/jobs/{job}")["state"] == "cancelled"
    # And the next one works.
    page.locator("#preview").click()
    expect(page.locator("#stage")).to_contain_text("%", timeout=LONG)
    page.locator("#cancel").click()
    expect(page.locator("#working")).to_be_hidden()


def test_a_midi_file_of_ten_tracks_is_arranged_and_played(
    visit: Callable[[], Visit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = visit()
    page = one.page
    ten_tracks(tmp_path / "ten.mid")
    drop(page, "ten.mid", (tmp_path / "ten.mid").read_bytes())
    expect(page.locator("#preview")).to_have_text("Whole song")
    expect(page.locator("#crop")).to_be_hidden()
    page.locator("#preview").click()
    one.done()
    page.locator("#play").click()
    page.wait_for_function("() => audiotransfer.player.level() > 0.005")
    tracks = one.run("[...audiotransfer.player.tracks.keys()]")
    assert {"original", "mix", "new-drums", "new-bass", "new-lead"} <= set(tracks)
    page.get_by_role("button", name="Solo drums").click()
    page.wait_for_function(
        "() => [...audiotransfer.player.tracks.values()].every((track) =>"
        " track.wanted === 0 || track.name === 'new-drums')"
    )
    page.get_by_role("button", name="Solo drums").click()
    expect(page.locator("#sheet .chord").first).to_be_visible()
    page.locator("#download summary").click()
    names = page.locator("#files a").all_inner_texts()
    assert {"ten.jazz.mid", "ten.jazz.musicxml", "ten.chords.txt"} <= set(names)
    command = shlex.split(page.locator("#command").inner_text())
    for name in ("ten.jazz.mid", "ten.jazz.mid.wav"):
        with page.expect_download() as saved:
            page.get_by_role("link", name=name, exact=True).click()
        saved.value.save_as(tmp_path / "page" / name)
    monkeypatch.chdir(tmp_path)
    assert main([*command[1:], "-q"]) == 0
    for name in ("ten.jazz.mid", "ten.jazz.mid.wav"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "page" / name).read_bytes()


def ten_tracks(path: Path) -> None:
    """Writes a MIDI song of two bars with nine melodies and drums."""
    made = mido.MidiFile(ticks_per_beat=480)
    for channel in range(10):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=f"Track {channel + 1}")])
        if channel != 9:
            track.append(mido.Message("program_change", channel=channel, program=8 * channel))
        for beat in range(8):
            note = 36 + beat % 2 if channel == 9 else 48 + 3 * channel + (0, 5)[beat // 4]
            track.append(mido.Message("note_on", channel=channel, note=note, velocity=80))
            track.append(mido.Message("note_off", channel=channel, note=note, time=480))
        made.tracks.append(track)
    made.save(path)


def test_a_silent_song_and_a_server_that_is_killed(browser: Browser, tmp_path: Path) -> None:
    server = Running(tmp_path / "tmp")
    one = Visit(browser, server)
    page = one.page
    silence = io.BytesIO()
    with wave.open(silence, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000 * 3))
    drop(page, "silence.wav", silence.getvalue())
    page.locator("input[name=mode][value=timbre]").check()
    page.locator("#preview").click()
    one.done()
    expect(page.locator("#notices")).to_contain_text("silent")
    for key in (" ", "a", "a"):
        page.locator("body").press(key)
    assert one.run("audiotransfer.mixer.finalGains().mix ?? 1") == 1
    assert one.run("Object.values(audiotransfer.mixer.finalGains()).every(Number.isFinite)")
    server.end(signal.SIGKILL)
    page.locator("#preview").click()
    expect(page.locator("#message")).to_contain_text("does not answer")
    again = Running(tmp_path / "tmp", "--port", server.base.rpartition(":")[2])
    page.locator("#preview").click()  # the new server has another token
    expect(page.locator("#message")).to_contain_text("token")
    page.goto(again.url)
    expect(page.locator("#message")).to_be_hidden()
    expect(page.locator("#drop")).to_be_visible()
    assert not one.errors
    one.context.close()
    again.end()


def test_the_page_needs_its_token_and_shows_the_api(
    browser: Browser, server: Running, visit: Callable[[], Visit]
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        answer = page.goto(f"{server.base}/?token=wrong")
        assert answer is not None and answer.status == 401
    one = visit()
    one.page.get_by_role("link", name="API").click()
    expect(one.page.get_by_role("heading", name="POST /api/jobs", exact=True)).to_be_visible()
    assert serious(one.page) == []
