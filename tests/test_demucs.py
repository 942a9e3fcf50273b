"""Demucs through the real library: files, errors, the hub, memory. No weights are downloaded."""

from __future__ import annotations

import http.server
import json
import logging
import pickle
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from demucs.apply import BagOfModels, apply_model
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name
from demucs.htdemucs import HTDemucs
from huggingface_hub import constants
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import separation.demucs.separator as separator_module
from separation import GRID, SeparationError, available, create, fetch
from separation.demucs import MODELS
from separation.demucs.checkpoints import load_bag, save_bag
from separation.demucs.hub import REPOSITORIES, resolve
from separation.demucs.separator import DemucsSeparator, load, tiles

FOUR = ["drums", "bass", "other", "vocals"]
RATE = 44100


def network(seed: int = 0, sources: list[str] = FOUR, segment: Any = Fraction(1)) -> HTDemucs:
    """A HTDemucs of 0.35 M parameters."""
    torch.manual_seed(seed)
    return HTDemucs(
        sources, channels=8, dconv_depth=1, t_layers=1, t_heads=2, segment=segment
    ).eval()


def mix(length: int = 2 * RATE, seed: int = 0) -> Tensor:
    noise = torch.randn(2, length, generator=torch.Generator().manual_seed(seed))
    return 0.1 * (noise - noise.mean())


def decibels(error: Tensor, reference: Tensor) -> float:
    return float(10 * torch.log10(error.square().sum() / reference.square().sum()))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag named `small` in the hub's layout; tests read it."""
    return save_bag(tmp_path_factory.mktemp("bag"), "small", [network()])


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    """The same, for tests that damage it."""
    shutil.copytree(saved.parent, tmp_path / "bag")
    return tmp_path / "bag" / "small"


def weights_of(bag: Path) -> Path:
    (path,) = bag.parent.glob("*.safetensors")
    return path


def with_header(path: Path, **changes: str) -> None:
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    save_file(load_file(path), path, metadata={**header, **changes})


# Files


def test_a_saved_network_comes_back_and_separates_as_the_library_does(saved: Path) -> None:
    separator = create(f"demucs:{saved}", overlap=0.25)
    audio = mix()
    stems = separator(audio)
    level = audio.square().mean().sqrt()
    expected = apply_model(network(), (audio / level)[None], shifts=0, overlap=0.25)[0] * level
    for index, name in enumerate(FOUR):
        if name != "other":
            assert decibels(stems[name] - expected[index], expected[index]) <= -80
    left = audio - expected.sum(0)
    assert decibels(stems["other"] - expected[2] - left, audio) <= -80


def test_the_folder_may_be_an_option(saved: Path) -> None:
    assert available(str(saved))
    assert available("small", folder=saved.parent)
    separator = create("demucs", model="small", model_folder=saved.parent)
    assert separator.stems == tuple(FOUR)


def test_weights_decide_which_network_gives_which_stem(tmp_path: Path) -> None:
    only_first = [[1.0] * 4, [0.0] * 4]
    pair = save_bag(tmp_path, "pair", [network(0), network(1)], weights=only_first)
    single = save_bag(tmp_path, "single", [network(0)])
    audio = mix(RATE)
    both, one = load(str(pair))(audio), load(str(single))(audio)
    for name in FOUR:
        torch.testing.assert_close(both[name], one[name])


def test_guitar_and_piano_are_stems(tmp_path: Path) -> None:
    six = [*FOUR, "guitar", "piano"]
    separator = load(str(save_bag(tmp_path, "six", [network(sources=six)])))
    stems = separator(mix(RATE))
    assert separator.stems == tuple(six) == tuple(stems)
    assert float(stems["piano"].abs().max()) > 0


def test_other_is_added_where_the_model_has_none(tmp_path: Path) -> None:
    separator = load(str(save_bag(tmp_path, "two", [network(sources=["drums", "vocals"])])))
    audio = mix(RATE)
    stems = separator(audio)
    assert separator.stems == ("drums", "vocals", "other")
    assert decibels(sum(stems.values(), torch.zeros(())) - audio, audio) <= -60


def test_the_older_hybrid_network_loads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    older = HDemucs(FOUR, channels=8, dconv_depth=1, dconv_attn=9, dconv_lstm=9, segment=1)
    separator = load(str(save_bag(tmp_path, "older", [older], segment=2)))
    for length in (1, 50001):
        stems = separator(mix(length))
        assert all(stem.shape == (2, length) for stem in stems.values())


def test_a_foreign_class_is_refused(copied: Path) -> None:
    with_header(weights_of(copied), klass="subprocess.Popen")
    with pytest.raises(SeparationError, match=r"names the class 'subprocess\.Popen': only"):
        load(str(copied))


def test_a_foreign_class_in_the_structure_is_refused(copied: Path) -> None:
    with_header(weights_of(copied), structure=json.dumps({"_class": "subprocess.Popen"}))
    with pytest.raises(SeparationError, match="quantised weights"):
        load(str(copied))


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return _explode, ("boom",)


def _explode(word: str) -> None:
    raise AssertionError(f"a pickle was opened: {word}")


def test_a_pickle_is_never_opened(copied: Path) -> None:
    path = weights_of(copied)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(SeparationError, match="is not a safetensors file"):
        load(str(copied))
    path.rename(path.with_suffix(".th"))
    with pytest.raises(SeparationError, match=r"pickled \.th weights are never opened"):
        load(str(copied))


def test_damaged_weights_are_named(copied: Path) -> None:
    path = weights_of(copied)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SeparationError, match=path.name):
        load(str(copied))
    path.write_bytes(content)
    with_header(path, kwargs=json.dumps({"sources": FOUR, "channels": 16}))
    with pytest.raises(SeparationError, match="does not hold the demucs network"):
        load(str(copied))
    path.write_bytes(content)
    state = load_file(path)
    next(iter(state.values())).fill_(float("nan"))
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    save_file(state, path, metadata=header)
    with pytest.raises(SeparationError, match="not finite"):
        load(str(copied))


@pytest.mark.parametrize(
    "text", ["", "models: []", "models: ['../../secret']", "- a", "models: [", "models: 7"]
)
def test_a_damaged_list_is_named(copied: Path, text: str) -> None:
    copied.with_suffix(".yaml").write_text(text)
    assert not available(str(copied))
    with pytest.raises(SeparationError, match=r"small\.yaml"):
        load(str(copied))


def test_a_list_that_does_not_fit_its_networks_is_named(tmp_path: Path) -> None:
    bag = save_bag(tmp_path, "short", [network()], weights=[[1.0, 1.0]])
    with pytest.raises(SeparationError, match=r"'short'.*do not fit together"):
        load(str(bag))


def test_missing_files_and_unknown_names(saved: Path) -> None:
    with pytest.raises(SeparationError, match=r"large\.yaml is missing"):
        load(str(saved.with_name("large")))
    with pytest.raises(SeparationError, match="did you mean 'htdemucs_ft'"):
        create("demucs:htdemucs_fy")


# The hub


def test_the_repositories_are_those_of_the_library() -> None:
    expected = {name: f"{DEFAULT_NAMESPACE}/{hf_repo_name(name)}" for name in MODELS}
    assert expected == REPOSITORIES


def point_hub_to(port: int, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def silent_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that takes the call and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        point_hub_to(server.getsockname()[1], tmp_path / "cache", monkeypatch)
        yield


class Shelf(http.server.BaseHTTPRequestHandler):
    """A hub with one repository, `adefossez/HTDemucs`."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.asked.append(self.path)
        path = self.folder / Path(self.path).name
        if not self.path.startswith("/adefossez/HTDemucs/resolve/main/") or not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{path.stem}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def hub(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Shelf]]:
    Shelf.folder, Shelf.asked = tmp_path / "shelf", []
    shutil.copytree(saved.parent, Shelf.folder)
    (Shelf.folder / "small.yaml").rename(Shelf.folder / "htdemucs.yaml")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    point_hub_to(server.server_port, tmp_path / "cache", monkeypatch)
    yield Shelf
    server.shutdown()
    server.server_close()


def test_without_network_it_says_what_to_do_within_five_seconds(silent_hub: None) -> None:
    start = time.monotonic()
    with pytest.raises(SeparationError) as raised:
        create("demucs")
    assert time.monotonic() - start < 5
    message = str(raised.value)
    assert "audiotransfer fetch htdemucs" in message
    assert "--separator embedded" in message
    assert "\n" not in message


def test_a_hub_that_cannot_be_reached_fails_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    point_hub_to(port, tmp_path / "cache", monkeypatch)
    assert not available("htdemucs_ft")
    start = time.monotonic()
    with pytest.raises(SeparationError, match="audiotransfer fetch htdemucs_ft"):
        fetch("htdemucs_ft")
    assert time.monotonic() - start < 5


def test_without_permission_the_hub_is_not_asked(hub: type[Shelf]) -> None:
    with pytest.raises(SeparationError, match="audiotransfer fetch htdemucs"):
        create("demucs", download=False)
    assert hub.asked == []


def test_what_was_fetched_is_found_without_the_hub(hub: type[Shelf]) -> None:
    assert not available("htdemucs")
    shares: list[float] = []
    files = fetch("htdemucs", shares.append)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert len(files.networks) == 1
    hub.asked.clear()
    assert available("htdemucs")
    assert fetch("htdemucs") == files
    assert create("demucs").stems == tuple(FOUR)
    assert hub.asked == []


def test_an_explicit_demand_downloads(hub: type[Shelf]) -> None:
    assert create("demucs:htdemucs").stems == tuple(FOUR)
    assert available("htdemucs")


def test_half_of_a_model_is_not_available(hub: type[Shelf]) -> None:
    next(hub.folder.glob("*.safetensors")).unlink()
    with pytest.raises(SeparationError, match="audiotransfer fetch htdemucs"):
        fetch("htdemucs")
    assert not available("htdemucs")


def test_a_model_that_the_hub_lacks(hub: type[Shelf]) -> None:
    with pytest.raises(SeparationError, match="audiotransfer fetch mdx_extra"):
        fetch("mdx_extra")


def test_a_folder_cannot_be_fetched(saved: Path) -> None:
    with pytest.raises(SeparationError, match="is no name on the hub"):
        fetch(str(saved))


# Segments, memory, randomness


@pytest.mark.parametrize("seconds", [0.25, 1, 5.3, Fraction(39, 5), 20, 44])
def test_strides_lie_on_the_grid(seconds: float | Fraction) -> None:
    cut = tiles(seconds, RATE)
    assert (20 * GRID) % cut.stride == 0
    assert cut.stride <= 0.8 * cut.length
    assert int((1 - cut.overlap) * cut.length) == cut.stride


def test_htdemucs_runs_in_its_own_segments_every_six_seconds() -> None:
    cut = tiles(Fraction(39, 5), RATE)
    assert (cut.length, cut.stride) == (343980, 4 * GRID)


@pytest.mark.parametrize(
    "options",
    [{}, {"segment": 0.7}, {"overlap": 0.1}, {"overlap": 0.7}, {"shifts": 2}],
    ids=["plain", "shorter", "apart", "close", "shifted"],
)
def test_a_block_on_the_grid_is_a_piece_of_the_whole(saved: Path, options: dict[str, Any]) -> None:
    separator = load(str(saved), **options)
    grid, context = separator.grid, separator.context
    before = -(-context // grid) * grid
    start = before + grid
    stop = start + 2 * grid
    audio = mix(stop + context + 30011)

    def separate(first: int, last: int) -> dict[str, Tensor]:
        return separator(audio[:, first:last], torch.Generator().manual_seed(4))

    whole = separate(0, audio.shape[-1])
    middle, end = separate(start - before, stop + context), separate(start - before, 1 << 40)
    for stem in FOUR:
        assert decibels(middle[stem][:, before:-context] - whole[stem][:, start:stop], audio) < -90
        assert decibels(end[stem][:, before:] - whole[stem][:, start:], audio) < -90


def test_the_oldest_networks_reach_beyond_their_segments(tmp_path: Path) -> None:
    torch.manual_seed(0)
    oldest = Demucs(FOUR, channels=4, depth=3, segment=1, lstm_layers=0, dconv_mode=0)
    separator = load(str(save_bag(tmp_path, "oldest", [oldest])))
    grid, context = separator.grid, separator.context
    before = -(-context // grid) * grid
    start, stop = before + grid, before + 3 * grid
    audio = mix(stop + context + 30011)
    whole, block = separator(audio), separator(audio[:, start - before : stop + context])
    for stem in FOUR:
        assert decibels(block[stem][:, before:-context] - whole[stem][:, start:stop], audio) < -90


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment": 1.5}, r"segment 1.5 s is longer than the model takes: up to 1 s"),
        ({"segment": 0.1}, "segment of 0.1 s is too short"),
        ({"overlap": 1.0}, "overlap 1 is out of range"),
        ({"shifts": -1}, "shifts -1 is out of range"),
        ({"device": "toaster"}, "device 'toaster'"),
    ],
)
def test_settings_out_of_range_are_named(
    saved: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SeparationError, match=message):
        load(str(saved), **options)


def test_three_channels_are_refused(saved: Path) -> None:
    with pytest.raises(SeparationError, match="one or two channels, not 3"):
        load(str(saved))(torch.zeros(3, 100))


def test_a_shorter_segment_is_not_filled_up(saved: Path) -> None:
    separator = load(str(saved), segment=0.5)
    lengths: list[int] = []
    first = separator._bag.models[0].tencoder[0]
    first.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[-1]))
    separator(mix())
    assert set(lengths) == {RATE // 2}


class ScarceMemory:
    """The library on a device that holds segments of at most `limit` seconds."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.tried: list[float] = []

    def __call__(self, *args: Any, **options: Any) -> Tensor:
        self.tried.append(round(options["segment"], 3))
        if options["segment"] > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return apply_model(*args, **options)


def test_out_of_memory_halves_the_segment_and_says_so(
    saved: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    memory = ScarceMemory(0.6)
    monkeypatch.setattr(separator_module, "apply_model", memory)
    separator = load(str(saved))
    audio = mix()
    with caplog.at_level(logging.WARNING):
        stems = separator(audio)
    assert "segments of 0.50 s instead of 1.00 s" in caplog.text
    assert decibels(sum(stems.values(), torch.zeros(())) - audio, audio) <= -60
    separator(audio)
    assert memory.tried == [1.0, 0.5, 0.5]


def test_too_little_memory_is_an_error_in_the_end(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(separator_module, "apply_model", ScarceMemory(0))
    with pytest.raises(SeparationError, match=r"too little memory.*--separator embedded"):
        load(str(saved))(mix())


def test_other_failures_are_not_taken_for_memory(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **options: Any) -> Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(separator_module, "apply_model", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        load(str(saved))(mix())


def test_shifts_come_from_the_generator(saved: Path) -> None:
    separator = load(str(saved), shifts=1)
    audio = mix(RATE)
    random.seed(5)
    expected = random.random()
    random.seed(5)
    first, again, other = (
        separator(audio, torch.Generator().manual_seed(seed))["drums"] for seed in (1, 1, 2)
    )
    assert random.random() == expected, "Python's own numbers were touched"
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("shifts", [0, 2])
def test_progress_rises_to_one(tmp_path: Path, shifts: int) -> None:
    bag = save_bag(tmp_path, "pair", [network(0), network(1)])
    shares: list[float] = []
    load(str(bag), progress=shares.append, shifts=shifts)(mix())
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5
    assert shares[-1] == 1.0


def test_interrupting_the_progress_stops_the_work(saved: Path) -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(str(saved), progress=stop)(mix())


def test_weights_that_give_nonsense_are_reported(saved: Path) -> None:
    bag: BagOfModels = load_bag(resolve(str(saved)))
    with torch.no_grad():
        next(bag.parameters()).fill_(float("inf"))
    with pytest.raises(SeparationError, match="not finite"):
        DemucsSeparator(bag)(mix(RATE))
