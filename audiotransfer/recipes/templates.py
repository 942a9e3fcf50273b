"""The recipe of styles of spectral templates, one network a stem, from rendered ensembles."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from audiotransfer.data.paired_features import FeatureCrops, FeatureSettings, feature_songs
from audiotransfer.data.rendering.ensembles import TARGETS
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.checkpoint_metric import (
    CheckpointMetric,
    CheckpointMetricSettings,
    rendered_validation,
)
from audiotransfer.recipes.base import Figures, Fit, Run, restore, start_from
from audiotransfer.recipes.export import (
    About,
    sizes,
    style_folder,
    validated_alone,
    write_spectral_card,
)
from audiotransfer.recipes.style_models import stem_model
from audiotransfer.renamed import present_folder
from audiotransfer.spectral.models.note_templates import NoteTemplateModel
from audiotransfer.spectral.models.templates import TemplateModel
from audiotransfer.spectral.objectives.templates import TEMPLATE_MODELS, TOGETHER, TemplateObjective
from audiotransfer.spectral.transfer import CHANNELS, save_generator
from audiotransfer.styles import read_card
from audiotransfer.styles.card import LEVEL, StemEntry
from audiotransfer.training import Objective
from vocoder import SpectrogramSettings

_VALIDATION_BATCHES = 3


@dataclass
class TemplateRecipe:
    """The stems of the styles that are trained, and the prepared songs that they are trained on.

    ``styles`` are those that the songs were rendered for, with their descriptions; ``shares``
    weights them in that order (all alike where empty). ``widths`` are the networks', by stem;
    ``weights`` are those of the objective's terms, ``contrast`` is that of models of notes. The
    first ``validation_songs`` songs are not trained on but validated on, by distance and, as
    ``checkpoint_metric`` says, by H, which then chooses the weights. ``start`` are, by stem,
    checkpoints of runs whose weights are the first ones, or names of styles whose are, one for each
    of ``styles``, with commas between them; ``onto`` is a folder of styles whose other stems are
    copied into the new ones. ``levels`` are those of stems (dB) in the songs of the style, relative
    to the songs, to which the style brings a song's.
    """

    stems: list[str] = field(default_factory=lambda: ["other"])
    styles: dict[str, str] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    data: str = "data"
    songs: str = "ensembles"
    widths: dict[str, int] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    learning_rate: float = 1e-3
    contrast: float = 1.3
    validation_songs: int = 12
    checkpoint_metric: CheckpointMetricSettings = field(default_factory=CheckpointMetricSettings)
    start: dict[str, str] = field(default_factory=dict)
    onto: str | None = None
    levels: dict[str, float] = field(default_factory=dict)
    corpora: list[dict[str, Any]] = field(default_factory=list)
    drawing: FeatureSettings = field(default_factory=FeatureSettings)

    def train(self, run: Run) -> dict[str, float]:
        """Trains a network for each stem, and writes every style into ``STYLE`` in the folder."""
        styles = tuple(self.styles)
        models = {
            stem: _model(stem)(styles, _width(self, stem)).initialise() for stem in self.stems
        }
        for model in models.values():
            if isinstance(model, NoteTemplateModel):
                model.contrast = self.contrast
        songs = feature_songs(Path(self.data) / self.songs, self.stems, styles, "train")
        held_out, trained = songs[: self.validation_songs], songs[self.validation_songs :]
        if not trained:
            raise AudioTransferError(
                f"{len(songs)} songs leave none to train on beside {self.validation_songs} for "
                "validation; render more, or set validation_songs lower"
            )
        for stem, start in self.start.items():
            _load_start(models[stem], stem, start)
        shares = self.shares or [1.0] * len(styles)
        objective = TemplateObjective(models, self.weights, shares, self.learning_rate)
        samples, metric = rendered_validation(
            [features.parent for features in held_out],
            [features.parent for features in trained],
            self.stems,
            lambda stem: {style: models[stem].only(style).eval() for style in styles},
            styles,
            SpectrogramSettings(),
            self.checkpoint_metric,
            run.folder,
        )
        identity = replace(
            self,
            styles=dict.fromkeys(styles, ""),
            levels={},
            corpora=[],
            checkpoint_metric=CheckpointMetricSettings(),
        )
        fit = run.fit(
            objective,
            _crops(self, trained, self.drawing),
            identity,
            validation=_validation(self, objective, held_out, metric),
            samples=samples,
            averaged=tuple(models),
        )
        if fit.exports:
            restore(fit.best_by_h, models)
            for style in styles:
                singles = {stem: model.only(style).eval() for stem, model in models.items()}
                export_style(self, run, fit, style, singles)
        return fit.figures


def _model(stem: str) -> type[TemplateModel]:
    if stem not in TEMPLATE_MODELS:
        raise AudioTransferError(
            f"{stem!r} has no templates; there are {', '.join(TEMPLATE_MODELS)}"
        )
    return TEMPLATE_MODELS[stem]


def _width(recipe: TemplateRecipe, stem: str) -> int:
    if stem not in recipe.widths:
        raise AudioTransferError(
            f"templates.widths has none for {stem!r}; say how wide, such as 48"
        )
    return recipe.widths[stem]


def _load_start(model: TemplateModel, stem: str, start: str) -> None:
    """Loads the first weights from a checkpoint's folder or from styles by their names."""
    if Path(start).name != start:
        start_from(model, Path(start), "the sizes and styles", stem)
        return
    names = [name.strip() for name in start.split(",")]
    if len(names) != len(model.styles):
        raise AudioTransferError(
            f"templates.start of {stem} names {len(names)} styles for {len(model.styles)} that are "
            "trained; name one for each"
        )
    singles = [stem_model(name, stem, TemplateModel) for name in names]
    try:
        model.load_singles(singles)
    except RuntimeError as error:
        raise AudioTransferError(
            f"the {stem} of style {start!r} has another shape; set templates.widths and styles as "
            "there"
        ) from error


def _crops(
    recipe: TemplateRecipe, songs: Sequence[Path], settings: FeatureSettings
) -> FeatureCrops:
    bands_hz = {stem: _model(stem).frequencies(SpectrogramSettings()) for stem in recipe.stems}
    return FeatureCrops(songs, tuple(recipe.styles), bands_hz, settings)


def _validation(
    recipe: TemplateRecipe,
    objective: TemplateObjective,
    songs: Sequence[Path],
    metric: CheckpointMetric | None,
) -> Figures:
    """Distances on separated stems, and H.

    The score is minus the mean ratio to doing nothing, of all stems together where there are
    several.
    """
    styles = tuple(recipe.styles)
    settings = replace(
        recipe.drawing, separated_share=1.0, tone_share=0.0, seed=recipe.drawing.seed + 98
    )
    crops = _crops(recipe, songs, settings)
    batches = [crops.batch(step) for step in range(_VALIDATION_BATCHES)]
    what = TOGETHER if len(recipe.stems) > 1 else recipe.stems[0]

    def validate(of: Objective) -> dict[str, float]:
        found = [objective.distances(batch, styles) for batch in batches]
        figures = {key: sum(one[key] for one in found) / len(found) for key in found[0]}
        ratios = [figures[f"{what}/{s}"] / figures[f"{what}/{s}/nothing"] for s in styles]
        return {**figures, "score": -sum(ratios) / len(ratios), **(metric(of) if metric else {})}

    return validate


def export_style(
    recipe: TemplateRecipe, run: Run, fit: Fit, style: str, generators: Mapping[str, TemplateModel]
) -> Path:
    """Writes a style beside its checkpoint: its stems, on top of those of ``onto``."""
    checkpoint = fit.best_by_h
    place = style_folder(checkpoint.parent, style)
    stems: dict[str, StemEntry] = {}
    networks: dict[str, Any] = {}
    below = present_folder(Path(recipe.onto)) / style if recipe.onto is not None else None
    if below is not None and below.is_dir():
        card = read_card(below)
        stems |= {s: entry for s, entry in card.stems.items() if entry and s not in generators}
        networks |= {s: network for s, network in card.networks.items() if s not in generators}
        for entry in stems.values():
            shutil.copyfile(below / entry.weights, place / entry.weights)
    steps = fit.steps + sum(int(network.get("steps", 0)) for network in networks.values())
    hours = fit.hours + sum(float(network.get("hours", 0)) for network in networks.values())
    for stem, generator in generators.items():
        name = f"{stem}.safetensors"
        save_generator(place / name, generator)
        settings = SpectrogramSettings().to_dict()
        options: dict[str, Any] = {CHANNELS: "mean"}
        if stem in recipe.levels:
            options[LEVEL] = recipe.levels[stem]
        stems[stem] = StemEntry("spectral", name, stem, settings, options)
        networks[stem] = {
            **sizes(generator),
            "steps": fit.steps,
            "hours": round(fit.hours, 2),
            "validation": validated_alone(checkpoint, style, recipe.styles),
        }
    write_spectral_card(
        About(style, recipe.styles[style], recipe.corpora),
        run,
        replace(fit, steps=steps, hours=hours),
        place,
        stems,
        networks,
        effects=TARGETS[style].effects if style in TARGETS else {},
    )
    return place
