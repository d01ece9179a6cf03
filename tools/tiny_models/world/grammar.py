"""Samples, and the expansion of phrases such as "[Hello|Hi], {name}!"."""

import random
import re
import zlib
from dataclasses import dataclass, field

HELD_OUT_SHARE = 20  # one key in this many never reaches the training data

_WRONG_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")


@dataclass
class Sample:
    """One exchange (or a few turns that belong together).

    key names the combination of entities and phrasing; the hash of it decides what is held out.
    answer is what a right reply must hold (see score.py); empty when replies are free."""

    family: str
    key: str
    messages: list[dict]
    answer: str = ""
    tools: list[dict] = field(default_factory=list)


def expand(rng: random.Random, phrase: str, **fields) -> str:
    """Chooses among every [a|b|c], innermost first, then fills in the {fields}."""
    while match := _CHOICE.search(phrase):
        chosen = rng.choice(match.group(1).split("|"))
        phrase = phrase[: match.start()] + chosen + phrase[match.end() :]
    for name, value in fields.items():
        phrase = phrase.replace("{" + name + "}", str(value))
    return _WRONG_ARTICLE.sub(r"\1n ", phrase)


def choose(rng: random.Random, phrases: list[str], **fields) -> tuple[int, str]:
    """A phrase and its index, so that the index can be part of a key."""
    index = rng.randrange(len(phrases))
    return index, expand(rng, phrases[index], **fields)


_WRAPPERS = [
    "[Hello|Hi|Hey], {t}",
    "Please tell me[:|,] {t}",
    "[I want to know:|I have a question:|One question:|Another question:|Tell me,|Now tell me,|Say,] {t}",
    "[I wonder,|So,|Okay,|And] {t}",
    "{T} [Do you know|Can you tell me|Can you help me]?",
    "[Can you help me?|I need your help.|I forgot.|Hello!|Hi there.|Thanks.] {T}",
    "{T} [Please answer.|Thanks!|Please tell me.]",
    "[Good morning|Good evening|Hello there|Dear model|Well|Excuse me], {t}",
    "[Good morning|Good day|Hello there|Excuse me][.|!] {T}",
    "[Here is a question:|Quick question:|My question is:|A small question:|I would like to ask:] {t}",
    "[My teacher asks me:|My friend wants to know:|For school:|For my homework:|We have a quiz.|I am curious.|Help!] {T}",
    "{T} [I forgot it.|I do not know it.|I am not sure.|What do you say?|Do you have an idea?]",
    "[Could you say|Would you tell me|I am not sure,|Answer this,|Let me ask you,] {t}",
]
_QUESTION_WORDS = ("What", "Which", "How", "Who", "Where", "Is", "When", "On", "In", "Do", "At", "Why")


def casual(rng: random.Random, text: str) -> str:
    """What people really type: wrapped in a few more words, without capitals or the final mark."""
    if rng.random() < 0.3 and text[-1] == "?" and text.split(" ")[0] in _QUESTION_WORDS:
        wrapper = expand(rng, rng.choice(_WRAPPERS))
        text = wrapper.replace("{t}", text[0].lower() + text[1:]).replace("{T}", text)
    roll = rng.random()
    if roll < 0.04:
        text = text.lower().replace("'", "")
    elif roll < 0.14:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.2 and text[-1] in "?.!":
        text = text[:-1]
    return text


def capitalise(text: str) -> str:
    return text[0].upper() + text[1:]


def join_words(words: list, last: str = "and") -> str:
    words = [str(w) for w in words]
    if len(words) < 2:
        return "".join(words)
    return ", ".join(words[:-1]) + f" {last} " + words[-1]


def article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def assistant(text: str, thought: str = "") -> dict:
    message = {"role": "assistant", "content": text}
    if thought:
        message["reasoning_content"] = thought
    return message


def is_held_out(key: str) -> bool:
    return zlib.crc32(key.encode()) % HELD_OUT_SHARE == 0
