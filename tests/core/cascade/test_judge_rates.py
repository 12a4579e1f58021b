"""What is learned of a judge: from the share that it accepts, and from grades of what it accepted."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.cascade.judge_rates import LEAST, MAX_ACCEPTED, MAX_JUDGES, MOST, JudgeBook, JudgeRates


def taught(stated, true, verdicts, graded=0.0, quality=0.6):
    """Rates after so many verdicts of a judge with these true rates; a share of the accepted is graded."""
    random, rates = Random(0), JudgeRates(*stated)
    for _ in range(verdicts):
        right = random.random() < quality
        accepted = random.random() < true[0 if right else 1]
        rates.judged(quality, accepted)
        if accepted and random.random() < graded:
            rates.graded(float(right))
    return rates.rates()


def test_a_judge_that_was_never_asked_is_what_its_operator_says():
    assert JudgeRates(0.9, 0.4).rates() == (0.9, 0.4)


def test_grades_tell_a_judge_from_one_that_accepts_everything():
    right, wrong = taught((0.9, 0.3), (1.0, 1.0), 3000, graded=0.5)
    assert right == pytest.approx(MOST, abs=0.05)
    assert wrong > 0.85


def test_a_judge_that_is_better_than_stated_becomes_so():
    right, wrong = taught((0.7, 0.6), (0.95, 0.1), 3000, graded=0.5)
    assert right > 0.85
    assert wrong < 0.25


def test_a_judge_as_stated_stays_so_without_any_grade():
    assert taught((0.9, 0.4), (0.9, 0.4), 3000) == pytest.approx((0.9, 0.4), abs=0.04)


@given(
    st.floats(0.01, 1.0),
    st.floats(0.0, 1.0),
    st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans(), st.none() | st.floats(0.0, 1.0)), max_size=50),
)
def test_rates_stay_within_their_bounds_whatever_is_told(right, wrong, told):
    rates = JudgeRates(right, wrong)
    for quality, accepted, grade in told:
        rates.judged(quality, accepted)
        if grade is not None:
            rates.graded(grade)
    assert not told or all(LEAST <= rate <= MOST for rate in rates.rates())


def test_a_grade_counts_once_and_for_the_judge_that_accepted():
    book = JudgeBook()
    one, other = book.of("one", 0.9, 0.4), book.of("other", 0.9, 0.4)
    book.judged(one, "call", 0.5, True)
    book.judged(other, "poor", 0.5, False)
    before = other.rates()
    for _ in range(2):
        book.graded("call", 0.0)
        book.graded("poor", 0.0)
        book.graded("unknown", 0.0)
    graded_once = JudgeBook()
    again = graded_once.of("one", 0.9, 0.4)
    graded_once.judged(again, "call", 0.5, True)
    assert graded_once.graded("call", 0.0)
    assert one.rates() == again.rates()
    assert other.rates() == before
    assert book.of("one", 0.9, 0.4) is one


def test_the_book_is_bounded():
    book = JudgeBook()
    rates = book.of("judge", 0.9, 0.4)
    for number in range(MAX_ACCEPTED + 10):
        book.judged(rates, str(number), 0.5, True)
    for number in range(MAX_JUDGES + 10):
        book.of(f"judge {number}", 0.9, 0.4)
    assert (len(book._accepted), len(book._judges)) == (MAX_ACCEPTED, MAX_JUDGES)
