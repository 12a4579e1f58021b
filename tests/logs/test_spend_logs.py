"""Spend logs are read alike from every kind of file and from a database, and wrong ones are named."""

import gzip
import json
import math

import pytest

from rb_litellm.logs import classify, spend_logs
from rb_litellm.logs.kinds import MARK
from rb_litellm.logs.spend_logs import SpendLogsError, read_spend_logs

ROW = {
    "request_id": "r1",
    "litellm_call_id": "c1",
    "startTime": "2026-11-01T10:00:00Z",
    "completionStartTime": "2026-11-01T10:00:00.500Z",
    "endTime": "2026-11-01T10:00:02.500Z",
    "model": "hosted_vllm/qwen2.5-7b",
    "model_group": "auto",
    "model_id": "gpu-3",
    "prompt_tokens": 20,
    "completion_tokens": 101,
    "spend": 0.001,
    "status": "success",
}


def written(tmp_path, rows, name="logs.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def calls(source, *args, **kwargs):
    return read_spend_logs(str(source), *args, **kwargs).calls


def test_a_row_becomes_a_call(tmp_path):
    (call,) = calls(written(tmp_path, [ROW]))
    assert (call.call_id, call.deployment, call.group) == ("c1", "gpu-3", "auto")
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (20, 101, 0.001)
    assert call.e2e_s == pytest.approx(2.5)
    assert call.first_token_s - call.start_s == pytest.approx(0.5)


def test_the_calls_id_is_found_where_the_table_has_no_column_for_it(tmp_path):
    old = {name: value for name, value in ROW.items() if name != "litellm_call_id"}
    rows = [old, {**old, "request_id": "r2", "metadata": json.dumps({"litellm_call_id": "c9"})}]
    assert {call.call_id for call in calls(written(tmp_path, rows))} == {"r1", "c9"}


def test_calls_come_by_start_time(tmp_path):
    later = {**ROW, "request_id": "r2", "litellm_call_id": "c2", "startTime": "2026-11-01T10:00:01+00:00"}
    assert [call.call_id for call in calls(written(tmp_path, [later, ROW]))] == ["c1", "c2"]


def test_an_answer_in_one_piece_has_no_first_token(tmp_path):
    (call,) = calls(written(tmp_path, [{**ROW, "completionStartTime": ROW["endTime"]}]))
    assert call.first_token_s is None


def test_failed_calls_are_kept_where_they_are_asked_for(tmp_path):
    path = written(tmp_path, [{**ROW, "status": "failure"}])
    assert calls(path) == []
    assert calls(path, failed=True)[0].failed


def test_the_stored_request_is_there_as_text_or_object(tmp_path):
    body = {"messages": [{"role": "user", "content": 'He said "hi" \\ and\nleft \u00e9'}]}
    rows = [
        {**ROW, "proxy_server_request": body},
        {**ROW, "request_id": "r2", "proxy_server_request": json.dumps(body)},
        {**ROW, "request_id": "r3", "proxy_server_request": {}, "messages": body["messages"]},
    ]
    assert [call.body for call in calls(written(tmp_path, rows))] == [body] * 3


TIMES = (
    "2026-11-01T10:00:02.500Z", "2026-11-01 10:00:02.5", "2026-11-01T10:00:02.500000+00:00",
    "2026-11-01 10:00:02.5+00", "2026-11-01 12:00:02.500 +0200", "2026-11-01T10:00:02.500 UTC",
    "1793527202.5", "1793527202500", "1793527202500000000",
)  # fmt: skip


@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_read_however_it_is_written(tmp_path, text):
    (call,) = calls(written(tmp_path, [{**ROW, "endTime": text}]))
    assert call.e2e_s == pytest.approx(2.5, abs=1e-3)


def test_every_kind_of_file_reads_the_same(tmp_path):
    polars = pytest.importorskip("polars")
    rows = [{**ROW, "request_id": f"r{n}", "metadata": json.dumps({"n": n})} for n in range(3)]
    expected = calls(written(tmp_path, rows))
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "marked.jsonl").write_text(lines, encoding="utf-8-sig")
    (tmp_path / "wide.jsonl").write_text(lines, encoding="utf-16")
    (tmp_path / "windows.jsonl").write_bytes(lines.replace("\n", "\r\n").encode())
    (tmp_path / "list.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "page.json").write_text(json.dumps({"data": rows, "total": 3, "page": 1}))
    (tmp_path / "laid_out.json").write_text(json.dumps({"total": 3, "data": rows}, indent=2))
    pages = [json.dumps({"data": [row], "total_pages": 3}) + "\n" for row in rows]
    (tmp_path / "pages.jsonl").write_text("".join(pages))
    frame = polars.DataFrame(rows)
    frame.write_csv(tmp_path / "logs.csv")
    frame.write_csv(tmp_path / "semicolons.csv", separator=";", include_bom=True)
    frame.with_columns(
        polars.col("startTime", "completionStartTime", "endTime").str.to_datetime(time_zone="UTC")
    ).write_parquet(tmp_path / "logs.parquet")
    for path in sorted(tmp_path.iterdir()):
        read = read_spend_logs(str(path))
        assert read.calls == expected, path.name
        assert not read.report.left_out, path.name


def test_the_latest_calls_are_taken_wherever_they_stand(tmp_path):
    rows = [
        {**ROW, "request_id": f"r{n}", "litellm_call_id": f"c{n}", "startTime": f"2026-11-01T09:00:{n:02}Z"}
        for n in (3, 1, 4, 0, 2)
    ]
    read = read_spend_logs(written(tmp_path, rows), max_rows=2)
    assert [call.call_id for call in read.calls] == ["c3", "c4"]
    assert read.report.left_out == {(classify.OLDER, "any"): 3}


def test_calls_of_an_evaluation_take_no_place_among_the_latest(tmp_path):
    late = {"startTime": "2026-11-01T10:30:00Z", "endTime": "2026-11-01T10:30:01Z", "model_id": MARK}
    rows = [{**ROW, "request_id": f"r{n}"} for n in range(3)]
    read = read_spend_logs(
        written(tmp_path, [*rows, *({**ROW, **late, "request_id": f"e{n}"} for n in range(5))]), max_rows=2
    )
    assert len(read.calls) == 2
    assert sum(rows for (why, _), rows in read.report.left_out.items() if why == classify.EVALUATION) == 5


def test_what_several_exports_hold_counts_once(tmp_path):
    rows = [{**ROW, "request_id": f"r{n}"} for n in range(4)]
    written(tmp_path, rows[:3], "monday.jsonl")
    written(tmp_path, rows[1:], "tuesday.jsonl")
    read = read_spend_logs([str(tmp_path / "*day.jsonl")])
    assert len(read.calls) == 4
    assert read.report.left_out == {(classify.DUPLICATE, "any"): 2}


@pytest.mark.parametrize(
    ("change", "why", "said"),
    [
        ({"startTime": None}, classify.NO_TIME, ["row 2", "startTime is None", "ISO 8601"]),
        ({"startTime": "yesterday"}, classify.NO_TIME, ["row 2", "startTime is 'yesterday'", "ISO 8601"]),
        ({"endTime": "2026-11-01T09:00:00Z"}, classify.BACKWARDS, ["row 2", "not before startTime"]),
        ({"prompt_tokens": -4}, classify.NO_TOKENS, ["row 2", "prompt_tokens is '-4'", "from 0 to 10000000"]),
        ({"completion_tokens": "many"}, classify.NO_TOKENS, ["row 2", "completion_tokens is 'many'"]),
        ({"model": ""}, classify.NO_MODEL, ["row 2", "model is ''"]),
    ],
)
def test_a_row_that_is_no_call_is_told_and_strictly_it_is_an_error(tmp_path, change, why, said):
    path = written(tmp_path, [ROW, {**ROW, "request_id": "r2", **change}])
    read = read_spend_logs(path)
    assert len(read.calls) == 1
    assert [(reason, rows) for (reason, _), rows in read.report.left_out.items()] == [(why, 1)]
    with pytest.raises(SpendLogsError) as error:
        read_spend_logs(path, strict=True)
    assert all(text in str(error.value) for text in said), error.value


@pytest.mark.parametrize("spend", [-0.1, "NaN", "free", None])
def test_a_call_without_an_amount_of_money_is_used_but_for_that(tmp_path, spend):
    read = read_spend_logs(written(tmp_path, [{**ROW, "spend": spend}]))
    assert math.isnan(read.calls[0].cost_usd)
    assert read.report.without_cost == 1


def test_a_file_that_is_cut_gives_what_is_whole(tmp_path):
    rows = [{**ROW, "request_id": f"r{n}"} for n in range(3)]
    for name, text in (
        ("lines.jsonl", "".join(json.dumps(row) + "\n" for row in rows)),
        ("page.json", json.dumps({"data": rows})),
        ("list.json", json.dumps(rows)),
    ):
        (tmp_path / name).write_text(text[:-40])
        read = read_spend_logs(str(tmp_path / name))
        assert len(read.calls) == 2, name
        assert "row 3" in read.report.first[classify.UNREADABLE, "any"]


def test_kinds_are_kept_apart(tmp_path):
    types = ("acompletion", "aembedding", "aimage_generation", "acreate_file", "call_mcp_tool", "aspeech")
    rows = [{**ROW, "request_id": kind, "call_type": kind} for kind in types]
    path = written(tmp_path, rows)
    assert [call.kind for call in calls(path)] == ["stream"]
    assert [call.kind for call in calls(path, kinds=("embedding", "image"))] == ["embedding", "image"]
    assert len(calls(path, kinds=None)) == len(types)


def test_a_client_that_left_is_noted(tmp_path):
    (call,) = calls(written(tmp_path, [{**ROW, "metadata": {"client_disconnected": True}}]))
    assert call.aborted


@pytest.mark.parametrize("name", ["logs.xml", "missing.jsonl"])
def test_a_source_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(SpendLogsError, match=name):
        read_spend_logs(str(tmp_path / name))


def test_an_answer_in_one_piece_whose_end_is_noted_twice_is_no_stream(tmp_path):
    noted = {"completionStartTime": "2026-11-01T10:00:02.499Z"}
    assert [
        call.kind for call in calls(written(tmp_path, [{**ROW, **noted, "call_type": "acompletion"}]))
    ] == ["chat"]
    whole = {**ROW, "proxy_server_request": {"model": "auto", "stream": False}, "call_type": "acompletion"}
    (call,) = calls(written(tmp_path, [whole]))
    assert (call.kind, call.first_token_s) == ("chat", None)


def test_the_latest_calls_keep_what_was_asked_and_older_ones_their_figures(tmp_path, monkeypatch):
    asked = {"messages": [{"role": "user", "content": "What is a ledger?"}]}
    in_one_piece = {**ROW, "completionStartTime": None, "endTime": "2026-11-01T10:01:00Z"}
    rows = [
        {
            **in_one_piece,
            "request_id": f"r{number}",
            "startTime": f"2026-11-01T10:00:{2 * number:02}Z",
            "proxy_server_request": asked,
        }
        for number in range(20)
    ]
    source = written(tmp_path, rows)
    whole = read_spend_logs(source).calls
    monkeypatch.setattr(spend_logs, "MAX_TEXT", sum(len(call.body_text) for call in whole[-5:]))
    log = read_spend_logs(source)
    assert [bool(call.body_text) for call in log.calls] == [False] * 15 + [True] * 5
    assert [call.e2e_s for call in log.calls] == [call.e2e_s for call in whole]
    assert log.report.without_request == 15
    assert "used without what was asked, for which there was no room: 15" in log.report.lines()
