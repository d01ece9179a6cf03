"""Generation by the training model: greedy or sampled, with or without the early exit."""

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer

from chat_format import render
from configs import RECIPES
from model import Llama
from weights import load_model


@torch.no_grad()
def generate(
    model: Llama,
    prompt: list[int],
    stop: set[int],
    max_tokens: int = 256,
    temperature: float = 0.0,
    exit_layer: int = 0,
    generator: torch.Generator | None = None,
) -> list[int]:
    """The new tokens, without the stop token."""
    tokens, caches = torch.tensor([prompt]), None
    new: list[int] = []
    limit = min(max_tokens, model.shape.max_position_embeddings - len(prompt))
    while len(new) < limit:
        logits, caches = model.step(tokens, caches, exit_layer)
        if temperature > 0:
            weights = torch.softmax(logits[0].float() / temperature, dim=-1)
            token = int(torch.multinomial(weights, 1, generator=generator))
        else:
            token = int(logits[0].argmax())
        if token in stop:
            break
        new.append(token)
        tokens = torch.tensor([[token]])
    return new


class Chat:
    """A model with its tokenizer, spoken to in messages."""

    def __init__(self, model: Llama, tokenizer: Tokenizer):
        self.model, self.tokenizer = model, tokenizer
        self._stop = {tokenizer.token_to_id(t) for t in ("<|im_end|>", "<|endoftext|>")}

    def reply(self, messages: list[dict], tools: list[dict] | None = None, **options) -> str:
        """The raw reply, with <think> and <tool_call> blocks."""
        prompt = self.tokenizer.encode(render(messages, tools, add_generation_prompt=True)).ids
        new = generate(self.model, prompt, self._stop, **options)
        return self.tokenizer.decode(new, skip_special_tokens=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Chats with a model in the terminal.")
    parser.add_argument("model", type=Path, help="a .pt checkpoint, a folder or a .gguf file")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--recipe", choices=RECIPES, default="cpu")
    parser.add_argument("--temperature", type=float, default=0.0)
    arguments = parser.parse_args()
    model = load_model(arguments.model, RECIPES[arguments.recipe].target)
    chat = Chat(model, Tokenizer.from_file(str(arguments.tokenizer)))
    messages = []
    while text := input("> "):
        messages.append({"role": "user", "content": text})
        reply = chat.reply(messages, temperature=arguments.temperature)
        messages.append({"role": "assistant", "content": reply})
        print(reply)


if __name__ == "__main__":
    main()
