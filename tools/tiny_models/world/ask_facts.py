"""Questions about facts: countries, animals, words, categories, professions."""

import random

from world import facts
from world.ask_numbers import larger_first
from world.grammar import Sample, article, assistant, capitalise, casual, choose, join_words, user


def _sample(rng, family, key, question, reply, answer, thought=""):
    return Sample(family, key, [user(casual(rng, question)), assistant(reply, thought)], answer)


CAPITAL_QUESTIONS = [
    "What is the capital of {country}?",
    "[Please tell|Tell] me the capital of {country}.",
    "[Do you know|Can you tell me] the capital of {country}?",
    "Which city is the capital of {country}?",
    "What's {country}'s capital?",
    "Name the capital [city |]of {country}.",
    "{country}: what is the capital?",
    "[I need|Give me|Say] the [name of the |]capital of {country}[, please|].",
    "[I am looking for|I need to know] the capital [city |]of {country}.",
    "Which city is {country}'s capital?",
]


def capital(rng: random.Random) -> Sample:
    country, city, _, _ = rng.choice(facts.COUNTRIES)
    index, question = choose(rng, CAPITAL_QUESTIONS, country=country)
    reply = f"The capital of {country} is {city}."
    return _sample(rng, "capital", f"capital/{country}/{index}", capitalise(question), reply, city)


def capital_check(rng: random.Random) -> Sample:
    """Is this city the capital of this country, or of that one?"""
    right, wrong = rng.sample(facts.COUNTRIES, 2)
    city = right[1]
    style, thought = rng.randrange(3), ""
    if style < 2:
        thought = f"capital: {right[0]} {city}, asked {city if style == 0 else wrong[1]}"
    if style == 0:
        question = f"Is {city} the capital of {right[0]}?"
        reply, answer = f"The capital of {right[0]} is {city}, so yes.", "Yes"
    elif style == 1:
        question = f"Is {wrong[1]} the capital of {right[0]}?"
        reply, answer = f"The capital of {right[0]} is {city}, so no.", "No"
    else:
        first, second = rng.sample([right[0], wrong[0]], 2)
        question = f"Is {city} [the capital of|in] {first} or [of|in] {second}?"
        question = choose(rng, [question])[1]
        reply, answer = f"{city} is the capital of {right[0]}.", right[0]
    key = f"capital_check/{right[0]}/{wrong[0]}/{style}"
    return _sample(rng, "capital_check", key, question, reply, answer, thought)


COUNTRY_ASPECTS = [
    ("Which country has the capital {city}?", "{city} is the capital of {country}.", "country"),
    ("{city} is the capital of which country?", "{city} is the capital of {country}.", "country"),
    ("[In which country is|Where is] {city}?", "{city} is in {country}.", "country"),
    ("On which continent is {country}?", "{country} is in {continent}.", "continent"),
    ("Which continent is {country} [in|part of]?", "{country} is in {continent}.", "continent"),
    ("Where is {country}?", "{country} is in {continent}.", "continent"),
    ("What language do people speak in {country}?", "People in {country} speak {language}.", "language"),
    ("Which language is spoken in {country}?", "People in {country} speak {language}.", "language"),
    (
        "Tell me about {country}.",
        "{country} is a country in {continent}. Its capital is {city}, and people there speak {language}.",
        "city",
    ),
    (
        "What do you know about {city}?",
        "{city} is the capital of {country}, a country in {continent}.",
        "country",
    ),
    ("{city} is [a city |]in which country?", "{city} is in {country}.", "country"),
    (
        "[Which|What] country [does {city} belong to|has {city} in it|do I visit when I see {city}]?",
        "{city} is in {country}.",
        "country",
    ),
    ("[I am|We are|My friend is] in {city}. Which country is [that|it]?", "{city} is in {country}.", "country"),
    ("{country} [is|lies] [on|in] which continent?", "{country} is in {continent}.", "continent"),
    (
        "[What is the continent of|Name the continent of|Tell me the continent of] {country}.",
        "{country} is in {continent}.",
        "continent",
    ),
    ("[What|Which] continent does {country} belong to?", "{country} is in {continent}.", "continent"),
    (
        "[Which|What] language [do they speak|is used|do people use] in {country}?",
        "People in {country} speak {language}.",
        "language",
    ),
    ("[Tell me|Say|Name] the language of {country}.", "People in {country} speak {language}.", "language"),
    (
        "[I go|I travel|We fly] to {country}. [Which|What] language [is spoken|do people speak] there?",
        "People in {country} speak {language}.",
        "language",
    ),
]


def country(rng: random.Random) -> Sample:
    row = rng.choice(facts.COUNTRIES)
    fields = dict(zip(("country", "city", "continent", "language"), row))
    index = rng.randrange(len(COUNTRY_ASPECTS))
    question, reply, aspect = COUNTRY_ASPECTS[index]
    question = choose(rng, [question], **fields)[1]
    reply = capitalise(choose(rng, [reply], **fields)[1])
    key = f"country/{row[0]}/{index}"
    return _sample(rng, "country", key, capitalise(question), reply, fields[aspect])


ANIMAL_ASPECTS = [
    ("What sound does {a} make?", "{A} {sound}.", "sound"),
    ("[What noise does|Which sound does] {a} make?", "{A} {sound}.", "sound"),
    ("How many legs does {a} have?", "{A} has {legs} legs.", "legs"),
    ("Tell me how many legs {a} has.", "{A} has {legs} legs.", "legs"),
    ("Where does {a} live?", "{A} lives {home}.", "home"),
    ("Where can I find {a}?", "You can find {a} {home}.", "home"),
    ("What does {a} eat?", "{A} eats {food}.", "food"),
    ("What [is the food of|food do you give to] {a}?", "{A} eats {food}.", "food"),
    ("What is a young {animal} called?", "A young {animal} is called {young}.", "young"),
    (
        "[What do you call|What is the name for] a baby {animal}?",
        "A baby {animal} is called {young}.",
        "young",
    ),
    ("What kind of animal is {a}?", "{A} is {kind}.", "kind"),
    ("Is {a} a mammal, a bird or something else?", "{A} is {kind}.", "kind"),
    (
        "[Tell me [something |]about|What do you know about|Describe] {a}.",
        "{A} is {kind}. It lives {home}, it eats {food}, and it {sound}.",
        "food",
    ),
    ("[Which|What] sound [is typical for|comes from|do you know from] {a}?", "{A} {sound}.", "sound"),
    ("How does {a} sound?", "{A} {sound}.", "sound"),
    ("[What|Which] noise [is made by|can you hear from] {a}?", "{A} {sound}.", "sound"),
    ("[Count|Say|Give me] the [number of |]legs of {a}.", "{A} has {legs} legs.", "legs"),
    ("{A} has how many legs?", "{A} has {legs} legs.", "legs"),
    ("On how many legs does {a} [walk|stand]?", "{A} has {legs} legs.", "legs"),
    ("[In which place|In what place] does {a} [live|sleep]?", "{A} lives {home}.", "home"),
    ("What is the home of {a}?", "{A} lives {home}.", "home"),
    ("[What can I|What should I|What do I] [feed|give to] {a}?", "{A} eats {food}.", "food"),
    ("[Which|What] food [is good for|does {a} like|do you feed] {a}?", "{A} eats {food}.", "food"),
    ("{A} is hungry. What does it [eat|want]?", "{A} eats {food}.", "food"),
    (
        "[What name has|How do you call|What do people call] [a young|the baby of a|a little] {animal}?",
        "A young {animal} is called {young}.",
        "young",
    ),
    ("{A} has a baby. What is it called?", "A young {animal} is called {young}.", "young"),
    (
        "[What|Which] [word means|is the word for] a [young|baby] {animal}?",
        "A young {animal} is called {young}.",
        "young",
    ),
    ("[Which|What] kind of animal is {a}?", "{A} is {kind}.", "kind"),
]


def animal(rng: random.Random) -> Sample:
    name, sound, legs, home, food, young, kind = rng.choice(facts.ANIMALS)
    index = rng.randrange(len(ANIMAL_ASPECTS))
    question, reply, aspect = ANIMAL_ASPECTS[index]
    fields = {
        "animal": name,
        "a": article(name),
        "A": capitalise(article(name)),
        "sound": sound,
        "legs": "no" if legs == "0" else legs,
        "home": ("on " if home in ("a farm", "the savanna") else "in ") + home,
        "food": food,
        "young": article(young),
        "kind": article(kind),
    }
    question = choose(rng, [question], **fields)[1]
    reply = choose(rng, [reply], **fields)[1]
    return _sample(rng, "animal", f"animal/{name}/{index}", question, reply, fields[aspect].split()[-1])


SIZE_QUESTIONS = [
    "Which is {more}, {a} or {b}?",
    "What is {more}: {a} or {b}?",
    "Is {a} {more} than {b}?",
    "Between {a} and {b}, which [animal |one |]is {more}?",
    "[Say|Do you know|I wonder] which [animal |]is {more}, {a} or {b}?",
    "Compare {a} and {b}. Which is {more}?",
    "{A} or {b}: [what|which one] is {more}?",
]


def animal_size(rng: random.Random) -> Sample:
    low, high = sorted(rng.sample(range(len(facts.SIZES)), 2))
    small, big = facts.SIZES[low], facts.SIZES[high]
    first, second = rng.sample([small, big], 2)
    more = rng.choice(["bigger", "larger", "smaller"])
    winner, loser = (small, big) if more == "smaller" else (big, small)
    fields = dict(more=more, a=article(first), b=article(second), A=capitalise(article(first)))
    index, question = choose(rng, SIZE_QUESTIONS, **fields)
    reply = f"{capitalise(article(winner))} is {more} than {article(loser)}."
    answer = reply
    if index == 2:
        answer = "Yes" if winner == first else "No"
        true = more if winner == first else "bigger" if more == "smaller" else "smaller"
        reply = f"{capitalise(article(first))} is {true} than {article(second)}, so {answer.lower()}."
    thought = "size: " + larger_first([first, second], [facts.SIZES.index(first), facts.SIZES.index(second)], 2)
    return _sample(rng, "animal_size", f"size/{low}/{high}/{index}", question, reply, answer, thought)


WORD_QUESTIONS = {
    "opposite": [
        "What is the opposite of {word}?",
        "[Give|Tell] me the opposite of {word}.",
        "What's the opposite of '{word}'?",
        "What is an antonym of '{word}'?",
        "Which word means the opposite of {word}?",
        "{word}: [what|which word] is the opposite?",
        "[If it is not {word}, it is ...|Not {word} but ...]?",
        "[Say|Find|Name] the opposite of '{word}'.",
        "I need [a word that is |]the opposite of {word}.",
    ],
    "synonym": [
        "What is another word for {word}?",
        "[Give|Tell] me a synonym [of|for] {word}.",
        "What is a synonym of '{word}'?",
        "Which word means the same as {word}?",
        "[Find|Say|Name|I need] another word for '{word}'.",
        "{word}: [what|which] is a synonym?",
    ],
    "plural": [
        "What is the plural of {word}?",
        "[Give|Tell] me the plural of '{word}'.",
        "How do you say more than one {word}?",
        "One {word}, two what?",
        "[Say|Name|Write|I need] the plural of {word}.",
        "There is one {word} here and one {word} there. Two what?",
        "Here is a {word}. Here are two ...?",
        "How do I write two of the word {word}?",
    ],
    "past tense": [
        "What is the past tense of {word}?",
        "[Give|Tell] me the past tense of '{word}'.",
        "Today I {word}. Yesterday I ...?",
        "What is the past of the verb {word}?",
        "[Say|Name|Write|I need] the past [tense |form |]of {word}.",
        "Now they {word}. Last week they ...?",
        "Put the verb {word} into the past.",
    ],
}
WORD_REPLIES = {
    "opposite": "The opposite of {word} is {other}.",
    "synonym": "Another word for {word} is {other}.",
    "plural": "The plural of {word} is {other}.",
    "past tense": "The past tense of {word} is {other}.",
}


def word(rng: random.Random) -> Sample:
    tables = {
        "opposite": facts.OPPOSITES + [(b, a) for a, b in facts.OPPOSITES],
        "synonym": facts.SYNONYMS,
        "plural": facts.PLURALS,
        "past tense": facts.PAST_TENSES,
    }
    relation = rng.choice(list(tables) + ["opposite"])
    first, other = rng.choice(tables[relation])
    index, question = choose(rng, WORD_QUESTIONS[relation], word=first)
    reply = choose(rng, [WORD_REPLIES[relation]], word=first, other=other)[1]
    return _sample(rng, "word", f"{relation}/{first}/{index}", question, reply, other)


def category(rng: random.Random) -> Sample:
    kind = rng.choice(list(facts.CATEGORIES))
    thing = rng.choice(facts.CATEGORIES[kind])
    other = rng.choice([k for k in facts.CATEGORIES if k != kind and thing not in facts.CATEGORIES[k]])
    a_thing, a_kind, a_other = (
        article(thing) if kind not in ("color", "drink") else thing,
        article(kind),
        article(other),
    )
    style = rng.randrange(7)
    first, second = rng.sample([a_kind, a_other], 2)
    label, thought = kind.split(" ")[-1], ""
    reply = f"{capitalise(a_thing)} is {a_kind}."
    answer = kind
    if style == 0:
        question = f"Is {a_thing} {first} or {second}?"
    elif style == 1:
        question, reply, answer = f"Is {a_thing} {a_kind}?", f"{reply[:-1]}, so yes.", "Yes"
        thought = f"kind: {thing} {label}, asked {label}"
    elif style == 2:
        question = f"Is {a_thing} {a_other}?"
        reply, answer = f"{reply[:-1]}, so no.", "No"
        thought = f"kind: {thing} {label}, asked {other.split(' ')[-1]}"
    elif style in (4, 5):
        asked, label_asked, word = [(a_other, other.split(" ")[-1], "no"), (a_kind, label, "yes")][style - 4]
        question = rng.choice(
            [
                f"Do you think {a_thing} is {asked}?",
                f"Can I call {a_thing} {asked}?",
                f"{capitalise(a_thing)} is {asked}, right?",
                f"Is it true that {a_thing} is {asked}?",
                f"Does {a_thing} count as {asked}?",
            ]
        )
        reply, answer = f"{reply[:-1]}, so {word}.", word
        thought = f"kind: {thing} {label}, asked {label_asked}"
    elif style == 6:
        question = rng.choice(
            [f"{capitalise(a_thing)}: is it {first} or {second}?", f"What is {a_thing}, {first} or {second}?"]
        )
    else:
        question = rng.choice([f"What is {a_thing}?", f"What kind of thing is {a_thing}?"])
    return _sample(rng, "category", f"category/{thing}/{style}", question, reply, answer, thought)


LIST_QUESTIONS = [
    "[Name|List|Give me|Tell me] {n} {kinds}.",
    "Can you name {n} {kinds}?",
    "I need a list of {n} {kinds}.",
    "[Write|Make] a list of {n} {kinds}.",
]
NUMBER_WORDS = ["zero", "one", "two", "three", "four", "five"]


def category_list(rng: random.Random) -> Sample:
    kind = rng.choice(list(facts.CATEGORIES))
    count = rng.randint(2, 4)
    kinds = facts.CATEGORY_PLURALS.get(kind, kind + "s")
    number = rng.choice([str(count), NUMBER_WORDS[count]])
    index, question = choose(rng, LIST_QUESTIONS, n=number, kinds=kinds)
    things = facts.CATEGORIES[kind][:count]
    reply = f"{capitalise(NUMBER_WORDS[count])} {kinds} are {join_words(things)}."
    return _sample(rng, "category_list", f"list/{kind}/{count}/{index}", question, reply, f"{count} of {kind}")


PROFESSION_ASPECTS = [
    ("What does {a} do?", "{A} {does}.", "does"),
    ("What is the [job|work] of {a}?", "{A} {does}.", "does"),
    ("Where does {a} work?", "{A} works in {place}.", "place"),
    ("In which place does {a} work?", "{A} works in {place}.", "place"),
    ("Who {does}?", "{A} {does}.", "name"),
    ("[Which|What] person {does}?", "{A} {does}.", "name"),
    ("[What do you call|What is the name of] [someone|a person] who {does}?", "{A} {does}.", "name"),
    ("[Which|What] job has a person who {does}?", "{A} {does}.", "name"),
    ("[What|Which] is the workplace of {a}?", "{A} works in {place}.", "place"),
]


def profession(rng: random.Random) -> Sample:
    name, does, place = rng.choice(facts.PROFESSIONS)
    place = place.replace("the sea", "a ship at sea")
    index = rng.randrange(len(PROFESSION_ASPECTS))
    question, reply, aspect = PROFESSION_ASPECTS[index]
    fields = {"name": name, "a": article(name), "A": capitalise(article(name)), "does": does, "place": place}
    question = choose(rng, [question], **fields)[1]
    reply = choose(rng, [reply], **fields)[1]
    return _sample(rng, "profession", f"profession/{name}/{index}", question, reply, fields[aspect])


def general(rng: random.Random) -> Sample:
    question, reply, answer, other = rng.choice(facts.GENERAL)
    style, other = rng.randrange(7), choose(rng, [other])[1]
    lower = question[0].lower() + question[1:]
    asked = [
        question,
        other,
        f"Please tell me: {lower}",
        f"Hey, {lower}",
        f"A question for you: {lower}",
        f"My {rng.choice(['son', 'sister', 'teacher', 'friend'])} asks: {lower}",
        f"I have to know this: {lower} {other}",
    ][style]
    return _sample(rng, "general", f"general/{question}/{style}", asked, reply, answer)


ENUMERATIONS = {
    "the days of the week": facts.DAYS,
    "the months of the year": facts.MONTHS,
    "the seasons": list(facts.SEASONS),
    "the planets": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split(),
    "the colors of the rainbow": "red orange yellow green blue indigo violet".split(),
    "the continents": [
        "Africa",
        "Antarctica",
        "Asia",
        "Australia",
        "Europe",
        "North America",
        "South America",
    ],
}


def enumeration(rng: random.Random) -> Sample:
    what = rng.choice(list(ENUMERATIONS))
    questions = ["[What|Which] are {w}?", "[Name|List|Tell me|Say] {w}.", "Can you [name|list] {w}?"]
    index, question = choose(rng, questions, w=what)
    listed = join_words(ENUMERATIONS[what])
    reply = f"{capitalise(what)} are {listed}."
    return _sample(rng, "enumeration", f"enumeration/{what}/{question}", question, reply, listed)


def count_up(rng: random.Random) -> Sample:
    first = rng.choice([1, 1, 1, rng.randint(2, 20)])
    last = first + rng.randint(3, 8)
    down = rng.random() < 0.25
    questions = ["Count from {a} to {b}.", "Can you count from {a} to {b}?", "[Please count|Count] to {b}."]
    a, b = (last, first) if down else (first, last)
    index, question = choose(rng, questions[:2] if down or first > 1 else questions, a=a, b=b)
    numbers = ", ".join(map(str, range(a, b - 1, -1) if down else range(a, b + 1)))
    return _sample(rng, "count_up", f"count/{a}/{b}/{index}", question, f"{numbers}.", numbers)


FAMILIES = {
    enumeration: 1,
    count_up: 1,
    capital: 4,
    capital_check: 2,
    country: 4,
    animal: 5,
    animal_size: 2,
    word: 5,
    category: 3,
    category_list: 3,
    profession: 2,
    general: 4,
}
