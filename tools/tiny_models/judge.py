"""Judges a reply to a held-out question; shared by score.py and tests/e2e/tiny_model_test.py, hence without dependencies.

Rules: the thought is dropped from the reply first. contains: the answer's words occur in the reply in a
row, letter case and punctuation aside. number: the reply's last number. json and tool_call: equal values.
list: count different items."""

import json
import re


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", str(text).lower())


def contains(reply: str, answer: str) -> bool:
    have, want = words(reply), words(answer)
    return any(have[i : i + len(want)] == want for i in range(len(have) - len(want) + 1))


def first_json(text: str):
    try:
        return json.JSONDecoder().raw_decode(text[text.index("{") :])[0]
    except ValueError:
        return None


def is_right(reply: str, match: str, answer) -> bool:
    reply = reply.split("</think>")[-1]
    if match == "contains":
        return contains(reply, answer)
    if match == "number":
        return re.findall(r"\d+", reply)[-1:] == [answer]
    if match == "json":
        return first_json(reply) == answer
    if match == "tool_call":
        return "<tool_call>" in reply and first_json(reply) == answer
    named = {item for item in answer["from"] if item in words(reply)}
    return len(named) == answer["count"]
