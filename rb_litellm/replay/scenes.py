"""Further questions to one replay: the same calls on other clusters and at other prices, side by side.

A scene is written as one writes the options of the command: `add qwen-7b; without qwen-72b=1`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rb_litellm.replay.intervals import Judged, Pieces, judge
from rb_litellm.replay.whatif import AS_LOGGED, Change, Replay
from rb_litellm.sim.results import RunResult

MOST_MODELS = 6
"""Models of which one server more and one fewer is tried unasked: those with most calls."""
HOURS_A_MONTH = 30.44 * 24.0
AS_IT_IS = Change()
WORDS = ("add", "without", "price", "load")


@dataclass(frozen=True)
class Scene:
    """A change, and how it is called."""

    title: str
    change: Change


@dataclass(frozen=True)
class Played:
    """A scene's runs, with intervals, beside what was."""

    scene: Scene
    runs: Sequence[RunResult]
    judged: Sequence[Judged]


def read_scene(text: str) -> Scene:
    """A scene out of parts like `add qwen-7b`, `without q7-1`, `price qwen-7b=0.1,0.2`, `load 1.5`.

    Raises:
        ValueError: a part is none of these.
    """
    told: dict[str, list[str]] = {word: [] for word in WORDS}
    for part in text.split(";"):
        word, _, value = part.strip().partition(" ")
        if word not in told or not value.strip():
            raise ValueError(
                f"--scene {text!r}: {part.strip()!r} cannot be read; allowed are parts such as `add MODEL`, "
                "`without NAME=1`, `price NAME=IN,OUT` and `load 1.5`, with ; between them"
            )
        told[word].append(value.strip())
    if len(told["load"]) > 1:
        raise ValueError(f"--scene {text!r}: has several loads; allowed is one")
    load = read_load(told["load"][0]) if told["load"] else 1.0
    return Scene(text, Change(told["without"], told["add"], read_prices(told["price"]), load))


def read_load(text: str) -> float:
    """A factor on the rate of arrivals.

    Raises:
        ValueError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.01 <= value <= 100.0:
        raise ValueError(f"load {text!r}: allowed is a number from 0.01 to 100")
    return value


def read_prices(told: Sequence[str]) -> dict[str, tuple[float, float]]:
    """USD per million input and output tokens, out of NAME=IN,OUT.

    Raises:
        ValueError: one is not of that form.
    """
    prices = {}
    for text in told:
        # Deployments may be named by a URL with an = in its query; values hold none.
        name, _, value = text.rpartition("=")
        try:
            first, second = (float(part) for part in value.split(","))
        except ValueError:
            first = second = -1.0
        if not name or not (0.0 <= first < 1e6 and 0.0 <= second < 1e6):
            raise ValueError(
                f"price {text!r}: allowed is NAME=IN,OUT, USD per million input and output tokens"
            )
        prices[name] = (first, second)
    return prices


def more_and_fewer(replay: Replay) -> list[Scene]:
    """One server more and one fewer of each model; none fewer where no other server would be left."""
    calls: Counter[str] = Counter()
    for server in replay.servers:
        calls[server.model] += server.calls
    models = [model for model, _ in calls.most_common(MOST_MODELS)]
    scenes = [Scene(f"add {model}", Change(add=[f"{model}=1"])) for model in models]
    if len(replay.servers) > 1:
        scenes += [Scene(f"without {model}=1", Change(without=[f"{model}=1"])) for model in models]
    return scenes


def play(
    replay: Replay,
    scenes: Sequence[Scene],
    policies: Sequence[str],
    hourly: Mapping[str, float],
    seed: int = 0,
    on_run: Callable[[str], None] = lambda _: None,
) -> list[Played]:
    """Every scene under every policy; `hourly` is what a server of a model costs an hour, in USD.

    Raises:
        ValueError: a policy or a change that cannot be; says what is allowed.
    """
    played = []
    for scene in scenes:
        runs = replay.run(policies, scene.change, seed, on_run)
        judged, _ = judged_runs(replay, runs, seed, scene.change, hourly)
        played.append(Played(scene, runs, judged[1:]))
    return played


def judged_runs(
    replay: Replay,
    runs: Sequence[RunResult],
    seed: int = 0,
    change: Change = AS_IT_IS,
    hourly: Mapping[str, float] | None = None,
) -> tuple[list[Judged], Pieces]:
    """What was, and every run under the change, with intervals."""
    was = replay.as_logged()
    pieces = Pieces.of(replay.calls)
    before = _fixed_usd(replay, AS_IT_IS, hourly or {})
    after = _fixed_usd(replay, change, hourly or {})
    others = [run for run in runs if run.policy != AS_LOGGED or change != AS_IT_IS]
    return [
        *judge([was], was, pieces, seed, before, before),
        *judge(others, was, pieces, seed, after, before, change.load),
    ], pieces


def _fixed_usd(replay: Replay, change: Change, hourly: Mapping[str, float]) -> float:
    """What the servers cost a month, busy or not."""
    costs = {replay.names.model(name, "--hourly"): usd for name, usd in hourly.items()}
    return HOURS_A_MONTH * sum(costs.get(server.model, 0.0) for server in replay.servers_under(change))
