#!/usr/bin/env python3
"""Drives `millrace serve` with the official openai client: openai_client_test.py MILLRACE. Exit status 77: openai is not installed."""
import re
import signal
import subprocess
import sys

try:
    import openai
except ImportError:
    print("skipped: the openai package is not installed")
    sys.exit(77)

MESSAGES = [{"role": "user", "content": "Say something."}]


def start(binary):
    process = subprocess.Popen(
        [binary, "serve", "synth:tiny-llama:Q4_0", "--port", "0", "--kv-cache-bytes", "16M", "--served-model-name", "tiny",
         "--api-key", "secret", "-t", "1"], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        found = re.search(r"listening on (http://\S+)", line)
        if found:
            return process, found.group(1)
    raise SystemExit("the server did not start")


def check_chat(client):
    whole = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=12, temperature=0, logprobs=True, top_logprobs=3)
    assert whole.usage.completion_tokens <= 12 and whole.choices[0].finish_reason in ("stop", "length")
    assert len(whole.choices[0].logprobs.content) == whole.usage.completion_tokens
    assert all(len(token.top_logprobs) == 3 for token in whole.choices[0].logprobs.content)
    stream = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=12, temperature=0, stream=True,
                                            stream_options={"include_usage": True})
    text, usage = "", None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
    assert text == whole.choices[0].message.content, (text, whole)
    assert usage.prompt_tokens == whole.usage.prompt_tokens and usage.prompt_tokens_details.cached_tokens > 0
    several = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=5, n=3, seed=7)
    again = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=5, n=3, seed=7)
    assert len(several.choices) == 3
    assert [c.message.content for c in several.choices] == [c.message.content for c in again.choices]


def check_completions(client):
    reply = client.completions.create(model="tiny", prompt=["one", "two"], max_tokens=4, echo=True, logprobs=2)
    assert [c.text[:3] for c in reply.choices] == ["one", "two"]
    assert reply.choices[0].logprobs.token_logprobs[0] is None
    text = "".join(c.choices[0].text for c in client.completions.create(model="tiny", prompt="x", max_tokens=6, temperature=0, stream=True))
    assert text == client.completions.create(model="tiny", prompt="x", max_tokens=6, temperature=0).choices[0].text
    biased = client.completions.create(model="tiny", prompt="x", max_tokens=3, logit_bias={"70": 100}, extra_body={"return_token_ids": True})
    assert biased.choices[0].token_ids == [70, 70, 70], biased
    extras = {"min_p": 0.1, "top_k": 20, "typical_p": 0.9, "repetition_penalty": 1.1, "dry_multiplier": 0.5, "xtc_probability": 0.1,
              "mirostat": 0, "min_tokens": 2, "ignore_eos": True, "bad_words": ["foo"], "priority": 1, "cache_salt": "s", "timeout": 60,
              "prompt_logprobs": 1}
    full = client.completions.create(model="tiny", prompt="abc", max_tokens=4, extra_body=extras)
    assert full.usage.completion_tokens == 4


def check_errors(client, url):
    for error, call in (
            (openai.BadRequestError, lambda: client.chat.completions.create(model="tiny", messages=MESSAGES, temperature=1000)),
            (openai.BadRequestError, lambda: client.embeddings.create(model="tiny", input="x")),
            (openai.NotFoundError, lambda: client.chat.completions.create(model="other", messages=MESSAGES)),
            (openai.AuthenticationError, lambda: openai.OpenAI(base_url=url + "/v1", api_key="wrong").models.list())):
        try:
            call()
        except error as caught:
            assert caught.body["message"], caught
        else:
            raise AssertionError("expected " + error.__name__)


def main():
    process, url = start(sys.argv[1])
    try:
        client = openai.OpenAI(base_url=url + "/v1", api_key="secret", max_retries=0, timeout=60)
        assert [model.id for model in client.models.list()] == ["tiny"]
        check_chat(client)
        check_completions(client)
        check_errors(client, url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0
    finally:
        process.kill()
    print("openai client: all passed")


if __name__ == "__main__":
    main()
