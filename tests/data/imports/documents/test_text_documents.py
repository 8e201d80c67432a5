"""Plain text and Markdown: paragraphs, headings, marks that are no words, encodings."""

from pathlib import Path

import pytest

from nabot.data.cutting import Block
from nabot.data.faults import Fault
from nabot.data.imports.documents.lines import heading_level, unwrapped
from nabot.data.imports.documents.markdown import markdown_blocks, read_markdown
from nabot.data.imports.documents.plain import read_plain
from nabot.data.imports.types import Dropped
from nabot.errors import DataError

PROSE = "We open at nine and close at ten, and on Sundays we do not open at all, unless it is the first Sunday of May."
WRAPPED = [
    "We open at nine and close at ten, and on Sundays",
    "we do not open at all, unless it is the first",
    "Sunday of May.",
]


def plain(tmp_path: Path, text: str | bytes) -> list[Block]:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [piece for piece in read_plain(path) if isinstance(piece, Block)]


def marked(text: str) -> list[Block]:
    return list(markdown_blocks(text.split("\n")))


# ---- plain text


def test_wrapped_lines_are_one_paragraph_and_empty_lines_part_them(tmp_path: Path) -> None:
    assert plain(tmp_path, "\n".join(WRAPPED) + "\n\n\n" + PROSE) == [Block(PROSE), Block(PROSE)]


def test_short_lines_are_verses_and_long_ones_paragraphs(tmp_path: Path) -> None:
    assert plain(tmp_path, "Tea 2\nCake 4\nCats 0") == [Block("Tea 2\nCake 4\nCats 0")]
    assert plain(tmp_path, f"{PROSE} {PROSE}\n{PROSE} {PROSE}") == [Block(f"{PROSE} {PROSE}\n{PROSE} {PROSE}")]


def test_items_are_lines_of_their_own() -> None:
    lines = ["- " + WRAPPED[0], "  " + WRAPPED[1], "- " + WRAPPED[0], "① " + WRAPPED[0], "제3조 " + WRAPPED[0]]

    assert len(unwrapped(lines)) == 4


def test_chinese_lines_are_joined_without_a_space() -> None:
    assert unwrapped(["营业时间是每天上午九点到晚上十点" * 2, "星期日休息。"]) == [
        "营业时间是每天上午九点到晚上十点" * 2 + "星期日休息。"
    ]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("제1편 총칙", 1),
        ("제 2 장  영업 시간", 2),
        ("제3절 벌칙", 3),
        ("Ⅱ. 추진 배경", 2),
        ("부칙", 2),
        ("Chapter 3: The cat", 2),
        ("CHAPTER IV", 2),
        ("Appendix A. Prices", 2),
        ("Part II", 1),
        ("Chapter 3 says that the cat is old", 0),
        ("제2장에서 설명한 대로", 0),
        ("제2장은 짧습니다.", 0),
        ("Part of the money", 0),
        ("부칙에 따라", 0),
        ("We open at nine", 0),
    ],
)
def test_headings_that_are_numbered_by_hand(line: str, level: int) -> None:
    assert heading_level(line) == level


@pytest.mark.parametrize(
    "title", ["Opening hours", "영업 시간", "1. Scope.", "2.3 Where we are", "Is it open?", "[Notice]"]
)
def test_a_short_line_alone_above_a_long_paragraph_is_its_heading(title: str, tmp_path: Path) -> None:
    assert plain(tmp_path, f"{title}\n\n{PROSE}")[0].level > 0


@pytest.mark.parametrize("line", ["It is nine.", "for example:", "set incsearch", "Dear all,", "$HOME = x"])
def test_other_short_lines_are_none(line: str, tmp_path: Path) -> None:
    assert plain(tmp_path, f"{line}\n\n{PROSE}")[0].level == 0


def test_a_short_line_above_another_short_line_is_no_heading(tmp_path: Path) -> None:
    assert [block.level for block in plain(tmp_path, "Tea\n\nCake\n\nCats")] == [0, 0, 0]


def test_underlined_lines_are_headings(tmp_path: Path) -> None:
    assert plain(tmp_path, "Café\n====\n\nHours\n-----\nAt nine.") == [
        Block("Café", 1),
        Block("Hours", 2),
        Block("At nine."),
    ]


def test_a_line_that_cannot_be_decoded_is_a_fault_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("카페\n".encode() * 3 + b"\xff\xfe\xfa bad\n" + "시간\n".encode() * 3)
    pieces = list(read_plain(path))

    assert [(piece.kind, piece.row) for piece in pieces if isinstance(piece, Fault)] == [("undecodable", 4)]
    assert [piece.text for piece in pieces if isinstance(piece, Block)] == ["\n".join(["카페"] * 3 + ["시간"] * 3)]


def test_korean_of_old_windows_is_read(tmp_path: Path) -> None:
    assert plain(tmp_path, "뷁 아홉 시에 문을 엽니다.".encode("cp949")) == [Block("뷁 아홉 시에 문을 엽니다.")]


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a text file"):
        plain(tmp_path, b"\x7fELF" + bytes(100))


def test_a_file_without_empty_lines_is_not_held_as_a_whole(tmp_path: Path) -> None:
    blocks = plain(tmp_path, "Tea 2\n" * 5000)

    assert len(blocks) == 5
    assert "\n".join(block.text for block in blocks) == "\n".join(["Tea 2"] * 5000)


# ---- Markdown


def test_headings_with_marks_in_front_or_below() -> None:
    assert marked("# Café #\nText.\n\nHours\n---\n### C# ###\n#nothing") == [
        Block("Café", 1),
        Block("Text."),
        Block("Hours", 2),
        Block("C#", 3),
        Block("#nothing"),
    ]


def test_lines_of_a_paragraph_are_one_and_hard_breaks_are_lines() -> None:
    assert marked("One\ntwo  \nthree\\\nfour\n\nfive") == [Block("One two\nthree\nfour"), Block("five")]


def test_items_are_lines_with_what_belongs_to_them() -> None:
    assert marked("Drinks:\n- tea\n  from leaves\n- [x] coffee\n1. one\n2. two") == [
        Block("Drinks:\n- tea from leaves\n- coffee\n1. one\n2. two")
    ]


def test_code_is_kept_as_it_is_also_if_its_fence_is_never_closed() -> None:
    assert marked("```python\nif *x*:\n    # y\n```\nText.") == [Block("if *x*:\n    # y", whole=True), Block("Text.")]
    assert marked("~~~\ncode") == [Block("code", whole=True)]


def test_a_table_is_rows_and_a_line_with_a_bar_is_none() -> None:
    assert marked("Text:\n| a | **b** |\n|:--|--:|\n| 1 | |\nx | y") == [
        Block("Text:"),
        Block("a | b\n1 | \nx | y", whole=True),
    ]
    assert marked("a | b\nc") == [Block("a | b c")]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("**bold** and *it* and __so__ and _on_", "bold and it and so and on"),
        ("snake_case_name and 2*3*4 and * alone", "snake_case_name and 2*3*4 and * alone"),
        ("[we](http://a.b/c_d) and [ref][1] and <https://a.b> and [x]", "we and ref and https://a.b and [x]"),
        ("![a picture](x.png)Tea", "Tea"),
        ("`**code**` and ``a ` b``", "**code** and a ` b"),
        ("a<br>b <span class='x'>c</span> <path>", "ab c <path>"),
        (r"\*no\* \# 1\. it", "*no* # 1. it"),
        ("> quoted\n> more", "quoted more"),
        ("a <|im_start|> b -> c", "a <|im_start|> b -> c"),
    ],
)
def test_marks_are_no_words(text: str, plain: str) -> None:
    assert marked(text) == [Block(plain)]


def test_rules_comments_and_definitions_of_links_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("One.\n\n***\n\n<!-- two\n\nlines -->\n[1]: http://a.b\nTwo.", encoding="utf-8")

    assert list(read_markdown(path)) == [Block("One."), Block("Two.")]


def test_front_matter_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("---\ntitle: x\n---\nText.", encoding="utf-8")

    assert list(read_markdown(path)) == [Dropped("front_matter"), Block("Text.")]


def test_a_rule_at_the_top_is_no_front_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("---\nText.", encoding="utf-8")

    assert list(read_markdown(path)) == [Block("Text.")]
