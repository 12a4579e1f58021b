"""A log replayed: the fit, its check, and what other policies would have made of the same arrivals."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rb_litellm.fitting.fit import FittedServer, fit
from rb_litellm.fitting.servers import apart
from rb_litellm.logs.spend_logs import LoggedCall
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.names import listed
from rb_litellm.predictors.priors import ModelInfo, prior_quality
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.predictors.trained.model import Predictor
from rb_litellm.replay.candidates import Candidate, Traffic, mean_rate
from rb_litellm.replay.check import FitCheck, check_fit
from rb_litellm.replay.cluster import logged_cluster, one_more
from rb_litellm.replay.intervals import DAY_S, gaps_s
from rb_litellm.replay.logged import Logged
from rb_litellm.replay.names import LogNames, predictor_names
from rb_litellm.replay.traffic import to_requests
from rb_litellm.sim.engine import Served, Simulation
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.servers.calibrated import Calibrated
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Request

AS_LOGGED = Logged.name


@dataclass(frozen=True)
class Change:
    """What is different from the log. Models and deployments go by any of their names."""

    without: Sequence[str] = ()
    """Deployments that are left out, or models, of which all are; `NAME=2` leaves out two of a model's."""
    add: Sequence[str] = ()
    """Models of which one more server is added, `NAME=2` for two."""
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """USD per million input and output tokens, by model or deployment."""
    load: float = 1.0
    """Factor on the rate of arrivals."""
    measured: Mapping[str, Calibrated] = field(default_factory=dict)
    """By model or deployment: servers that were measured, in place of what the log shows of them."""


class Replay:
    """One log, fitted once, to be run under any number of policies."""

    def __init__(
        self,
        calls: Sequence[LoggedCall],
        quality: Mapping[str, float] | None = None,
        predictor: Path | None = None,
        models: Mapping[str, str] | None = None,
        poor_fits: bool = False,
        by_default: bool = False,
    ) -> None:
        """`quality` is the mean by model where known; `models` maps models to names of the predictor's.
        With `by_default` the default predictor tells the quality of each prompt where no other does.
        Servers whose fit cannot be trusted are left out, with their calls, unless `poor_fits`.

        Raises:
            ValueError: the log holds no call to replay, or something is named that it does not hold.
            PredictorError: the predictor cannot be used.
        """
        answered = [call for call in calls if not call.failed and call.output_tokens > 0]
        self.failed = len(calls) - len(answered)
        if not answered:
            raise ValueError(f"none of {len(calls)} calls in the log was answered with tokens")
        told = apart(answered)
        self.names = LogNames(answered, told)
        fitted = fit(told)
        self.distrusted = [] if poor_fits else [server for server in fitted.servers if server.distrust]
        self.servers: list[FittedServer] = [s for s in fitted.servers if s not in self.distrusted]
        trusted = {server.deployment for server in self.servers}
        if not trusted:
            reasons = "; ".join(f"{server.deployment}: {server.distrust}" for server in self.distrusted[:5])
            raise ValueError(
                f"no deployment's fit can be trusted ({reasons}); --poor-fits simulates them all the same"
            )
        self.quick = len(fitted.quick)
        quick = frozenset[int]() if poor_fits else fitted.quick
        kept = [n for n, call in enumerate(told) if call.deployment in trusted and n not in quick]
        self.calls = [told[n] for n in kept]
        self._slow = {place for place, n in enumerate(kept) if n in fitted.slow}
        known = {server.model for server in self.servers}
        given = {self.names.model(name, "--quality"): q for name, q in (quality or {}).items()}
        self.quality = {
            model: given.get(model, prior_quality(ModelInfo(key=model, model=model))) for model in known
        }
        trained = Predictor.load(predictor) if predictor else None
        if models and trained is None:
            raise ValueError("--name says what a predictor calls a model; it needs --predictor DIR")
        self.predicted = (
            predictor_names(self.names, sorted(known), trained.models, models or {}) if trained else {}
        )
        """The predictor's name for each model that it knows."""
        self.unpredicted = sorted(known - set(self.predicted)) if trained else []
        """Models that the predictor was not trained on: their quality is the mean."""
        if trained is not None and not self.predicted:
            raise ValueError(
                f"the predictor knows none of the log's models: it has {listed(trained.models)}, the log has "
                f"{listed(name for name in self.names.models)}; --name MODEL=NAME says which is which"
            )
        self._predictions = PredictionSource(
            trained, self.predicted, on_error=_raise, default=packaged() if by_default else None
        )
        self._known: dict[str, tuple[list[Request], list[Served], float]] = {}

    def check(self) -> list[FitCheck]:
        """Logged against simulated, under the policy that was in force."""
        return check_fit(self.calls, self._as_logged()[1], self.servers, self._slow)

    def as_logged(self) -> RunResult:
        """What was: the log's own choices, on the servers that it shows."""
        requests, served, wall_s = self._as_logged()
        cluster = logged_cluster(self.servers, self.quality)
        end_s = max(s.request.arrival_s + s.e2e_s for s in served)
        return RunResult.of(AS_LOGGED, mean_rate(requests), 0, cluster, served, end_s, wall_s)

    def _as_logged(self) -> tuple[list[Request], list[Served], float]:
        if not self._known:
            cluster, requests = self._scene(Change())
            started = time.perf_counter()
            served = Simulation(cluster, Logged(self.calls, cluster), requests).run()
            self._known[AS_LOGGED] = requests, served, time.perf_counter() - started
        return self._known[AS_LOGGED]

    def run(
        self,
        policies: Sequence[str],
        change: Change = Change(),
        seed: int = 0,
        on_run: Callable[[str], None] = lambda _: None,
    ) -> list[RunResult]:
        """Every policy on the same arrivals. `as-logged` repeats the log's own choices.

        Raises:
            ValueError: a policy or a change that cannot be; says what is allowed.
        """
        traffic = self.traffic(change)
        results = []
        for name in policies:
            candidate = Candidate(name, seed=seed)
            if name == AS_LOGGED:
                policy = self._logged(traffic.cluster, change)
                results.append(traffic.run_policy(policy, candidate, traffic.requests))
            else:
                results.append(traffic.run(candidate))
            on_run(name)
        return results

    def traffic(self, change: Change = Change()) -> Traffic:
        """The requests before the cluster that there is under a change.

        Raises:
            ValueError: a change that cannot be; says what is allowed.
        """
        return Traffic(*self._scene(change), self._predictions)

    def told(self) -> dict[str, Any]:
        """What the replay rests on, for `--json`."""
        return {
            "replayed_calls": len(self.calls),
            "failed_calls": self.failed,
            "quick_calls": self.quick,
            "gap_days": round(gaps_s([call.start_s for call in self.calls]) / DAY_S, 1),
            "not_simulated": [
                {"deployment": s.deployment, "model": s.model, "calls": s.calls, "why": s.distrust}
                for s in self.distrusted
            ],
            "expected_quality": {name: round(q, 4) for name, q in sorted(self.quality.items())},
            "predictor": {"names": dict(sorted(self.predicted.items())), "not_known": self.unpredicted},
        }

    def servers_under(self, change: Change) -> list[FittedServer]:
        """The servers that there are under a change.

        Raises:
            ValueError: a change that cannot be; says what is allowed.
        """
        left_out = self._left_out(change)
        return [*(s for s in self.servers if s.deployment not in left_out), *self._added(change)]

    def _scene(self, change: Change) -> tuple[Cluster, list[Request]]:
        cluster = logged_cluster(
            self.servers,
            self.quality,
            self._left_out(change),
            self._prices(change),
            self._added(change),
            measured=self._measured(change),
        )
        return cluster, to_requests(
            self.calls, self.servers, cluster, self._predictions, change.load, self._slow
        )

    def _left_out(self, change: Change) -> set[str]:
        left_out: set[str] = set()
        there = {server.deployment for server in self.servers}
        for given in change.without:
            name, count = self._counted(given)
            servers = sorted(set(self.names.servers_of(name, "--without")) & there)
            if count is not None and count > len(servers):
                raise ValueError(f"--without {given}: the log has {len(servers)} of these: {listed(servers)}")
            left_out.update(servers if count is None else servers[len(servers) - count :])
        return left_out

    def _added(self, change: Change) -> list[FittedServer]:
        counts: Counter[str] = Counter()
        for given in change.add:
            name, count = self._counted(given)
            counts[self.names.model(name, "--add")] += 1 if count is None else count
        if lost := sorted(set(counts) - {server.model for server in self.servers}):
            raise ValueError(f"--add {lost[0]}: no server of this model has a fit that can be trusted")
        return [
            one_more(self.servers, model, number)
            for model, count in counts.items()
            for number in range(1, count + 1)
        ]

    def _counted(self, given: str) -> tuple[str, int | None]:
        name, mark, count = given.rpartition("=")
        if given in self.names.models or not mark or not count.isdecimal():
            return given, None
        return name, int(count)

    def _prices(self, change: Change) -> dict[str, tuple[float, float]]:
        told = {}
        for name, price in change.prices.items():
            for server in self.names.servers_of(name, "--price"):
                told[server] = price
        return told

    def _measured(self, change: Change) -> dict[str, Calibrated]:
        told = dict[str, Calibrated]()
        for name, measured in change.measured.items():
            servers = self.names.servers_of(name, "--measured")
            told |= dict.fromkeys(servers, measured)
            if set(servers) != {name}:
                told[self.names.model(name, "--measured")] = measured  # Those that are added, too.
        return told

    def _logged(self, cluster: Cluster, change: Change) -> Logged:
        if change.without:
            raise ValueError(
                f"policy {AS_LOGGED!r} needs every deployment of the log; --without leaves some out"
            )
        return Logged(self.calls, cluster)


def _raise(error: Exception) -> None:
    raise error
