"""Renders messages with the chat template and marks the tokens that the model learns to write."""

import json
from pathlib import Path

import jinja2
import numpy as np
from tokenizers import Tokenizer

TEMPLATE_PATH = Path(__file__).parent / "chat_template.jinja"
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # never part of user text
MARKER_TOKENS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
EMPTY_THOUGHT = "<think>\n\n</think>\n\n"


def _load_template() -> jinja2.Template:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(TEMPLATE_PATH.read_text())


_TEMPLATE = _load_template()


def render(messages: list[dict], tools: list[dict] | None = None, **options) -> str:
    return _TEMPLATE.render(messages=messages, tools=tools or None, **options)


def render_without_thinking(messages: list[dict], tools: list[dict] | None) -> str:
    """The dialogue as it looks under enable_thinking=false: the last reply spells out its thought."""
    *earlier, last = messages
    prompt = render(earlier, tools, add_generation_prompt=True, enable_thinking=False)
    thought = last.get("reasoning_content", "")
    return prompt + f"{thought} {last['content']}".strip() + "<|im_end|>\n"


def learnt_turns(messages: list[dict]) -> list[bool]:
    """For each assistant message: whether its rendered text is what the model should write.

    Earlier turns whose thoughts the template removes would teach replies without thought."""
    last_user = max(i for i, m in enumerate(messages) if m["role"] == "user")
    return [
        i > last_user or "reasoning_content" not in message
        for i, message in enumerate(messages)
        if message["role"] == "assistant"
    ]


class Masker:
    """Finds the assistant's tokens in a rendered dialogue."""

    def __init__(self, tokenizer: Tokenizer):
        self._start = tokenizer.token_to_id("<|im_start|>")
        self._end = tokenizer.token_to_id("<|im_end|>")
        self._header = tokenizer.encode("assistant\n").ids
        self._empty_thought = tokenizer.encode(EMPTY_THOUGHT).ids

    def __call__(self, ids: list[int], learnt: list[bool]) -> np.ndarray:
        """[len(ids)] of 0 and 1: 1 where the token is to be predicted."""
        mask = np.zeros(len(ids), dtype=np.uint8)
        size, turn = len(self._header), 0
        starts = [i for i, token in enumerate(ids) if token == self._start]
        for start in starts:
            if ids[start + 1 : start + 1 + size] != self._header:
                continue
            begin = start + 1 + size
            end = ids.index(self._end, begin)
            if ids[begin : begin + len(self._empty_thought)] == self._empty_thought:
                begin += len(self._empty_thought)
            mask[begin : end + 1] = learnt[turn]
            turn += 1
        return mask
