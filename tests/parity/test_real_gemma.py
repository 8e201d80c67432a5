"""The real Gemma 3 270M, from its GGUF: answers of nabot against transformers, token by token."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nabot.models.decoder import Decoder
from nabot.models.loading import load_decoder
from nabot.tokenizer import Tokenizer, load_tokenizer

pytestmark = pytest.mark.slow  # 253 MB, and minutes on two cores

ANSWER_TOKENS, NEARLY = 64, 0.05  # nats
PROMPTS = (
    "대한민국의 수도는",
    "오늘 날씨가 좋아서",
    "커피를 맛있게 내리는 방법은 다음과 같다. 첫째,",
    "세종대왕은",
    "질문: 하늘은 왜 파란가요?\n답:",
    "김치찌개를 끓이려면 먼저",
    "옛날 옛적 깊은 산속에",
    "파이썬에서 리스트를 정렬하려면",
    "안녕하세요, 저는",
    "2026년 11월 23일 월요일,",
    "The capital of France is",
    "Once upon a time, in a small village by the sea,",
    "def fibonacci(n: int) -> int:\n",
    "Water boils at a temperature of",
    "Question: Why is the sky blue?\nAnswer:",
    "The three laws of robotics are: 1.",
    '{"name": "Kim", "age": 31, "city":',
    "To be, or not to be,",
    "In 1969, the first man",
    "한국어와 English를 섞어 쓰면",
)


@pytest.fixture(scope="module")
def gguf() -> Path:
    from nabot.errors import LicenceNotAccepted
    from nabot.sources import resolve

    try:
        return Path(resolve("gemma3-270m").path)
    except LicenceNotAccepted as error:
        pytest.skip(str(error))  # a person's to accept, never a test's


@pytest.fixture(scope="module")
def ours(gguf: Path) -> Decoder:
    return load_decoder(gguf, dtype=torch.float32)


@pytest.fixture(scope="module")
def theirs(gguf: Path) -> Any:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    return model.eval()


@torch.no_grad()
def answer(model: Any, ids: list[int]) -> list[int]:
    """The prompt and the likeliest 64 tokens after it, by transformers' own loop."""
    out = model.generate(
        torch.tensor([ids]), max_new_tokens=ANSWER_TOKENS, min_new_tokens=ANSWER_TOKENS, do_sample=False
    )
    return out[0].tolist()


@torch.no_grad()
def test_each_token_is_the_others_choice_or_nearly(ours: Decoder, theirs: Any, gguf: Path) -> None:
    tokenizer: Tokenizer = load_tokenizer(gguf)
    far, divergences = [], []
    for prompt in PROMPTS:
        ids = answer(theirs, tokenizer.encode(prompt))
        both = torch.tensor([ids])
        mine, expected = (F.log_softmax(m, -1)[0, -ANSWER_TOKENS - 1 : -1] for m in (ours(both), theirs(both).logits))
        written = both[0, -ANSWER_TOKENS:]
        far += [(prompt, gap) for gap in lost(mine, written) if gap > NEARLY]
        far += [(prompt, gap) for gap in lost(expected, mine.argmax(-1)) if gap > NEARLY]
        divergences.append((expected.exp() * (expected - mine)).sum(-1))
    divergence = torch.cat(divergences)
    print(f"{len(divergence)} tokens, KL {divergence.mean():.2e} nats, at most {divergence.max():.2e}; far: {len(far)}")
    assert not far
    assert len(divergence) == len(PROMPTS) * ANSWER_TOKENS
    assert divergence.mean() <= 1e-4


def lost(logs_TV: Tensor, tokens_T: Tensor) -> list[float]:
    """How many nats less likely each token is than the likeliest."""
    return (logs_TV.amax(-1) - logs_TV.gather(-1, tokens_T.unsqueeze(-1)).squeeze(-1)).tolist()
