"""Installation of Demucs models from files, for computers without a network."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from demucs.htdemucs import HTDemucs
from huggingface_hub import constants

import separation
from audiotransfer.cli import main
from separation import SeparationError, available, create, install
from separation.demucs import installing
from separation.demucs.checkpoints import save_bag

FOUR = ["drums", "bass", "other", "vocals"]
MODEL = "htdemucs"
CACHE = "models--adefossez--HTDemucs"


def network(seed: int = 0) -> HTDemucs:
    torch.manual_seed(seed)
    return HTDemucs(
        FOUR, channels=8, dconv_depth=1, t_layers=1, t_heads=2, segment=Fraction(1)
    ).eval()


def checkpoint(folder: Path, signature: str = "12ab34cd", **changes: Any) -> Path:
    """As the library wrote them: half precision, the class pickled by its name."""
    made = network()
    arguments, options = made._init_args_kwargs
    package = {
        "klass": type(made),
        "args": arguments,
        "kwargs": options,
        "state": {name: value.half() for name, value in made.state_dict().items()},
        "training_args": {"optim": {"lr": 3e-4}},
        **changes,
    }
    part = folder / "part.th"
    torch.save(package, part)
    digest = hashlib.sha256(part.read_bytes()).hexdigest()[:8]
    return part.rename(folder / f"{signature}-{digest}.th")


def list_networks(folder: Path, *signatures: str) -> None:
    (folder / f"{MODEL}.yaml").write_text(yaml.safe_dump({"models": list(signatures)}))


def refusal(source: Path, model: str = MODEL) -> str:
    with pytest.raises(SeparationError) as raised:
        install(model, source)
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache of this computer, empty; nothing may be asked of the hub."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return folder


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


@pytest.fixture
def plain(brought: Path) -> Path:
    """The files of the hub's page."""
    save_bag(brought, MODEL, [network()])
    return brought


@pytest.fixture
def other_cache(tmp_path: Path) -> Path:
    """The hub's cache of another computer: snapshots are links to blobs named by their content."""
    source = tmp_path / "made"
    save_bag(source, MODEL, [network()])
    root = tmp_path / "elsewhere" / "hub" / CACHE
    snapshot = root / "snapshots" / ("ab" * 20)
    snapshot.mkdir(parents=True)
    (root / "blobs").mkdir()
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("ab" * 20)
    for path in source.iterdir():
        blob = root / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copyfile(path, blob)
        (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
    return root.parent.parent


def vocals_estimate(model: str = MODEL) -> torch.Tensor:
    mix = torch.randn(2, 44100, generator=torch.Generator().manual_seed(1))
    return create(f"demucs:{model}", download=False)(mix)["vocals"]


@pytest.mark.parametrize("inner", ["", "deep/er"])
def test_a_folder_of_the_hubs_files(plain: Path, inner: str, tmp_path: Path) -> None:
    folder = tmp_path / "bag" / inner
    shutil.copytree(plain, folder)
    expected = create(f"demucs:{plain / MODEL}")
    assert not available(MODEL)
    shares: list[float] = []
    bag = install(MODEL, tmp_path / "bag", shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert available(MODEL)
    assert [path.name for path in bag.networks] == [
        path.name for path in sorted(plain.glob("*.safetensors"))
    ]
    mix = torch.randn(2, 44100, generator=torch.Generator().manual_seed(1))
    assert torch.equal(vocals_estimate(), expected(mix)["vocals"])


def test_the_list_itself_names_its_folder(plain: Path) -> None:
    install(MODEL, plain / f"{MODEL}.yaml")
    assert available(MODEL)


@pytest.mark.parametrize("level", [".", "hub", f"hub/{CACHE}", f"hub/{CACHE}/snapshots"])
def test_a_copy_of_another_computers_cache(other_cache: Path, cache: Path, level: str) -> None:
    install(MODEL, other_cache / level)
    assert available(MODEL)
    # Under its own commit, so that the hub's client knows it again.
    assert (cache / CACHE / "refs" / "main").read_text() == "ab" * 20
    assert vocals_estimate().abs().max() > 0


def test_a_copy_of_links_only_says_so(other_cache: Path) -> None:
    shutil.rmtree(other_cache / "hub" / CACHE / "blobs")
    message = refusal(other_cache)
    assert "is a link to" in message and CACHE in message
    assert not available(MODEL)


def test_a_damaged_blob_is_refused(other_cache: Path) -> None:
    (path,) = (other_cache / "hub" / CACHE / "snapshots").rglob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.resolve().write_bytes(content)
    assert "SHA-256" in refusal(other_cache)
    assert not available(MODEL)


def test_checkpoints_of_the_library_are_converted(brought: Path) -> None:
    checkpoint(brought)
    list_networks(brought, "12ab34cd")
    install(MODEL, brought)
    made = network()
    for value in made.state_dict().values():
        value.copy_(value.half())
    save_bag(brought / "same", "same", [made])
    mix = torch.randn(2, 44100, generator=torch.Generator().manual_seed(1))
    same = create(f"demucs:{brought / 'same' / 'same'}")(mix)["vocals"]
    torch.testing.assert_close(vocals_estimate(), same)


@pytest.mark.parametrize("name", ["955717e8-{}.th", "Downloads (1).th"])
def test_one_file_is_enough_for_a_model_of_one_network(
    brought: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(brought, "955717e8")
    digest = path.stem.partition("-")[2]
    monkeypatch.setattr(installing, "official_checksums", lambda: {"955717e8": digest})
    path = path.rename(brought / name.format(digest))
    bag = install(MODEL, path)
    assert [file.name for file in bag.networks] == ["955717e8.safetensors"]
    assert vocals_estimate().abs().max() > 0


def test_the_librarys_checksums_are_known() -> None:
    known = installing.official_checksums()
    for model in separation.MODELS:
        _, signatures = installing._listing(model, [])
        assert set(signatures) <= set(known)
    assert known["955717e8"] == "8726e21a"


def test_a_checksum_that_is_not_the_librarys_is_refused(brought: Path) -> None:
    """Its name may say what it likes."""
    path = checkpoint(brought, "955717e8")
    assert "8726e21a" in refusal(path)
    assert "8726e21a" in refusal(brought)
    path = path.rename(brought / "955717e8-8726e21a.th")
    assert "SHA-256 begins with" in refusal(path)
    assert not available(MODEL)


def test_a_file_of_another_model_is_refused(brought: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint(brought, "5c90dfd2")
    assert "is the network 5c90dfd2" in refusal(path)
    digest = path.stem.partition("-")[2]
    known = {"955717e8": "8726e21a", "5c90dfd2": digest}
    monkeypatch.setattr(installing, "official_checksums", lambda: known)
    assert "is the network 5c90dfd2" in refusal(path.rename(brought / "renamed.th"))
    (brought / "renamed.th").write_bytes(b"words")
    assert "is not the network 955717e8" in refusal(brought / "renamed.th")


def test_one_file_is_not_enough_for_a_model_of_four(brought: Path) -> None:
    path = brought / "f7e0c4bc.safetensors"
    save_bag(brought, MODEL, [network()])
    next(brought.glob("*.safetensors")).rename(path)
    assert "f7e0c4bc" in refusal(path, "htdemucs_ft") and "d12395a8" in refusal(path, "htdemucs_ft")
    assert not available("htdemucs_ft")


class Bomb:
    """Unpickled, it writes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize("where", ["training_args", "klass", "kwargs", "whole", "legacy"])
def test_a_checkpoint_that_holds_more_than_weights_is_not_run(
    brought: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(brought)
    path = brought / "part.th"
    if where == "whole":
        torch.save(Bomb(), path)
    elif where == "legacy":
        path.write_bytes(pickle.dumps({"klass": HTDemucs, "args": Bomb()}))
    else:
        path = checkpoint(brought, **{where: Bomb()})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path.rename(brought / f"12ab34cd-{digest}.th")
    list_networks(brought, "12ab34cd")
    assert "it is not opened" in refusal(brought)
    assert not (brought / "exploded").exists()
    assert not available(MODEL)


@pytest.mark.parametrize(
    "changes",
    [
        {"klass": OrderedDict},
        {"state": {}},
        {"state": {"__quantized": True}},
        {"kwargs": {"channels": 3}},
        {"args": [1, 2, 3]},
    ],
)
def test_checkpoints_that_are_no_demucs_network(brought: Path, changes: dict[str, Any]) -> None:
    checkpoint(brought, **changes)
    list_networks(brought, "12ab34cd")
    assert "12ab34cd" in refusal(brought)
    assert not available(MODEL)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a safetensors file"),
        (b"<!DOCTYPE html><html>", "is not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"half", "is not a safetensors file"),
    ],
)
def test_what_is_no_weights_file_is_named_where_it_lies(
    plain: Path, content: bytes, said: str
) -> None:
    (path,) = plain.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:5000] if content == b"half" else content)
    message = refusal(plain)
    assert said in message and str(path) in message
    assert not available(MODEL)


def test_what_is_missing_is_named(brought: Path, plain: Path, tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "absent")
    assert "does not exist" in refusal(Path("x" * 300))
    assert "did you mean 'htdemucs'" in refusal(plain, "htdemux")
    (path,) = plain.glob("*.safetensors")
    path.unlink()
    assert path.name in refusal(plain)
    (plain / f"{MODEL}.yaml").unlink()
    assert "955717e8.safetensors" in refusal(plain)


def test_a_failure_leaves_what_was_there(plain: Path, brought: Path, tmp_path: Path) -> None:
    install(MODEL, plain)
    before = vocals_estimate()
    bad = tmp_path / "bad"
    shutil.copytree(plain, bad)
    (path,) = bad.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:5000])
    refusal(bad)
    assert torch.equal(vocals_estimate(), before)


def test_what_is_there_is_replaced(plain: Path, tmp_path: Path, cache: Path) -> None:
    install(MODEL, plain)
    before = vocals_estimate()
    save_bag(tmp_path / "new", MODEL, [network(seed=1)])
    install(MODEL, tmp_path / "new")
    assert not torch.equal(vocals_estimate(), before)
    assert not list(cache.rglob(".incoming"))


def test_a_cache_that_cannot_be_written_is_named(plain: Path, cache: Path) -> None:
    cache.write_text("a file")
    assert "$HF_HOME" in refusal(plain)


def test_the_command_line(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", MODEL, "--from", str(plain), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == MODEL and all(Path(file).is_file() for file in told["files"])
    assert main(["fetch", MODEL, "--from", str(plain / "absent")]) == 2
    assert "does not exist" in capsys.readouterr().err
