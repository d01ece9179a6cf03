"""Sorting, counting, picking, spelling, and JSON records."""

import json
import random

from world import facts
from world.grammar import Sample, assistant, casual, choose, join_words, user

COMMON = sorted({w for words in facts.CATEGORIES.values() for w in words})
PICKED = [w for i, w in enumerate(COMMON) if i % 2]  # half of them are enough for sorting and spelling
ORDINALS = ["first", "second", "third", "fourth", "fifth"]


def _sample(rng, family, key, question, reply, answer, thought=""):
    return Sample(family, key, [user(question), assistant(reply, thought)], str(answer))


def select_steps(items: list, ordered: list) -> str:
    """Selection sort: what is left, and what comes first of it."""
    left, steps = list(items), []
    for item in ordered:
        steps.append(f"{', '.join(map(str, left))} > {item}")
        left.remove(item)
    return "; ".join(steps)


def sort_numbers(rng: random.Random) -> Sample:
    numbers = rng.sample(range(1, rng.choice([10, 20, 100, 100])), rng.randint(3, 4))
    down = rng.random() < 0.25
    order = rng.choice(
        ["from largest to smallest", "in descending order"]
        if down
        else ["from smallest to largest", "in ascending order"]
    )
    questions = [
        "Sort these numbers {o}: {n}.",
        "Sort {n} {o}.",
        "Put the numbers {n} {o}.",
        "Please sort {o}: {n}",
    ]
    listed = ", ".join(map(str, numbers))
    _, question = choose(rng, questions, n=listed, o=order)
    if not down and rng.random() < 0.3:
        question = rng.choice(
            [f"Sort these numbers: {listed}.", f"Sort: {listed}", f"Can you sort {listed}?"]
        )
    ordered = sorted(numbers, reverse=down)
    result = ", ".join(map(str, ordered))
    thought = select_steps(numbers, ordered)
    return _sample(rng, "sort_numbers", f"sort/{ordered}", question, f"Sorted: {result}.", result, thought)


def sort_words(rng: random.Random) -> Sample:
    pool = facts.NAMES if rng.random() < 0.3 else PICKED
    by_letter = {w[0].lower(): w for w in rng.sample(pool, len(pool))}
    words = rng.sample(list(by_letter.values()), rng.randint(3, 4))
    questions = [
        "Sort these words [alphabetically|in alphabetical order]: {w}.",
        "Put these words in alphabetical order: {w}.",
        "Sort {w} by the alphabet.",
        "[Please sort|Sort] the list {w} from A to Z.",
    ]
    _, question = choose(rng, questions, w=", ".join(words))
    ordered = sorted(words)
    result, thought = ", ".join(ordered), select_steps(words, ordered)
    return _sample(rng, "sort_words", f"sort/{ordered}", question, f"Sorted: {result}.", result, thought)


def reverse_list(rng: random.Random) -> Sample:
    words = rng.sample(COMMON, 3)
    _, question = choose(
        rng,
        [
            "Reverse this list: {w}.",
            "Say these words in reverse order: {w}.",
            "Write {w} backwards, word by word.",
        ],
        w=", ".join(words),
    )
    result = ", ".join(words[::-1])
    return _sample(rng, "reverse_list", f"reverse/{words}", question, f"Reversed: {result}.", result)


def _enumerate(words: list[str]) -> str:
    return ", ".join(f"{i}: {w}" for i, w in enumerate(words, 1))


def pick(rng: random.Random) -> Sample:
    words = rng.sample(COMMON, rng.randint(3, 5))
    position = rng.randrange(len(words))
    name = ORDINALS[position]
    if position == len(words) - 1 and rng.random() < 0.7:
        name = "last"
    questions = [
        "What is the {p} word [in|of] this list: {w}?",
        "Which word comes {p}: {w}?",
        "Tell me the {p} item of {w}.",
    ]
    _, question = choose(rng, questions, p=name, w=", ".join(words))
    return _sample(
        rng,
        "pick",
        f"pick/{words}/{position}",
        question,
        f"The {name} word is {words[position]}.",
        words[position],
        _enumerate(words),
    )


def count_items(rng: random.Random) -> Sample:
    words = rng.sample(COMMON, rng.randint(2, 6))
    questions = [
        "How many words are in this list: {w}?",
        "Count the items: {w}.",
        "How many things do I list here: {w}?",
    ]
    _, question = choose(rng, questions, w=", ".join(words))
    thought = _enumerate(words)
    return _sample(
        rng, "count_items", f"count/{words}", question, f"There are {len(words)}.", len(words), thought
    )


def odd_one_out(rng: random.Random) -> Sample:
    kind, other = rng.sample(list(facts.CATEGORIES), 2)
    intruder = rng.choice([w for w in facts.CATEGORIES[other] if w not in facts.CATEGORIES[kind]])
    words = rng.sample([w for w in facts.CATEGORIES[kind] if w not in facts.CATEGORIES[other]], 3) + [
        intruder
    ]
    rng.shuffle(words)
    questions = [
        "Which word does not belong: {w}?",
        "Find the odd one out: {w}.",
        "Which one is different: {w}?",
    ]
    _, question = choose(rng, questions, w=", ".join(words))
    kinds = facts.CATEGORY_PLURALS.get(kind, kind + "s")
    reply = f"The odd one out is {intruder}. The others are {kinds}."
    thought = ", ".join(f"{w}: {other if w == intruder else kind}" for w in words)
    return _sample(rng, "odd_one_out", f"odd/{sorted(words)}", question, reply, f"out is {intruder}", thought)


def spell(rng: random.Random) -> Sample:
    word = rng.choice([w for w in PICKED if len(w) <= 6])
    index, question = choose(
        rng,
        [
            "Spell [the word |]'{w}'.",
            "How do you spell {w}?",
            "How many letters are in [the word |]'{w}'?",
            "What is the first letter of '{w}'?",
            "What is the last letter of '{w}'?",
        ],
        w=word,
    )
    letters = "-".join(word)
    reply, answer = [
        (f"{letters}.", letters),
        (f"{letters}.", letters),
        (f"It has {len(word)} letters.", f"has {len(word)}"),
        (f"The first letter is {word[0]}.", f"is {word[0]}"),
        (f"The last letter is {word[-1]}.", f"is {word[-1]}"),
    ][index]
    thought = {2: ", ".join(f"{i}: {c}" for i, c in enumerate(word, 1)), 3: letters, 4: letters}.get(index, "")
    return _sample(rng, "spell", f"spell/{word}/{index}", question, reply, answer, thought)


FIELDS = {
    "name": lambda rng: rng.choice(facts.NAMES),
    "age": lambda rng: rng.randint(3, 99),
    "city": lambda rng: rng.choice(facts.CITIES),
    "job": lambda rng: rng.choice(facts.PROFESSIONS)[0],
    "pet": lambda rng: rng.choice(["dog", "cat", "rabbit", "horse", "mouse", "duck"]),
    "color": lambda rng: rng.choice(facts.CATEGORIES["color"]),
    "fruit": lambda rng: rng.choice(facts.CATEGORIES["fruit"]),
}


def _record(rng: random.Random) -> dict:
    names = ["name"] + sorted(rng.sample(list(FIELDS)[1:], rng.randint(1, 3)), key=list(FIELDS).index)
    return {name: FIELDS[name](rng) for name in names}


def json_write(rng: random.Random) -> Sample:
    record = _record(rng)
    listed = ", ".join(f"{k} {v}" for k, v in record.items())
    questions = [
        "[Write|Make|Give me] a JSON record [with|for]: {f}.",
        "[Make a JSON object|Write JSON] with {f}.",
        "Turn this into JSON: {f}.",
        "[Format|Return] as JSON: {f}",
    ]
    _, question = choose(rng, questions, f=listed)
    text = json.dumps(record)
    return _sample(rng, "json_write", f"json/{text}", question, text, text)


SENTENCES = {
    "age": "{n} is {v} years old.",
    "city": "{n} lives in {v}.",
    "job": "{n} is {a}.",
    "pet": "{n} has {a}.",
    "color": "{n} likes the color {v}.",
    "fruit": "{n} eats {a} every day.",
}


def _describe(record: dict) -> str:
    parts = []
    for key, value in list(record.items())[1:]:
        a = ("an " if str(value)[0] in "aeiou" else "a ") + str(value)
        sentence = SENTENCES[key].replace("{a}", a).replace("{v}", str(value))
        parts.append(sentence.replace("{n}", record["name"]))
    return " ".join(parts)


def json_extract(rng: random.Random) -> Sample:
    record = _record(rng)
    keys = join_words(list(record))
    questions = [
        "Extract {k} as JSON: {t}",
        "{t} Write this as JSON with the keys {k}.",
        "Read this and return JSON with {k}. {t}",
    ]
    _, question = choose(rng, questions, k=keys, t=_describe(record))
    text = json.dumps(record)
    return _sample(rng, "json_extract", f"json/{text}", question, text, text)


def json_read(rng: random.Random) -> Sample:
    record = _record(rng)
    key = rng.choice(list(record))
    questions = [
        "What is the {k} in this record? {j}",
        '{j} What is the value of "{k}"?',
        "Read the {k} from {j}.",
    ]
    _, question = choose(rng, questions, k=key, j=json.dumps(record))
    return _sample(
        rng, "json_read", f"json/{record}/{key}", question, f"The {key} is {record[key]}.", record[key]
    )


READ_QUESTIONS = {
    "age": ["How old is {n}?", "What is the age of {n}?"],
    "city": ["Where does {n} live?", "In which city does {n} live?"],
    "job": ["What is the job of {n}?", "What does {n} do for work?"],
    "pet": ["Which pet does {n} have?", "What animal does {n} have?"],
    "color": ["Which color does {n} like?", "What is the favorite color of {n}?"],
    "fruit": ["What does {n} eat every day?", "Which fruit does {n} eat?"],
}
READ_REPLIES = {
    "age": "{n} is {v} years old.",
    "city": "{n} lives in {v}.",
    "job": "{n} is {a}.",
    "pet": "{n} has {a}.",
    "color": "{n} likes the color {v}.",
    "fruit": "{n} eats {a} every day.",
}


def read_text(rng: random.Random) -> Sample:
    """Two or three people, some facts about each, one question."""
    names = rng.sample(facts.NAMES, rng.randint(1, 3))
    records = []
    for name in names:
        keys = rng.sample(list(SENTENCES), rng.randint(1, 2))
        records.append({"name": name} | {k: FIELDS[k](rng) for k in keys})
    text = " ".join(_describe(r) for r in records)
    record = rng.choice(records)
    key = rng.choice(list(record)[1:])
    value = record[key]
    question = choose(rng, READ_QUESTIONS[key], n=record["name"])[1]
    reply = READ_REPLIES[key].replace("{a}", ("an " if str(value)[0] in "aeiou" else "a ") + str(value))
    reply = reply.replace("{n}", record["name"]).replace("{v}", str(value))
    asked = rng.choice([f"{text} {question}", f"{text}\n{question}", f"Read this: {text}\n\n{question}"])
    return _sample(rng, "read_text", f"read/{record['name']}/{key}/{value}", asked, reply, value)


def repeat(rng: random.Random) -> Sample:
    words = " ".join(rng.sample(COMMON + facts.NAMES, rng.randint(1, 3)))
    questions = ["[Repeat|Say]: {w}", "Repeat after me: {w}.", "Please repeat the words '{w}'.", "Say '{w}'."]
    _, question = choose(rng, questions, w=words)
    return _sample(rng, "repeat", f"repeat/{words}", question, f"You said: {words}.", words)


FAMILIES = {
    sort_numbers: 4,
    sort_words: 3,
    reverse_list: 1,
    pick: 2,
    count_items: 1,
    odd_one_out: 2,
    spell: 2,
    json_write: 3,
    json_extract: 2,
    json_read: 2,
    read_text: 5,
    repeat: 1,
}
