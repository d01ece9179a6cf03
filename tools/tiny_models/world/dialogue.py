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

# Families that a tool could answer, which are not asked where tools are offered.
TOOL_LIKE = {"arithmetic", "sum_list", "outside", "unknown", "chat"}


class World:
    """Draws samples; unknown_phrases are names of things that the world does not contain."""

    def __init__(self, unknown_phrases: list[str]):
        weights = {}
        for module in (ask_facts, ask_numbers, ask_dates, ask_lists, chat, stories):
            weights |= module.FAMILIES
        weights[chat.make_unknown(unknown_phrases)] = 4
        self._families, self._weights = list(weights), list(weights.values())

    def draw(self, rng: random.Random, held_out: bool) -> Sample:
        """One sample on the asked side of the split, without tools."""
        while True:
            family = rng.choices(self._families, self._weights)[0]
            if sample := _try_draw(family, rng, held_out):
                return sample

    def draw_tool(self, rng: random.Random, held_out: bool) -> Sample:
        while True:
            if sample := _try_draw(use_tools.tool_call, rng, held_out):
                return sample

    def dialogue(self, rng: random.Random, max_exchanges: int = 4) -> Sample:
        """A training dialogue: one to max_exchanges samples, at times with a system prompt or tools."""
        if rng.random() < 0.06:
            return self._tool_dialogue(rng)
        if rng.random() < 0.06:
            return follow_up(rng)
        if rng.random() < 0.015:
            return chat.persona(rng)
        count = rng.choice([1, 1, 1] + list(range(2, max_exchanges + 1)))
        parts = [self.draw(rng, held_out=False) for _ in range(count)]
        messages = [m for part in parts for m in part.messages]
        if rng.random() < 0.06 or count > 6:
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
