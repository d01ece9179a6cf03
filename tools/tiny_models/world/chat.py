"""Small talk: greetings, who the model is, feelings, jokes, poems, and honest limits."""

import random

from world import facts
from world.topics import MODERN_TOPICS
from world.ask_lists import FIELDS
from world.grammar import Sample, assistant, capitalise, casual, choose, user
from world.small_talk import EXCHANGES, JOKES, RIDDLES

JOKE_REQUESTS = [
    "[Tell me|Do you know|Can you tell me] a [funny |good |]joke.",
    "[Make me laugh|Say something funny|Another joke, please|A joke, please].",
    "I want to hear a joke.",
]
RIDDLE_REQUESTS = [
    "[Tell me|Give me|Do you know|Ask me] a riddle.",
    "A riddle[, please|].",
    "I like riddles. [Do you know one|Ask me one]?",
]


def exchange(rng: random.Random) -> Sample:
    name, says, replies = rng.choice(EXCHANGES)
    index, text = choose(rng, says)
    _, reply = choose(rng, replies[:2])
    return Sample("chat", f"chat/{name}/{text}", [user(casual(rng, text)), assistant(reply)])


def joke(rng: random.Random) -> Sample:
    question, punch = rng.choice(JOKES)
    _, request = choose(rng, JOKE_REQUESTS)
    return Sample(
        "joke", f"joke/{question}/{request}", [user(casual(rng, request)), assistant(f"{question} {punch}")]
    )


def riddle(rng: random.Random) -> Sample:
    """The riddle, a guess, and the answer."""
    question, answer = rng.choice(RIDDLES)
    request = choose(rng, RIDDLE_REQUESTS)[1]
    messages = [user(casual(rng, request)), assistant(question)]
    roll = rng.random()
    if roll < 0.4:
        guess = rng.choice([answer, f"Is it {answer}?", capitalise(answer) + "!"])
        messages += [user(guess), assistant(f"Yes, well done! It is {answer}.")]
    elif roll < 0.8:
        surrender = choose(
            rng, ["[I don't know|I give up|No idea|What is it|Tell me][.|]", "What is the answer?"]
        )[1]
        messages += [user(casual(rng, surrender)), assistant(f"The answer is {answer}.")]
    return Sample("riddle", f"riddle/{question}/{request}", messages)


NAME_SAYS = [
    "My name is {name}.",
    "I am {name}.",
    "[Hello|Hi|Hey], [my name is|I am|I'm] {name}[.|!]",
    "I'm {name}, [nice to meet you|and who are you].",
    "Call me {name}.",
]
NAME_REPLIES = [
    "Nice to meet you, {name}! How can I help you?",
    "Hello, {name}! What would you like to know?",
]
NAME_ASKS = [
    "What is my name?",
    "[Do you remember|Do you know|Can you say|Tell me] my name.",
    "Who am I?",
    "What's my name?",
    "How am I called?",
]


def introduction(rng: random.Random) -> Sample:
    """The user's name, told and asked for."""
    name = rng.choice(facts.NAMES)
    index, text = choose(rng, NAME_SAYS, name=name)
    messages = [user(text), assistant(choose(rng, NAME_REPLIES, name=name)[1])]
    answer = ""
    if rng.random() < 0.7:
        ask = choose(rng, NAME_ASKS)[1]
        messages += [
            user(casual(rng, ask)),
            assistant(f"Your name is {name}."),
        ]
        answer = name
    return Sample("introduction", f"name/{name}/{index}", messages, answer)


LIKES = {
    "color": ("My favorite color is {v}.", "What is my favorite color?", "Your favorite color is {v}."),
    "fruit": ("I like to eat {v}s.", "Which fruit do I like?", "You like to eat {v}s."),
    "pet": ("I have {a}.", "Which animal do I have?", "You have {a}."),
    "city": ("I live in {v}.", "Where do I live?", "You live in {v}."),
    "age": ("I am {v} years old.", "How old am I?", "You are {v} years old."),
    "job": ("I am {a}.", "What is my job?", "You are {a}."),
}
LIKE_REPLIES = ["That is good to know!", "Thank you for telling me!"]


def memory(rng: random.Random) -> Sample:
    """Something that the user tells about themselves, asked for later."""
    keys = rng.sample(list(LIKES), rng.randint(1, 2))
    values = {k: FIELDS[k](rng) for k in keys}
    messages = []
    for key in keys:
        value = str(values[key]).replace("cherry", "plum")
        values[key] = value.replace("peach", "pear")
        fill = lambda t, v=values[key]: t.replace("{a}", ("an " if v[0] in "aeiou" else "a ") + v).replace(
            "{v}", v
        )
        messages += [user(fill(LIKES[key][0])), assistant(rng.choice(LIKE_REPLIES))]
    asked = rng.choice(keys)
    value = values[asked]
    fill = lambda t: t.replace("{a}", ("an " if value[0] in "aeiou" else "a ") + value).replace("{v}", value)
    messages += [user(casual(rng, LIKES[asked][1])), assistant(fill(LIKES[asked][2]))]
    return Sample("memory", f"memory/{asked}/{value}", messages, value)


def statement(rng: random.Random) -> Sample:
    """Something that the user says about an animal, a city or a thing, and a fitting reaction."""
    kind = rng.randrange(3)
    if kind == 0:
        name, sound, _, _, food, young, _ = rng.choice(facts.ANIMALS)
        says = [
            "I like {a}s.",
            "I saw a {a} today.",
            "I love my {a}.",
            "My favorite animal is the {a}.",
            "There is a {a} in my garden.",
        ]
        replies = [
            "How nice! A {a} {s} and eats {f}.",
            "Did you know that a young {a} is called a {y}?",
            "That is lovely. Shall I tell you a story about a {a}?",
        ]
        fields = dict(a=name, s=sound, f=food, y=young)
    elif kind == 1:
        land, city, continent, language = rng.choice(facts.COUNTRIES)
        says = [
            "I [live in|come from|am from] {l}.",
            "I [was in|went to|visited] {c} [last year|last summer|].",
            "I [want|would like] to [go to|visit|see] {c}.",
            "I love {l}.",
        ]
        replies = [
            "How nice! {c} is the capital of {l}.",
            "{c} is the capital of {l}. People there speak {p}.",
            "I know that {c} is the capital of {l}. Do you like it there?",
        ]
        fields = dict(l=land, c=city, p=language)
    else:
        name, does, place = rng.choice(facts.PROFESSIONS)
        says = [
            "I [am|work as] a {n}.",
            "My [mother|father|brother|sister|friend] is a {n}.",
            "I want to [be|become] a {n}.",
        ]
        replies = [
            "That is a good job! A {n} {d}.",
            "How interesting! A {n} {d}.",
            "A {n} {d}. That is important work.",
        ]
        fields = dict(n=name, d=does)
    text = (
        choose(rng, says, **fields)[1]
        .replace("mouses", "mice")
        .replace("foxs", "foxes")
        .replace("wolfs", "wolves")
    )
    text = text.replace("sheeps", "sheep").replace(" .", ".")
    reply = capitalise(choose(rng, replies, **fields)[1])
    return Sample("statement", f"statement/{text}", [user(casual(rng, text)), assistant(reply)])


def persona(rng: random.Random) -> Sample:
    """A name given in the system prompt is the name that the model answers to."""
    name = rng.choice(facts.NAMES)
    system = choose(
        rng,
        [
            "You are {n}, [a helpful assistant|a friendly helper|an assistant].",
            "Your name is {n}.",
            "You are a helpful assistant named {n}.",
        ],
        n=name,
    )[1]
    question = choose(
        rng,
        [
            "Who are you?",
            "What is your name?",
            "What's your name?",
            "Tell me who you are.",
            "What should I call you?",
        ],
    )[1]
    reply = choose(rng, ["I am {n}, your assistant.", "My name is {n}."], n=name)[1]
    messages = [{"role": "system", "content": system}, user(casual(rng, question)), assistant(reply)]
    return Sample("persona", f"persona/{name}/{question}", messages, name)


UNKNOWN_QUESTIONS = [
    "Who [wrote|painted|invented|discovered|won|built] {x}?",
    "What is {x}?",
    "[What do you know about|Tell me about|Explain|Describe] {x}.",
    "[When|Why|How] did {x} [happen|begin|end|change]?",
    "Where can I [buy|find|see] {x}?",
    "How [much|old|big|far] is {x}?",
    "What do you think [of|about] {x}?",
    "[Write|Give me] [a report|an essay|some code|a program] about {x}.",
    "[Translate|Summarize|Fix] {x}.",
    "What happened to {x} [in 1999|last year|yesterday]?",
    "How do I [make|repair|learn|install|cook] {x}?",
]
UNKNOWN_NAME_QUESTIONS = [
    "What is the capital of {x}?",
    "Who is {x}?",
    "Where is {x}?",
    "Do you know {x}?",
    "Who was {x}?",
    "When was {x} born?",
    "What language do people speak in {x}?",
    "On which continent is {x}?",
    "How old is {x}?",
]
UNKNOWN_REPLIES = [
    "I do not know that. I am a very small model, but you can ask me about animals, countries, numbers or dates.",
]


def make_unknown(phrases: list[str]):
    """Questions about things outside the small world; phrases come from the public-domain books."""

    def unknown(rng: random.Random) -> Sample:
        phrase = rng.choice(MODERN_TOPICS if rng.random() < 0.4 else phrases)
        named = phrase[0].isupper() and rng.random() < 0.7
        _, question = choose(rng, UNKNOWN_NAME_QUESTIONS if named else UNKNOWN_QUESTIONS, x=phrase)
        reply = choose(rng, UNKNOWN_REPLIES)[1]
        return Sample("unknown", f"unknown/{phrase}", [user(casual(rng, question)), assistant(reply)])

    return unknown


WEATHER_SAYS = [
    "What is the weather like[ today|]?",
    "Will it rain [today|tomorrow]?",
    "Is it [cold|warm|sunny] outside?",
    "What time is it?",
    "What is the date today?",
    "What day is it today?",
]
WEATHER_REPLIES = [
    "I cannot see the world outside, so I do not know. With a tool I could look it up for you.",
    "I have no window and no clock, so I cannot tell. Give me a tool and I will look.",
]


def outside(rng: random.Random) -> Sample:
    question = choose(rng, WEATHER_SAYS)[1]
    return Sample(
        "outside",
        f"outside/{question}",
        [user(casual(rng, question)), assistant(choose(rng, WEATHER_REPLIES)[1])],
    )


FAMILIES = {exchange: 18, statement: 4, joke: 2, riddle: 1, introduction: 4, memory: 3, outside: 1}
