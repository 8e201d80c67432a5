"""Days and times as programs write them. In: text, out: dates and times without a zone."""

import re
from datetime import UTC, date, datetime, time

# "오후 8:36", "8:36 PM", "8:36:01 p. m.", "20.36"
CLOCK = r"(?:(?:오전|오후|[AP]M)\s*)?\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:\s*[AaPp]\.?\s?[Mm]\.?)?"
# "2021년 12월 29일", "2021. 12. 29.", "2021-12-29", "December 29, 2021", "29 Dec 2021"
DAY = (
    r"(?:\d{4}(?:년|[./-])\s?\d{1,2}(?:월|[./-])\s?\d{1,2}[일.]?|"
    r"[A-Z][a-z]{2,8}\.? \d{1,2}, \d{4}|\d{1,2} [A-Z][a-z]{2,8}\.? \d{4})"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_OLD_DISCORD = ("%d-%b-%y %I:%M %p", "%m/%d/%Y %I:%M %p")


def clock(text: str) -> time | None:
    """The time that a text matching `CLOCK` names; None if there is no such time."""
    hour, minute, second = [*map(int, re.findall(r"\d+", text)), 0][:3]
    is_afternoon = bool(re.search(r"오후|p\.?\s?m", text, re.IGNORECASE))
    if is_afternoon or re.search(r"오전|a\.?\s?m", text, re.IGNORECASE):
        hour = hour % 12 + 12 * is_afternoon
    try:
        return time(hour, minute, second)
    except ValueError:
        return None


def day(text: str) -> date | None:
    """The day that a text matching `DAY` names; None if there is no such day."""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if month := re.search(r"[A-Za-z]{3}", text):
        if month.group().lower() not in _MONTHS:
            return None
        day_of_month, year = numbers
        numbers = [year, _MONTHS.index(month.group().lower()) + 1, day_of_month]
    try:
        return date(*numbers)
    except ValueError:
        return None


def at(when: date | None, text: str) -> datetime | None:
    """That day at the time that a text matching `CLOCK` names."""
    moment = clock(text)
    return datetime.combine(when, moment) if when and moment else None


def stamp(value: object) -> datetime | None:
    """A point in time as machines write it, in UTC: ISO 8601, seconds since 1970 as number or text, Discord's old forms."""
    try:
        if isinstance(value, int | float) or (isinstance(value, str) and re.fullmatch(r"\d+(?:\.\d+)?", value)):
            return datetime.fromtimestamp(float(value), UTC).replace(tzinfo=None)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return _old_discord(str(value))
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _old_discord(text: str) -> datetime | None:
    for form in _OLD_DISCORD:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
