"""Short stories and poems from a grammar, on request and as plain text."""

import random

from world import facts
from world.grammar import Sample, article, assistant, capitalise, casual, expand, user

HEROES = "fox cat dog rabbit mouse bear owl frog duck horse wolf lion elephant monkey sheep bee girl boy princess prince dragon robot wizard pirate knight".split()
PLACES = {
    "forest": ("in a green forest", "under the tall trees"),
    "farm": ("on an old farm", "behind the red barn"),
    "village": ("in a quiet village", "near the old well"),
    "mountain": ("at the foot of a mountain", "on the rocky path"),
    "sea": ("by the sea", "on the white sand"),
    "river": ("by a wide river", "close to the wooden bridge"),
    "garden": ("in a garden full of flowers", "between the roses"),
    "town": ("in a small town", "at the market"),
    "castle": ("in an old castle", "in the tower"),
    "island": ("on a small island", "below the palm trees"),
}
TRAITS = "little brave shy kind clever curious young old gentle cheerful".split()
WEATHER = [
    "It was a sunny day",
    "It was a rainy morning",
    "It was a cold evening",
    "It was a fine spring day",
    "It was a windy day",
    "It was a warm summer day",
]
OBJECTS = "golden key, red kite, small boat, old map, silver bell, warm scarf, wooden box, blue lamp, round mirror, shiny stone".split(
    ", "
)
MORALS = [
    "From that day on, they were [the best of friends|good friends].",
    "And they all lived happily [ever after|for many years].",
    "[That night|In the evening], {name} fell asleep with a smile.",
    "{name} had learned that [a friend is worth more than gold|even small helpers can do great things|it is good to share|it is brave to ask for help].",
    "[Since then|After that], nobody [in the whole land|around there] was ever lonely again.",
]
OPENINGS = [
    "Once upon a time, there was a {trait} {hero} named {name} who lived {place}.",
    "There once lived a {trait} {hero} called {name} {place}.",
    "{name} was a {trait} {hero} who lived {place}.",
    "Long ago, {place}, there lived a {trait} {hero} named {name}.",
]
# Each plot is a list of sentences; brackets choose.
PLOTS = {
    "lost": [
        "{weather} when {name} found a {object} {spot}.",
        '"[Who lost this|Whose is this|Where does this come from]?" {name} [asked|wondered].',
        "{name} asked {article_helper}, but the {helper} [only shook its head|did not know].",
        "Then they [walked|went] [together |]to the [old tree|bridge|market] and [called loudly|looked around].",
        '[Soon|After a while], a {other} came [running|along] and said, "That is my {object}! [I have looked for it everywhere|I missed it so much]!"',
        "{name} gave the {object} back, and the {other} [thanked them with a cake|was full of joy|danced for joy].",
    ],
    "storm": [
        "{weather}, but [soon|in the afternoon] dark clouds came [over the hills|from the west].",
        "The wind [blew|howled] and the rain [fell|poured] [all night|for hours].",
        "{name} heard a [small|weak] voice {spot}. It was {article_helper} who [was stuck|could not get home].",
        '"[Do not be afraid|Hold on]!" said {name}. "[I will help you|I am coming]."',
        "With [a long branch|an old rope|all its strength], {name} pulled the {helper} to a dry place.",
        "They [shared some bread|lit a small fire|waited together] until the sun [came out|rose].",
    ],
    "wish": [
        "{name} [wished for|dreamed of] only one thing: a {object}.",
        "Every day {name} [worked|helped the neighbors] {spot} and [saved|kept] one coin.",
        "{weather}, {name} met {article_helper} who was [hungry|cold and tired].",
        "{name} thought for a moment, and then gave the {helper} [all the coins|everything] for [a meal|a warm bed].",
        '"[You have a good heart|You are very kind]," said the {helper}.',
        'The next morning, a {object} lay in front of the door, with a note: "For {name}."',
    ],
    "race": [
        "{weather}, and everybody came [together |]for the [big|great] race.",
        'The {other} was [proud|fast] and [laughed|said]: "[Nobody can beat me|I will win]!"',
        "{name} [was not the fastest|was a little afraid], but [did not give up|wanted to try].",
        "[Half way|In the middle of the race], the {other} [stopped to sleep|fell over a stone] {spot}.",
        "{name} [could have run on|could have won], but stopped and helped the {other} up.",
        "They crossed the line [together|side by side], and everybody [cheered|clapped].",
    ],
    "secret": [
        "[One day|One morning], {name} [found|saw] a [small|hidden] door {spot}.",
        "Behind the door [there was|lay] a [long|dark] tunnel, and at its end a {object}.",
        '"[What a strange thing|How beautiful]," said {name}, and [touched it|picked it up].',
        '[Suddenly|At once], {article_helper} [appeared|came out] and said, "[I have waited for you|At last somebody came]."',
        "The {helper} [told {name} a secret|showed {name} a map]: [the way to a hidden garden|how to talk with the stars].",
        "{name} [kept the secret|shared it only with good friends] and [went there every spring|came back often].",
    ],
    "bake": [
        "{weather}, and {name} wanted to bake a [big cake|loaf of bread|sweet pie] for {article_helper}.",
        "But there was no [sugar|flour|milk] left in the house.",
        "So {name} went to the {other} and [asked politely|knocked at the door].",
        '"I have plenty," said the {other}, "but [can I come too|may I help you]?"',
        "They [mixed|stirred] and [laughed|sang], and [soon|an hour later] the whole house smelled [good|wonderful].",
        "The {helper} [ate three pieces|smiled from ear to ear] and said it was the best day of the year.",
    ],
}


def story_text(rng: random.Random, hero: str, place: str, name: str) -> str:
    """One story of 7 to 9 sentences."""
    helper, other = rng.sample([h for h in HEROES if h != hero], 2)
    where, spot = PLACES[place]
    fields = {
        "hero": hero,
        "name": name,
        "place": where,
        "spot": spot,
        "helper": helper,
        "article_helper": article(helper),
        "other": other,
        "object": rng.choice(OBJECTS),
        "trait": rng.choice(TRAITS),
        "weather": rng.choice(WEATHER),
    }
    sentences = [rng.choice(OPENINGS)] + PLOTS[rng.choice(list(PLOTS))]
    sentences += rng.sample(MORALS, rng.randint(1, 2))[:2]
    return " ".join(expand(rng, s, **fields) for s in sentences)


STORY_REQUESTS = [
    "[Tell|Please tell] me a [short |little |]story{about}.",
    "[Can you|Could you|Please] [tell|write] [me |]a [short |]story{about}?",
    "[I want|I would like] [to hear |]a [short |]story{about}.",
    "Write a [short |]story{about}.",
    "Once more, a story{about}, please.",
    "A [bedtime |]story{about}, please.",
]
STORY_NAMES = facts.NAMES + "Pip Momo Tilly Bruno Fips Nala Rusty Coco Luna Benny Dot Pepper".split()


def story(rng: random.Random) -> Sample:
    hero, place, name = rng.choice(HEROES), rng.choice(list(PLACES)), rng.choice(STORY_NAMES)
    parts, key = [], []
    if rng.random() < 0.7:
        parts.append(f" about {article(hero)}")
        key.append(hero)
        if rng.random() < 0.35:
            parts.append(f" named {name}")
            key.append(name)
    if rng.random() < 0.35:
        where = PLACES[place][0]
        parts.append(f" {where}" if parts else f" that happens {where}")
        key.append(place)
    request = expand(rng, rng.choice(STORY_REQUESTS)).replace("{about}", "".join(parts))
    text = story_text(rng, hero, place, name)
    sample = Sample(
        "story", "story/" + "/".join(key or [request]), [user(casual(rng, request)), assistant(text)]
    )
    if rng.random() < 0.25:
        asked, reply = rng.choice(
            [
                (f"What was the name of the {hero}?", f"The {hero} was called {name}."),
                ("Where did the story happen?", f"The story happened {PLACES[place][0]}."),
                ("Who was the story about?", f"The story was about {article(hero)} named {name}."),
            ]
        )
        sample.messages += [user(asked), assistant(reply)]
    elif rng.random() < 0.2:
        another = story_text(rng, hero, rng.choice(list(PLACES)), name)
        request = expand(rng, "[Another one|One more|Tell me another story][, please|].")
        sample.messages += [user(request), assistant(another)]
    return sample


POEM_LINES = {
    "sun": [
        "The sun is bright, the sky is blue,",
        "The birds all sing a song for you.",
        "The flowers open, red and white,",
        "And all the day is full of light.",
    ],
    "moon": [
        "The moon is round, the night is deep,",
        "The little birds are all asleep.",
        "A star looks down and says to me:",
        "How still, how quiet the world can be.",
    ],
    "rain": [
        "The rain comes down on roof and tree,",
        "It sings a song for you and me.",
        "It fills the river, fills the well,",
        "And rings the flowers like a bell.",
    ],
    "sea": [
        "The sea is wide, the sea is gray,",
        "It takes the little boats away.",
        "And in the evening, one by one,",
        "It brings them home with setting sun.",
    ],
    "cat": [
        "My cat is soft, my cat is small,",
        "She sleeps all day beside the wall.",
        "But when the moon is in the sky,",
        "She sees the little mice run by.",
    ],
    "dog": [
        "My dog is brave, my dog is true,",
        "He follows me the whole day through.",
        "And when the day comes to its end,",
        "He sleeps beside his dearest friend.",
    ],
    "winter": [
        "The snow lies white on field and stone,",
        "The cold wind walks the road alone.",
        "But in the house the fire glows,",
        "And keeps us warm from head to toes.",
    ],
    "spring": [
        "The snow is gone, the grass is green,",
        "The finest flowers can be seen.",
        "The bees are busy, birds fly by,",
        "And clouds are dancing in the sky.",
    ],
    "friend": [
        "A friend is there on rainy days,",
        "A friend will find a hundred ways",
        "To make you laugh, to hold your hand,",
        "To listen and to understand.",
    ],
    "tree": [
        "The tree stands tall beside the hill,",
        "When all is dark, when all is still.",
        "It holds the nest, it gives us shade,",
        "And is not of the storm afraid.",
    ],
}
POEM_REQUESTS = [
    "[Write|Tell me|Make] a [short |little |]poem about {t}.",
    "[Can you|Please] write [me |]a poem about {t}.",
    "I would like a poem about {t}.",
    "Do you know a poem about {t}?",
]


def poem(rng: random.Random) -> Sample:
    topic = rng.choice(list(POEM_LINES))
    spoken = {
        "cat": "a cat",
        "dog": "a dog",
        "friend": "a friend",
        "tree": "a tree",
        "winter": "winter",
        "spring": "spring",
    }.get(topic, f"the {topic}")
    request = expand(rng, rng.choice(POEM_REQUESTS), t=spoken)
    if rng.random() < 0.15:
        request = expand(rng, "[Write|Tell me] a [short |]poem.")
    return Sample(
        "poem",
        f"poem/{topic}/{request}",
        [user(casual(rng, request)), assistant("\n".join(POEM_LINES[topic]))],
    )


def chapters(rng: random.Random, count: int) -> str:
    """A long plain text: count stories about the same hero."""
    hero, name = rng.choice(HEROES), rng.choice(STORY_NAMES)
    lines = [f"The Book of {name} the {capitalise(hero)}"]
    for number in range(1, count + 1):
        lines.append(f"Chapter {number}\n\n{story_text(rng, hero, rng.choice(list(PLACES)), name)}")
    return "\n\n".join(lines)


FAMILIES = {story: 9, poem: 2}
