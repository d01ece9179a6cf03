"""Draws samples from every family and chains them into dialogues."""

import random
from dataclasses import replace

from world import ask_dates, ask_facts, ask_lists, ask_numbers, chat, facts, stories, use_tools
from world.grammar import Sample, assistant, casual, expand, is_held_out, user

SYSTEM_PROMPTS = [
    "You are a helpful assistant.",
    "You are Millrace Tiny, a small and friendly language model.",
    "You are a friendly assistant. Answer in short sentences.",
    "Answer the user's questions.",
    "Be brief and polite.",
]

# How often each family is drawn for training: what is hard to learn comes more often than it is asked.
TRAINING_WEIGHTS = dict(
    arithmetic=16, word_problem=8, compare=3, extremes=2.5, parity=2, sequence=4, neighbour=2, units=2.5, ordering=2.5,
    sum_list=2, capital=1.5, capital_check=2, country=4, animal=4, animal_size=4, word=4, category=6,
    category_list=0.7, profession=2, general=3.5, enumeration=0.3, count_up=0.5, next_day=4, weekday=5,
    month_days=1, month_number=2, season=1, date_later=2, clock=1.5, sort_numbers=5, sort_words=4,
    reverse_list=1.5, pick=3, count_items=1, odd_one_out=3, spell=5, json_write=2, json_extract=2, json_read=1,
    read_text=5, repeat=1, exchange=4, statement=0.7, joke=0.3, riddle=0.2, introduction=1.5, memory=3, outside=0.3,
    unknown=1.5, story=0.7, poem=0.3,
)  # fmt: skip

# Families that a tool could answer, which are not asked where tools are offered.
TOOL_LIKE = {"arithmetic", "sum_list", "outside", "unknown", "chat"}


class World:
    """Draws samples; unknown_phrases are names of things that the world does not contain.

    factors: on TRAINING_WEIGHTS by family, to repeat what a run has not learnt yet."""

    def __init__(self, unknown_phrases: list[str], factors: dict[str, float] | None = None):
        weights = {}
        for module in (ask_facts, ask_numbers, ask_dates, ask_lists, chat, stories):
            weights |= module.FAMILIES
        weights[chat.make_unknown(unknown_phrases)] = 4
        self._families, self._question_weights = list(weights), list(weights.values())
        factors = factors or {}
        names = [family.__name__ for family in self._families]
        self._training_weights = [TRAINING_WEIGHTS[name] * factors.get(name, 1) for name in names]
        self._tool_share = 0.03 * factors.get("tool_call", 1)
        self._read_share = 0.04 * factors.get("read_on", 1)

    def draw(self, rng: random.Random, held_out: bool) -> Sample:
        """One sample on the asked side of the split, without tools."""
        weights = self._question_weights if held_out else self._training_weights
        while True:
            family = rng.choices(self._families, weights)[0]
            if sample := _try_draw(family, rng, held_out):
                return sample

    def draw_family(self, index: int, rng: random.Random) -> Sample | None:
        """A held-out sample of one family; None past the last family or when there is hardly any."""
        return _try_draw(self._families[index], rng, held_out=True) if index < len(self._families) else None

    @property
    def num_families(self) -> int:
        return len(self._families)

    def draw_tool(self, rng: random.Random, held_out: bool) -> Sample:
        while True:
            if sample := _try_draw(use_tools.tool_call, rng, held_out):
                return sample

    def dialogue(self, rng: random.Random, max_exchanges: int = 4) -> Sample:
        """A training dialogue: one to max_exchanges samples, at times with a system prompt or tools."""
        if rng.random() < self._tool_share:
            return self._tool_dialogue(rng)
        if rng.random() < 0.03:
            return follow_up(rng)
        if rng.random() < 0.01:
            return chat.persona(rng)
        if rng.random() < self._read_share:
            return ask_lists.read_on(rng, is_held_out)
        count = rng.choice([1] * 6 + list(range(2, max_exchanges + 1)))
        parts = [self.draw(rng, held_out=False) for _ in range(count)]
        # The template drops the thoughts of earlier turns, which then teach nothing: at most the last part thinks.
        thinking = [part for part in parts if "reasoning_content" in part.messages[-1]]
        parts = [part for part in parts if part not in thinking] + thinking[:1]
        messages = [m for part in parts for m in part.messages]
        if rng.random() < 0.04 or count > 6:
            messages = recall(rng, messages)
        if rng.random() < 0.2:
            messages.insert(0, {"role": "system", "content": rng.choice(SYSTEM_PROMPTS)})
        return replace(parts[0], messages=messages)

    def _tool_dialogue(self, rng: random.Random) -> Sample:
        sample = self.draw_tool(rng, held_out=False)
        messages = list(sample.messages)
        roll = rng.random()
        if roll < 0.3:
            # A question that needs no tool is answered without one.
            other = self.draw(rng, held_out=False)
            while other.family in TOOL_LIKE:
                other = self.draw(rng, held_out=False)
            messages = other.messages + (messages if roll < 0.2 else [])
        elif roll < 0.7:
            messages += use_tools.more_calls(rng, sample, is_held_out)
        return replace(sample, messages=messages)


def _try_draw(family, rng: random.Random, held_out: bool) -> Sample | None:
    """A sample on the asked side of the split; None when the family has hardly any."""
    for _ in range(200):
        sample = family(rng)
        if is_held_out(sample.key) == held_out:
            return sample
    return None


def recall(rng: random.Random, messages: list[dict]) -> list[dict]:
    """The same dialogue, with the user's name told at its start and asked for at its end."""
    name = rng.choice(facts.NAMES)
    told = [user(expand(rng, rng.choice(chat.NAME_SAYS), name=name))]
    told.append(assistant(expand(rng, rng.choice(chat.NAME_REPLIES), name=name)))
    asked = [user(casual(rng, expand(rng, rng.choice(chat.NAME_ASKS)))), assistant(f"Your name is {name}.")]
    return told + messages + asked


def follow_up(rng: random.Random) -> Sample:
    """Questions that only make sense after the one before: "And of Italy?"."""
    rows = rng.sample(facts.COUNTRIES, 3)
    animals = rng.sample(facts.ANIMALS, 3)
    kind = rng.randrange(3)
    if kind == 0:
        question = f"What is the capital of {rows[0][0]}?"
        replies = [f"The capital of {r[0]} is {r[1]}." for r in rows]
        names = [r[0] for r in rows]
        nexts = ["And of {x}?", "[And what|What] about {x}?", "And {x}?"]
    elif kind == 1:
        question = f"What language do people speak in {rows[0][0]}?"
        replies = [f"People in {r[0]} speak {r[3]}." for r in rows]
        names = [r[0] for r in rows]
        nexts = ["And in {x}?", "[And what|What] about {x}?"]
    else:
        question = f"What is a young {animals[0][0]} called?"
        replies = [f"A young {a[0]} is called {'an' if a[5][0] in 'aeiou' else 'a'} {a[5]}." for a in animals]
        names = [a[0] for a in animals]
        nexts = ["And a young {x}?", "[And what|What] about a {x}?"]
    messages = [user(casual(rng, question)), assistant(replies[0])]
    for name, reply in list(zip(names, replies))[1 : rng.randint(2, 3)]:
        messages += [user(casual(rng, expand(rng, rng.choice(nexts), x=name))), assistant(reply)]
    return Sample("follow_up", f"follow/{kind}/{names[0]}", messages)
