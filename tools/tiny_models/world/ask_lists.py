"""Sorting, counting, picking, spelling, and JSON records."""

import json
import random

from world import facts
from world.ask_numbers import best_step
from world.grammar import Sample, assistant, casual, choose, join_words, user

COMMON = sorted({w for words in facts.CATEGORIES.values() for w in words})
ORDINALS = ["first", "second", "third", "fourth", "fifth"]


def _sample(rng, family, key, question, reply, answer, thought=""):
    return Sample(family, key, [user(question), assistant(reply, thought)], str(answer))


def sort_number_steps(numbers: list[int], down: bool) -> str:
    """Selection sort: what is left, and the largest or smallest of it."""
    left, steps = list(numbers), []
    for number in sorted(numbers, reverse=down):
        steps.append(best_step(left, "max" if down else "min"))
        left.remove(number)
    return "; ".join(steps)


def sort_word_steps(words: list[str]) -> str:
    """Each word between its first letter and itself; then selection sort of the letters, each with its word."""
    by_letter = {w[0].lower(): w for w in words}
    left, steps = list(by_letter), [", ".join(f"{w} {letter} {w}" for letter, w in by_letter.items())]
    for letter in sorted(by_letter):
        steps.append(f"{', '.join(left)} min {letter} {by_letter[letter]}")
        left.remove(letter)
    return "; ".join(steps)


def sort_numbers(rng: random.Random) -> Sample:
    numbers = rng.sample(range(1, rng.choice([10, 20, 100, 100])), rng.randint(3, 4))
    down = rng.random() < 0.25
    order = rng.choice(
        ["from largest to smallest", "in descending order", "from big to small", "with the largest first"]
        if down
        else ["from smallest to largest", "in ascending order", "from low to high", "with the smallest first"]
    )
    questions = [
        "Sort these numbers {o}: {n}.",
        "Sort {n} {o}.",
        "Put the numbers {n} {o}.",
        "Please sort {o}: {n}",
        "[Arrange|Order] the numbers {n} {o}.",
        "Write {n} {o}.",
        "{n}: sort [them|these] {o}, please.",
    ]
    listed = ", ".join(map(str, numbers))
    _, question = choose(rng, questions, n=listed, o=order)
    if not down and rng.random() < 0.3:
        question = rng.choice([f"Sort these numbers: {listed}.", f"Sort: {listed}", f"Can you sort {listed}?"])
    ordered = sorted(numbers, reverse=down)
    result = ", ".join(map(str, ordered))
    thought = sort_number_steps(numbers, down)
    return _sample(rng, "sort_numbers", f"sort/{ordered}", question, f"Sorted: {result}.", result, thought)


def sort_words(rng: random.Random) -> Sample:
    pool = facts.NAMES if rng.random() < 0.3 else COMMON
    by_letter = {w[0].lower(): w for w in rng.sample(pool, len(pool))}
    words = rng.sample(list(by_letter.values()), rng.randint(3, 4))
    questions = [
        "Sort these words [alphabetically|in alphabetical order]: {w}.",
        "Put these words in alphabetical order: {w}.",
        "Sort {w} by the alphabet.",
        "[Please sort|Sort] the list {w} from A to Z.",
        "[Order|Arrange] {w} [alphabetically|from A to Z].",
        "[Write|Give me] {w} in alphabetical order.",
        "{w}: sort them [by the alphabet|alphabetically], please.",
    ]
    _, question = choose(rng, questions, w=", ".join(words))
    ordered = sorted(words)
    result, thought = ", ".join(ordered), "sort: " + sort_word_steps(words)
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
    thought = f"{number_words(words)}; " + ", ".join(f"{o} {w}" for o, w in list(zip(ORDINALS, words))[::-1])
    return _sample(rng, "reverse_list", f"reverse/{words}", question, f"Reversed: {result}.", result, thought)


def number_words(words: list[str]) -> str:
    return ", ".join(f"{o} {w}" for o, w in zip(ORDINALS, words))


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
        "{w}: [what|which] is the {p} [one|word]?",
        "[Say|Give me] the {p} word of the list {w}.",
        "In the list {w}, which [word|one] is {p}?",
    ]
    _, question = choose(rng, questions, p=name, w=", ".join(words))
    return _sample(
        rng,
        "pick",
        f"pick/{words}/{position}",
        question,
        f"The {name} word is {words[position]}.",
        words[position],
        f"{number_words(words)}; {name} {words[position]}",
    )


def count_items(rng: random.Random) -> Sample:
    words = rng.sample(COMMON, rng.randint(2, 6))
    questions = [
        "How many words are in this list: {w}?",
        "Count the items: {w}.",
        "How many things do I list here: {w}?",
    ]
    _, question = choose(rng, questions, w=", ".join(words))
    thought = ", ".join(f"{i}: {w}" for i, w in enumerate(words, 1))
    return _sample(rng, "count_items", f"count/{words}", question, f"There are {len(words)}.", len(words), thought)


def odd_steps(words: list[str], kinds: dict[str, str], intruder: str) -> str:
    labels = {w: kind.split(" ")[-1] for w, kind in kinds.items()}  # "piece of clothing" is clothing
    return ", ".join(f"{w} {labels[w]}" for w in words) + f"; {intruder} {labels[intruder]}"


def odd_one_out(rng: random.Random) -> Sample:
    kind, other = rng.sample(list(facts.CATEGORIES), 2)
    intruder = rng.choice([w for w in facts.CATEGORIES[other] if w not in facts.CATEGORIES[kind]])
    words = rng.sample([w for w in facts.CATEGORIES[kind] if w not in facts.CATEGORIES[other]], 3) + [intruder]
    rng.shuffle(words)
    questions = [
        "Which word does not belong: {w}?",
        "Find the odd one out: {w}.",
        "Which one is different: {w}?",
        "Which [word|one] is [the odd one out|not like the others] [in|among] {w}?",
        "{w}: which [word|one] is wrong here?",
        "One of these words is [different|of another kind]: {w}. Which one?",
    ]
    _, question = choose(rng, questions, w=", ".join(words))
    kinds = facts.CATEGORY_PLURALS.get(kind, kind + "s")
    reply = f"The odd one out is {intruder}. The others are {kinds}."
    thought = "kinds: " + odd_steps(words, {w: other if w == intruder else kind for w in words}, intruder)
    return _sample(rng, "odd_one_out", f"odd/{sorted(words)}", question, reply, f"out is {intruder}", thought)


def spell(rng: random.Random) -> Sample:
    word = rng.choice([w for w in COMMON if len(w) <= 6])
    index, question = choose(
        rng,
        [
            "Spell [the word |]'{w}'.",
            "How do you spell {w}?",
            "How many letters are in [the word |]'{w}'?",
            "What is the first letter of '{w}'?",
            "What is the last letter of '{w}'?",
            "[Tell me|Say|Show me] how to spell {w}.",
            "What are the letters of [the word |]'{w}'?",
            "[Write|Say] [the word |]{w} letter by letter.",
            "I cannot spell {w}. [How is it spelled|How is it written|Please help me]?",
        ],
        w=word,
    )
    letters = "-".join(word)
    reply, answer = [
        (f"The letters of {word}: {letters}.", letters),
        (f"The letters of {word}: {letters}.", letters),
        (f"It has {len(word)} letters.", f"has {len(word)}"),
        (f"The first letter is {word[0]}.", f"is {word[0]}"),
        (f"The last letter is {word[-1]}.", f"is {word[-1]}"),
    ][index if index < 5 else 0]
    spelled = f"letters of {word}: {letters}"
    counted = ", ".join(f"{i}: {c}" for i, c in enumerate(word, 1))
    thought = {2: f"{spelled}; {counted}", 3: spelled, 4: spelled}.get(index, "")
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
        "[I need|Give me|Show me] this as JSON: {f}.",
        "[Convert|Change] to [JSON|a JSON record]: {f}.",
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
    return _sample(rng, "json_read", f"json/{record}/{key}", question, f"The {key} is {record[key]}.", record[key])


READ_QUESTIONS = {
    "age": ["How old is {n}?", "What is the age of {n}?", "[Tell me|Do you know] how old {n} is."],
    "city": [
        "Where does {n} live?",
        "In which city does {n} live?",
        "What is the home of {n}?",
        "[Tell me|Say] where {n} lives.",
    ],
    "job": ["What is the job of {n}?", "What does {n} do for work?", "What is {n} by profession?"],
    "pet": ["Which pet does {n} have?", "What animal does {n} have?", "[What|Which] is the pet of {n}?"],
    "color": ["Which color does {n} like?", "What is the favorite color of {n}?", "Tell me the color that {n} likes."],
    "fruit": ["What does {n} eat every day?", "Which fruit does {n} eat?", "[Say|Tell me] what {n} eats every day."],
}
READ_REPLIES = {
    "age": "{n} is {v} years old.",
    "city": "{n} lives in {v}.",
    "job": "{n} is {a}.",
    "pet": "{n} has {a}.",
    "color": "{n} likes the color {v}.",
    "fruit": "{n} eats {a} every day.",
}


def _story(rng: random.Random) -> tuple[str, list[dict]]:
    """A text and its records: up to three people and some facts about each."""
    names = rng.sample(facts.NAMES, rng.randint(1, 3))
    records, shared = [], rng.choice(list(SENTENCES)) if rng.random() < 0.3 else None
    for name in names:
        keys = [shared] if shared else rng.sample(list(SENTENCES), rng.randint(1, 2))
        records.append({"name": name} | {k: FIELDS[k](rng) for k in keys})
    return " ".join(_describe(r) for r in records), records


def _asked(rng: random.Random, record: dict, key: str) -> tuple[str, str, str]:
    """(what is held out, question, reply)."""
    value = record[key]
    question = choose(rng, READ_QUESTIONS[key], n=record["name"])[1]
    reply = READ_REPLIES[key].replace("{a}", ("an " if str(value)[0] in "aeiou" else "a ") + str(value))
    reply = reply.replace("{n}", record["name"]).replace("{v}", str(value))
    return f"read/{record['name']}/{key}/{value}", question, reply


def read_text(rng: random.Random) -> Sample:
    text, records = _story(rng)
    record = rng.choice(records)
    key = rng.choice(list(record)[1:])
    held_out_key, question, reply = _asked(rng, record, key)
    asked = rng.choice([f"{text} {question}", f"{text}\n{question}", f"Read this: {text}\n\n{question}"])
    return _sample(rng, "read_text", held_out_key, asked, reply, record[key])


def read_on(rng: random.Random, is_held_out) -> Sample:
    """One text and a question about each of its facts, for training."""
    text, records = _story(rng)
    asked = [_asked(rng, record, key) for record in records for key in list(record)[1:]]
    asked = [row for row in asked if not is_held_out(row[0])]
    if not asked:
        return read_on(rng, is_held_out)
    rng.shuffle(asked)
    messages = [m for _, question, reply in asked for m in (user(question), assistant(reply))]
    messages[0] = user(f"{text} {messages[0]['content']}")
    return Sample("read_on", asked[0][0], messages)


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
