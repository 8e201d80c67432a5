"""Lines that stand in a document and say nothing of it. In: a line, out: why it is left out, or nothing.

Only what can hardly be content: a copyright line has its sign or its year (ⓒ alone numbers an item), a navigation line has words that only menus have
("Tea | Coffee | Juice" stays), a line of a table of contents has leaders or dots up to its page.
"""

import re

_MOST_CHARACTERS = 300  # a legal notice; a paragraph about copyright is longer or has none of the signs
_COPYRIGHT = re.compile(
    r"^\W*(?:copyright\b.{0,3}(?:©|ⓒ|\(c\)|\d{4})|©|ⓒ(?=.*\d{4})|\(c\)\s*(?:copyright\b|\d{4}))"
    r"|\ball rights reserved\b|무단\s*전재.{0,12}금지|저작권자\s*[©ⓒ(]",
    re.IGNORECASE,
)
_CONTENTS = re.compile(r"(?:[.·‧∙…]\s?){4,}(?:\d+|[ivxlc]+)\s*$")
_JUMP = re.compile(
    r"^\W*(?:skip to (?:the )?(?:main )?(?:content|navigation)|(?:back to|go to) (?:the )?top|(?:본문|주\s?메뉴) ?(?:으로)? ?바로가기"
    r"|맨 ?위로|(?:이전|다음) ?글|(?:print|share) this(?: page| article)?|인쇄하기|공유하기|loading\W*|목록으로)\W*$",
    re.IGNORECASE,
)
_MENU_ITEM = re.compile(
    r"home|menu|log ?in|sign (?:in|up)|register|site ?map|about(?: us)?|contact(?: us)?|search|help|faq|news|blog|shop|cart"
    r"|previous|next|홈|메뉴|로그인|로그아웃|회원 ?가입|사이트 ?맵|검색|마이페이지|장바구니|고객 ?센터|처음으로|이전|다음|목록"
    r"|공지 ?사항|오시는 ?길",
    re.IGNORECASE,
)
_BETWEEN_ITEMS = re.compile(r"\s+[|›»>·•/]\s+|\s*[|›»]\s*")


def boilerplate(line: str) -> str:
    """ "copyright", "contents", "navigation", or empty for what stays."""
    if len(line) > _MOST_CHARACTERS:
        return ""
    if _CONTENTS.search(line):
        return "contents"
    if _COPYRIGHT.search(line):
        return "copyright"
    return "navigation" if _JUMP.match(line) or _is_menu(line) else ""


def _is_menu(line: str) -> bool:
    """At least three short items between separators, and half of them or more are words of menus."""
    items = [item for item in _BETWEEN_ITEMS.split(line.strip()) if item]
    known = sum(_MENU_ITEM.fullmatch(item) is not None for item in items)
    return len(items) >= 3 and 2 * known >= len(items)
