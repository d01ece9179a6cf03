"""Questions about days, months, seasons and clocks."""

import random

from world import facts
from world.ask_numbers import add_steps
from world.grammar import Sample, assistant, casual, choose, user


def _sample(rng, family, key, question, reply, answer, thought=""):
    return Sample(family, key, [user(casual(rng, question)), assistant(reply, thought)], str(answer))


def next_day(rng: random.Random) -> Sample:
    names, kind = rng.choice([(facts.DAYS, "day"), (facts.MONTHS, "month")])
    i = rng.randrange(len(names))
    step = rng.choice([1, -1])
    word = "after" if step > 0 else "before"
    questions = [
        "[What|Which] {kind} comes {word} {name}?",
        "What is the {kind} {word} {name}?",
        "Which {kind} is [right |just |]{word} {name}?",
        "Tell me the {kind} {word} {name}.",
        "I want to know the {kind} [{word}|right {word}] {name}.",
        "{side}",
        "{side}",
    ]
    side = {
        1: "[What comes after {name}|After {name} comes which {kind}|What is next after {name}|{name} is followed by what]?",
        -1: "[What comes before {name}|Before {name} comes which {kind}|What is right before {name}|{name} follows what]?",
    }[step]
    index, question = choose(rng, [q.replace("{side}", side) for q in questions], kind=kind, word=word, name=names[i])
    other = names[(i + step) % len(names)]
    return _sample(
        rng,
        "next_day",
        f"next/{names[i]}/{step}/{index}",
        question,
        f"{other} comes {word} {names[i]}.",
        other,
        f"{word} {names[i]}: {other}",
    )


TODAY_QUESTIONS = [
    ("Today is {day}. What day is tomorrow?", 1, "Tomorrow is"),
    ("If today is {day}, what day is tomorrow?", 1, "Tomorrow is"),
    ("Today is {day}. What day was yesterday?", -1, "Yesterday was"),
    ("If today is {day}, what day was it yesterday?", -1, "Yesterday was"),
    ("Today is {day}. What day will it be in {n} days?", 0, "In {n} days it will be"),
    ("If today is {day}, which day comes {n} days later?", 0, "In {n} days it will be"),
    ("It is {day} today. [What|Which] day is it in {n} days?", 0, "In {n} days it will be"),
    ("It is {day}. [What|Which] day [comes next|is next|is tomorrow]?", 1, "Tomorrow is"),
    ("[What|Which] day is tomorrow when today is {day}?", 1, "Tomorrow is"),
    ("It is {day} [today|]. [What|Which] day was it yesterday?", -1, "Yesterday was"),
    ("[What|Which] day was yesterday when today is {day}?", -1, "Yesterday was"),
    ("{n} days after {day}, what day is it?", 0, "In {n} days it will be"),
]


def weekday(rng: random.Random) -> Sample:
    i, n = rng.randrange(7), rng.randint(2, 6)
    index = rng.randrange(len(TODAY_QUESTIONS))
    question, step, start = TODAY_QUESTIONS[index]
    question = choose(rng, [question], day=facts.DAYS[i], n=n)[1]
    start = start.replace("{n}", str(n))
    result = facts.DAYS[(i + (step or n)) % 7]
    thought = f"{'after' if step > 0 else 'before'} {facts.DAYS[i]}: {result}"
    if not step:
        counted = ", ".join(f"{k}: {facts.DAYS[(i + k) % 7]}" for k in range(1, n + 1))
        thought = f"{n} after {facts.DAYS[i]}: {counted}; {n}: {result}"
    key = f"weekday/{i}/{n if not step else 0}/{index}"
    return _sample(rng, "weekday", key, question, f"{start} {result}.", result, thought)


def month_days(rng: random.Random) -> Sample:
    i = rng.randrange(12)
    month, days = facts.MONTHS[i], facts.MONTH_DAYS[i]
    questions = [
        "How many days does {month} have?",
        "How many days are [there |]in {month}?",
        "[Tell me the|What is the] number of days in {month}.",
        "How long is {month}?",
        "{month} has how many days?",
        "[Tell me|I forgot] how many days {month} has.",
    ]
    index, question = choose(rng, questions, month=month)
    extra = " In a leap year it has 29." if i == 1 else ""
    return _sample(rng, "month_days", f"month_days/{i}/{index}", question, f"{month} has {days} days.{extra}", days)


def month_number(rng: random.Random) -> Sample:
    ordinals = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
    names, kind, whole = rng.choice([(facts.MONTHS, "month", "year"), (facts.DAYS, "day", "week")])
    key_style = ""
    i = rng.randrange(len(names))
    fields = dict(ordinal=ordinals[i], kind=kind, whole=whole, name=names[i])
    if rng.random() < 0.6:
        questions = [
            "[What|Which] is the {ordinal} {kind} of the {whole}?",
            "Name the {ordinal} {kind} of the {whole}.",
            "The {ordinal} {kind} of the {whole}[ is which|: which is it|, please]?",
        ]
        answer = names[i]
        if i == len(names) - 1 and rng.random() < 0.5:
            questions = [q.replace("{ordinal}", "last").replace("What|", "") for q in questions[1:]]
            key_style = "last"
    else:
        questions = ["Which {kind} of the {whole} is {name}?", "What number {kind} of the {whole} is {name}?"]
        answer = ordinals[i]
    index, question = choose(rng, questions, **fields)
    key = f"month_number/{names[i]}/{answer}/{index}{key_style}"
    return _sample(
        rng, "month_number", key, question, f"{names[i]} is the {ordinals[i]} {kind} of the {whole}.", answer
    )


def season(rng: random.Random) -> Sample:
    name = rng.choice(list(facts.SEASONS))
    months = facts.SEASONS[name]
    month = rng.choice(months)
    style = rng.randrange(4)
    question, reply, answer = [
        (f"In which season is {month}?", f"In the north, {month} is in {name}.", name),
        (f"Which season is it in {month}?", f"In the north, {month} is in {name}.", name),
        (
            f"Which months are in {name}?",
            f"In the north, the months of {name} are {months[0]}, {months[1]} and {months[2]}.",
            months[1],
        ),
        (
            f"When is {name}?",
            f"In the north, {name} is in {months[0]}, {months[1]} and {months[2]}.",
            months[1],
        ),
    ][style]
    return _sample(rng, "season", f"season/{month if style < 2 else name}/{style}", question, reply, answer)


def date_later(rng: random.Random) -> Sample:
    i = rng.randrange(12)
    month = facts.MONTHS[i]
    day, n = rng.randint(1, 20), rng.randint(2, 8)
    questions = [
        "Today is {month} {day}. What is the date in {n} days?",
        "What date is {n} days after {month} {day}?",
        "It is {month} {day}. Which date is it {n} days later?",
    ]
    index, question = choose(rng, questions, month=month, day=day, n=n)
    result = f"{month} {day + n}"
    thought = add_steps(day, n)
    key = f"date/{i}/{day}/{n}"
    return _sample(rng, "date_later", key, question, f"The date is {result}.", result, thought)


def clock(rng: random.Random) -> Sample:
    hour, n = rng.randint(1, 12), rng.randint(1, 9)
    questions = [
        "It is {h} o'clock. What time is it in {n} hours?",
        "What time is it {n} hours after {h} o'clock?",
        "The clock shows {h}:00. What does it show {n} hours later?",
    ]
    index, question = choose(rng, questions, h=hour, n=n)
    question = question.replace("1 hours", "1 hour") if n == 1 else question
    later = hour + n
    result = (later - 1) % 12 + 1
    thought = f"{hour}+{n}={later}"
    if later > 12:
        thought += f"; {later}-12={result}"
    return _sample(
        rng,
        "clock",
        f"clock/{hour}/{n}/{index}",
        question,
        f"It is {result} o'clock.",
        f"{result} o'clock",
        thought,
    )


FAMILIES = {next_day: 3, weekday: 3, month_days: 1, month_number: 2, season: 1, date_later: 2, clock: 1}
