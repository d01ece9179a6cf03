"""Arithmetic, comparisons, sequences, word problems, units: with short chains of thought."""

import random

from world import facts
from world.grammar import Sample, assistant, capitalise, casual, choose, join_words, user


def add_digits(a: int, b: int) -> str:
    """The school method for a + b, from the ones upwards."""
    x, y = str(a)[::-1], str(b)[::-1]
    steps, carry = [], 0
    for i in range(max(len(x), len(y))):
        digits = [int(n[i]) for n in (x, y) if i < len(n)]
        total = sum(digits) + carry
        terms = " + ".join(str(d) for d in digits + [carry] * (carry > 0))
        step = f"{terms} = {total}" if "+" in terms else f"{total}"
        carry = total // 10
        steps.append(step + (f", write {total % 10}, carry 1" if carry else f", write {total}"))
    if carry:
        steps.append("1, write 1")
    return ". ".join(steps) + "."


def subtract_digits(a: int, b: int) -> str:
    """The school method for a - b with a >= b."""
    x, y = str(a)[::-1], str(b)[::-1]
    steps, borrow = [], 0
    for i in range(len(x)):
        top, under = int(x[i]), (int(y[i]) if i < len(y) else 0) + borrow
        need = top < under
        note = ", borrow 1" if need else ""
        value = top + 10 * need
        steps.append(f"{value} - {under} = {value - under}, write {value - under}{note}")
        borrow = int(need)
    return ". ".join(steps) + "."


def multiply_steps(a: int, b: int) -> str:
    """a * b for one-digit b, by tens and ones."""
    tens, ones = a // 10 * 10, a % 10
    if not tens or not ones:
        return f"{a} x {b} = {a * b}."
    return f"{tens} x {b} = {tens * b}. {ones} x {b} = {ones * b}. {tens * b} + {ones * b} = {a * b}."


SUM_QUESTIONS = [
    "What is {a} {op} {b}?",
    "[Calculate|Compute|Work out] {a} {op} {b}.",
    "{a} {op} {b}",
    "{a} {op} {b} = ?",
    "How much is {a} {op} {b}?",
    "[Please tell|Tell] me what {a} {op} {b} is.",
]
OPERATORS = {"+": ["+", "plus"], "-": ["-", "minus"], "x": ["x", "times", "*"], "/": ["/", "divided by"]}


def _operands(rng: random.Random, op: str) -> tuple[int, int]:
    if op == "x":
        return (
            (rng.randint(11, 99), rng.randint(2, 9))
            if rng.random() < 0.4
            else (rng.randint(0, 12), rng.randint(0, 12))
        )
    if op == "/":
        b = rng.randint(1, 12)
        return b * rng.randint(1, 12), b
    top = rng.choice([10, 20, 100, 100, 500, 999])
    a, b = rng.randint(0, top), rng.randint(0, rng.choice([top, 99, 20]))
    if op == "+" and a + b > 1000:
        return _operands(rng, op)
    return (max(a, b), min(a, b)) if op == "-" else (a, b)


def _solve(a: int, op: str, b: int) -> tuple[int, str]:
    """The result and the chain of thought; the thought is empty where recall is enough."""
    if op == "+":
        return a + b, add_digits(a, b) if a + b > 20 else ""
    if op == "-":
        return a - b, subtract_digits(a, b) if a > 20 else ""
    if op == "x":
        return a * b, multiply_steps(a, b) if a > 12 else ""
    return a // b, f"{a // b} x {b} = {a}." if a > 20 else ""


def arithmetic(rng: random.Random) -> Sample:
    op = rng.choice("+++---xx/")
    a, b = _operands(rng, op)
    result, thought = _solve(a, op, b)
    word = rng.choice(OPERATORS[op])
    index, question = choose(rng, SUM_QUESTIONS, a=a, b=b, op=word)
    if index in (2, 3) and word in "+-*/" and rng.random() < 0.4:
        question = question.replace(" ", "")
    reply = assistant(f"{a} {op} {b} = {result}.", thought)
    key = f"sum/{a}{op}{b}"
    return Sample("arithmetic", key, [user(casual(rng, question)), reply], str(result))


COMPARE_QUESTIONS = [
    "Which [number |]is {more}, {a} or {b}?",
    "What is the {most} of {a} and {b}?",
    "Is {a} {more} than {b}?",
]


def compare(rng: random.Random) -> Sample:
    a, b = rng.sample(range(rng.choice([20, 100, 1000])), 2)
    large = rng.random() < 0.5
    more = rng.choice(["larger", "bigger", "greater"]) if large else "smaller"
    most = "larger" if large else "smaller"
    index, question = choose(rng, COMPARE_QUESTIONS, a=a, b=b, more=more, most=most)
    winner, loser = (max(a, b), min(a, b)) if large else (min(a, b), max(a, b))
    reply, answer = f"{winner} is {more if index != 1 else most} than {loser}.", f"{winner} is"
    if index == 2:
        answer = "Yes" if winner == a else "No"
        reply = f"{answer}, {reply}"
    return Sample("compare", f"compare/{a}/{b}", [user(casual(rng, question)), assistant(reply)], answer)


def extremes(rng: random.Random) -> Sample:
    numbers = rng.sample(range(rng.choice([20, 100])), rng.randint(3, 5))
    word, function = rng.choice([("largest", max), ("biggest", max), ("smallest", min)])
    questions = [
        "What is the {w} number in {n}?",
        "Which of these numbers is the {w}: {n}?",
        "Find the {w} number: {n}.",
    ]
    index, question = choose(rng, questions, w=word, n=", ".join(map(str, numbers)))
    result = function(numbers)
    reply = assistant(f"The {word} number is {result}.")
    return Sample("extremes", f"extremes/{numbers}", [user(casual(rng, question)), reply], str(result))


def parity(rng: random.Random) -> Sample:
    number = rng.randint(0, 999)
    even = number % 2 == 0
    index, question = choose(
        rng,
        ["Is {n} even or odd?", "Is {n} an even number?", "Is {n} an odd number?", "{n}: even or odd?"],
        n=number,
    )
    kind = "even" if even else "odd"
    reason = f"it ends in {number % 10}"
    reply, answer = f"{number} is {kind}, because {reason}.", kind
    if index in (1, 2):
        answer = "Yes" if even == (index == 1) else "No"
        reply = f"{answer}, {number} is {kind}, because {reason}."
    return Sample("parity", f"parity/{number}", [user(casual(rng, question)), assistant(reply)], answer)


def sequence(rng: random.Random) -> Sample:
    step = rng.choice([1, 2, 3, 4, 5, 10, 100])
    start = rng.randint(0, 12) * (step if step > 3 else 1)
    if rng.random() < 0.25:
        start, step = start + 6 * step, -step
    terms = [start + i * step for i in range(5)]
    questions = [
        "What comes next: {t}?",
        "What is the next number: {t}, ...?",
        "Continue the [sequence|row|series]: {t}.",
        "Which number comes after {t}?",
    ]
    _, question = choose(rng, questions, t=", ".join(map(str, terms[:4])))
    change = f"Each number is {abs(step)} {'more' if step > 0 else 'less'} than the one before."
    reply = assistant(f"The next number is {terms[4]}. {change}")
    return Sample("sequence", f"sequence/{start}/{step}", [user(casual(rng, question)), reply], str(terms[4]))


def neighbour(rng: random.Random) -> Sample:
    number = rng.randint(1, 998)
    kind = rng.randrange(4)
    question, phrase, result = [
        (f"What number comes after {number}?", f"The number after {number} is", number + 1),
        (f"What number comes before {number}?", f"The number before {number} is", number - 1),
        (f"What is double {number % 50}?", f"Double {number % 50} is", number % 50 * 2),
        (f"What is half of {number % 50 * 2}?", f"Half of {number % 50 * 2} is", number % 50),
    ][kind]
    reply = assistant(f"{phrase} {result}.")
    return Sample(
        "neighbour", f"neighbour/{kind}/{number}", [user(casual(rng, question)), reply], str(result)
    )


THINGS = (
    "apples pears books coins stamps marbles cookies eggs pencils flowers balls cards nuts shells".split()
)
GAIN = [
    "{name} has {a} {things} and [buys|finds|gets] {b} more. How many {things} does {name} have now?",
    "{name} has {a} {things}. {friend} gives {name} {b} more. How many {things} does {name} have?",
    "There are {a} {things} on the table. {name} puts {b} more on it. How many {things} are there now?",
    "{name} has {a} {things} and {friend} has {b}. How many {things} do they have together?",
]
LOSS = [
    "{name} has {a} {things} and [loses|sells|gives away] {b}. How many {things} are left?",
    "{name} has {a} {things}. {name} gives {b} to {friend}. How many {things} does {name} have left?",
    "There are {a} {things} in a box. {name} takes {b} out. How many {things} are left in the box?",
]
GROUPS = [
    "{name} has {b} bags with {a} {things} in each. How many {things} are there in all?",
    "There are {b} boxes. Each box holds {a} {things}. How many {things} are there?",
]
SHARE = [
    "{name} shares {a} {things} equally among {b} friends. How many {things} does each friend get?",
    "{name} puts {a} {things} into {b} equal groups. How many {things} are in each group?",
]


def word_problem(rng: random.Random) -> Sample:
    op, phrases = rng.choice([("+", GAIN), ("-", LOSS), ("x", GROUPS), ("/", SHARE)])
    if op in "+-":
        a, b = sorted((rng.randint(2, 60), rng.randint(2, 40)), reverse=True)
    else:
        b = rng.randint(2, 9)
        a = rng.randint(2, 10) * (b if op == "/" else 1)
    name, friend = rng.sample(facts.NAMES, 2)
    things = rng.choice(THINGS)
    index, question = choose(rng, phrases, a=a, b=b, name=name, friend=friend, things=things)
    result, detail = _solve(a, op, b)
    idea = {
        "+": "Getting more means adding",
        "-": "Taking away means subtracting",
        "x": "Equal groups mean multiplying",
        "/": "Sharing equally means dividing",
    }[op]
    thought = f"{idea}: {a} {op} {b}. {detail}".strip()
    reply = assistant(f"{a} {op} {b} = {result}, so the answer is {result} {things}.", thought)
    key = f"problem/{index}/{a}{op}{b}/{things}"
    return Sample("word_problem", key, [user(question), reply], str(result))


def units(rng: random.Random) -> Sample:
    small, large, size = rng.choice(facts.UNITS)
    larges = large[:-1] + "ies" if large == "century" else large + ("s" if large != "dozen" else "")
    if rng.random() < 0.5:
        questions = [
            "How many {small} are [there |]in {one} {large}?",
            "How many {small} make {one} {large}?",
            "How many {small} does {one} {large} have?",
        ]
        one = "an" if large == "hour" else "a"
        index, question = choose(rng, questions, small=small, large=large, one=one)
        reply = f"There are {size} {small} in {one} {large}."
        return Sample(
            "units",
            f"unit/{small}/{large}/{index}",
            [user(casual(rng, question)), assistant(reply)],
            str(size),
        )
    count = rng.randint(2, 9)
    questions = [
        "How many {small} are [there |]in {n} {larges}?",
        "Convert {n} {larges} to {small}.",
        "{n} {larges} is how many {small}?",
    ]
    index, question = choose(rng, questions, n=count, small=small, larges=larges)
    base = f"1 {large} is {size} {small}."
    steps = (
        f" {multiply_steps(size, count)}"
        if size % 10 or size == 10
        else f" {count} x {size} = {count * size}."
    )
    reply = assistant(f"{count} {larges} are {count * size} {small}.", base + steps)
    return Sample(
        "units", f"convert/{small}/{count}/{index}", [user(casual(rng, question)), reply], str(count * size)
    )


ORDER_QUESTIONS = [
    "{a} is {more} than {b}. {b} is {more} than {c}. Who is the {most}?",
    "{b} is {more} than {c}. {a} is {more} than {b}. Who is the {most}?",
    "{a} is {more} than {b}. {b} is {more} than {c}. Who is the {least}?",
    "{b} is {more} than {c}. {a} is {more} than {b}. Who is the {least}?",
]
ADJECTIVES = [
    ("older", "oldest", "youngest"),
    ("taller", "tallest", "shortest"),
    ("faster", "fastest", "slowest"),
    ("stronger", "strongest", "weakest"),
]


def ordering(rng: random.Random) -> Sample:
    a, b, c = rng.sample(facts.NAMES, 3)
    more, most, least = rng.choice(ADJECTIVES)
    index, question = choose(rng, ORDER_QUESTIONS, a=a, b=b, c=c, more=more, most=most, least=least)
    asked, winner = (most, a) if index < 2 else (least, c)
    thought = f"From {most} to {least}: {a}, {b}, {c}."
    reply = assistant(f"{winner} is the {asked}.", thought)
    return Sample("ordering", f"ordering/{a}/{b}/{c}", [user(question), reply], winner)


def sum_list(rng: random.Random) -> Sample:
    numbers = [rng.randint(1, 20) for _ in range(3)]
    _, question = choose(
        rng, ["What is the sum of {n}?", "Add [up |]{n}.", "Add these numbers: {n}."], n=join_words(numbers)
    )
    first = numbers[0] + numbers[1]
    total = first + numbers[2]
    thought = f"{numbers[0]} + {numbers[1]} = {first}. {first} + {numbers[2]} = {total}."
    reply = assistant(f"The sum is {total}.", thought)
    return Sample(
        "sum_list", f"sum_list/{numbers}", [user(casual(rng, capitalise(question))), reply], str(total)
    )


FAMILIES = {
    arithmetic: 12,
    compare: 2,
    extremes: 2,
    parity: 1,
    sequence: 2,
    neighbour: 2,
    word_problem: 5,
    units: 3,
    ordering: 2,
    sum_list: 2,
}
