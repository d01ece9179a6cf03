"""Exercise sheets: rows of table look-ups and copies in the layout that thoughts use, many to a document.

A dialogue teaches one or two entries of a table in some 50 tokens, a sheet teaches 20 in 150. Only what follows from
the rest of a row is learnt. Tables are complete: what is held out are questions, by their phrasing or by the
combination of entries that they need."""

import random

from world import facts
from world.ask_lists import COMMON, ORDINALS, odd_steps, sort_number_steps, sort_word_steps
from world.ask_numbers import add_steps, best_step, larger_first, multiply_steps, subtract_steps, sum_key
from world.grammar import is_held_out

Row = tuple[str, str]  # what is given, what is learnt


def _column(rng: random.Random) -> Row:
    x, y, carry = rng.randrange(10), rng.randrange(10), rng.randrange(2)
    kind = rng.choice("++++---xxx/s")
    if kind == "+":
        return f"{x}+{y}+{carry}=", f"{x + y + carry:02d}"
    if kind == "-":
        need = int(x < y + carry)
        return f"{need}{x}-{y}-{carry}=", f"{x + 10 * need - y - carry}"
    b = rng.randint(2, 9)
    if kind == "x":
        carry = rng.choice([0, 0, rng.randrange(b)])
        return f"{x}x{b}+{carry}=", f"{x * b + carry:02d}"
    if kind == "/":
        return f"{b * y}/{b}=", f"{y}"
    a = rng.randint(1, 18)
    return f"{a}+{b}=", f"{a + b}"


def _sum(rng: random.Random) -> Row:
    while True:
        op = rng.choice("+-x")
        top = rng.choice([9, 99, 99, 999])
        a, b = (rng.randint(1, 99), rng.randint(2, 9)) if op == "x" else (rng.randint(0, top), rng.randint(0, top))
        if op == "-":
            a, b = max(a, b), min(a, b)
        if (op == "+" and a + b > 999) or is_held_out(sum_key(a, op, b, 0)):
            continue
        steps = {"+": add_steps, "-": subtract_steps, "x": multiply_steps}[op](a, b)
        question, answer = steps.split(": ", 1)
        return question + ":", " " + answer


def _numbers(rng: random.Random) -> list[int]:
    return rng.sample(range(1, rng.choice([10, 30, 100])), rng.randint(2, 4))


def _best(rng: random.Random) -> Row:
    step = best_step(_numbers(rng), rng.choice(["min", "max"]))
    return step[:-2], step[-2:]


def _sort_numbers(rng: random.Random) -> Row:
    steps = sort_number_steps(_numbers(rng), rng.random() < 0.5)
    cut = steps.index("m") + 3
    return steps[:cut], steps[cut:]


def _larger(rng: random.Random) -> Row:
    if rng.random() < 0.5:
        animals = rng.sample(facts.SIZES, 2)
        steps = larger_first(animals, [facts.SIZES.index(a) for a in animals], 2)
        return steps.split(" ")[0], steps[steps.index(" ") :]
    values = rng.sample(range(rng.choice([20, 100, 1000])), 2)
    steps = larger_first(values, values, 3)
    cut = steps.index(";")
    return steps[:cut], steps[cut:]


def _spell(rng: random.Random) -> Row:
    word = rng.choice([w for w in COMMON if len(w) <= 6])
    return f"{word}:", " " + "-".join(word)


def _first_letter(rng: random.Random) -> Row:
    word = rng.choice(COMMON + facts.NAMES)
    return word, f" {word[0].lower()} {word}"


def _sort_words(rng: random.Random) -> Row:
    by_letter = {w[0].lower(): w for w in rng.sample(facts.NAMES if rng.random() < 0.2 else COMMON, 20)}
    words = rng.sample(list(by_letter.values()), rng.randint(2, 4))
    return f"{', '.join(words)}.", " " + sort_word_steps(words)


def _kind(rng: random.Random) -> Row:
    kind = rng.choice(list(facts.CATEGORIES))
    return rng.choice(facts.CATEGORIES[kind]), " " + kind.split(" ")[-1]


def _odd(rng: random.Random) -> Row:
    kind, other = rng.sample(list(facts.CATEGORIES), 2)
    kinds = {w: kind for w in rng.sample(facts.CATEGORIES[kind], 3)}
    intruder = rng.choice([w for w in facts.CATEGORIES[other] if w not in facts.CATEGORIES[kind]])
    kinds[intruder] = other
    words = rng.sample(list(kinds), 4)
    return f"{', '.join(words)}.", " " + odd_steps(words, kinds, intruder)


def _neighbour(rng: random.Random) -> Row:
    names = rng.choice([facts.DAYS, facts.MONTHS])
    i, word = rng.randrange(len(names)), rng.choice(["before", "after"])
    return f"{word} {names[i]}:", " " + names[(i + (1 if word == "after" else -1)) % len(names)]


def _fact(rng: random.Random) -> Row:
    if rng.random() < 0.5:
        country, city, _, _ = rng.choice(facts.COUNTRIES)
        return country, " " + city
    i = rng.randrange(12)
    return facts.MONTHS[i], f" {facts.MONTH_DAYS[i]} days"


def _words(rng: random.Random, count: int) -> list[str]:
    return [str(w) for w in rng.sample(rng.choice([COMMON, COMMON + facts.NAMES, facts.NAMES, range(100)]), count)]


def _recall(rng: random.Random) -> Row:
    """Pairs, then some of them again in another order."""
    count = rng.randint(3, 6)
    keys, values = _words(rng, count), _words(rng, count)
    pairs = [f"{k} {v}" for k, v in zip(keys, values)]
    key, value = rng.choice(list(zip(keys, values)))
    return f"{', '.join(pairs)}. {key}", f" {value}"


def _repeat(rng: random.Random) -> Row:
    words = _words(rng, rng.randint(2, 6))
    return ", ".join(words) + ".", " " + ", ".join(words)


def _without(rng: random.Random) -> Row:
    words = _words(rng, rng.randint(2, 5))
    gone = rng.choice(words)
    return f"{', '.join(words)} without {gone}:", " " + ", ".join(w for w in words if w != gone)


def _ordinal(rng: random.Random) -> Row:
    words = _words(rng, rng.randint(3, 5))
    i = rng.randrange(len(words))
    listed = ", ".join(f"{o} {w}" for o, w in zip(ORDINALS, words))
    return f"{listed}; {ORDINALS[i]}", f" {words[i]}"


# kind of sheet: how often, rows
SHEETS = {
    _column: (8, 24), _sum: (4, 5), _best: (3, 9), _sort_numbers: (3, 3), _larger: (2, 8), _spell: (4, 16),
    _first_letter: (1.5, 20), _sort_words: (2.5, 2), _kind: (1.5, 20), _odd: (2, 4), _neighbour: (1.5, 16), _fact: (1, 16),
    _recall: (3, 6), _repeat: (1.5, 7), _without: (1.5, 7), _ordinal: (1.5, 6),
}  # fmt: skip


def sheet(rng: random.Random) -> list[Row]:
    """The rows of one sheet; the text is all of them, each between a space and a semicolon."""
    draw = rng.choices(list(SHEETS), [weight for weight, _ in SHEETS.values()])[0]
    count = SHEETS[draw][1]
    return [draw(rng) for _ in range(rng.randint(count // 2 + 1, count))]
