"""Check digits of numbers that belong to people and firms. In: digits (and letters), out: whether they agree."""

from collections.abc import Sequence


def luhn(number: str) -> bool:
    """Cards. Source: ISO/IEC 7812-1, annex B."""
    doubled = (int(digit) * (1 + i % 2) for i, digit in enumerate(reversed(number)))
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def iban(code: str) -> bool:
    """International accounts: mod 97 over letters as numbers from 10. Source: ISO 13616-1."""
    number = "".join(str(int(c, 36)) for c in code[4:] + code[:4])
    return int(number) % 97 == 1


def resident_number(number: str) -> bool:
    """Korean residents' thirteen digits, those of foreigners two further on; numbers given since October 2020 have none."""
    of_foreigner = number[6] in "5678"
    check = 11 - _weighted(number, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11 + 2 * of_foreigner
    return check % 10 == int(number[12])


def business_number(number: str) -> bool:
    """Korean firms' ten digits. The ninth counts five times, and the tens of that once more."""
    total = _weighted(number, (1, 3, 7, 1, 3, 7, 1, 3, 5)) + int(number[8]) * 5 // 10
    return -total % 10 == int(number[9])


def _weighted(number: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False))
