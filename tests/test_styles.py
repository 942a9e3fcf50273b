"""Style bundles: consistent cards, the search path, checksums of weights."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from audiotransfer import styles
from audiotransfer.cli.styles import offers as offers_of
from audiotransfer.errors import AudioTransferError
from audiotransfer.styles import Card, Keep, StemEntry, Style, bundle
from audiotransfer.styles.find import SHIPPED


def make_style(root: Path, name: str, folder: str | None = None, route: str = "spectral") -> Path:
    place = root / (folder or name)
    place.mkdir(parents=True)
    save_file({"weight": torch.arange(4.0)}, place / "nets.safetensors")
    card = Card(
        name=name,
        description="sounds like a test",
        route=route,
        stems={
            "drums": StemEntry(route, "nets.safetensors", "drums", {"bins": 256}),
            "vocals": None,
        },
        weights={"nets.safetensors": styles.sha256(place / "nets.safetensors")},
        corpora=[{"name": "rendered", "licence": "CC0"}],
        hours=1,
    )
    styles.write_card(place, card)
    return place


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where styles are."""
    place = tmp_path / "styles"
    place.mkdir()
    monkeypatch.setenv("AUDIOTRANSFER_STYLES", str(place))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys.modules["audiotransfer.styles.find"], "SHIPPED", tmp_path / "none")
    return place


def refusal(call: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(AudioTransferError) as caught:
        call(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_card_comes_back_as_it_was_written(root: Path) -> None:
    folder = make_style(root, "jazz")
    card = styles.read_card(folder)
    values = json.loads((folder / "card.json").read_text())
    assert values["stems"]["vocals"] == "keep"
    assert values["stems"]["drums"]["spectrogram"] == {"bins": 256}
    assert Card.from_dict(values) == card
    assert styles.read_card(styles.write_card(folder, card).parent) == card
    assert [path.name for path in folder.glob(".*")] == []


def test_an_entry_need_not_repeat_the_route_and_the_stem() -> None:
    values = {
        "name": "jazz",
        "description": "",
        "stems": {"bass": {"weights": "a.safetensors"}},
        "weights": {"a.safetensors": "0" * 64},
    }
    assert Card.from_dict(values).stems == {"bass": StemEntry("spectral", "a.safetensors", "bass")}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema 2"),
        ({"name": "Jazz!"}, "'Jazz!'"),
        ({"name": "keep"}, "'keep'"),
        ({"name": 3}, "name is 3, but must be str"),
        ({"route": "astral"}, "'astral'"),
        ({"stem": {}}, "key stem is unknown; nearest is stems"),
        ({"stems": {"drums": "mute"}}, "'mute'"),
        ({"stems": {"drums": {"weights": "b.safetensors"}}}, "b.safetensors"),
        (
            {"stems": {"drums": {"weights": "a.safetensors", "wieghts": 1}}},
            "key stems.drums.wieghts is unknown; nearest is stems.drums.weights",
        ),
        ({"stems": {"../x": "keep"}}, "'../x'"),
        ({"stems": {}, "weights": {"../a.safetensors": "0" * 64}}, "../a.safetensors"),
        ({"stems": {}, "weights": {"../../jazz/a.safetensors": "0" * 64}}, "../../jazz/a"),
        ({"stems": {}, "weights": {"../../a.safetensors": "0" * 64}}, "../../a"),
        ({"stems": {}, "weights": {"/a/b.safetensors": "0" * 64}}, "/a/b"),
        ({"stems": {}, "weights": {"nets/a.safetensors": "0" * 64}}, "nets/a"),
        ({"stems": {}, "weights": {"a.pt": "0" * 64}}, "a.pt"),
        ({"weights": {"a.safetensors": "no"}}, "sha256"),
        ({"weights": {"a.safetensors": 5}}, "weights.a.safetensors is 5, but must be str"),
        ({"effects": {"bass": []}}, "effects for 'bass'"),
        ({"band": "band.json"}, "'band.json'"),
        ({"band": "../../jazz/band.yaml"}, "'../../jazz/band.yaml'"),
        ({"auto": "network"}, "'network' for the mode auto"),
        ({"auto": "cover"}, "'cover' for the mode auto: expected cover, which needs a band"),
        ({"hours": "long"}, "hours is 'long', but must be float"),
        ({"description": None}, "description is None"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(change: dict[str, Any], said: str) -> None:
    values = {
        "name": "jazz",
        "description": "",
        "stems": {"drums": {"weights": "a.safetensors"}},
        "weights": {"a.safetensors": "0" * 64},
    }
    Card.from_dict(values)
    assert said in refusal(Card.from_dict, {**values, **change})


def test_a_card_without_a_field_is_refused() -> None:
    assert "key stems is missing" in refusal(Card.from_dict, {"name": "jazz", "description": ""})


@pytest.mark.parametrize("text", ["", "{", "[1]", "\udcff"])
def test_a_damaged_card_is_refused(root: Path, text: str) -> None:
    folder = make_style(root, "jazz")
    (folder / "card.json").write_bytes(text.encode(errors="surrogateescape"))
    assert "card.json" in refusal(styles.read_card, folder)
    assert "card.json" in refusal(styles.find_style, "jazz")
    assert styles.available() == []


def test_names_are_unique_for_each_route(root: Path) -> None:
    make_style(root, "jazz")
    make_style(root, "jazz", "jazz-midi", "symbolic")
    make_style(root, "march", route="symbolic")
    assert styles.find_style("jazz").folder.name == "jazz"
    assert styles.find_style("jazz", route="symbolic").folder.name == "jazz-midi"
    assert "is for MIDI files" in refusal(styles.find_style, "march")
    assert "is for MIDI files" in refusal(styles.find_style, root / "march")
    assert [(card.name, card.route) for card in styles.available()] == [
        ("jazz", "spectral"),
        ("jazz", "symbolic"),
        ("march", "symbolic"),
    ]


def test_the_first_of_the_search_path_wins(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "second"
    make_style(root, "jazz")
    make_style(second, "jazz")
    make_style(second, "rock")
    make_style(tmp_path / "data" / "audiotransfer" / "styles", "folk")
    monkeypatch.setenv("AUDIOTRANSFER_STYLES", f"{tmp_path / 'absent'}:{root}:{second}")
    assert styles.find_style("jazz").folder == root / "jazz"
    assert styles.find_style("rock").folder == second / "rock"
    assert {card.name for card in styles.available()} == {"jazz", "rock", "folk"}


def test_a_path_comes_before_names(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_style(root, "jazz")
    make_style(tmp_path / "work", "mine", "jazz")
    assert styles.find_style(tmp_path / "work" / "jazz").card.name == "mine"
    assert styles.find_style(str(tmp_path / "work" / "jazz")).card.name == "mine"
    monkeypatch.chdir(tmp_path / "work")
    assert styles.find_style("jazz").card.name == "mine"
    assert "no such folder" in refusal(styles.find_style, "./jaz")
    assert "card.json" in refusal(styles.find_style, tmp_path)


def test_an_unknown_style_names_its_neighbours(root: Path) -> None:
    assert "none is installed" in refusal(styles.find_style, "jazz")
    make_style(root, "jazz")
    make_style(root, "rock")
    assert refusal(styles.find_style, "jaz") == "unknown style 'jaz': did you mean jazz?"
    assert "jazz, rock" in refusal(styles.find_style, "xylophone")


def test_weights_are_read_once_for_their_checksum(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_style(root, "jazz")
    card = styles.read_card(folder)
    os.utime(folder / "nets.safetensors", (1e9, 1e9))  # a file that was just written is read again
    styles.check_weights(folder, card)
    with monkeypatch.context() as patch:
        patch.delattr("hashlib.file_digest")
        styles.check_weights(folder, card)
    (folder / "nets.safetensors").write_bytes(b"others")
    assert "damaged" in refusal(styles.check_weights, folder, card)


def test_styles_may_share_weights_in_a_folder_beside_them(root: Path) -> None:
    """Each card says what they must be, and a folder of weights alone is no style."""
    made = [make_style(root, "jazz"), make_style(root, "pop")]
    (root / "shared").mkdir()
    (made[0] / "nets.safetensors").rename(root / "shared" / "nets.safetensors")
    for folder in made:
        text = (folder / "card.json").read_text()
        (folder / "card.json").write_text(text.replace('"nets.', '"../shared/nets.'))
        card = styles.read_card(folder)
        entry = card.stems["drums"]
        assert entry is not None and entry.weights == "../shared/nets.safetensors"
        styles.check_weights(folder, card)
    assert [card.name for card in styles.available()] == ["jazz", "pop"]
    (root / "shared" / "nets.safetensors").write_bytes(b"others")
    for folder in made:
        assert "damaged or foreign" in refusal(
            styles.check_weights, folder, styles.read_card(folder)
        )


@pytest.mark.parametrize("card", sorted(SHIPPED.glob("*/card.json")), ids=lambda c: c.parent.name)
def test_no_card_that_ships_names_a_place_on_the_machine_it_was_trained_on(card: Path) -> None:
    assert not re.findall(r'": "/[^"]*"', card.read_text())


def test_weights_must_be_what_the_card_says(root: Path) -> None:
    folder = make_style(root, "jazz")
    weights = folder / "nets.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "damaged or foreign" in refusal(styles.load_style, "jazz")
    weights.unlink()
    assert "is missing" in refusal(styles.load_style, "jazz")


def test_loading_builds_each_stem_by_its_route(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_style(root, "jazz")
    asked: list[Any] = []

    def load(*args: Any) -> Keep:
        asked.append(args)
        return Keep()

    route = types.SimpleNamespace(load=load)
    monkeypatch.setattr(bundle.importlib, "import_module", lambda name: asked.append(name) or route)
    style = styles.load_style("jazz", device="cpu", vocoder="source")
    entry = {
        "route": "spectral",
        "weights": "nets.safetensors",
        "stem": "drums",
        "spectrogram": {"bins": 256},
        "options": {},
    }
    assert asked == [
        "audiotransfer.spectral.transfer",
        (folder, entry, "drums", "cpu", "source"),
    ]
    assert set(style.stems) == {"drums", "vocals"}
    assert style.name == "jazz"


def test_a_style_may_have_a_band_and_no_networks(root: Path) -> None:
    """Its list says what it has for MIDI files: a cover, a network, or both."""
    both = make_style(root, "jazz", route="symbolic")
    styles.write_card(both, dataclasses.replace(styles.read_card(both), band="band.yaml"))
    make_style(root, "pop", route="symbolic")
    (root / "bossa").mkdir()
    card = Card("bossa", "sways", {}, {}, route="symbolic", band="band.yaml")
    styles.write_card(root / "bossa", card)
    assert styles.load_style("bossa", route="symbolic").band == root / "bossa" / "band.yaml"
    assert bundle.Style("still", {}).band is None
    offers = {style.card.name: offers_of(style) for style in styles.installed()}
    assert offers == {"jazz": "cover; network", "pop": "network", "bossa": "cover"}


def test_a_route_that_is_not_there_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "audiotransfer.waveform.transfer", None)
    make_style(root, "raw", route="waveform")
    assert "no waveform transfer" in refusal(styles.load_style, "raw", route="waveform")


def test_keep_returns_the_stem_itself() -> None:
    stem = torch.randn(2, 100)
    assert Keep()(stem, 0.3) is stem


def test_stems_that_the_style_does_not_know() -> None:
    class Other(Keep):
        pass

    other, drums = Other(), Keep()
    style = Style("jazz", {"other": other, "drums": drums})
    assert style.transfer_for("drums") == (drums, "drums")
    assert style.transfer_for("guitar") == (other, "other")
    assert isinstance(style.transfer_for("vocals")[0], Keep)
    assert type(dataclasses.replace(style, stems={}).transfer_for("guitar")[0]) is Keep


def test_listing_styles_imports_nothing_heavy() -> None:
    code = (
        "import sys, audiotransfer, audiotransfer.styles as styles; styles.available();"
        "print([name for name in ('torch', 'numpy', 'librosa') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted({style.card.name for style in styles.installed()}))
def test_what_ships_is_shown_on_one_screen(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What one hears, modes and quality; a style that was trained says from what."""
    from audiotransfer.cli.main import main

    assert main(["styles", name]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) <= 35
    titles = {line.split()[0] for line in shown if line.startswith("  ") and line[2] != " "}
    assert "modes" in titles
    assert main(["styles", name, "--card"]) == 0
    whole = capsys.readouterr().out
    assert ("measured" in whole) <= (len(whole.splitlines()) > len(shown))
    assert ("trained" in titles) == any(line.startswith("trained") for line in whole.splitlines())


def test_credits_are_those_of_samples_that_ask_for_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from audiotransfer.cli.main import main

    notice = " ".join((Path(__file__).parents[1] / "NOTICE").read_text("utf-8").split())
    assert main(["styles", "jazz", "--credits"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # Tenor saxophone, trumpet and clarinet; the others of the band are CC0 or public domain.
    assert [line.split(":")[0] for line in lines] == ["Tenor saxophone", "Trumpet", "Clarinet"]
    for line in lines:
        credit = line.partition(": ")[2].partition(". CC BY ")[0]
        assert credit in notice and "creativecommons.org/licenses/by/" in line
    assert main(["styles", "jazz"]) == 0
    assert "styles jazz --credits" in capsys.readouterr().out
    assert main(["styles", "pop", "--credits"]) == 0
    told = capsys.readouterr()
    assert told.out == "" and "no samples that ask for a credit" in told.err
    assert main(["styles", "pop"]) == 0  # a network that plays no samples
    assert "--credits" not in capsys.readouterr().out
    assert main(["styles", "--credits"]) == 2
    assert "--credits is of one style" in capsys.readouterr().err


def test_quality_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    from audiotransfer.cli.main import main

    assert main(["styles", "jazz"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert re.search(r"a genre classifier moves towards it on \d+ % \(\w+ recognised\)", shown)
    assert re.search(r"\d+ % nearer to a true rendering than doing nothing \(ratio 0\.\d+\)", shown)
