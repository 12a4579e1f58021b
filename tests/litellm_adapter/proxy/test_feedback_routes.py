"""The feedback endpoints: what is kept, and what each refusal says."""

from __future__ import annotations

from pathlib import Path

import pytest

from rb_litellm.config import FeedbackSettings, SettingsError
from rb_litellm.litellm_adapter.shared.feedback_file import MAX_RECENT, FeedbackBox, check_feedback
from rb_litellm.litellm_adapter.shared.second_answers import MAX_ANSWERS, SecondAnswers
from rb_litellm.logs.feedback import Feedback, read_feedback
from rb_litellm.predictors.ability_learning import AbilityLearning, Gradable

fastapi = pytest.importorskip("fastapi")
from fastapi.testclient import TestClient  # noqa: E402

from rb_litellm.litellm_adapter.proxy.endpoints.feedback_routes import feedback_router  # noqa: E402
from rb_litellm.litellm_adapter.proxy.endpoints.turns import Turns  # noqa: E402

GRADE = {"call_id": "c1", "score": 0.5}


def client(
    box: FeedbackBox, learning: AbilityLearning | None = None, answers: SecondAnswers | None = None
) -> TestClient:
    app = fastapi.FastAPI()
    learning = learning or AbilityLearning(("code", "chat"))
    answering = (answers or SecondAnswers()).answering
    app.include_router(feedback_router(box, learning, lambda: None, Turns(), answering=answering))
    return TestClient(app)


@pytest.fixture
def box(tmp_path: Path) -> FeedbackBox:
    made = FeedbackBox()
    made.settings = FeedbackSettings(path=str(tmp_path / "f.jsonl"), max_bytes=1000)
    return made


def test_a_grade_is_kept_in_the_file_and_shown(box: FeedbackBox, tmp_path: Path) -> None:
    asked = client(box)
    assert asked.post("/feedback", json=GRADE).status_code == 201
    assert read_feedback(tmp_path / "f.jsonl") == {"c1": 0.5}
    assert asked.get("/feedback").json()["recent"] == [GRADE]


def test_a_grade_of_a_second_answer_is_kept_for_the_call_that_gave_it(
    box: FeedbackBox, tmp_path: Path
) -> None:
    answers = SecondAnswers()
    answers.given("c1", "c2")
    assert client(box, answers=answers).post("/feedback", json=GRADE).json() == GRADE
    assert read_feedback(tmp_path / "f.jsonl") == {"c2": 0.5}


def test_second_answers_are_bounded() -> None:
    answers = SecondAnswers()
    for number in range(MAX_ANSWERS + 1):
        answers.given(f"c{number}", "second")
    assert answers.answering("c0") == "c0"
    assert answers.answering("c1") == answers.answering(f"c{MAX_ANSWERS}") == "second"


def test_without_the_setting_the_answer_says_what_to_set() -> None:
    response = client(FeedbackBox()).post("/feedback", json=GRADE)
    assert response.status_code == 404
    assert "routing_strategy_args.feedback" in response.text


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"call_id": "c1", "score": NaN}'])
def test_a_body_that_is_no_grade_is_refused(body: bytes, box: FeedbackBox) -> None:
    assert client(box).post("/feedback", content=body).status_code == 400


def test_a_full_file_says_what_to_do(box: FeedbackBox, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes(b"\n" * 990)
    response = client(box).post("/feedback", json=GRADE)
    assert response.status_code == 507
    assert "max_bytes" in response.text
    assert not box.recent


def test_a_file_that_cannot_be_written_is_no_error_of_the_server(box: FeedbackBox, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").mkdir()
    assert client(box).post("/feedback", json=GRADE).status_code == 503


def test_memory_holds_a_bounded_number_of_grades(box: FeedbackBox) -> None:
    large = FeedbackSettings(path=box.settings.path if box.settings else None)
    for n in range(MAX_RECENT + 3):
        box.keep(large, Feedback(f"c{n}", 1.0))
    assert len(box.recent) == MAX_RECENT


def test_a_thumb_is_a_grade(box: FeedbackBox, tmp_path: Path) -> None:
    asked = client(box)
    assert asked.post("/feedback", json={"call_id": "c1", "thumbs": "down"}).json()["score"] == 0.0
    assert read_feedback(tmp_path / "f.jsonl") == {"c1": 0.0}
    wrong = asked.post("/feedback", json={**GRADE, "thumbs": "up"})
    assert (wrong.status_code, "allowed is one of them" in wrong.text) == (400, True)


def test_grades_are_learned_from_without_a_file() -> None:
    box, learning = FeedbackBox(), AbilityLearning(("code", "chat"))
    box.settings, learning.on = FeedbackSettings(learn=True), True
    learning.remember("c1", Gradable("small", (1.0, 0.0), 0.9))
    asked = client(box, learning)
    assert asked.post("/feedback", json={**GRADE, "score": 0.0}).status_code == 201
    told = asked.get("/feedback").json()
    assert told["learned"]["code|small"]["grades"] == 1.0
    assert told["learned"]["code|small"]["shift"] < 0.0


def test_grades_that_go_nowhere_are_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"allowed are path: FILE, learn: true, or both"):
        FeedbackSettings()


def test_a_path_in_no_folder_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"args\.feedback\.path: stands in a folder that does not exist"):
        check_feedback(FeedbackSettings(path=str(tmp_path / "none" / "f.jsonl")), "args")
