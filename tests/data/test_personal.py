"""What counts as personal data, and what only looks like it: a table a kind.

Numbers of people are made up; those of firms are the ones that their web pages print; cards and IBANs are the examples of the
card companies and of the standard.
"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.data.personal import find

PERSONAL = {
    "resident_number": [
        "제 주민번호는 850214-1234561입니다",
        "850214-2345678",
        "010203-3456789",
        "010203 - 4567890 (본인)",
        "201105-3123456",  # since October 2020 there is no checksum
        "주민등록번호 8502141234561",
        "주민번호:850214 1234567",
        "RRN 850214-1234561",
        "850214–1234567",
        "나:(991231-1000000)",
        "8502141234567",  # its checksum is right
    ],
    "foreigner_number": [
        "850214-5234567",
        "850214-6234567",
        "010203-7234567",
        "010203-8234567",
        "외국인등록번호 8502145234567",
        "외국인 등록번호는 850214 5234567",
        "My number: 900101-5111111.",
        "900101 - 6111111",
        "등록번호(900101-5222222)",
        "010930-7000001로 신청",
        "900101‑6222222",
    ],
    "business_number": [
        "124-81-00998",
        "사업자등록번호 220-81-62517",
        "120-81-47521",
        "사업자번호: 1208147521",
        "104-81-37225 에스케이텔레콤",
        "107-86-14075",
        "(120-88-00767)",
        "120-87-65763로 발행",
        "120-88-01280,",
        "375-87-00088",
        "Business registration number 1248100998",
    ],
    "passport": [
        "여권번호 M12345678",
        "여권 번호는 S87654321이에요",
        "M123A4567",
        "S456B7890로 예약",
        "R111C2222",
        "O987D6543",
        "passport number 123456789",
        "Passport no. AB1234567",
        "passport: L01002747",
        "여권: m12345678",
        "D222E3333",
    ],
    "driver_licence": [
        "11-22-123456-78",
        "면허번호 26-01-654321-10",
        "28-99-000001-01입니다",
        "13-85-123456-50",
        "서울 12-345678-90",
        "경기12-123456-12",
        "부산 88-654321-11",
        "운전면허 112212345678",
        "driver's license number D1234567",
        "driver's licence no. A12345678",
        "(17-05-112233-44)",
    ],
    "phone": [
        "010-1234-5678",
        "01012345678로 전화 주세요",
        "010.1234.5678",
        "010 1234 5678",
        "011-234-5678",
        "010)1234-5678",
        "02-123-4567",
        "(02) 1234-5678",
        "031)123-4567",
        "064-123-4567",
        "070-1234-5678",
        "0507-1234-5678",
        "+82 10-1234-5678",
        "+821012345678",
        "+82 (0)2 123 4567",
        "+1 (415) 555-2671",
        "+44 20 7946 0958",
        "+14155552671",
        "call (415) 555-2671 now",
        "415-555-2671",
        "1-415-555-2671",
        "1 (415) 555-2671",
        "전화번호는010-1234-5678이고",
    ],
    "email": [
        "kim@nabot.kr",
        "kim.jisu+shop@mail.nabot.co.kr",
        "메일은kim@nabot.kr로",
        "<kim@nabot.kr>",
        "mailto:kim@nabot.kr",
        "KIM@NABOT.KR.",
        "a_b-c%d@x-y.org",
        "1234@naver.com",
        "first.last@sub.domain.museum",
        "k@n.io,",
        "(kim@nabot.kr)",
    ],
    "card": [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4012888888881881",
        "5555555555554444",
        "5105 1051 0510 5100",
        "3782 822463 10005",
        "371449635398431",
        "6011 1111 1111 1117",
        "3566 0020 2036 0505",
        "2223003122003222",
        "카드는4111-1111-1111-1111이에요",
    ],
    "account": [
        "110-123-456789",
        "신한 110-123-456789로 보내 주세요",
        "123456-12-123456",
        "1002-123-456789",
        "301-0123-4567-81",
        "3333-01-1234567",
        "123-456789-12345",
        "123-456789-01-012",
        "123-20-123456",
        "계좌번호 1234567890123",
        "국민은행 12345678901234",
        "토스 1000-1234-5678",
        "account number 1234567890",
    ],
    "iban": [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "GB82 WEST 1234 5698 7654 32",
        "GB33BUKB20201555555555",
        "FR1420041010050500013M02606",
        "FR14 2004 1010 0505 0001 3M02 606",
        "CH9300762011623852957",
        "NL91ABNA0417164300",
        "ES9121000418450200051332",
        "IBAN: AT611904300234573201",
        "BE68539007547034.",
    ],
    "ip": [
        "8.8.8.8",
        "접속 IP는 211.234.56.78입니다",
        "from 1.1.1.1:443",
        "(93.184.216.34)",
        "208.67.222.222,",
        "2606:4700:4700::1111",
        "2001:4860:4860::8888 로",
        "2a00:1450:4001:81b::200e",
        "195.46.39.39/24",
        "http://142.250.72.14/index",
        "IP=223.130.195.200",
    ],
    "url": [
        "https://nabot.kr/reset?token=a1b2c3d4e5",
        "https://kim:hunter22@nabot.kr/",
        "ftp://kim:pw@files.nabot.kr/a",
        "https://api.nabot.kr/v1?api_key=ABCDEFGH1",
        "https://nabot.kr/#access_token=abcdefghij&x=1",
        "https://s3.nabot.kr/a?X-Amz-Signature=0123456789abcdef",
        "https://nabot.kr/a?id=3&sig=0123456789",
        "링크는 https://nabot.kr/?session=abcdef123456입니다",
        "https://nabot.kr/login/eyJhbGciOiJI.eyJzdWIiOiIx.x",
        "https://nabot.kr/?user_password=correcthorse.",
        "postgres://app:secret1@db.nabot.kr:5432/x",
    ],
    "address": [
        "서울특별시 강남구 테헤란로 152",
        "서울 중구 세종대로 110",
        "경기도 성남시 분당구 판교역로 166",
        "강남구 테헤란로 152에서 만나요",
        "부산 해운대구 센텀중앙로 97, 3층",
        "서울 마포구 월드컵북로 396 (상암동)",
        "강남구 역삼동 123-45",
        "종로구 청운동 1-2번지로 보내 주세요",
        "제주특별자치도 제주시 첨단로 242",
        "세종특별자치시 한누리대로 2130",
        "(06236) 서울특별시 강남구 테헤란로 152, 101동 1203호",
        "전남 순천시 해룡면 향매로 109",
        "서울시 관악구 신림로12길 34",
        "가평군 청평면 경춘로 800-12",
        "안양시 동안구 관평로212번길 21 행복아파트 101동 202호",
    ],
}

NOT_PERSONAL = {
    "resident_number": [
        "851314-1234567",
        "850230-1234567",
        "8502141234561",
        "8801234567890",  # a barcode of Korea
        "1612345678901",  # milliseconds
        "990101-3123456",  # born in 2099
        "850214-9234567",
        "850214-123456",
        "850214-12345618",
        "A850214-1234561",
        "2850214-1234561",
        "850214 1234561",
    ],
    "foreigner_number": [
        "851314-5234567",
        "8502145234567",
        "850214-0234567",
        "990101-7123456",
        "850214-52345",
        "850214-52345678",
        "ID850214-5234567",
        "850214 5234567",
        "850200-6234567",
        "1-850214-5234567",
    ],
    "business_number": [
        "124-81-00999",
        "1248100998",
        "124-8-100998",
        "124-81-0099",
        "124-81-009981",
        "124.81.00998",
        "2024-81-00998",
        "사업자 등록은 3층에서",
        "124/81/00998",
        "12-481-00998",
    ],
    "passport": [
        "M12345678",
        "모델명 S12345678",
        "X123A4567",
        "m123a4567",
        "M123A45678",
        "여권 사진 2장",
        "여권은 10년",
        "passport 2024",
        "SM123A4567",
        "RM1234567",
        "여권 발급은 15일 걸리고 예약번호는 따로 12345678",
    ],
    "driver_licence": [
        "29-01-123456-10",
        "10-01-123456-10",
        "11-22-123456",
        "11-22-12345-678",
        "2011-22-123456-78",
        "112212345678",
        "면허는 2종 보통",
        "A12345678",
        "12-345678-90",
        "서울 12-3456-78",
    ],
    "phone": [
        "2010-1234-5678",
        "010-1234-56789",
        "010-12-5678",
        "1588-1234",  # firms' numbers
        "2023-10-11",
        "10:30-11:30",
        "123-456-7890",  # no such area code
        "0.010-1234",
        "+1000",
        "3 + 12345678",
        "x+12345678",
        "09-1234-5678",
        "100-200-3000",
        "전화 3번",
    ],
    "email": [
        "kim@nabot",
        "@nabot.kr",
        "kim@",
        "a @ b.kr",
        "kim@@nabot.kr",
        "@Override.method",
        "user@host:22",
        "3 @ 2.50",
        "kim(at)nabot.kr",
        "kim@192.168.0.1",
    ],
    "card": [
        "4111 1111 1111 1112",
        "1234 5678 1234 5670",
        "0000 0000 0000 0000",
        "4111 1111 1111",
        "41111111111111111111",
        "1111 1111 1111 1117",
        "2023 2024 2025 2026",
        "7777-7777-7777-7777",
        "A4111111111111111",
        "4111-1111-1111-1111-11",
    ],
    "account": [
        "2023-12-1234567",
        "2024-123-456789",
        "12-34-56",
        "1234567890123",
        "2020-2021-2022",
        "110-123-45678",
        "110-123-4567890",
        "978-89-123-4567-8",
        "은행은 4시에 닫아요",
        "account for 90 % of 1,234",
        "110/123/456789",
    ],
    "iban": [
        "DE89370400440532013001",
        "GB82 TEST 1234 5698 7654 32",
        "AB12CDEF34567890",
        "DE89",
        "DE8937040044",
        "de89370400440532013000",
        "ISO 9001 2015 AAAA",
        "XX00XXXX00000000",
        "COVID19 2020 2021 2022",
        "SE4550000000058398257467",
    ],
    "ip": [
        "192.168.0.1",
        "127.0.0.1",
        "10.0.0.1",
        "0.0.0.0",
        "255.255.255.0",
        "version 1.2.3.4",
        "버전 8.8.8.8",
        "v2.3.4.5",
        "1.2.3",
        "1.2.3.4.5",
        "300.1.2.3",
        "08.8.8.8",
        "12:30:45",
        "std::vector",
        "fe80::1",
        "2001:db8::1",
    ],
    "url": [
        "https://nabot.kr/",
        "https://www.youtube.com/watch?v=zwYV11a__HQ",
        "https://nabot.kr/?page=3&sort=new",
        "https://nabot.kr/token/guide",
        "https://nabot.kr/?key=abc",
        "https://ko.wikipedia.org/wiki/토큰",
        "https://nabot.kr:8080/a?b=12345678901",
        "C://x",
        "https://nabot.kr/@kim/post",
        "https://nabot.kr/?monkey=bananabanana",
    ],
    "address": [
        "앞으로 3년",
        "새로 2개 샀어요",
        "다시 새로 3",
        "서울 종로 3가에서 만나",
        "서울로 7017",
        "강남구 역삼동 3곳",
        "강남구 맛집 20",
        "서울 2시 출발",
        "경기도 파주시 여행 1박",
        "길 20미터 앞",
        "제주도 서로 2번",
        "강남역 3번 출구",
        "대구로 10시까지",
        "우리 3명",
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in PERSONAL.items() for text in texts])
def test_this_is_found(kind: str, text: str):
    assert kind in [found.kind for found in find(text)]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in NOT_PERSONAL.items() for text in texts])
def test_this_is_not(kind: str, text: str):
    assert kind not in [found.kind for found in find(text)]


def test_every_kind_has_ten_of_both():
    assert all(len(table[kind]) >= 10 for table in (PERSONAL, NOT_PERSONAL) for kind in PERSONAL)
    assert PERSONAL.keys() == NOT_PERSONAL.keys()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("보내실 곳은 서울 마포구 월드컵북로 396 (상암동) 3층입니다.", "서울 마포구 월드컵북로 396 (상암동) 3층"),
        ("강남구 역삼동 123-45에 살아요", "강남구 역삼동 123-45"),
        ("전화번호는010-1234-5678이고", "010-1234-5678"),
        ("메일은kim@nabot.kr로", "kim@nabot.kr"),
        ("(https://nabot.kr/?token=abcdefgh1).", "https://nabot.kr/?token=abcdefgh1"),
        ("http://142.250.72.14/index", "142.250.72.14"),
        ("주민등록번호: 850214 - 1234567.", "850214 - 1234567"),
    ],
)
def test_only_the_thing_itself_is_found(text: str, seen: str):
    assert [text[found.start : found.end] for found in find(text)] == [seen]


@pytest.mark.parametrize(
    ("text", "is_certain"),
    [
        ("850214-1234561", False),
        ("850214-1234567", True),  # its checksum is right
        ("주민번호 850214-1234561", True),
        ("010-1234-5678", False),
        ("4111 1111 1111 1111", True),
        ("124-81-00998", True),
    ],
)
def test_a_checksum_or_a_word_makes_it_certain(text: str, is_certain: bool):
    assert [found.certain for found in find(text)] == [is_certain]


def test_the_checksum_of_residents_is_right_for_one_digit_in_ten():
    numbers = [f"850214-123456{last}" for last in range(10)]
    assert [number for number in numbers if find(number)[0].certain] == ["850214-1234567"]


@given(st.text(alphabet="0123456789-. @:/가나시구로길동호층abM+()", max_size=60))
def test_what_is_found_lies_in_order_and_apart(text: str):
    found = find(text)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(before.end <= after.start for before, after in pairwise(found))


def test_a_long_line_of_one_sign_takes_no_long_time():
    for sign in "1", "a", "가", "-", "@", ".", "1-", "a.", "가로 ", "1.", "서울 ":
        find(sign * 20_000 + "@1")
