"""Names that clients make up are kept short, and stay apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.excerpt import MAX_NAME, kept_name


@given(st.text(max_size=MAX_NAME))
def test_a_short_name_is_kept_as_it_is(name: str) -> None:
    assert kept_name(name) == name


@given(st.text(min_size=MAX_NAME + 1, max_size=3 * MAX_NAME))
def test_a_long_name_is_cut_and_cut_no_further(name: str) -> None:
    kept = kept_name(name)
    assert len(kept) == MAX_NAME
    assert kept_name(kept) == kept
    assert kept_name(name) == kept


def test_long_names_stay_apart_and_show_both_ends() -> None:
    one, other = (kept_name(f"openai/{'x' * 500}{middle}{'y' * 500}/gpt-4o") for middle in "ab")
    assert one != other
    assert one.startswith("openai/xxx")
    assert one.endswith("yyy/gpt-4o")
