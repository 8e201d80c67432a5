"""Lines that are left out, and lines like them that stay."""

import pytest

from nabot.data.boilerplate import boilerplate


@pytest.mark.parametrize(
    "line",
    [
        "© 2024 Dal Café",
        "Copyright © 2001–2022 Free Software, Inc.",
        "Copyright c© 2001 Someone",
        "(c) 2023 Dal Café. All rights reserved.",
        "ⓒ 2024 달 카페",
        "저작권자 ⓒ 달 신문, 무단 전재 및 재배포 금지",
        "<저작권자(c) 달 통신, 무단전재-재배포 금지>",
        "All Rights Reserved",
    ],
)
def test_copyright_lines_are_left_out(line: str) -> None:
    assert boilerplate(line) == "copyright"


@pytest.mark.parametrize(
    "line", ["1.2 Opening hours . . . . . . . 12", "제2장 영업 시간 ········ 7", "Preface......iv", "Index………… 40"]
)
def test_lines_of_a_table_of_contents_are_left_out(line: str) -> None:
    assert boilerplate(line) == "contents"


@pytest.mark.parametrize(
    "line",
    [
        "Home | About us | Contact",
        "홈 > 고객센터 > 공지사항",
        "Home » Blog » The cat of the café",
        "로그인 · 회원가입 · 사이트맵",
        "Skip to main content",
        "본문 바로가기",
        "↑ Back to top",
        "다음 글",
    ],
)
def test_menus_are_left_out(line: str) -> None:
    assert boilerplate(line) == "navigation"


@pytest.mark.parametrize(
    "line",
    [
        "Copyright protects the author of a work for seventy years.",
        "회사 자료를 무단 복제하면 안 됩니다.",
        "ⓒ 서류를 봉투에 넣습니다.",
        "Tea | Coffee | Juice",
        "서울 · 부산 · 대구",
        "Coffee | 3 | 4",
        "Wait... 3 minutes later it was done.",
        "We moved the home page; see the blog / news for details and contact us.",
        "Home | Sweet",
        "The next train leaves at 9.",
        "목록에 없는 물건은 다음 날 확인합니다.",
        "",
    ],
)
def test_content_stays(line: str) -> None:
    assert boilerplate(line) == ""


def test_a_long_paragraph_stays_whatever_is_in_it() -> None:
    assert boilerplate("All rights reserved, says the notice, and it goes on. " * 10) == ""
