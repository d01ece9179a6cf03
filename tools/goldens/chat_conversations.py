"""Conversations that every chat template is rendered with."""

SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city. <b>&amp; 'quotes' \"too\"</b>",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "City, e.g. Zürich or 東京"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Unit", "default": "celsius"},
                "days": {"type": "integer", "description": "How many days"},
            },
            "required": ["city"],
        },
    },
}
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search documents",
        "parameters": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to look for"},
                "filters": {
                    "type": "object",
                    "description": "Nested filters",
                    "properties": {"lang": {"type": "string"}, "years": {"type": "array", "items": {"type": "integer"}}},
                },
                "tags": {"type": "array", "description": "Tags", "items": {"type": "string"}},
                "score": {"type": "number", "description": "Least score"},
                "exact": {"type": "boolean", "description": "Exact match", "default": False},
            },
            "required": ["query", "tags"],
        },
    },
}
NO_ARGUMENTS = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Get the time",
        "parameters": {"type": "object", "properties": {}, "required": []},
    },
}
TOOLS = [WEATHER, SEARCH]

SYSTEM = {"role": "system", "content": "You are terse.  "}
USER = {"role": "user", "content": "  What's the weather in Zürich? 🌤\n"}
ASSISTANT = {"role": "assistant", "content": "Sunny, 21 °C."}
USER2 = {"role": "user", "content": "And <|im_end|> tomorrow </s> [INST]?"}
ARGUMENTS = {"city": "Zürich \"HB\"\n", "unit": "celsius", "days": 3}


def call(name, arguments, id="call00001"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool_turn(content, *calls):
    message = {"role": "assistant", "content": content, "tool_calls": list(calls)}
    return message


def result(content, id="call00001", name="get_weather"):
    return {"role": "tool", "name": name, "tool_call_id": id, "content": content}


CALL = call("get_weather", ARGUMENTS)
CALL2 = call("search", {"query": "x", "filters": {"lang": "de", "years": [2024, 2025]}, "tags": [], "score": 0.5,
                        "exact": True}, "call00002")
RESULT = result('{"temp": 21, "sky": "clear"}')

CONVERSATIONS = {
    "user": {"messages": [USER]},
    "user_prompt": {"messages": [USER], "add_generation_prompt": True},
    "system": {"messages": [SYSTEM, USER], "add_generation_prompt": True},
    "turns": {"messages": [USER, ASSISTANT, USER2], "add_generation_prompt": True},
    "turns_system_no_prompt": {"messages": [SYSTEM, USER, ASSISTANT, USER2, ASSISTANT]},
    "two_users": {"messages": [USER, USER2], "add_generation_prompt": True},
    "starts_with_assistant": {"messages": [ASSISTANT, USER]},
    "tools": {"messages": [USER], "tools": TOOLS, "add_generation_prompt": True},
    "tools_system": {"messages": [SYSTEM, USER], "tools": TOOLS, "add_generation_prompt": True},
    "tools_no_arguments": {"messages": [SYSTEM, USER], "tools": [NO_ARGUMENTS], "add_generation_prompt": True},
    "tools_turns": {"messages": [SYSTEM, USER, ASSISTANT, USER2], "tools": TOOLS, "add_generation_prompt": True},
    "call": {"messages": [USER, tool_turn("", CALL)], "tools": TOOLS},
    "call_none": {"messages": [USER, tool_turn(None, CALL)], "tools": TOOLS},
    "call_result": {"messages": [SYSTEM, USER, tool_turn("", CALL), RESULT], "tools": TOOLS, "add_generation_prompt": True},
    "call_result_none": {"messages": [USER, tool_turn(None, CALL), RESULT], "tools": TOOLS, "add_generation_prompt": True},
    "call_result_answer": {
        "messages": [USER, tool_turn("Let me look.", CALL), RESULT, ASSISTANT, USER2],
        "tools": TOOLS, "add_generation_prompt": True,
    },
    "two_calls": {
        "messages": [USER, tool_turn("", CALL, CALL2), RESULT, result("[]", "call00002", "search")],
        "tools": TOOLS, "add_generation_prompt": True,
    },
    "call_text_arguments": {
        "messages": [USER, tool_turn("", call("get_weather", '{"city": "Bern"}')), RESULT],
        "tools": TOOLS, "add_generation_prompt": True,
    },
    "call_without_function": {
        "messages": [USER, tool_turn("", {"name": "get_weather", "arguments": ARGUMENTS}), RESULT],
        "tools": TOOLS, "add_generation_prompt": True,
    },
    "call_no_tools": {"messages": [USER, tool_turn("", CALL), RESULT], "add_generation_prompt": True},
    "reasoning": {
        "messages": [USER, {**ASSISTANT, "reasoning_content": "It is\nsummer.", "thinking": "It is\nsummer."}, USER2],
        "add_generation_prompt": True,
    },
    "reasoning_last": {"messages": [USER, {**ASSISTANT, "reasoning_content": "Hm.", "thinking": "Hm."}]},
    "reasoning_tags": {
        "messages": [USER, {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nSunny."}, USER2],
        "add_generation_prompt": True,
    },
    "reasoning_call": {
        "messages": [USER, {**tool_turn("", CALL), "reasoning_content": "Look it up.", "thinking": "Look it up."}, RESULT],
        "tools": TOOLS, "add_generation_prompt": True,
    },
    "no_thinking": {"messages": [USER], "add_generation_prompt": True, "variables": {"enable_thinking": False}},
    "thinking": {
        "messages": [SYSTEM, USER], "add_generation_prompt": True,
        "variables": {"enable_thinking": True, "thinking": True, "reasoning_effort": "high", "thinking_budget": 700},
    },
    "builtin_tools": {
        "messages": [SYSTEM, USER], "add_generation_prompt": True,
        "variables": {"builtin_tools": ["browser", "python", "code_interpreter"], "date_string": "1 Jan 2026"},
    },
    "parts": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "image", "image": "x"}]}],
        "add_generation_prompt": True,
    },
    "developer": {"messages": [{"role": "developer", "content": "Be kind."}, USER], "add_generation_prompt": True},
    "unknown_role": {"messages": [USER, {"role": "narrator", "content": "Later."}], "add_generation_prompt": True},
    "no_messages": {"messages": [], "add_generation_prompt": True},
}
