"""The held-out questions: 150 generated from held-out combinations, 50 written by hand."""

import json
import random
import re

from world import facts
from world.dialogue import World
from world.grammar import Sample

HAND_WRITTEN = [
    tuple(row.split("/"))
    for row in """Hello there, I want to know which city is the capital of Japan./contains/Tokyo
I forgot the capital of Norway, can you help me?/contains/Oslo
Is Madrid the capital of Spain or of Italy?/contains/Spain
Which language would I hear in Brazil?/contains/Portuguese
Please tell me in which continent I find Egypt./contains/Africa
In what country would I be if I stood in Athens?/contains/Greece
What do you call the young of a cow?/contains/calf
My neighbor has a dog. What do we call a baby dog?/contains/puppy
How many legs has a bee got?/number/6
What sound do I hear from an owl?/contains/hoots
What would a rabbit like to eat?/contains/carrots
Tell me which one is bigger: a cat or a whale./contains/whale is
What is the very opposite of the word cold?/contains/hot
Give me one word that means the opposite of early./contains/late
Yesterday I eat or yesterday I ...? What is the past tense of eat?/contains/ate
I have one mouse. What is the plural of mouse?/contains/mice
How would you call more than one child?/contains/children
Is a violin a fruit or a musical instrument?/contains/instrument
Would you say that a rose is a flower?/contains/yes
Is a hammer an animal?/contains/no
Please work out 46 + 37 for me./number/83
Can you add 128 and 256?/number/384
I want to know 90 minus 45./number/45
What do you get when you multiply 7 by 8?/number/56
How much is 36 divided by 6?/number/6
What is 305 plus 417?/number/722
Hi! What is 9 times 9?/number/81
Which number is larger, 419 or 491?/contains/491 is
Tell me whether 57 is even or odd./contains/odd
Continue: 5, 10, 15, 20/contains/25
Lily has 8 apples. She eats 3 of them. How many apples are left?/number/5
Tom had 12 coins and found 7 more coins. How many does he have now?/number/19
Anna is taller than Ben. Ben is taller than Tom. Who is the tallest?/contains/Anna
How many minutes are there in 2 hours?/number/120
How many centimeters make up a meter?/contains/100
If today is Friday, what day will tomorrow be?/contains/Saturday
Which month follows April?/contains/May
Say, how many days are in the month of June?/contains/30
What is the last month of the year?/contains/December
Please put these numbers in order from small to large: 9, 4, 7, 1/contains/1, 4, 7, 9
Sort the words pear, apple, lemon alphabetically./contains/apple, lemon, pear
What is the third word in: dog, tree, lamp, hat?/contains/lamp
Which of these does not fit: apple, pear, hammer, plum?/contains/hammer
Can you spell the word table for me?/contains/t-a-b-l-e
Make JSON from this: name Anna, age 30, city Rome./json/{"name": "Anna", "age": 30, "city": "Rome"}
Paul lives in Lima. Rosa lives in Oslo. In which city does Rosa live?/contains/Oslo
Max has a horse. Eva has a cat. Who has a cat? Which pet does Eva have?/contains/cat
What is your name, please?/contains/Millrace
What color do I get if I mix blue with yellow paint?/contains/green
Who helps people who are ill?/contains/doctor""".splitlines()
]

NUMERIC = {"arithmetic", "word_problem", "sum_list", "neighbour"}


def _check(sample: Sample) -> dict:
    """How a reply is judged: match is contains, number, json, tool_call or list."""
    if sample.family in NUMERIC:
        return {"match": "number", "answer": sample.answer}
    if sample.family == "tool_call":
        return {"match": "tool_call", "answer": json.loads(sample.answer)}
    if sample.family.startswith("json_") and sample.family != "json_read":
        return {"match": "json", "answer": json.loads(sample.answer)}
    if sample.family == "category_list":
        count, kind = re.fullmatch(r"(\d) of (.+)", sample.answer).groups()
        return {"match": "list", "answer": {"count": int(count), "from": facts.CATEGORIES[kind]}}
    return {"match": "contains", "answer": sample.answer}


def _prompt(messages: list[dict]) -> list[dict]:
    """The messages up to the reply that is scored: the last one, or the first tool call."""
    for index, message in enumerate(messages):
        if message.get("tool_calls"):
            return messages[:index]
    return messages[:-1]


def held_out_questions(world: World, count: int, seed: int) -> list[dict]:
    rng = random.Random(seed)
    questions, asked = [], set()
    while len(questions) < count - len(HAND_WRITTEN):
        tool = len(questions) % 10 == 9
        sample = world.draw_tool(rng, held_out=True) if tool else world.draw(rng, held_out=True)
        text = _prompt(sample.messages)[-1]["content"].lower()
        if not sample.answer or text in asked:
            continue
        asked.add(text)
        entry = {"id": len(questions), "family": sample.family, "messages": _prompt(sample.messages)}
        if sample.tools:
            entry["tools"] = sample.tools
        questions.append(entry | _check(sample))
    for text, match, answer in HAND_WRITTEN:
        expected = json.loads(answer) if match == "json" else answer
        entry = {
            "id": len(questions),
            "family": "hand_written",
            "messages": [{"role": "user", "content": text}],
        }
        questions.append(entry | {"match": match, "answer": expected})
    return questions
