"""Tool calls: weather, calculator, calendar and a few more; call, response, reply."""

import json
import random

from world import facts
from world.grammar import Sample, assistant, casual, choose, user


def _tool(name: str, description: str, **parameters) -> dict:
    properties = {k: {"type": kind} for k, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


WEATHER = _tool("get_weather", "Get the weather in a city", city="string")
CALCULATOR = _tool("calculator", "Compute an arithmetic expression", expression="string")
ADD_EVENT = _tool("add_event", "Add an event to the calendar", title="string", day="string", hour="integer")
LIST_EVENTS = _tool("list_events", "List the events of a day", day="string")
GET_TIME = _tool("get_time", "Get the local time in a city", city="string")
SEND_MESSAGE = _tool("send_message", "Send a message to a person", to="string", text="string")
ALL = [WEATHER, CALCULATOR, ADD_EVENT, LIST_EVENTS, GET_TIME, SEND_MESSAGE]
EVENTS = ["lunch", "dinner", "a meeting", "tennis", "football", "a party"]


def call_weather(rng):
    city = rng.choice(facts.CITIES)
    questions = [
        "What is the weather [like |]in {c}?",
        "How is the weather in {c}[ today|]?",
        "Is it [raining|sunny|cold|warm] in {c}?",
        "Tell me the weather in {c}.",
        "Do I need [an umbrella|a coat] in {c}?",
    ]
    index, question = choose(rng, questions, c=city)
    degrees, sky = rng.randint(-5, 35), rng.choice(["sunny", "cloudy", "rainy", "windy", "snowy"])
    response = {"temperature": degrees, "sky": sky}
    reply = f"In {city} it is {sky} and {degrees} degrees."
    return WEATHER, {"city": city}, question, response, reply, f"{city}/{index}"


def call_calculator(rng):
    a, b = rng.randint(2, 999), rng.randint(2, 999)
    op, words = rng.choice([("+", ["plus", "+"]), ("-", ["minus", "-"]), ("*", ["times", "x", "*"])])
    questions = [
        "What is {a} {w} {b}?",
        "[Calculate|Compute] {a} {w} {b}.",
        "How much is {a} {w} {b}?",
        "{a} {w} {b}",
    ]
    index, question = choose(rng, questions, a=a, b=b, w=rng.choice(words))
    result = {"+": a + b, "-": a - b, "*": a * b}[op]
    expression = f"{a} {op} {b}"
    return (
        CALCULATOR,
        {"expression": expression},
        question,
        {"result": result},
        f"The result is {result}.",
        f"{expression}/{index}",
    )


def call_add_event(rng):
    title, day, hour = rng.choice(EVENTS).removeprefix("a "), rng.choice(facts.DAYS), rng.randint(8, 20)
    person = rng.choice(facts.NAMES)
    if rng.random() < 0.5:
        title = f"{title} with {person}"
    questions = [
        "Add {t} on {d} at {h} to my calendar.",
        "[Put|Write] {t} in[to|] my calendar for {d} at {h}.",
        "Plan {t} on {d} at {h} o'clock.",
        "I have {t} on {d} at {h}. Please [note it|add it].",
    ]
    index, question = choose(rng, questions, t=title, d=day, h=hour)
    reply = f"Done: {title} is in your calendar on {day} at {hour}."
    arguments = {"title": title, "day": day, "hour": hour}
    return ADD_EVENT, arguments, question, {"status": "ok"}, reply, f"{title}/{day}/{hour}"


def call_list_events(rng):
    day = rng.choice(facts.DAYS)
    questions = [
        "What is in my calendar on {d}?",
        "What do I have [planned |]on {d}?",
        "[Show|List] my events [on|for] {d}.",
        "Am I free on {d}?",
    ]
    index, question = choose(rng, questions, d=day)
    titles = rng.sample([e.removeprefix("a ") for e in EVENTS], rng.randint(0, 2))
    events = [{"title": t, "hour": rng.randint(8, 20)} for t in titles]
    listed = " and ".join(f"{e['title']} at {e['hour']}" for e in events)
    reply = f"On {day} you have {listed}." if events else f"You have nothing planned on {day}."
    return LIST_EVENTS, {"day": day}, question, {"events": events}, reply, f"{day}/{index}"


def call_get_time(rng):
    city = rng.choice(facts.CITIES)
    index, question = choose(
        rng, ["What time is it in {c}?", "Tell me the time in {c}.", "How late is it in {c}?"], c=city
    )
    time = f"{rng.randint(0, 23)}:{rng.randint(10, 59)}"
    return GET_TIME, {"city": city}, question, {"time": time}, f"It is {time} in {city}.", f"{city}/{index}"


def call_send_message(rng):
    name = rng.choice(facts.NAMES)
    text = rng.choice(
        [
            "I am late",
            "Happy birthday",
            "See you on Monday",
            "Dinner is ready",
            "Call me back",
            "I am at home",
            "Thank you",
            "Good night",
        ]
    )
    index, question = choose(
        rng,
        [
            "Tell {n}: {t}.",
            "Send {n} the message '{t}'.",
            "Write to {n}: {t}",
            "Send a message to {n} that says '{t}'.",
        ],
        n=name,
        t=text,
    )
    return (
        SEND_MESSAGE,
        {"to": name, "text": text},
        question,
        {"status": "sent"},
        f"I sent your message to {name}.",
        f"{name}/{text}",
    )


CALLS = [
    call_weather,
    call_weather,
    call_calculator,
    call_calculator,
    call_add_event,
    call_list_events,
    call_get_time,
    call_send_message,
]


def _exchange(rng: random.Random, call) -> tuple[dict, list[dict], dict, str]:
    """(tool, messages, call, key)."""
    tool, arguments, question, response, reply, key = call(rng)
    name = tool["function"]["name"]
    messages = [
        user(casual(rng, question) if tool is WEATHER and question[0] != "T" else question),
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": name, "arguments": arguments}}],
        },
        {"role": "tool", "content": json.dumps(response)},
        assistant(reply),
    ]
    return tool, messages, {"name": name, "arguments": arguments}, f"{name}/{key}"


def tool_call(rng: random.Random) -> Sample:
    tool, messages, call, key = _exchange(rng, rng.choice(CALLS))
    tools = rng.sample([t for t in ALL if t is not tool], rng.randint(0, 1)) + [tool]
    rng.shuffle(tools)
    return Sample("tool_call", key, messages, json.dumps(call), tools)


def more_calls(rng: random.Random, sample: Sample, held_out) -> list[dict]:
    """Another exchange with one of the sample's tools, none that held_out(key) keeps from training."""
    while True:
        tool, messages, _, key = _exchange(rng, rng.choice(CALLS))
        if tool in sample.tools and not held_out(key):
            return messages


FAMILIES = {tool_call: 9}
