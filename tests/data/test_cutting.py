"""Blocks → pieces: sizes, whole sentences and tables, borders at headings, nothing lost."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.data import cutting
from nabot.data.cutting import FEWEST_WORDS, MOST_WORDS, Block, pieces
from nabot.data.sentences import num_words


def sentence(words: int, name: str = "word") -> str:
    return " ".join([name.capitalize(), *[name] * (words - 2), "end."])


def paragraph(words: int, name: str = "word") -> Block:
    return Block(" ".join(sentence(10, name) for _ in range(words // 10)))


def texts(blocks: list[Block]) -> list[str]:
    return [units[0].text + "".join(unit.glue + unit.text for unit in units[1:]) for units in pieces(blocks)]


def sizes(blocks: list[Block]) -> list[int]:
    return [num_words(text) for text in texts(blocks)]


SENTENCES = st.integers(2, 40).map(sentence)
PARAGRAPHS = st.lists(SENTENCES, min_size=1, max_size=30).map(lambda found: Block(" ".join(found)))
HEADINGS = st.tuples(st.integers(1, 6), st.integers(0, 99)).map(lambda pair: Block(f"Heading {pair[1]}", level=pair[0]))
TABLES = st.integers(1, 60).map(lambda rows: Block("\n".join(f"row {i} | cell" for i in range(rows)), whole=True))
DOCUMENTS = st.lists(PARAGRAPHS | HEADINGS | TABLES, max_size=40)


@given(DOCUMENTS)
@settings(deadline=None)
def test_every_word_is_in_one_piece_in_order_and_no_piece_is_too_long(blocks: list[Block]) -> None:
    cut = texts(blocks)

    assert " ".join(cut).split() == " ".join(block.text for block in blocks).split()
    assert all(num_words(text) <= MOST_WORDS for text in cut)


@given(DOCUMENTS)
@settings(deadline=None)
def test_pieces_end_where_sentences_rows_or_headings_end(blocks: list[Block]) -> None:
    for text in texts(blocks):
        last = text.split("\n")[-1]
        assert last.endswith("end.") or last.startswith(("Heading", "row"))


@given(st.lists(PARAGRAPHS, min_size=1, max_size=30))
@settings(deadline=None)
def test_running_text_is_never_cut_into_scraps(blocks: list[Block]) -> None:
    found = sizes(blocks)

    assert all(size >= 60 for size in found) or sum(found) <= MOST_WORDS


@given(st.lists(PARAGRAPHS | HEADINGS, max_size=30), st.integers(1, 500))
@settings(deadline=None, max_examples=30)
def test_looking_at_less_of_a_document_at_once_loses_nothing(blocks: list[Block], horizon: int) -> None:
    usual = cutting._HORIZON_WORDS
    cutting._HORIZON_WORDS = MOST_WORDS + horizon
    try:
        cut = texts(blocks)
    finally:
        cutting._HORIZON_WORDS = usual

    assert " ".join(cut).split() == " ".join(block.text for block in blocks).split()


def test_sections_of_good_size_are_a_piece_each() -> None:
    blocks = [block for i in range(4) for block in (Block(f"Section {i}", level=2), paragraph(200))]

    assert [text.split("\n")[0] for text in texts(blocks)] == [f"Section {i}" for i in range(4)]


def test_short_sections_are_put_together_and_each_piece_begins_at_a_heading() -> None:
    blocks = [block for i in range(12) for block in (Block(f"Section {i}", level=2), paragraph(50))]
    cut = texts(blocks)

    assert all(text.startswith("Section") for text in cut)
    assert all(FEWEST_WORDS <= num_words(text) <= MOST_WORDS for text in cut)


def test_a_long_section_is_cut_between_paragraphs_into_even_pieces() -> None:
    blocks = [Block("Section", level=1), *[paragraph(90)] * 5]

    assert sizes(blocks) == [181, 270]


def test_a_heading_is_never_parted_from_what_it_heads() -> None:
    blocks = [paragraph(340), Block("Heading", level=1), paragraph(100), paragraph(240)]

    assert not any(text.endswith("Heading") for text in texts(blocks))


def test_a_table_that_fits_stays_whole_and_a_longer_one_is_cut_between_rows() -> None:
    small = Block("\n".join(f"{i} | tea" for i in range(100)), whole=True)
    large = Block("\n".join(f"{i} | tea" for i in range(300)), whole=True)

    assert [small.text in text for text in texts([paragraph(200), small, paragraph(200)])].count(True) == 1
    rows = "\n".join(texts([large])).split("\n")
    assert rows == large.text.split("\n")


def test_a_heading_closes_those_of_its_level_and_below() -> None:
    blocks = [Block(name, level=level) for name, level in (("A", 1), ("B", 2), ("C", 3), ("D", 2), ("E", 1))]
    paths = [[title for _, title in unit.path] for units in pieces(blocks) for unit in units]

    assert paths == [["A"], ["A", "B"], ["A", "B", "C"], ["A", "D"], ["E"]]


def test_a_paragraph_that_is_styled_as_a_heading_is_no_heading() -> None:
    (units,) = pieces([Block(sentence(40), level=1)])

    assert units[0].level == 0


def test_lines_of_a_block_stay_lines() -> None:
    assert texts([Block("- tea\n- coffee"), Block("Both. Are good.")]) == ["- tea\n- coffee\n\nBoth. Are good."]


def test_borders_do_not_depend_on_what_follows_much_later() -> None:
    blocks = [paragraph(120, f"w{i}") for i in range(300)]

    for earlier, later in pairwise([texts(blocks[:150]), texts(blocks)]):
        assert later[:30] == earlier[:30]
