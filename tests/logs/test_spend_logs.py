"""Spend logs are read alike from every kind of file and from a database, and wrong ones are named."""

import gzip
import json

import pytest

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


def test_a_row_becomes_a_call(tmp_path):
    (call,) = read_spend_logs(written(tmp_path, [ROW]))
    assert (call.call_id, call.deployment, call.group) == ("c1", "gpu-3", "auto")
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (20, 101, 0.001)
    assert call.e2e_s == pytest.approx(2.5)
    assert call.first_token_s - call.start_s == pytest.approx(0.5)


def test_the_calls_id_is_found_where_the_table_has_no_column_for_it(tmp_path):
    old = {name: value for name, value in ROW.items() if name != "litellm_call_id"}
    rows = [old, {**old, "metadata": json.dumps({"litellm_call_id": "c9"})}]
    assert {call.call_id for call in read_spend_logs(written(tmp_path, rows))} == {"r1", "c9"}


def test_calls_come_by_start_time(tmp_path):
    later = {**ROW, "request_id": "r2", "litellm_call_id": "c2", "startTime": "2026-11-01T10:00:01+00:00"}
    assert [call.call_id for call in read_spend_logs(written(tmp_path, [later, ROW]))] == ["c1", "c2"]


def test_an_answer_in_one_piece_has_no_first_token(tmp_path):
    whole = {**ROW, "completionStartTime": ROW["endTime"]}
    assert read_spend_logs(written(tmp_path, [whole]))[0].first_token_s is None


def test_answers_from_a_cache_are_left_out(tmp_path):
    assert read_spend_logs(written(tmp_path, [{**ROW, "cache_hit": "True"}, ROW])) == read_spend_logs(
        written(tmp_path, [ROW], "one.jsonl")
    )


def test_failed_calls_are_marked(tmp_path):
    assert read_spend_logs(written(tmp_path, [{**ROW, "status": "failure"}]))[0].failed


def test_the_stored_request_is_there_as_text_or_object(tmp_path):
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    rows = [{**ROW, "proxy_server_request": body}, {**ROW, "proxy_server_request": json.dumps(body)}]
    assert [call.body for call in read_spend_logs(written(tmp_path, rows))] == [body, body]


def test_every_kind_of_file_reads_the_same(tmp_path):
    polars = pytest.importorskip("polars")
    expected = read_spend_logs(written(tmp_path, [ROW, ROW]))
    packed = tmp_path / "logs.jsonl.gz"
    packed.write_bytes(gzip.compress((json.dumps(ROW) + "\n").encode() * 2))
    listed = tmp_path / "logs.json"
    listed.write_text(json.dumps([ROW, ROW], indent=1))
    frame = polars.DataFrame([ROW, ROW])
    frame.write_csv(tmp_path / "logs.csv")
    frame.write_parquet(tmp_path / "logs.parquet")
    for name in ("logs.jsonl.gz", "logs.json", "logs.csv", "logs.parquet"):
        assert read_spend_logs(str(tmp_path / name)) == expected, name


def test_no_more_rows_are_read_than_asked_for(tmp_path):
    assert len(read_spend_logs(written(tmp_path, [ROW] * 5), max_rows=3)) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"startTime": None}, ["row 1", "lacks startTime", "LiteLLM_SpendLogs"]),
        ({"startTime": "yesterday"}, ["row 1", "startTime is 'yesterday'", "ISO 8601"]),
        ({"endTime": "2026-11-01T09:00:00Z"}, ["row 1", "before startTime"]),
        ({"prompt_tokens": -4}, ["row 1", "prompt_tokens is -4", "at least 0"]),
        ({"spend": "NaN"}, ["row 1", "spend is 'NaN'"]),
    ],
)
def test_a_row_that_is_no_call_is_named(tmp_path, change, said):
    with pytest.raises(SpendLogsError) as error:
        read_spend_logs(written(tmp_path, [{**ROW, **change}]))
    assert all(text in str(error.value) for text in said), error.value


@pytest.mark.parametrize("name", ["logs.xml", "missing.jsonl"])
def test_a_source_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(SpendLogsError, match=name):
        read_spend_logs(str(tmp_path / name))


class TestDatabase:
    def test_rows_of_litellms_table_are_read(self, postgres, tmp_path):
        import psycopg

        row = {name: value for name, value in ROW.items() if name != "litellm_call_id"}
        row = {**row, "proxy_server_request": json.dumps({"messages": []}), "request_id": "c1"}
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join(["%s"] * len(row))
        with psycopg.connect(postgres) as connection:
            connection.execute(
                f'INSERT INTO "LiteLLM_SpendLogs" ({names}) VALUES ({marks})', tuple(row.values())
            )
        (call,) = read_spend_logs(f"{postgres}?connection_limit=5")
        (expected,) = read_spend_logs(written(tmp_path, [ROW]))
        assert (call.start_s, call.end_s, call.first_token_s) == (
            expected.start_s,
            expected.end_s,
            expected.first_token_s,
        )
        assert call.body == {"messages": []}

    def test_a_database_without_the_table_is_named(self, postgres):
        with pytest.raises(SpendLogsError, match="template1: table LiteLLM_SpendLogs lacks"):
            read_spend_logs(postgres.replace("/postgres", "/template1"))

    def test_no_password_is_shown(self):
        with pytest.raises(SpendLogsError) as error:
            read_spend_logs("postgresql://me:hidden-word@127.0.0.1:1/none")
        assert "hidden-word" not in str(error.value)
        assert "127.0.0.1:1/none" in str(error.value)
