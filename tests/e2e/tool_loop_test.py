#!/usr/bin/env python3
"""Tool loops of several steps through the official clients: tool_loop_test.py MILLRACE MODEL. Chat completions and responses through openai,
messages through anthropic, each streamed and whole. Exit status 77: openai is not installed.

The model is small and its choices are noise; that every call parses, names a tool and has valid arguments is the server's doing.
"""
import json
import sys

try:
    import openai
except ImportError:
    print("skipped: the openai package is not installed")
    sys.exit(77)
try:
    import anthropic
except ImportError:
    anthropic = None
    print("the anthropic package is not installed: messages are left out")

from server_process import running

# Strings alone: noise can write a number with any number of zeros behind its point.
DIGIT = {"enum": ["1", "2", "3", "40"]}
TOOLS = [
    {"type": "function", "function": {
        "name": "add", "description": "Adds two numbers", "strict": True,
        "parameters": {"type": "object", "properties": {"a": DIGIT, "b": DIGIT}, "required": ["a", "b"], "additionalProperties": False}}},
    {"type": "function", "function": {
        "name": "colour", "parameters": {"type": "object", "properties": {"name": {"enum": ["red", "green"]}}, "required": ["name"]}}}]
RESULTS = {"add": lambda arguments: int(arguments["a"]) + int(arguments["b"]), "colour": lambda arguments: arguments["name"].upper()}


def ask(client, messages, stream, **options):
    """The message of an answer, put together from the chunks of a stream when streamed."""
    reply = client.chat.completions.create(model="m", messages=messages, tools=TOOLS, stream=stream, max_tokens=400,
                                           extra_body={"thinking_token_budget": 20}, **options)
    if not stream:
        return reply.choices[0].finish_reason, reply.choices[0].message.content, [
            (call.id, call.function.name, call.function.arguments) for call in reply.choices[0].message.tool_calls or []]
    finish, content, calls = None, "", []
    for chunk in reply:
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            content += choice.delta.content or ""
            for delta in choice.delta.tool_calls or []:
                if delta.index == len(calls):
                    calls.append([delta.id, delta.function.name, ""])
                calls[delta.index][2] += delta.function.arguments or ""
    return finish, content, [tuple(call) for call in calls]


def loop(client, stream):
    messages = [{"role": "user", "content": "What is 2 and 3?"}]
    for step, choice in enumerate(["required", {"type": "function", "function": {"name": "add"}}, "required"]):
        finish, content, calls = ask(client, messages, stream, tool_choice=choice, parallel_tool_calls=step == 2, seed=step)
        assert finish in ("tool_calls", "length"), finish
        assert finish == "length" or (calls and not content), (calls, content)
        if finish == "length":  # only parallel calls can go on for ever
            assert step == 2 and calls
            calls = calls[:-1]
        assert step == 2 or len(calls) == 1, calls
        assert step != 1 or calls[0][1] == "add"
        messages.append({"role": "assistant", "content": None, "tool_calls": [
            {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}} for id, name, arguments in calls]})
        for id, name, arguments in calls:
            messages.append({"role": "tool", "tool_call_id": id, "content": json.dumps(RESULTS[name](json.loads(arguments)))})
    finish, content, calls = ask(client, messages, stream, tool_choice="none",
                                 response_format={"type": "json_schema", "json_schema": {"name": "sum", "schema": {
                                     "type": "object", "properties": {"sum": {"enum": ["2", "5", "80"]}},
                                     "required": ["sum"], "additionalProperties": False}}})
    assert finish == "stop" and not calls and json.loads(content)["sum"] in ("2", "5", "80"), (finish, content)


def run_tool(name, text):
    return json.dumps(RESULTS[name](json.loads(text)))


def loop_responses(client, stream):
    """Each step answers the calls of the one before, which the server remembers."""
    tools = [{"type": "function"} | tool["function"] for tool in TOOLS]
    ask = {"model": "m", "tools": tools, "max_output_tokens": 400, "parallel_tool_calls": False,
           "extra_body": {"thinking_token_budget": 20}}
    items, previous = "What is 2 and 3?", None
    for step, choice in enumerate(["required", {"type": "function", "name": "add"}, "required"]):
        step_ask = ask | {"input": items, "previous_response_id": previous, "tool_choice": choice, "extra_body": ask["extra_body"] | {"seed": step}}
        if stream:
            arguments = {}
            with client.responses.stream(**step_ask) as events:
                for event in events:
                    if event.type == "response.function_call_arguments.delta":
                        arguments[event.item_id] = arguments.get(event.item_id, "") + event.delta
                reply = events.get_final_response()
            assert list(arguments.values()) == [item.arguments for item in reply.output if item.type == "function_call"], reply
        else:
            reply = client.responses.create(**step_ask)
        calls = [item for item in reply.output if item.type == "function_call"]
        assert reply.status == "completed" and len(calls) == 1 and not reply.output_text, reply
        assert step != 1 or calls[0].name == "add"
        previous = reply.id
        items = [{"type": "function_call_output", "call_id": call.call_id, "output": run_tool(call.name, call.arguments)} for call in calls]
    schema = {"type": "object", "properties": {"sum": {"enum": ["2", "5"]}}, "required": ["sum"], "additionalProperties": False}
    final = client.responses.create(**ask | {"input": items, "previous_response_id": previous, "tool_choice": "none"},
                                    text={"format": {"type": "json_schema", "name": "sum", "schema": schema}})
    assert final.status == "completed" and json.loads(final.output_text)["sum"] in ("2", "5"), final


def loop_messages(client, stream):
    tools = [{"name": tool["function"]["name"], "input_schema": tool["function"]["parameters"]} for tool in TOOLS]
    messages = [{"role": "user", "content": "What is 2 and 3?"}]
    for step, choice in enumerate([{"type": "any"}, {"type": "tool", "name": "add"}, {"type": "any"}]):
        ask = {"model": "m", "messages": messages, "tools": tools, "max_tokens": 400, "tool_choice": choice | {"disable_parallel_tool_use": True},
               "thinking": {"type": "enabled", "budget_tokens": 20}, "extra_body": {"seed": step}}
        if stream:
            parts = ""
            with client.messages.stream(**ask) as events:
                for event in events:
                    if event.type == "input_json":
                        parts += event.partial_json
                reply = events.get_final_message()
        else:
            reply = client.messages.create(**ask)
        calls = [block for block in reply.content if block.type == "tool_use"]
        assert reply.stop_reason == "tool_use" and len(calls) == 1, reply
        assert not any(block.type == "text" for block in reply.content), reply
        assert step != 1 or calls[0].name == "add"
        assert not stream or json.loads(parts) == calls[0].input, (parts, reply)
        messages.append({"role": "assistant", "content": reply.content})
        messages.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call.id, "content": run_tool(call.name, json.dumps(call.input))} for call in calls]})
    final = client.messages.create(model="m", messages=messages, tools=tools, max_tokens=60, tool_choice={"type": "none"},
                                   thinking={"type": "enabled", "budget_tokens": 5})
    assert final.stop_reason in ("end_turn", "max_tokens") and not any(block.type == "tool_use" for block in final.content), final


def main():
    binary, model = sys.argv[1:3]
    for parser in ("auto", "qwen3_coder", "kimi_k2"):
        with running(binary, "--tool-call-parser", parser, model=model, name="m") as url:
            client = openai.OpenAI(base_url=url + "/v1", api_key="secret", max_retries=0, timeout=120)
            for stream in (False, True):
                loop(client, stream)
                loop_responses(client, stream)
                if anthropic is not None:
                    loop_messages(anthropic.Anthropic(base_url=url, api_key="secret", max_retries=0, timeout=120), stream)
    print("tool loop: all passed")


if __name__ == "__main__":
    main()
