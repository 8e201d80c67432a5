"""Is this task fit to be learned? In: an instruction, or a task with its answer, out: why not, as a stable slug, or None.

The rules for instructions are Alpaca's, which are self-instruct's with more words that a text model cannot do. Alpaca
drops every instruction that begins with a letter outside ASCII, and so all of Korean; here a letter of any script may begin one,
and there is a Korean list of words with the same meaning.
"""

import re
import string
import unicodedata
from collections.abc import Iterator

from nabot.data.answers import placeholder_left, unfit
from nabot.data.language import scripts, written_in
from nabot.data.toxicity import toxic_word
from nabot.data.words import WordLists
from nabot.synth.tasks import Reason, Task

TOXIC = "toxic_"  # how slugs of toxic words begin
MOST_WORDS = 150
# A Korean word carries its particles, so that three of them ("다음 문장을 요약하세요") are four or five in English.
FEWEST_WORDS = {"en": 4, "ko": 3}

# Wang et al. 2022, bootstrap_instructions.py, and behind "go to" what generate_instruction.py of Taori et al. 2023 adds
ENGLISH = (
    "image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot", "go to",
    "video", "audio", "music", "flowchart", "diagram",
)  # fmt: skip
# The same things; compounds are listed where they are usual. No 플롯, which in Korean is the plot of a story, and of 그리다
# (to draw) what asks for it: 그리고 is "and", 그리는 may be "who longs for".
KOREAN = (
    "이미지", "이미지 파일", "그래프", "막대그래프", "꺾은선그래프", "원그래프", "선그래프", "사진", "그림", "밑그림", "삽화", "일러스트",
    "파일", "첨부파일", "엑셀파일", "텍스트파일", "지도", "세계지도", "약도", "영상", "동영상", "비디오", "오디오", "녹음", "녹음해*",
    "음성", "음악", "배경음악", "순서도", "흐름도", "다이어그램", "도표", "시각화", "시각화해*", "시각화하*",
    "그려 줘*", "그려줘*", "그려 주*", "그려주*", "그려 보*", "그려보*", "그려 봐*", "그려봐*", "그려라", "그리세요", "그리시오", "그리십시오",
    "접속해*", "접속하*", "에 가서", "로 가서", "방문하세요", "방문하십시오", "방문해 주*",
)  # fmt: skip
# where a word of the Korean list means something else: guidance, degrees above zero, a saying, "it may be", a negative finding
_OTHER_SENSES = re.compile(
    r"지도\s*(?:교수|교사|위원|편달|방법|모르|모른|몰라)|(?:학습|생활|진로|독서)\s*지도|지도를?\s*받"
    r"|영상\s*\d|그림의\s*떡|음성\s*(?:판정|반응|상징어)|사진\s*(?:찍|촬영)"
)
_PROGRAM = re.compile(r"프로그램을?\s*(?:작성|구현|만들|짜)[^.!?\n]*[.!?]?\Z")
_other_media = WordLists({"en": ENGLISH, "ko": KOREAN})


def reject_instruction(instruction: str) -> Reason | None:
    """The first rule that `instruction` breaks.

    "empty_instruction", "too_few_words", "too_many_words", "other_media" (pictures, sound, files, places to go),
    "write_a_program", "begins_with_punctuation", "begins_with_symbol".
    """
    return next(_broken_rules(unicodedata.normalize("NFC", instruction).strip()), None)


def reject_task(task: Task, language: str = "", *, toxic: bool = False) -> Reason | None:
    """The first rule that `task` breaks: those of `reject_instruction`, then those of `reject_answer`."""
    return reject_instruction(task.instruction) or reject_answer(task, language, toxic=toxic)


def reject_answer(task: Task, language: str = "", *, toxic: bool = False) -> Reason | None:
    """The first rule that `task` breaks beside those for instructions: those of `nabot.data.answers.unfit`,
    "noinput_left" in the instruction, "toxic_PROFANITY|SLUR|SEXUAL|THREAT" in small letters, "other_language".

    `language` (ISO 639-1) is asked of the instruction alone, because a translation's answer is in another one; "": any.
    `toxic`: toxic words are allowed.
    """
    slug = "noinput_left" if placeholder_left(task.instruction) else unfit(task.input, task.output)
    if slug:
        return Reason(slug)
    if not toxic and (found := toxic_words(task)):
        return found
    return Reason("other_language") if language and not written_in(task.instruction, language) else None


def toxic_words(task: Task) -> Reason | None:
    """The first toxic word of the task, "toxic_CATEGORY" in small letters."""
    for text in (task.instruction, task.input, task.output):
        if found := toxic_word(text):
            return Reason(f"{TOXIC}{found.name}", found.word)
    return None


def _broken_rules(text: str) -> Iterator[Reason]:
    """Alpaca's rules for an instruction, in Alpaca's order."""
    words = len(text.split())
    if not words:
        yield Reason("empty_instruction")
        return
    if words < FEWEST_WORDS["ko" if scripts(text)["hangul"] and written_in(text, "ko") else "en"]:
        yield Reason("too_few_words", str(words))
    if words > MOST_WORDS:
        yield Reason("too_many_words", str(words))
    if found := _other_media.first(_OTHER_SENSES.sub(" ", text)):
        yield Reason("other_media", found.word)
    # what is wanted is not clear: the program, or what it gives
    if text.startswith("Write a program") or _PROGRAM.search(text):
        yield Reason("write_a_program")
    if text[0] in string.punctuation:
        yield Reason("begins_with_punctuation", text[0])
    elif not text[0].isalnum():
        yield Reason("begins_with_symbol", text[0])
