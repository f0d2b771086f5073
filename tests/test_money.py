"""Dollars: exact, plain, and to the picodollar."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.money import from_picodollars, rounded, text_of_picodollars, to_picodollars, to_text

amounts = st.decimals(-(10**20), 10**20, allow_nan=False, allow_infinity=False, places=15)


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        pytest.param("0.0001640", "0.000164", id="no trailing zeros"),
        pytest.param("1E-7", "0.0000001", id="never an exponent"),
        pytest.param("1E+3", "1000", id="not for large ones either"),
        pytest.param("100", "100", id="zeros that mean something"),
        pytest.param("0.00", "0", id="nothing"),
        pytest.param("-0.5", "-0.5", id="a loss"),
    ],
)
def test_text_is_plain(usd: str, text: str) -> None:
    assert to_text(Decimal(usd)) == text


def test_unknown_money_stays_unknown() -> None:
    assert to_text(None) is None


@pytest.mark.parametrize(
    ("usd", "kept"),
    [
        pytest.param("0.0000000000005", "0", id="half to even: down"),
        pytest.param("0.0000000000015", "0.000000000002", id="half to even: up"),
        pytest.param("-0.0000000000001", "0", id="no negative nothing"),
        pytest.param("12345678901234567.000000000001", "12345678901234567.000000000001", id="big"),
    ],
)
def test_rounding_is_to_the_picodollar(usd: str, kept: str) -> None:
    assert to_text(rounded(Decimal(usd))) == kept


@given(st.integers(-(10**40), 10**40))
def test_stored_integers_come_back(picodollars: int) -> None:
    assert to_picodollars(from_picodollars(picodollars)) == picodollars


@given(st.integers(-(10**25), 10**25) | st.integers(0, 30).map(lambda zeros: 10**zeros))
def test_the_text_of_an_integer_is_that_of_its_decimal(picodollars: int) -> None:
    for each in (picodollars, -picodollars):
        assert text_of_picodollars(each) == to_text(from_picodollars(each))


@given(amounts)
def test_text_is_exact_and_has_no_exponent(usd: Decimal) -> None:
    text = to_text(rounded(usd))
    assert text is not None
    assert Decimal(text) == rounded(usd)
    assert "E" not in text


@given(st.lists(st.integers(-(10**15), 10**15)))
def test_sums_of_what_is_shown_are_sums_of_what_is_stored(picodollars: list[int]) -> None:
    shown = sum((from_picodollars(each) for each in picodollars), Decimal(0))
    assert to_picodollars(shown) == sum(picodollars)
