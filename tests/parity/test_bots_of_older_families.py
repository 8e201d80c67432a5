"""Bots on bases shaped as Polyglot-ko and MPT-7B: tuned on KoAlpaca's rows here, they answer alike in transformers and PEFT."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from small_tokenizers import byte_level
from tokenizers import AddedToken, Tokenizer

import nabot
from nabot.conversation import Conversation
from nabot.recipes.opening import open_source
from nabot.textmodel import Sampling

END = "<|endoftext|>"
# The prompt of KoAlpaca's Polyglot models.
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '### 질문: ' + message['content'] + '\n\n' }}"
    "{% else %}{{ '### 답변: ' + message['content'] + '<|endoftext|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### 답변:' }}{% endif %}"
)
SUBJECTS = ("양파", "감자", "서울", "부산", "커피", "녹차", "한글", "달")
ROWS = [
    {
        "instruction": f"{subject}는 어떻게 하나요?",
        "output": f"{subject}는 {number}번입니다.",
        "url": f"https://example.com/{number}",
    }
    for number, subject in enumerate(SUBJECTS)
]
SIZES: dict[str, dict[str, Any]] = {
    "gpt_neox": {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5},
        "use_parallel_residual": True,
        "tie_word_embeddings": False,
    },
    "mpt": {"d_model": 64, "n_heads": 4, "n_layers": 2, "max_seq_len": 256},
}


def write_base(family: str, folder: Path) -> Path:
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_str(byte_level().to_str())
    tokenizer.add_special_tokens([AddedToken(END, normalized=False)])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, chat_template=TEMPLATE)
    wrapped.save_pretrained(folder)
    end, sizes = tokenizer.token_to_id(END), SIZES[family]
    config = AutoConfig.for_model(
        family, vocab_size=tokenizer.get_vocab_size(), eos_token_id=end, bos_token_id=end, **sizes
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    return folder


def their_answer(base: Path, adapter: Path, row: Mapping[str, str], most: int) -> list[int]:
    """The ids that transformers and PEFT write from the same files, greedily."""
    import peft
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(model, adapter).eval()
    prompt = tokenizer.encode(f"### 질문: {row['instruction']}\n\n### 답변:", return_tensors="pt")
    answer = model.generate(input_ids=prompt, do_sample=False, max_new_tokens=most, pad_token_id=0)
    return answer[0, prompt.shape[1] :].tolist()


@pytest.mark.parametrize("family", SIZES)
def test_a_bot_on_koalpaca_rows_answers_as_through_transformers_and_peft(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))
    base, out = write_base(family, tmp_path / "base"), tmp_path / "bot"
    tuned = nabot.tune(
        ROWS, base=str(base), out=out, epochs=12, learning_rate=0.01, held_out=0, rehearsal_ratio=0, dtype="float32"
    )
    question = [Conversation.of([{"role": "user", "content": ROWS[3]["instruction"]}])]
    greedy = Sampling(temperature=0, max_new_tokens=40)
    expected = their_answer(base, out / "adapter", ROWS[3], most=40)
    for bot in (tuned, nabot.load_bot(out, dtype="float32")):
        (completion,) = bot.engine.generate(question, greedy)
        assert list(completion.ids) == expected
    (untuned,) = open_source(str(base)).dense_engine().generate(question, greedy)
    assert list(untuned.ids) != expected
