"""The predictors of a process: each folder read once, looked at every few seconds, replaced while it runs.

Everything slow happens in a thread of its own: a pick uses whatever predictor its selector has at that
moment. A folder that changes is loaded and checked in full, for every selector that uses it; then all of
them have it at once, or none, and the log says why.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rb_litellm.config import PredictorSetting, PredictorSettings, SettingsError
from rb_litellm.litellm_adapter.shared.upkeep.timers import PeriodicTask
from rb_litellm.predictors.ability_learning import AbilityLearning
from rb_litellm.predictors.compiled.loading import Loading
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.default.predictor import DefaultPredictor
from rb_litellm.predictors.names import AmbiguousName, listed, provider_name, same_model, trained_name
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.predictors.trained.model import Predictor, PredictorError
from rb_litellm.predictors.trained.reload import Watch

LOOK_EVERY_S = 2.0
LOOPS_S = 60.0
"""A worker that is starting waits for compiled loops no longer; they go on loading beside its requests."""
_WHERE = "routing_strategy_args"
_log = logging.getLogger("rb_litellm")


class Predictors:
    """One per process. `failed` is told of predictions that raised; `learning` corrects the default ones."""

    def __init__(self, failed: Callable[[Exception], None], learning: AbilityLearning | None = None) -> None:
        self._failed = failed
        self._learning = learning
        self._loading = Loading(failed)
        self._lock = threading.Lock()
        self._default: DefaultPredictor | None = None
        """Once a selector uses it alone."""
        self._folders: dict[str, _Folder] = {}
        """As many as the configuration has named."""
        self._timer = PeriodicTask(LOOK_EVERY_S, self._look)
        self._looking: threading.Thread | None = None

    def source(
        self, settings: PredictorSetting, entries: Sequence[Mapping[str, Any]] = ()
    ) -> PredictionSource:
        """What a selector predicts by: the predictor of the configured folder with the default one for models
        that it does not know, the default one alone, or priors alone. `entries` are LiteLLM's of
        `model_list`, as far as they are known.

        Raises:
            PredictorError: the folder is missing, corrupt or of another version.
            SettingsError: a model is mapped to one that the predictor does not know, or a name may mean
                several models.
        """
        if settings == "none":
            return PredictionSource(on_error=self._failed, learning=self._learning)
        self._loading.ensure_started()
        default = packaged()
        if settings == "default":
            self._default = default
            return PredictionSource(on_error=self._failed, default=default, learning=self._learning)
        with self._lock:
            folder = self._folders.get(settings.path) or _Folder(settings.path, self._lock)
            # Which model groups there will be is not known yet: more may come from a database.
            check_names(settings, folder.predictor, None, _WHERE)
            mapping = mapping_for(settings, folder.predictor, entries, _WHERE)
            self._folders[settings.path] = folder
            source = PredictionSource(folder.predictor, mapping, self._failed, default, self._learning)
            folder.users[source] = settings
        return source

    def load_loops(self) -> None:
        """Load compiled loops, where numba is installed. Blocks meanwhile, up to LOOPS_S."""
        self._loading.ensure_started()
        self._loading.wait(LOOPS_S)

    def versions(self) -> list[str]:
        """Versions of the predictors in use."""
        alone = [self._default.version] if self._default else []
        return [folder.predictor.version for folder in list(self._folders.values())] + alone

    def ensure_started(self) -> None:
        """Look at the folders from now on. Cheap."""
        self._timer.ensure_started()

    def look(self) -> None:
        """Look at all folders once and load what has changed. Blocks meanwhile."""
        for folder in list(self._folders.values()):
            folder.watch.look()

    def _look(self) -> None:
        # A disk that is slow to answer keeps its thread, and no more than one.
        if self._folders and (self._looking is None or not self._looking.is_alive()):
            self._looking = threading.Thread(
                target=self._guarded, name="routebalance-predictors", daemon=True
            )
            self._looking.start()

    def _guarded(self) -> None:
        try:
            self.look()
        except Exception:  # noqa: BLE001  the predictors in use stay in use
            _log.exception("RouteBalance: predictors could not be looked at; those in use stay")


class _Folder:
    def __init__(self, path: str, lock: threading.Lock) -> None:
        self._path = path
        self._lock = lock
        # What changes while it is loaded for the first time is seen by the first look.
        self.watch = Watch(path, self._replace, self._refuse)
        self.predictor = Predictor.load(path)
        self.users: weakref.WeakKeyDictionary[PredictionSource, PredictorSettings] = (
            weakref.WeakKeyDictionary()
        )

    def _replace(self, predictor: Predictor) -> None:
        with self._lock:
            users = list(self.users.items())
            try:
                for _, settings in users:
                    check_names(settings, predictor, None, _WHERE)
            except SettingsError as error:
                raise PredictorError(str(error)) from None
            self.predictor = predictor
            for source, _ in users:
                source.replace(predictor)
        _log.warning("RouteBalance: predictor %s of %s is in use now", predictor.version, self._path)

    def _refuse(self, error: PredictorError) -> None:
        _log.error(
            "RouteBalance: the changed predictor of %s is not used, %s stays: %s",
            self._path,
            self.predictor.version,
            error,
        )


def check_names(
    settings: PredictorSettings, predictor: Predictor, names: Collection[str] | None, where: str
) -> None:
    """Check that the mapping leads from models of the proxy to models of the predictor.

    `names` are the proxy's model groups and models; None where more may come from a database.

    Raises:
        SettingsError: naming the entry that leads from or to nowhere.
    """
    for name, trained in settings.models.items():
        if names is not None and name not in names:
            raise SettingsError(
                f"{where}.predictor.models.{name}: unknown model group or model; allowed are {joined(names)}"
            )
        try:
            found = same_model(trained, predictor.models)
        except AmbiguousName as error:
            raise SettingsError(f"{where}.predictor.models.{name}: {error}") from None
        if found is None:
            raise SettingsError(
                f"{where}.predictor.models.{name}: the predictor knows no model of this name "
                f"(value {trained!r}); allowed are {joined(predictor.models)}"
            )


def mapping_for(
    settings: PredictorSettings, predictor: Predictor, entries: Sequence[Mapping[str, Any]], where: str
) -> dict[str, str]:
    """The settings' names for the predictor's models, those of deployments as their model's.

    A key is a model group, LiteLLM's name, the provider's name or a deployment of the proxy's entries; one
    that is none of them yet stays as it is, for models may come later.

    Raises:
        SettingsError: a key may mean several models, or the predictor knows a model by several names.
    """
    meanings: dict[str, set[str]] = defaultdict(set)
    groups: set[tuple[str, str]] = set()
    for entry in entries:
        group, model = str(entry["model_name"]), str(entry["litellm_params"]["model"])
        groups.add((group, model))
        for name in (group, model, provider_name(model), str(entry["model_info"]["id"])):
            meanings[name].add(model)
    mapping = dict(settings.models)
    for name, trained in settings.models.items():
        models = meanings.get(name, set())
        if len(models) > 1:
            raise SettingsError(
                f"{where}.predictor.models.{name}: may be any of {listed(models)}; allowed is a name of one"
            )
        for model in models:
            if mapping.setdefault(model, trained) != trained:
                raise SettingsError(
                    f"{where}.predictor.models.{name}: {model} is said to be {trained!r} and "
                    f"{mapping[model]!r}; allowed is one"
                )
    for group, model in sorted(groups):
        try:
            trained_name((group, model, provider_name(model)), predictor.models, mapping)
        except AmbiguousName as error:  # noqa: PERF203  its model is named
            raise SettingsError(
                f"{where}.predictor.models: {error}; an entry {model}: NAME says which"
            ) from None
    return mapping


def joined(names: Collection[str]) -> str:
    """Some of the names, for a message."""
    return ", ".join(sorted(names)[:20])
