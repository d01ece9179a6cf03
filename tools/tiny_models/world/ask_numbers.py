"""Arithmetic, comparisons, sequences, word problems, units: with short chains of thought."""

import random

from world import facts
from world.grammar import Sample, assistant, capitalise, casual, choose, join_words, user


def add_steps(a: int, b: int) -> str:
    """The school method for a + b <= 999 in columns of a fixed width, the ones first: "+0" is the carry."""
    x, y, carry, steps = f"{a:03d}", f"{b:03d}", 0, []
    for i in (2, 1, 0):
        total = int(x[i]) + int(y[i]) + carry
        steps.append(f"{x[i]}+{y[i]}+{carry}={total:02d}")
        carry = total // 10
    return f"{x}+{y}: " + "; ".join(steps)


def subtract_steps(a: int, b: int) -> str:
    """The same for a - b with a >= b: a leading 1 is what this column borrows, the next column pays it back."""
    x, y, borrow, steps = f"{a:03d}", f"{b:03d}", 0, []
    for i in (2, 1, 0):
        under = int(y[i]) + borrow
        need = int(int(x[i]) < under)
        steps.append(f"{need}{x[i]}-{y[i]}-{borrow}={int(x[i]) + 10 * need - under}")
        borrow = need
    return f"{x}-{y}: " + "; ".join(steps)


def multiply_steps(a: int, b: int) -> str:
    """a * b for two-digit a and one-digit b."""
    tens, ones = divmod(a, 10)
    carry = ones * b // 10
    return f"{a}x{b}: {ones}x{b}+0={ones * b:02d}; {tens}x{b}+{carry}={tens * b + carry:02d}"


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
        return (rng.randint(10, 99), rng.randint(2, 9)) if rng.random() < 0.5 else (rng.randint(0, 9), rng.randint(0, 9))
    if op == "/":
        b = rng.randint(1, 9)
        return b * rng.randint(1, 10), b
    top = rng.choice([9, 99, 99, 500, 999])
    a, b = rng.randint(0, top), rng.randint(0, rng.choice([top, top, 9]))
    if op == "+" and a + b > 999:
        return _operands(rng, op)
    return (max(a, b), min(a, b)) if op == "-" else (a, b)


def _solve(a: int, op: str, b: int) -> tuple[int, str]:
    """The result and the chain of thought; the thought is empty where tables give the result."""
    if op == "+":
        return a + b, add_steps(a, b) if max(a, b) > 9 else ""
    if op == "-":
        return a - b, subtract_steps(a, b) if a > 9 else ""
    if op == "x":
        return a * b, multiply_steps(a, b) if a > 9 else ""
    return a // b, ""


def arithmetic(rng: random.Random) -> Sample:
    op = rng.choice("+++---xx/")
    a, b = _operands(rng, op)
    result, thought = _solve(a, op, b)
    word = rng.choice(OPERATORS[op])
    index, question = choose(rng, SUM_QUESTIONS, a=a, b=b, op=word)
    if index in (2, 3) and word in "+-*/" and rng.random() < 0.4:
        question = question.replace(" ", "")
    reply = assistant(f"The result is {result}.", thought)
    key = f"sum/{a}{op}{b}" if thought else f"sum/{a}{op}{b}/{index}"  # tables are learnt by heart
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
        answer = "yes" if winner == a else "no"
        reply = f"{reply[:-1]}, so {answer}."
    return Sample("compare", f"compare/{a}/{b}", [user(casual(rng, question)), assistant(reply)], answer)


def extremes(rng: random.Random) -> Sample:
    numbers = rng.sample(range(rng.choice([20, 100])), rng.randint(3, 4))
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
    reply, answer = f"The last digit is {number % 10}, so {number} is {kind}.", kind
    if index in (1, 2):
        answer = "yes" if even == (index == 1) else "no"
        reply = f"The last digit is {number % 10}, so it is {kind}: {answer}."
    return Sample("parity", f"parity/{number}", [user(casual(rng, question)), assistant(reply)], answer)


def sequence(rng: random.Random) -> Sample:
    step = rng.choice([1, 2, 3, 5, 10])
    start = rng.randint(0, 10) * step
    terms = [start + i * step for i in range(5)]
    questions = [
        "What comes next: {t}?",
        "What is the next number: {t}, ...?",
        "Continue the [sequence|row|series]: {t}.",
        "Which number comes after {t}?",
    ]
    index, question = choose(rng, questions, t=", ".join(map(str, terms[:4])))
    reply = assistant(f"Each number is {step} more, so the next number is {terms[4]}.")
    key = f"sequence/{start}/{step}/{index}"
    return Sample("sequence", key, [user(casual(rng, question)), reply], f"number is {terms[4]}")


def neighbour(rng: random.Random) -> Sample:
    number, small = rng.randint(1, 98), rng.randint(1, 20)
    kind = rng.randrange(4)
    questions, phrase, result = [
        (["What number comes [right |]after {n}?", "Which number follows {n}?"], "The number after {n} is", number + 1),
        (["What number comes [right |]before {n}?", "Which number is just before {n}?"], "The number before {n} is", number - 1),
        (["What is double {s}?", "Double the number {s}."], "Double {s} is", small * 2),
        (["What is half of {d}?", "Tell me half of {d}."], "Half of {d} is", small),
    ][kind]
    fields = dict(n=number, s=small, d=small * 2)
    index, question = choose(rng, questions, **fields)
    reply = choose(rng, [phrase], **fields)[1] + f" {result}."
    key = f"neighbour/{kind}/{number if kind < 2 else small}/{index}"
    return Sample("neighbour", key, [user(casual(rng, question)), assistant(reply)], str(result))


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
        top = rng.choice([9, 60, 60])
        a, b = sorted((rng.randint(2, top), rng.randint(2, top)), reverse=True)
    else:
        b = rng.randint(2, 9)
        a = rng.randint(2, 9) * (b if op == "/" else 1)
    name, friend = rng.sample(facts.NAMES, 2)
    things = rng.choice(THINGS)
    index, question = choose(rng, phrases, a=a, b=b, name=name, friend=friend, things=things)
    result, thought = _solve(a, op, b)
    reply = assistant(f"The answer is {result} {things}.", thought)
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
    reply = assistant(f"1 {large} is {size} {small}, so {count} {larges} are {count * size} {small}.")
    return Sample(
        "units", f"convert/{small}/{count}/{index}", [user(casual(rng, question)), reply], f"are {count * size}"
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
    thought = f"{a}, {b}, {c}"
    reply = assistant(f"{winner} is the {asked}.", thought)
    return Sample("ordering", f"ordering/{a}/{b}/{c}", [user(question), reply], winner)


def sum_list(rng: random.Random) -> Sample:
    numbers = [rng.randint(1, 9) for _ in range(3)]
    _, question = choose(
        rng, ["What is the sum of {n}?", "Add [up |]{n}.", "Add these numbers: {n}."], n=join_words(numbers)
    )
    first = numbers[0] + numbers[1]
    total = first + numbers[2]
    thought = f"{numbers[0]}+{numbers[1]}={first}; {first}+{numbers[2]}={total}"
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
