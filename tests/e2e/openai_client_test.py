#!/usr/bin/env python3
"""Drives `millrace serve` with the official openai client: openai_client_test.py MILLRACE. Exit status 77: openai is not installed."""
import json
import math
import sys
import tempfile
import urllib.error

try:
    import openai
except ImportError:
    print("skipped: the openai package is not installed")
    sys.exit(77)

from server_process import post, running

MESSAGES = [{"role": "user", "content": "Say something."}]


def check_chat(client):
    whole = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=12, temperature=0, logprobs=True, top_logprobs=3)
    assert whole.usage.completion_tokens <= 12 and whole.choices[0].finish_reason in ("stop", "length")
    assert len(whole.choices[0].logprobs.content) == whole.usage.completion_tokens
    assert all(len(token.top_logprobs) == 3 for token in whole.choices[0].logprobs.content)
    stream = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=12, temperature=0, stream=True,
                                            stream_options={"include_usage": True})
    text, usage = "", None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
    assert text == whole.choices[0].message.content, (text, whole)
    assert usage.prompt_tokens == whole.usage.prompt_tokens and usage.prompt_tokens_details.cached_tokens > 0
    several = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=5, n=3, seed=7)
    again = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=5, n=3, seed=7)
    assert len(several.choices) == 3
    assert [c.message.content for c in several.choices] == [c.message.content for c in again.choices]


def check_functions(client):
    """The older fields: functions and function_call."""
    functions = [{"name": "weather", "parameters": {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"],
                                                     "additionalProperties": False}}]
    ask = {"model": "tiny", "messages": MESSAGES, "max_tokens": 400, "seed": 3, "functions": functions, "function_call": {"name": "weather"}}
    choice = client.chat.completions.create(**ask).choices[0]
    call = choice.message.function_call
    assert choice.finish_reason == "function_call" and choice.message.content is None and choice.message.tool_calls is None, choice
    assert call.name == "weather" and json.loads(call.arguments)["city"] in ("Rome", "Oslo"), call
    name, arguments, finish = "", "", None
    for chunk in client.chat.completions.create(stream=True, **ask):
        delta = chunk.choices[0].delta
        finish = chunk.choices[0].finish_reason or finish
        if delta.function_call:
            name += delta.function_call.name or ""
            arguments += delta.function_call.arguments or ""
    assert (name, arguments, finish) == (call.name, call.arguments, "function_call"), (name, arguments, finish)
    more = MESSAGES + [choice.message.model_dump(exclude_none=True), {"role": "function", "name": "weather", "content": "sunny"}]
    reply = client.chat.completions.create(model="tiny", messages=more, functions=functions, function_call="none", max_tokens=4)
    assert reply.choices[0].message.function_call is None and reply.usage.completion_tokens <= 4, reply


def check_reasoning(binary):
    """A template that opens the reasoning, a budget that ends it: its tokens are counted, and those of the answer are not."""
    with tempfile.NamedTemporaryFile("w", suffix=".jinja") as template:
        template.write("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}<think>\n")
        template.flush()
        with running(binary, "--reasoning-parser", "think", "--chat-template", template.name) as url:
            client = openai.OpenAI(base_url=url + "/v1", api_key="secret", max_retries=0, timeout=60)
            ask = {"model": "tiny", "messages": MESSAGES, "max_tokens": 60, "temperature": 0, "extra_body": {"thinking_token_budget": 6},
                   "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": [1, 2]}}}}
            whole = client.chat.completions.create(**ask)
            assert whole.choices[0].message.reasoning_content and whole.choices[0].message.content in ("1", "2"), whole
            assert whole.usage.completion_tokens_details.reasoning_tokens == 6 < whole.usage.completion_tokens, whole
            *_, last = client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **ask)
            assert last.usage.completion_tokens_details == whole.usage.completion_tokens_details, last
            response = client.responses.create(model="tiny", input="Say something.", max_output_tokens=60, extra_body={"thinking_token_budget": 6})
            assert 6 <= response.usage.output_tokens_details.reasoning_tokens <= 9, response  # the budget ends with a character


def check_completions(client):
    reply = client.completions.create(model="tiny", prompt=["one", "two"], max_tokens=4, echo=True, logprobs=2)
    assert [c.text[:3] for c in reply.choices] == ["one", "two"]
    assert reply.choices[0].logprobs.token_logprobs[0] is None
    text = "".join(c.choices[0].text for c in client.completions.create(model="tiny", prompt="x", max_tokens=6, temperature=0, stream=True))
    assert text == client.completions.create(model="tiny", prompt="x", max_tokens=6, temperature=0).choices[0].text
    biased = client.completions.create(model="tiny", prompt="x", max_tokens=3, logit_bias={"70": 100}, extra_body={"return_token_ids": True})
    assert biased.choices[0].token_ids == [70, 70, 70], biased
    extras = {"min_p": 0.1, "top_k": 20, "typical_p": 0.9, "repetition_penalty": 1.1, "dry_multiplier": 0.5, "xtc_probability": 0.1,
              "mirostat": 0, "min_tokens": 2, "ignore_eos": True, "bad_words": ["foo"], "priority": 1, "cache_salt": "s", "timeout": 60,
              "prompt_logprobs": 1}
    full = client.completions.create(model="tiny", prompt="abc", max_tokens=4, extra_body=extras)
    assert full.usage.completion_tokens == 4


def check_responses(client):
    ask = {"model": "tiny", "input": "Say something.", "max_output_tokens": 12, "temperature": 0}
    whole = client.responses.create(instructions="Be kind.", **ask)
    assert whole.usage.output_tokens <= 12 and whole.status in ("completed", "incomplete"), whole
    with client.responses.stream(instructions="Be kind.", **ask) as stream:
        events = list(stream)
        final = stream.get_final_response() if whole.status == "completed" else events[-1].response
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text == final.output_text, (text, whole)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert client.responses.retrieve(whole.id).output_text == whole.output_text
    assert client.responses.input_items.list(whole.id).data[0].content[0].text == "Say something."
    more = client.responses.create(model="tiny", input="And?", previous_response_id=whole.id, max_output_tokens=4)
    assert more.previous_response_id == whole.id and more.usage.input_tokens > whole.usage.input_tokens
    client.responses.delete(whole.id)
    number = client.responses.create(text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "integer", "minimum": 10, "maximum": 99}}}, **ask)
    assert 10 <= int(number.output_text) <= 99, number
    tools = [{"type": "function", "name": "weather", "strict": True,
              "parameters": {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"], "additionalProperties": False}}]
    ask |= {"max_output_tokens": 400, "parallel_tool_calls": False}
    called = client.responses.create(tools=tools, tool_choice="required", **ask)
    call = next(item for item in called.output if item.type == "function_call")
    assert call.name == "weather" and json.loads(call.arguments)["city"] in ("Rome", "Oslo"), called
    answered = client.responses.create(model="tiny", previous_response_id=called.id, tools=tools, max_output_tokens=4,
                                       input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}])
    assert answered.usage.output_tokens <= 4


def check_embeddings(client):
    both = client.embeddings.create(model="tiny", input=["one", "two"])  # the client asks for base64
    assert [item.index for item in both.data] == [0, 1] and both.usage.prompt_tokens > 0
    assert math.isclose(sum(x * x for x in both.data[0].embedding), 1.0, rel_tol=1e-5)
    plain = client.embeddings.create(model="tiny", input="two", encoding_format="float")
    assert plain.data[0].embedding == both.data[1].embedding or all(
        math.isclose(a, b, abs_tol=1e-6) for a, b in zip(plain.data[0].embedding, both.data[1].embedding))
    assert len(client.embeddings.create(model="tiny", input="two", dimensions=4).data[0].embedding) == 4


def check_fields(url):
    """Every field that the package knows is known to the server: as null they all count as absent, and none is warned about."""
    from openai.types import completion_create_params, embedding_create_params
    from openai.types.chat import completion_create_params as chat_params
    from openai.types.responses import response_create_params
    for path, params, body in (
            ("chat/completions", chat_params.CompletionCreateParamsBase, {"messages": MESSAGES, "max_tokens": 1}),
            ("completions", completion_create_params.CompletionCreateParamsBase, {"prompt": "a", "max_tokens": 1}),
            ("responses", response_create_params.ResponseCreateParamsBase, {"input": "a", "max_output_tokens": 1}),
            ("embeddings", embedding_create_params.EmbeddingCreateParams, {"input": "a"})):
        fields = dict.fromkeys(params.__annotations__) | body
        assert len(fields) >= 5
        warnings = post(f"{url}/v1/{path}", fields).headers["X-Millrace-Warnings"]
        assert warnings is None, (path, warnings)


def check_members(url):
    """So is every member of what the server takes: of messages, parts, items, tools and formats. Those without effect are named."""
    from openai.types import chat, responses, shared_params
    from openai.types.responses import response_input_param

    def members(params, **more):
        return dict.fromkeys(params.__annotations__, 1) | more

    part = members(chat.ChatCompletionContentPartTextParam, type="text", text="a")
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [members(chat.ChatCompletionUserMessageParam, role="user", content=[part]),
             members(chat.ChatCompletionAssistantMessageParam, role="assistant", content="a", tool_calls=[call], function_call=None),
             members(chat.ChatCompletionToolMessageParam, role="tool", tool_call_id="c", content="a")]
    function = members(shared_params.FunctionDefinition, name="f", parameters={"type": "object", "any": 1})
    tool = members(chat.ChatCompletionFunctionToolParam, type="function", function=function)
    schema = members(shared_params.response_format_json_schema.JSONSchema, name="n", schema={})
    post_and_check(f"{url}/v1/chat/completions", {"messages": turns, "tools": [tool], "response_format": {"type": "json_schema", "json_schema": schema}},
                   "messages.content.prompt_cache_breakpoint", "messages.audio", "response_format.json_schema.description")
    items = [members(responses.EasyInputMessageParam, role="user", content=[members(responses.ResponseInputTextParam, type="input_text", text="a")]),
             members(responses.ResponseReasoningItemParam, type="reasoning", summary=[], content=[]),
             members(responses.ResponseOutputMessageParam, role="assistant", content=[members(responses.ResponseOutputTextParam, type="output_text", text="a")]),
             members(responses.ResponseFunctionToolCallParam, type="function_call", call_id="c", name="f", arguments="{}"),
             members(response_input_param.FunctionCallOutput, type="function_call_output", call_id="c", output="a")]
    tool = members(responses.FunctionToolParam, type="function", name="f", parameters={"type": "object", "any": 1})
    schema = members(responses.ResponseFormatTextJSONSchemaConfigParam, type="json_schema", name="n", schema={})
    post_and_check(f"{url}/v1/responses", {"input": items, "tools": [tool], "text": {"format": schema}},
                   "input.encrypted_content", "input.content.annotations", "tools.defer_loading")


def post_and_check(url, body, *named):
    try:
        headers = post(url, body).headers
    except urllib.error.HTTPError as error:  # a value that is nonsense
        headers = error.headers
    warnings = headers["X-Millrace-Warnings"]
    assert "unknown" not in warnings, warnings
    for name in named:
        assert f"field {name} has no effect" in warnings, (name, warnings)


def check_errors(client, url):
    for error, call in (
            (openai.BadRequestError, lambda: client.chat.completions.create(model="tiny", messages=MESSAGES, temperature=1000)),
            (openai.BadRequestError, lambda: client.embeddings.create(model="tiny", input="x", dimensions=100000)),
            (openai.BadRequestError, lambda: client.responses.create(model="tiny", input="x", background=True)),
            (openai.NotFoundError, lambda: client.responses.retrieve("resp_none")),
            (openai.NotFoundError, lambda: client.chat.completions.create(model="other", messages=MESSAGES)),
            (openai.AuthenticationError, lambda: openai.OpenAI(base_url=url + "/v1", api_key="wrong").models.list())):
        try:
            call()
        except error as caught:
            assert caught.body["message"], caught
        else:
            raise AssertionError("expected " + error.__name__)


def main():
    with running(sys.argv[1]) as url:
        client = openai.OpenAI(base_url=url + "/v1", api_key="secret", max_retries=0, timeout=60)
        assert [model.id for model in client.models.list()] == ["tiny"]
        check_chat(client)
        check_functions(client)
        check_completions(client)
        check_responses(client)
        check_embeddings(client)
        check_fields(url)
        check_members(url)
        check_errors(client, url)
    check_reasoning(sys.argv[1])
    print("openai client: all passed")


if __name__ == "__main__":
    main()
