"""Damaged characters, made by the accidents themselves."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.data.characters import cleaned, damages
from nabot.data.mojibake import put_right

KOREAN = "안녕하세요, 커피를 한 잔 드릴까요? 네, 좋습니다."
syllables = st.text(st.characters(min_codepoint=ord("가"), max_codepoint=ord("힣")), min_size=2, max_size=20)


def kinds(text: str) -> list[str]:
    return [kind for kind, _ in damages(text)]


def as_cp1252(raw: bytes) -> str:
    """What Windows makes of bytes; those without a sign stay control characters, as in browsers."""
    return "".join(bytes([b]).decode("cp1252", errors="ignore") or chr(b) for b in raw)


@pytest.mark.parametrize(
    "text", [KOREAN, "café, naïve — “quoted”", "10 °C, 5 €", "Привет, мир", "日本語のテキスト", "👍 ok"]
)
@pytest.mark.parametrize("read", [as_cp1252, lambda raw: raw.decode("latin-1")], ids=["cp1252", "latin-1"])
def test_utf8_that_was_read_as_latin_is_put_right(text: str, read):
    spoilt = read(text.encode())
    assert kinds(spoilt) == ["mojibake"]
    assert cleaned(spoilt) == text


def test_text_that_was_spoilt_twice_is_put_right():
    assert cleaned(as_cp1252(as_cp1252(KOREAN.encode()).encode())) == KOREAN


@given(syllables)
def test_any_hangul_is_put_right(text: str):
    assert put_right(as_cp1252(text.encode())) == text


def test_cp949_that_was_read_as_latin_is_put_right():
    spoilt = KOREAN.encode("cp949").decode("latin-1")
    assert kinds(spoilt) == ["mojibake"]
    assert cleaned(spoilt) == KOREAN


@pytest.mark.parametrize("word", ["한글", "그렇습니다", "기업은 오늘", "것이다"])
def test_two_syllables_that_were_read_as_latin_are_enough(word: str):
    assert put_right(word.encode("cp949").decode("latin-1")) == word


def test_utf8_that_was_read_as_cp949_is_put_right_if_no_byte_was_lost():
    for word in ("가꾸", "기업", "꼬마", "나무", "물고기"):
        try:
            spoilt = word.encode().decode("cp949")
        except UnicodeDecodeError:
            continue
        assert put_right(spoilt) == word


@pytest.mark.parametrize(
    "spoilt", ["占쏙옙占쏙옙 안녕", KOREAN.encode().decode("cp949", errors="replace").replace("\ufffd", "?")]
)
def test_text_whose_bytes_were_lost_is_found_and_cannot_be_put_right(spoilt: str):
    assert kinds(spoilt) == ["mojibake"]
    assert kinds(cleaned(spoilt)) == ["mojibake"]


@pytest.mark.parametrize(
    "text",
    [
        KOREAN,
        "« café\xa0» et « voilà\xa0! », dit-il à É. ÉCOLE «À\xa0»",
        "NÃO, SÃO “IRMÔ, ¿QUÉ? ¡Ñandú! „Ü“",
        "Ÿ € 20 °C ± 5 µm ½ ×",
        "똠방각하, 펲시, 뷁? 햏",
        "제1장 ········ 5, 홍····동",
        "°±²³ ¼½¾ 10²³¹² »»»» ¿¿¿¿qué? INFORMAÇÃO ÂÊÂÊ",
        "樂天 漢字 中文，日本語",
        "ПРИВЕТ, “МИР”",
        "👨‍👩‍👧 🏳️‍🌈 ✌️",
        "می‌خواهم",
        "क्‍ष",
        "שלום \u200fabc\u200e",
        "สวัสดี\u200bครับ",
        "ㄱㄴㄷ ㅋㅋㅋ",
        "tab\there\r\nline",
    ],
)
def test_what_people_write_is_no_damage(text: str):
    assert kinds(text) == []
    assert cleaned(text) == text


@pytest.mark.parametrize("sign", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\x9d"])
def test_control_characters_are_found_and_taken_away(sign: str):
    assert kinds(f"on{sign}e") == ["control_character"]
    assert kinds(cleaned(f"on{sign}e")) == []


def test_colours_of_a_terminal_go_as_a_whole_and_page_breaks_become_line_ends():
    assert cleaned("\x1b[31mred\x1b[0m\x0cnext") == "red\nnext"


@pytest.mark.parametrize("sign", ["\u200b", "\u200d", "\u2060", "\ufeff", "\xad", "\u202e", "\u3164"])
@pytest.mark.parametrize("text", ["on{}e", "{}하나", "하나{}"])
def test_characters_that_nobody_sees_are_found_and_taken_away(sign: str, text: str):
    assert kinds(text.format(sign)) == ["zero_width"]
    assert cleaned(text.format(sign)) == text.format("")


def test_hangul_in_pieces_is_found_and_composed():
    assert kinds(unicodedata.normalize("NFD", KOREAN)) == ["decomposed"]
    assert cleaned(unicodedata.normalize("NFD", KOREAN)) == KOREAN


def test_a_lost_letter_stays():
    assert kinds("caf\ufffd") == ["replacement_character"]
    assert cleaned("caf\ufffd") == "caf\ufffd"


@given(st.text(max_size=40))
def test_cleaning_twice_changes_nothing_and_leaves_only_what_cannot_be_repaired(text: str):
    clean = cleaned(text)
    assert cleaned(clean) == clean
    assert set(kinds(clean)) <= {"replacement_character", "mojibake"}
