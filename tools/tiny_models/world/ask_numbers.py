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
    """a * b for a up to 99 and one-digit b."""
    tens, ones = divmod(a, 10)
    carry = ones * b // 10
    return f"{a:02d}x{b}: {ones}x{b}+0={ones * b:02d}; {tens}x{b}+{carry}={tens * b + carry:02d}"


def larger_first(names: list, values: list[int], width: int) -> str:
    """Each name with its value, or the value alone where the name is the value; then the two, the larger one first."""
    padded = [f"{v:0{width}d}" for v in values]
    shown = padded if names == values else names
    listed = padded if names == values else [f"{n} {v}" for n, v in zip(names, padded)]
    large, small = sorted(range(2), key=values.__getitem__, reverse=True)
    return f"{', '.join(listed)}; {shown[large]} > {shown[small]}"


def best_step(numbers: list[int], word: str) -> str:
    """word: min or max. Numbers have two digits, so that digits of a kind are two tokens and a comma apart."""
    best = {"min": min, "max": max}[word](numbers)
    return f"{', '.join(f'{n:02d}' for n in numbers)} {word} {best:02d}"


SUM_QUESTIONS = [
    "What is {a} {op} {b}?",
    "[Calculate|Compute|Work out] {a} {op} {b}.",
    "{a} {op} {b}",
    "{a} {op} {b} = ?",
    "How much is {a} {op} {b}?",
    "[Please tell|Tell] me what {a} {op} {b} is.",
    "[Solve|Do|Figure out] {a} {op} {b}[, please|].",
    "[What does {a} {op} {b} make|What do {a} {op} {b} make|What is the answer to {a} {op} {b}]?",
    "[I need|Give me] [the result of |]{a} {op} {b}.",
    "{said}",
    "{said}",
]
# The same in words, by operator.
SAID = {
    "+": [
        "Add {b} to {a}.",
        "[What is|Find|I need] the sum of {a} and {b}.",
        "[Add|Please add] {a} and {b}.",
        "What [do you get|is it|do I get] [if|when] you add {a} and {b}?",
        "How much are {a} and {b} together?",
    ],
    "-": [
        "[Subtract|Take] {b} from {a}.",
        "[What is|Find|I need] the difference between {a} and {b}.",
        "What is left when you take {b} from {a}?",
        "Take {b} away from {a}.",
    ],
    "x": [
        "Multiply {a} [by|with] {b}.",
        "[What is|Find|I need] the product of {a} and {b}.",
        "If I multiply {a} by {b}, what is the result?",
        "How much is {a} multiplied by {b}?",
    ],
    "/": [
        "Divide {a} by {b}.",
        "What is {a} over {b}?",
        "If I divide {a} by {b}, what is the result?",
        "How often does {b} go into {a}?",
    ],
}
OPERATORS = {"+": ["+", "plus"], "-": ["-", "minus"], "x": ["x", "times", "*"], "/": ["/", "divided by"]}


def _operands(rng: random.Random, op: str) -> tuple[int, int]:
    if op == "x":
        return (
            (rng.randint(10, 99), rng.randint(2, 9)) if rng.random() < 0.5 else (rng.randint(0, 9), rng.randint(0, 9))
        )
    if op == "/":
        b = rng.randint(1, 9)
        return b * rng.randint(1, 10), b
    top = rng.choice([9, 99, 99, 500, 999])
    a, b = rng.randint(0, top), rng.randint(0, rng.choice([top, top, 9]))
    if op == "+" and a + b > 999:
        return _operands(rng, op)
    return (max(a, b), min(a, b)) if op == "-" else (a, b)


def solve(a: int, op: str, b: int) -> tuple[int, str]:
    """The result and the chain of thought."""
    if op == "+":
        return a + b, add_steps(a, b)
    if op == "-":
        return a - b, subtract_steps(a, b)
    if op == "x":
        return a * b, multiply_steps(a, b)
    return a // b, f"{a}/{b}={a // b}"


def sum_key(a: int, op: str, b: int, index: int) -> str:
    """Names the phrasing as well where a table of one-digit numbers gives the result: all of it is trained on."""
    by_table = op == "/" or (a if op in "-x" else max(a, b)) <= 9
    return f"sum/{a}{op}{b}/{index}" if by_table else f"sum/{a}{op}{b}"


def arithmetic(rng: random.Random) -> Sample:
    op = rng.choice("+++---xx/")
    a, b = _operands(rng, op)
    result, thought = solve(a, op, b)
    word = rng.choice(OPERATORS[op])
    index, question = choose(rng, SUM_QUESTIONS, op=word, said=rng.choice(SAID[op]))
    question = choose(rng, [question], a=a, b=b)[1]
    if question.startswith(("What is the sum", "What is the difference", "What is the product")):
        question = question[:-1] + "?"
    if index in (2, 3) and word in "+-*/" and rng.random() < 0.4:
        question = question.replace(" ", "")
    reply = assistant(f"The result is {result}.", thought)
    return Sample("arithmetic", sum_key(a, op, b, index), [user(casual(rng, question)), reply], str(result))


COMPARE_QUESTIONS = [
    "Which [number |]is {more}, {a} or {b}?",
    "What is the {most} of {a} and {b}?",
    "Is {a} {more} than {b}?",
    "[Tell|Please tell] me which is {more}, {a} or {b}.",
    "{a} or {b}: which [one |number |]is {more}?",
    "Compare {a} and {b}. Which one is {more}?",
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
        true = more if answer == "yes" else "smaller" if large else "larger"
        reply = f"{a} is {true} than {b}, so {answer}."
    thought = larger_first([a, b], [a, b], 3)
    return Sample("compare", f"compare/{a}/{b}", [user(casual(rng, question)), assistant(reply, thought)], answer)


def extremes(rng: random.Random) -> Sample:
    numbers = rng.sample(range(rng.choice([20, 100])), rng.randint(3, 4))
    word, function = rng.choice([("largest", max), ("biggest", max), ("smallest", min)])
    questions = [
        "What is the {w} number in {n}?",
        "Which of these numbers is the {w}: {n}?",
        "Find the {w} number: {n}.",
        "{n}: which [one |number |]is the {w}?",
        "[Tell me|Give me|Say] the {w} [one |number |]of {n}.",
    ]
    index, question = choose(rng, questions, w=word, n=", ".join(map(str, numbers)))
    result = function(numbers)
    reply = assistant(f"The {word} number is {result}.", best_step(numbers, function.__name__))
    return Sample("extremes", f"extremes/{numbers}", [user(casual(rng, question)), reply], str(result))


def parity(rng: random.Random) -> Sample:
    number = rng.randint(0, 999)
    even = number % 2 == 0
    index, question = choose(
        rng,
        [
            "Is {n} even or odd?",
            "Is {n} an even number?",
            "Is {n} an odd number?",
            "{n}: even or odd?",
            "Is the number {n} [odd or even|even or odd]?",
            "[I wonder if|Say if|Can you say if] {n} is [odd or even|even or odd].",
        ],
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
        "[Continue with the next number|Go on with|Keep counting]: {t}",
        "{t}, [and then|what is next|what follows|what comes then]?",
        "[Write|Say|Tell me] the next number [of|after|in] {t}.",
    ]
    index, question = choose(rng, questions, t=", ".join(map(str, terms[:4])))
    thought = f"{terms[1]}-{terms[0]}={step}; {add_steps(terms[3], step)}"
    reply = assistant(f"Each number is {step} more, so the next number is {terms[4]}.", thought)
    key = f"sequence/{start}/{step}/{index}"
    return Sample("sequence", key, [user(casual(rng, question)), reply], f"number is {terms[4]}")


def neighbour(rng: random.Random) -> Sample:
    number, small = rng.randint(1, 98), rng.randint(1, 20)
    kind = rng.randrange(4)
    questions, phrase, result = [
        (
            ["What number comes [right |]after {n}?", "Which number follows {n}?", "What is one more than {n}?"],
            "The number after {n} is",
            number + 1,
        ),
        (
            [
                "What number comes [right |]before {n}?",
                "Which number is just before {n}?",
                "What is one less than {n}?",
            ],
            "The number before {n} is",
            number - 1,
        ),
        (["What is double {s}?", "Double the number {s}."], "Double {s} is", small * 2),
        (["What is half of {d}?", "Tell me half of {d}."], "Half of {d} is", small),
    ][kind]
    fields = dict(n=number, s=small, d=small * 2)
    index, question = choose(rng, questions, **fields)
    reply = choose(rng, [phrase], **fields)[1] + f" {result}."
    key = f"neighbour/{kind}/{number if kind < 2 else small}/{index}"
    return Sample("neighbour", key, [user(casual(rng, question)), assistant(reply)], str(result))


THINGS = "apples pears books coins stamps marbles cookies eggs pencils flowers balls cards nuts shells".split()
GAIN = [
    "{name} has {a} {things} and [buys|finds|gets] {b} more. How many {things} does {name} have now?",
    "{name} has {a} {things}. {friend} gives {name} {b} more. How many {things} does {name} have?",
    "There are {a} {things} on the table. {name} puts {b} more on it. How many {things} are there now?",
    "{name} has {a} {things} and {friend} has {b}. How many {things} do they have together?",
    "{name} [had|owned] {a} {things}. Then [she|he|{name}] [got|bought|picked|made] {b} more. How many {things} [is that|are there] [now|in all]?",
    "There were {a} {things} in the [bag|basket|kitchen]. {name} [added|brought] {b}. How many are there now?",
    "{name} [collects|picks|counts] {a} {things} on [Monday|Friday|Sunday] and {b} on [Tuesday|Saturday]. How many is that?",
    "{name} [got|buys] {a} {things} and then {b} [other|more] {things}. How many [{things} |]does {name} [have|own]?",
]
LOSS = [
    "{name} has {a} {things} and [loses|sells|gives away] {b}. How many {things} are left?",
    "{name} has {a} {things}. {name} gives {b} to {friend}. How many {things} does {name} have left?",
    "There are {a} {things} in a box. {name} takes {b} out. How many {things} are left in the box?",
    "{name} [had|owned] {a} {things} and [lost|sold|gave away|used|ate] {b}[ of them|]. How many [{things} |]are left?",
    "{name} had {a} {things}. [She|He] [gave|sold|lent] {b} [of them |]to {friend}. How many does {name} [still have|have now]?",
    "There were {a} {things} on the table. {b} [fell down|are gone|were taken]. How many [{things} |]are still there?",
    "{name} [buys|bakes|brings] {a} {things}. {friend} [takes|eats|breaks] {b}[ of them|]. How many [{things} |]remain?",
]
GROUPS = [
    "{name} has {b} bags with {a} {things} in each. How many {things} are there in all?",
    "There are {b} boxes. Each box holds {a} {things}. How many {things} are there?",
    "{name} [buys|has|fills] {b} boxes of {a} {things}. How many {things} is that?",
    "There are {a} {things} in every [bag|box|row], and there are {b} of them. How many {things} are there [in all|]?",
]
SHARE = [
    "{name} shares {a} {things} equally among {b} friends. How many {things} does each friend get?",
    "{name} puts {a} {things} into {b} equal groups. How many {things} are in each group?",
    "{b} friends share {a} {things}. How many {things} does [each|everyone|each one] get?",
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
    result, thought = solve(a, op, b)
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
            "{one} {large}: how many {small} is that?",
            "How many {small} [fit into|go into|are equal to] {one} {large}?",
            "[Tell me|Do you know] how many {small} {one} {large} has.",
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
        "What are {n} {larges} in {small}?",
        "How many {small} [make|do we have in] {n} {larges}?",
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
    "{a} is {more} than {b}, and {b} is {more} than {c}. [Which one|Who] is the {most}?",
    "{b} is {more} than {c}, but {a} is {more} than {b}. [Which one|Who] is the {most}?",
    "{a} is {more} than {b}, and {b} is {more} than {c}. [Which one|Who] is the {least}?",
    "{b} is {more} than {c}, but {a} is {more} than {b}. [Which one|Who] is the {least}?",
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
    asked, winner = (most, a) if index % 4 < 2 else (least, c)
    order = f"{a} > {b}, {b} > {c}" if index % 2 == 0 else f"{b} > {c}, {a} > {b}"
    thought = f"order: {order}; {most} {a}, {least} {c}"
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
    return Sample("sum_list", f"sum_list/{numbers}", [user(casual(rng, capitalise(question))), reply], str(total))


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
