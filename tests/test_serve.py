"""`audiotransfer serve` without a browser: access, uploads, the queue, what is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="comes with the extra serve, which test brings")

from serving import Running
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from audiotransfer.cli.main import main
from audiotransfer.server.access import Access
from audiotransfer.server.app import create_app
from audiotransfer.server.jobs import CANCELLED, DONE, FAILED, RUNNING, Job
from audiotransfer.server.requests import JobRequest, MixRequest
from audiotransfer.server.service import NotThere, QueueFull, Service
from audiotransfer.server.songs import Limits, NoRoom, Stalled, TooLarge, shown_name
from audiotransfer.server.worker import TaskCancelled, TaskFailed, Worker
from audiotransfer.server.workspace import Workspace

TOKEN = "a-token"
ROOT = Path(__file__).parent.parent
ID = "0" * 32


class StubWorker:
    """A worker whose tasks end when the test says so."""

    def __init__(self) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.end: asyncio.Future[dict[str, Any]] | None = None

    async def start(self) -> None:
        pass

    async def run(self, task: dict[str, Any], report: Callable[..., None]) -> dict[str, Any]:
        self.tasks.append(task)
        if task["kind"] == "inspect":
            if Path(task["path"]).read_bytes().startswith(b"bad"):
                raise TaskFailed("no song")
            kind = "midi" if task["name"].endswith(".mid") else "audio"
            return {"kind": kind, "seconds": 1.0, "peaks": []}
        if task["kind"] == "mix":
            Path(task["output"]).write_bytes(b"mixed")
            return {"notices": []}
        report({"progress": {"stage": "transfer", "share": 0.5, "left": 3.0}})
        self.end = asyncio.get_running_loop().create_future()
        return await self.end

    async def cancel(self) -> None:
        if self.end is not None and not self.end.done():
            self.end.set_exception(TaskCancelled())

    async def close(self) -> None:
        pass


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(tmp_path / "place") as made:
        yield made


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    """A client that knows the token, of a server that takes uploads of 1000 bytes."""
    app = create_app(workspace, Access.of(TOKEN, "127.0.0.1"), Limits(upload_bytes=1000))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url="http://127.0.0.1:8000", headers=headers) as made:
        yield made


def served(
    workspace: Workspace, limits: Limits, walk: Callable[[Service, StubWorker], Any]
) -> None:
    """Walks through a service with a stub for its workers."""

    async def run() -> None:
        worker = StubWorker()
        service = Service(workspace, limits, worker, worker)  # type: ignore[arg-type]
        await service.start()
        try:
            await walk(service, worker)
        finally:
            await service.close()

    asyncio.run(run())


async def body(data: bytes = b"a song") -> AsyncIterator[bytes]:
    yield data


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


# --- who may use it


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:8000"}, 200),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": ""}, 401),
        ({"Host": "127.0.0.1:9999"}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "192.168.0.7:8000"}, 421),
        ({"Host": "127.0.0.1.evil.example:8000"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[bad"}, 403),
        ({"Host": "[bad"}, 421),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_requests_need_the_token_and_come_from_the_page(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    found = client.get("/api/styles", headers=headers)
    assert found.status_code == status
    assert (status == 200) == isinstance(found.json(), list)
    assert found.headers["cache-control"] == "no-store" or status != 200


def test_the_page_opens_by_a_link_with_the_token_and_loads_nothing_from_elsewhere(
    client: TestClient,
) -> None:
    del client.headers["Authorization"]
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    refused = client.get("/", headers=link)
    assert refused.status_code == 401 and refused.text.startswith("the token is missing")
    page = client.get(f"/?token={TOKEN}", headers=link)
    assert page.status_code == 200 and "audiotransfer" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "http" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    for name in ("main.js", "wavesurfer.js", "style.css", "api.html"):
        assert client.get(f"/static/{name}").status_code == 200
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"):
        assert client.get(path).status_code in (401, 404)


def test_a_server_for_others_is_reached_by_its_addresses() -> None:
    access = Access.of(TOKEN, "0.0.0.0")
    assert access.knows_host("192.168.0.7:8000") and access.knows_host("localhost")
    assert not access.knows_host("evil.example")


@pytest.mark.parametrize(
    "path",
    [
        f"/api/jobs/{ID}",
        f"/api/jobs/{ID}/events",
        f"/api/jobs/{ID}/result/mix",
        f"/api/jobs/{ID}/tracks/mix/0",
        f"/api/jobs/{ID}/levels",
        f"/api/jobs/{ID}/sheet",
        f"/api/jobs/{ID}/spectrogram",
        f"/api/songs/{ID}",
        "/api/jobs/..%2f..%2fetc%2fpasswd",
    ],
)
def test_what_is_not_there_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\songs\\My song.mp3", "My song.mp3"),
        ("..", "song"),
        ("", "song"),
        ("a\x00b\n\u202ec.wav", "abc.wav"),
        ("x" * 500 + ".wav", "x" * 116 + ".wav"),
    ],
)
def test_names_of_clients_are_only_shown(name: str, shown: str) -> None:
    assert shown_name(name) == shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"style": "../../etc"},
        {"style": "/tmp/style"},
        {"stems": {"drums": "/tmp/style"}},
        {"stems": {"../x": "keep"}},
        {"lead": "../x"},
        {"separator": "demucs:http://evil.example/model"},
        {"strength": 2},
        {"strength": "nan"},
        {"start": -1},
        {"gains": {"drums": 1e9}},
        {"seed": -1},
        {"song": "../x"},
        {"sheet_of": "../x"},
        {"stems_out": "/tmp"},
        {"edits": [{"kind": "chord", "beat": 0, "symbol": "x" * 99}]},
        {"edits": [{"kind": "section", "bar": 0, "name": "A]\n[B"}]},
    ],
)
def test_requests_are_checked(client: TestClient, wrong: dict[str, Any]) -> None:
    found = client.post("/api/jobs", json={"song": ID, "style": "jazz", **wrong})
    assert found.status_code == 422


def test_an_upload_that_is_too_large_leaves_nothing(
    client: TestClient, workspace: Workspace
) -> None:
    def pieces() -> Iterator[bytes]:  # without a Content-Length
        for _ in range(11):
            yield bytes(100)

    for content in (bytes(1001), pieces()):
        found = client.post("/api/songs", content=content)
        assert found.status_code == 413 and "0 MB" in found.json()["detail"]
    assert [path.name for path in workspace.folder.iterdir()] == ["cache"]


def test_no_other_request_is_large(client: TestClient) -> None:
    assert client.post("/api/jobs", content=bytes(1_000_001)).status_code == 413
    assert client.post("/api/jobs", content=iter([b"{}"])).status_code == 411


# --- songs and jobs


def test_jobs_run_one_after_the_other(workspace: Workspace) -> None:
    async def walk(service: Service, worker: StubWorker) -> None:
        song = await service.add_song(body(), "a.wav")
        assert song.path.read_bytes() == b"a song" and song.path.name == "song"
        first = service.add_job(JobRequest(song=song.id, style="jazz"))
        await until(lambda: first.share == 0.5)
        second = service.add_job(JobRequest(song=song.id, style="jazz", seed=1))
        third = service.add_job(JobRequest(song=song.id, style="jazz", seed=2))
        with pytest.raises(QueueFull):
            service.add_job(JobRequest(song=song.id, style="jazz"))
        assert [service.position(job) for job in (first, second, third)] == [0, 1, 2]
        assert first.state == RUNNING and first.view()["left"] == 3.0
        await service.cancel(second)
        assert second.state == CANCELLED and service.position(third) == 1
        await service.cancel(first)
        await until(lambda: first.state == CANCELLED and third.state == RUNNING)
        assert not first.folder.exists()
        worker.end.set_exception(TaskFailed("no beat"))  # type: ignore[union-attr]
        await until(lambda: third.state == FAILED)
        assert third.view()["error"] == "no beat"
        assert [task["kind"] for task in worker.tasks] == ["inspect", "recording", "recording"]

    served(workspace, Limits(queued=2), walk)


def test_a_job_is_watched_until_it_ends(workspace: Workspace) -> None:
    async def walk(service: Service, worker: StubWorker) -> None:
        song = await service.add_song(body(), "a.wav")
        job = service.add_job(JobRequest(song=song.id, style="jazz"))
        seen: list[str] = []

        async def watch() -> None:
            async for _ in job.changes():
                seen.append(job.state)

        watching = asyncio.create_task(watch())
        await until(lambda: job.share == 0.5)
        worker.end.set_result({"files": {"mix": [str(job.folder / "m.wav"), "a.jazz.wav"]}})  # type: ignore[union-attr]
        await asyncio.wait_for(watching, 5)
        assert seen[-1] == DONE and job.view()["files"] == {"mix": "a.jazz.wav"}
        with pytest.raises(NotThere):
            await service.mix(job, MixRequest(gains={"new-drums": 1.0}))
        with pytest.raises(NotThere):
            await service.sheet(job, ())

    served(workspace, Limits(), walk)


def test_a_file_that_is_no_song_is_not_kept(workspace: Workspace) -> None:
    async def walk(service: Service, worker: StubWorker) -> None:
        with pytest.raises(TaskFailed):
            await service.add_song(body(b"bad"), "a.wav")
        with pytest.raises(TooLarge):
            await service.add_song(body(bytes(99)), "a.wav")
        assert [path.name for path in workspace.folder.iterdir()] == ["cache"]

    served(workspace, Limits(upload_bytes=10), walk)


def test_what_nobody_asks_for_is_removed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiotransfer.server.service._TIDY_SECONDS", 0.01)

    async def walk(service: Service, worker: StubWorker) -> None:
        kept = await service.add_song(body(), "kept.wav")
        song = await service.add_song(body(), "a.wav")
        job = service.add_job(JobRequest(song=song.id, style="jazz"))
        await until(lambda: job.share == 0.5)
        service.closed([job.id, song.id])  # as a page that is closed; it works still
        await until(lambda: not song.folder.exists() and not job.folder.exists())
        assert job.state == CANCELLED and kept.folder.exists()
        with pytest.raises(NotThere):
            service.job(job.id)

    served(workspace, Limits(closed_seconds=0.0), walk)


def test_the_oldest_results_go_where_there_is_no_room(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiotransfer.server.service._TIDY_SECONDS", 0.01)

    async def walk(service: Service, worker: StubWorker) -> None:
        song = await service.add_song(body(), "a.wav")
        jobs = []
        for seed in range(2):
            job = service.add_job(JobRequest(song=song.id, style="jazz", seed=seed))
            await until(lambda job=job: job.share == 0.5)  # type: ignore[misc]
            (job.folder / "mix.wav").write_bytes(bytes(600))
            worker.end.set_result({"files": {}})  # type: ignore[union-attr]
            await until(lambda job=job: job.state == DONE)  # type: ignore[misc]
            jobs.append(job)
        await until(lambda: not jobs[0].folder.exists())
        assert jobs[1].folder.exists()

    served(workspace, Limits(stored_bytes=1000), walk)


def done(job: Job, worker: StubWorker, **result: Any) -> None:
    """Lets the running job end with a mix, as a worker reports it."""
    mix = job.folder / "mix.wav"
    mix.write_bytes(b"mix")
    job.tracks["new-drums"] = {"name": "new-drums", "role": "new"}
    worker.end.set_result({"files": {"mix": [str(mix), "a.jazz.wav"]}, "report": {}, **result})  # type: ignore[union-attr]


async def started(service: Service, **request: Any) -> Job:
    """A job that works."""
    job = service.add_job(JobRequest(style="jazz", **request))
    await until(lambda: job.share == 0.5)
    return job


def test_the_queue_goes_on_after_a_job_that_breaks_it(workspace: Workspace) -> None:
    async def walk(service: Service, worker: StubWorker) -> None:
        song = await service.add_song(body(), "a.wav")
        broken = await started(service, song=song.id)
        worker.end.set_exception(RuntimeError("a line of 70 MB"))  # type: ignore[union-attr]
        await until(lambda: broken.ended)
        assert broken.state == FAILED and "a line of 70 MB" in str(broken.error)
        job = await started(service, song=song.id)
        done(job, worker)
        await until(lambda: job.state == DONE)

    served(workspace, Limits(), walk)


def test_files_of_a_zip_have_names_of_their_own(workspace: Workspace) -> None:
    async def walk(service: Service, worker: StubWorker) -> None:
        song = await service.add_song(body(), "a.wav")
        job = await started(service, song=song.id)
        done(job, worker)
        await until(lambda: job.state == DONE)
        mixes = [MixRequest(gains={"new-drums": gain}) for gain in (0.5, 0.7, 0.5)]
        names = [await service.mix(job, one) for one in mixes]
        assert names[0] == names[2] != names[1]
        paths = await asyncio.gather(service.archive(job), service.archive(job))
        with zipfile.ZipFile(paths[0]) as archive:
            assert archive.testzip() is None
            assert sorted(archive.namelist()) == [
                "a.jazz.mix-2.wav",
                "a.jazz.mix.wav",
                "a.jazz.wav",
            ]

    served(workspace, Limits(), walk)


def test_corrections_are_of_the_same_part_of_the_same_song(workspace: Workspace) -> None:
    async def walk(service: Service, worker: StubWorker) -> None:
        song, other = [await service.add_song(body(), name) for name in ("a.wav", "b.wav")]
        base = await started(service, song=song.id, preview=True)
        done(base, worker, sheet={"bars": []})
        await until(lambda: base.state == DONE)
        for wrong in ({"song": other.id, "preview": True}, {"song": song.id}):
            with pytest.raises(TaskFailed, match="another"):
                service.add_job(JobRequest(style="jazz", sheet_of=base.id, **wrong))  # type: ignore[arg-type]
        busy = await started(service, song=song.id)
        again = service.add_job(
            JobRequest(song=song.id, style="jazz", preview=True, sheet_of=base.id)
        )
        service._jobs.pop(base.id)  # as where there is no room
        await service.cancel(busy)
        await until(lambda: again.ended)
        assert again.state == FAILED and "removed" in str(again.error)

    served(workspace, Limits(), walk)


def test_midi_files_are_not_cut(workspace: Workspace) -> None:
    async def walk(service: Service, worker: StubWorker) -> None:
        song = await service.add_song(body(), "a.mid")
        for cut in ({"preview": True}, {"start": 1.0}, {"end": 2.0}):
            with pytest.raises(TaskFailed, match="stay whole"):
                service.add_job(JobRequest(song=song.id, style="jazz", **cut))  # type: ignore[arg-type]
        assert (await started(service, song=song.id)).state == RUNNING

    served(workspace, Limits(), walk)


def test_songs_are_refused_where_there_is_no_room(workspace: Workspace) -> None:
    async def full() -> AsyncIterator[bytes]:
        yield b"a song"
        raise OSError(28, "No space left on device")

    async def walk(service: Service, worker: StubWorker) -> None:
        await service.add_song(body(bytes(900)), "a.wav")
        with pytest.raises(NoRoom, match="No space left"):
            await service.add_song(full(), "b.wav")
        await service.add_song(body(bytes(900)), "c.wav")
        with pytest.raises(NoRoom, match="no room"):
            await service.add_song(body(), "d.wav")
        assert len(list(workspace.folder.glob("song-*"))) == 2

    served(workspace, Limits(stored_bytes=1000), walk)


def test_an_upload_that_stops_is_given_up(workspace: Workspace) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(60)

    async def cut_off() -> AsyncIterator[bytes]:
        yield b"a"
        raise ClientDisconnect

    async def walk(service: Service, worker: StubWorker) -> None:
        with pytest.raises(Stalled):
            await service.add_song(slow(), "a.wav")
        with pytest.raises(ClientDisconnect):
            await service.add_song(cut_off(), "a.wav")
        assert not list(workspace.folder.glob("song-*"))

    served(workspace, Limits(stalled_seconds=0.02), walk)


def test_a_copy_of_a_page_in_another_tab_keeps_its_songs() -> None:
    script = Path("audiotransfer/server/static/main.js")
    ping = re.search(r"const PING = ([\d_]+);", (ROOT / script).read_text(encoding="utf-8"))
    # Browsers let timers of hidden tabs run once a minute.
    assert ping is not None and max(60, int(ping[1]) / 1000) + 20 <= Limits().closed_seconds


def test_a_task_that_is_cancelled_before_its_turn_is_cancelled(tmp_path: Path) -> None:
    async def walk() -> None:
        worker = Worker(tmp_path, 60.0)
        sent: list[dict[str, Any]] = []

        async def ensure() -> None:
            pass

        async def do(task: dict[str, Any], report: Callable[..., None]) -> dict[str, Any]:
            sent.append({"cancelled": worker._cancelled})
            raise TaskCancelled

        worker._ensure, worker._do = ensure, do  # type: ignore[method-assign]
        await worker._lock.acquire()  # as while the process starts
        running = asyncio.create_task(worker.run({}, lambda _: None))
        await asyncio.sleep(0)
        await worker.cancel()
        worker._lock.release()
        with pytest.raises(TaskCancelled):
            await running
        assert sent == [{"cancelled": True}]
        await worker.close()

    asyncio.run(walk())


# --- the workspace


def test_a_workspace_is_private_and_goes_away(tmp_path: Path) -> None:
    with Workspace(tmp_path / "place") as made:
        for folder in (tmp_path / "place", made.folder, made.new_folder("x")):
            assert folder.stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "place").iterdir()) == []


def test_a_folder_that_others_can_write_to_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place").chmod(0o777)
    with Workspace(tmp_path / "place"):
        assert (tmp_path / "place").stat().st_mode & 0o777 == 0o700


# --- real processes


def children(pid: int) -> list[int]:
    psutil = pytest.importorskip("psutil")
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


@pytest.mark.skipif(os.name != "posix", reason="kills processes by POSIX signals")
def test_a_killed_server_leaves_no_process_and_the_next_one_removes_its_files(
    tmp_path: Path,
) -> None:
    psutil = pytest.importorskip("psutil")
    server = Running(tmp_path / "tmp")
    song = server.call("POST", "/api/songs/demo")
    assert song["kind"] == "audio" and 26 < song["seconds"] < 28 and len(song["peaks"]) > 1000
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.call("POST", "/api/songs?name=../../x.mp3", b"nonsense" * 1000)
    reason = json.load(refused.value)["detail"]
    assert refused.value.code == 422 and reason.startswith("x.mp3") and "tmp" not in reason
    workers = children(server.process.pid)
    place = next((tmp_path / "tmp").iterdir())
    left = list(place.iterdir())
    assert workers and len(left) == 1
    assert sorted(path.name[:5] for path in left[0].iterdir()) == ["cache", "song-"]
    server.end(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while any(psutil.pid_exists(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(psutil.pid_exists(pid) for pid in workers)
    assert left[0].exists()
    again = Running(tmp_path / "tmp")
    assert not left[0].exists() and len(list(place.iterdir())) == 1
    assert again.token != server.token
    again.end(signal.SIGINT)
    assert list(place.iterdir()) == []


def test_a_server_shows_its_address_and_no_progress(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def serve(_host: str, _port: int, _limits: Limits, started: Callable[[str], None]) -> None:
        started("http://127.0.0.1:1/?token=x")
        time.sleep(1.5)

    monkeypatch.setattr("audiotransfer.server.run.serve", serve)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["serve"]) == 0
    told = capfd.readouterr()
    assert told.out == "http://127.0.0.1:1/?token=x\n"
    assert told.err.endswith("Ctrl-C ends the server, and removes its songs and results\n")


def test_a_port_that_is_taken_is_refused_in_one_line(run: Callable[..., Any]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = run("serve", "--port", str(port))
    assert (code, out) == (2, "") and err.count("\n") == 1 and str(port) in err
    assert run("serve", "--port", "70000")[0] == 2
    assert run("serve", "--queue", "0")[0] == 2
