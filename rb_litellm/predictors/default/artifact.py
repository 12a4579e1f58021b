"""The default predictor's files: plain arrays, nothing that is executed.

manifest.json   format and SHA-256 of the other files
tables.npz      what each n-gram says, the trees as flat arrays (see `forest`), the population of models,
                figures by task and kind, shifts of single models by task
card.json       what it was trained on and how well it does; not read here
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray
from rb_litellm.predictors.default.abilities import Population
from rb_litellm.predictors.default.measured import Measured
from rb_litellm.predictors.default.predictor import DefaultPredictor, Scales
from rb_litellm.predictors.default.prompt_reading import PromptReader
from rb_litellm.predictors.reading.encoder import Encoder
from rb_litellm.predictors.trained.folder_files import FolderError, check_arrays, read_files, read_manifest
from rb_litellm.predictors.trained.forest import Forest

FORMAT = "default-4"
PACKAGED = Path(__file__).parent / "artifact"
"""The folder that the package ships."""
_ENCODER = ("idf", "centre", "spread", "table", "structure_table")
_READER = ("log_prior", "kind_of_task", "task_figures", "offset", "scale", "own")
_OF_LENGTH = ("usual_words", "level_by_words", "steepness_by_words")
_TREES = ("base", "runs", "leaves", "feature", "threshold", "question")
_SCALES = ("unit", "reference", "length_residuals")


class ArtifactError(ValueError):
    """A folder that holds no usable default predictor."""


@lru_cache(maxsize=1)
def packaged() -> DefaultPredictor:
    """The predictor that the package ships, read once per process."""
    return load(PACKAGED)


def load(folder: Path) -> DefaultPredictor:
    """Read a folder written by `routebalance train --default`.

    Raises:
        ArtifactError: missing, altered, or of another format.
    """
    try:
        manifest = read_manifest(folder)
        if manifest["format"] != FORMAT:
            raise ArtifactError(f"{folder}: has format {manifest['format']!r}, this version reads {FORMAT!r}")
        files = read_files(folder, manifest["files"], ("tables.npz",))
        check_arrays(files["tables.npz"])
        with np.load(io.BytesIO(files["tables.npz"]), allow_pickle=False) as told:
            tables = {name: told[name] for name in told.files}
        return made_of(tables, version(files))
    except ArtifactError:
        raise
    except (FolderError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{folder}: holds no default predictor ({error})") from None


def made_of(tables: Mapping[str, Any], version: str) -> DefaultPredictor:
    """The predictor of these tables.

    Raises:
        ValueError, LookupError: they do not belong together.
    """
    forest = Forest.of_arrays({name: tables[f"tree_{name}"] for name in _TREES})
    encoder = Encoder(**{name: _table(tables[name]) for name in _ENCODER})
    plain: dict[str, FloatArray] = {
        name: np.asarray(tables[name], np.float64) for name in (*_READER, *_OF_LENGTH, *_SCALES, "familiar")
    }
    reader = PromptReader(
        encoder,
        forest.predict,
        **{name: plain[name] for name in (*_READER, *_OF_LENGTH)},
        familiar=float(plain["familiar"]),
    )
    population = Population(
        *(np.asarray(tables[f"population_{part}"], np.float64) for part in ("mean", "covariance"))
    )
    measured = Measured(
        tuple(map(str, tables["measured_models"])),
        np.asarray(tables["measured_shifts"], np.float64),
        np.asarray(tables["share_of_kind"], np.float64),
    )
    return DefaultPredictor(reader, population, Scales(*(plain[name] for name in _SCALES)), measured, version)


def to_files(tables: Mapping[str, Any]) -> dict[str, bytes]:
    """Tables as files."""
    file = io.BytesIO()
    # Of one time for all members, so that the same tables make the same bytes.
    np.savez_compressed(file, **{name: tables[name] for name in sorted(tables)})
    return {"tables.npz": file.getvalue()}


def manifest(files: Mapping[str, bytes]) -> bytes:
    """The manifest of the given files."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return json.dumps({"format": FORMAT, "files": digests}, indent=1).encode()


def version(files: Mapping[str, bytes]) -> str:
    """Short name of what was trained; the same tables are the same version."""
    return "default-" + hashlib.sha256(files["tables.npz"]).hexdigest()[:8]


def _table(values: Any) -> Any:
    return np.asarray(values, dtype=np.float32)
