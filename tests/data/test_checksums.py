"""Check digits against the examples of those who made them."""

import pytest

from nabot.data.checksums import business_number, iban, luhn, resident_number


@pytest.mark.parametrize(
    ("check", "good"),
    [
        (luhn, "79927398713"),  # the example in Luhn's patent, as it is quoted everywhere
        (luhn, "4111111111111111"),
        (iban, "GB82WEST12345698765432"),  # ISO 13616's own
        (iban, "DE89370400440532013000"),
        (business_number, "1248100998"),  # what three firms print on their web pages
        (business_number, "2208162517"),
        (business_number, "1208147521"),
        (resident_number, "8502141234567"),
        (resident_number, "8502145234560"),
    ],
)
def test_one_last_digit_in_ten_is_right(check, good: str):
    changed = [good[:-1] + digit for digit in "0123456789"]
    assert [number for number in changed if check(number)] == [good]
