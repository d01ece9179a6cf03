#!/usr/bin/env python3
"""Drives `millrace serve` with the official anthropic client: anthropic_client_test.py MILLRACE. Exit status 77: it is not installed."""
import sys
import urllib.error

try:
    import anthropic
except ImportError:
    print("skipped: the anthropic package is not installed")
    sys.exit(77)

from server_process import post, running

MESSAGES = [{"role": "user", "content": "Say something."}]
GREEDY = {"temperature": 0}  # a field of the API that newer clients name no more
TOOLS = [{"name": "weather", "description": "Of a city.",
          "input_schema": {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]}}]


def check_messages(client):
    whole = client.messages.create(model="tiny", max_tokens=12, extra_body=GREEDY, messages=MESSAGES, system="Be kind.")
    assert whole.stop_reason in ("end_turn", "max_tokens") and whole.usage.output_tokens <= 12
    assert whole.id.startswith("msg_") and whole._request_id, whole
    with client.messages.stream(model="tiny", max_tokens=12, extra_body=GREEDY, messages=MESSAGES, system="Be kind.") as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text == final.content[0].text, (text, whole)
    assert final.stop_reason == whole.stop_reason and final.usage.output_tokens == whole.usage.output_tokens
    assert final.usage.cache_read_input_tokens > 0  # the first request left its prompt behind
    count = client.messages.count_tokens(model="tiny", messages=MESSAGES, system="Be kind.")
    assert count.input_tokens == whole.usage.input_tokens + whole.usage.cache_read_input_tokens
    stopped = client.messages.create(model="tiny", max_tokens=40, extra_body=GREEDY, messages=MESSAGES, stop_sequences=["e", "a", " "])
    assert stopped.stop_reason != "stop_sequence" or stopped.stop_sequence in ("e", "a", " ")


def check_tools(client):
    reply = client.messages.create(model="tiny", max_tokens=400, messages=MESSAGES, tools=TOOLS,
                                   tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True})
    call = next(block for block in reply.content if block.type == "tool_use")
    assert reply.stop_reason == "tool_use" and call.name == "weather" and call.input["city"] in ("Rome", "Oslo"), reply
    with client.messages.stream(model="tiny", max_tokens=400, messages=MESSAGES, tools=TOOLS,
                                tool_choice={"type": "any", "disable_parallel_tool_use": True}) as stream:
        final = stream.get_final_message()
    streamed = next(block for block in final.content if block.type == "tool_use")
    assert final.stop_reason == "tool_use" and streamed.input["city"] in ("Rome", "Oslo"), final
    answered = MESSAGES + [{"role": "assistant", "content": reply.content},
                           {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]}]
    follow_up = client.messages.create(model="tiny", max_tokens=5, messages=answered, tools=TOOLS)
    assert follow_up.usage.output_tokens <= 5


def check_fields(url):
    """Every field that the package knows is known to the server: as null they all count as absent, and none is warned about."""
    from anthropic.types import message_count_tokens_params, message_create_params
    from anthropic.types.beta import message_count_tokens_params as beta_count_params
    from anthropic.types.beta import message_create_params as beta_params
    headers_of_the_request = {"betas", "user_profile_id", "workspace_id"}
    for path, params in (("", message_create_params.MessageCreateParamsBase), ("", beta_params.MessageCreateParamsBase),
                         ("/count_tokens", message_count_tokens_params.MessageCountTokensParams),
                         ("/count_tokens", beta_count_params.MessageCountTokensParams)):
        fields = dict.fromkeys(set(params.__annotations__) - headers_of_the_request) | {"messages": MESSAGES}
        if not path:
            fields["max_tokens"] = 1
        warnings = post(f"{url}/v1/messages{path}", fields).headers["X-Millrace-Warnings"]
        assert warnings is None, (path, warnings)


def check_members(url):
    """So is every member of the blocks and tools that the server takes. Those without effect are named."""
    def members(params, **more):
        return dict.fromkeys(getattr(anthropic.types, params).__annotations__, 1) | more

    text = members("TextBlockParam", type="text", text="a")
    document = members("DocumentBlockParam", type="document", source=members("PlainTextSourceParam", type="text", data="a"))
    result = members("ToolResultBlockParam", type="tool_result", tool_use_id="c", content=[text])
    messages = [{"role": "user", "content": [text, document]},
                {"role": "assistant", "content": [members("ThinkingBlockParam", type="thinking", thinking="a"), members("RedactedThinkingBlockParam", type="redacted_thinking"),
                                                  members("ToolUseBlockParam", type="tool_use", id="c", name="f", input={"any": 1})]},
                {"role": "user", "content": [result]}]
    tool = members("ToolParam", type="custom", name="f", input_schema={"type": "object", "any": 1})
    body = {"max_tokens": 1, "system": [text], "messages": messages, "tools": [tool], "tool_choice": members("ToolChoiceToolParam", type="tool", name="f")}
    try:
        headers = post(f"{url}/v1/messages", body).headers
    except urllib.error.HTTPError as error:  # a value that is nonsense
        headers = error.headers
    warnings = headers["X-Millrace-Warnings"]
    assert "unknown" not in warnings, warnings
    for name in ("system.cache_control", "messages.content.cache_control", "messages.content.content.citations", "messages.content.is_error", "tools.cache_control"):
        assert f"field {name} has no effect" in warnings, (name, warnings)


def check_errors(client, url):
    cases = (
        (anthropic.BadRequestError, lambda: client.messages.create(model="tiny", max_tokens=0, messages=MESSAGES)),
        (anthropic.BadRequestError, lambda: client.messages.create(
            model="tiny", max_tokens=5, messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}])),
        (anthropic.NotFoundError, lambda: client.messages.create(model="other", max_tokens=5, messages=MESSAGES)),
        (anthropic.AuthenticationError,
         lambda: anthropic.Anthropic(base_url=url, api_key="wrong", max_retries=0).messages.create(model="tiny", max_tokens=5, messages=MESSAGES)))
    for error, call in cases:
        try:
            call()
        except error as caught:
            assert caught.body["error"]["message"], caught
        else:
            raise AssertionError("expected " + error.__name__)


def main():
    with running(sys.argv[1]) as url:
        client = anthropic.Anthropic(base_url=url, api_key="secret", max_retries=0, timeout=60)
        check_messages(client)
        check_tools(client)
        check_fields(url)
        check_members(url)
        check_errors(client, url)
    print("anthropic client: all passed")


if __name__ == "__main__":
    main()
