"""Days and times as programs of several countries write them."""

from datetime import date, datetime, time

import pytest

from nabot.data.imports.chats.times import clock, day, stamp


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("오후 8:36", time(20, 36)),
        ("오전 12:05", time(0, 5)),
        ("오후 12:05", time(12, 5)),
        ("8:36 PM", time(20, 36)),
        ("8:36\u202fPM", time(20, 36)),
        ("12:01 am", time(0, 1)),
        ("8:36:01 p. m.", time(20, 36, 1)),
        ("PM 8:36", time(20, 36)),
        ("20.36", time(20, 36)),
        ("20:36:59", time(20, 36, 59)),
        ("24:00", None),
        ("오후 25:77", None),
    ],
)
def test_times_of_day(text: str, expected: time | None):
    assert clock(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021년 12월 29일", date(2021, 12, 29)),
        ("2021. 12. 9.", date(2021, 12, 9)),
        ("2021-12-29", date(2021, 12, 29)),
        ("December 29, 2021", date(2021, 12, 29)),
        ("Sept. 3, 2021", date(2021, 9, 3)),
        ("29 Dec 2021", date(2021, 12, 29)),
        ("Smarch 1, 2021", None),
        ("2021-02-30", None),
    ],
)
def test_days(text: str, expected: date | None):
    assert day(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-15T19:31:00.5000000+09:00", datetime(2024, 1, 15, 10, 31, 0, 500000)),
        ("2021-12-29 20:36:01", datetime(2021, 12, 29, 20, 36, 1)),
        ("1709510460.000100", datetime(2024, 3, 4, 0, 1, 0, 100)),
        (1700000000.5, datetime(2023, 11, 14, 22, 13, 20, 500000)),
        ("29-Dec-20 08:36 PM", datetime(2020, 12, 29, 20, 36)),
        ("04/20/2023 12:00 AM", datetime(2023, 4, 20)),
        ("yesterday", None),
        ("", None),
        (None, None),
        (float("inf"), None),
        (1e300, None),
    ],
)
def test_stamps_of_machines(value: object, expected: datetime | None):
    assert stamp(value) == expected
