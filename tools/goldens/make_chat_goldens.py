#!/usr/bin/env python3
"""Makes tests/golden/chat from the reference Jinja2 with Hugging Face's settings.

    python3 -m venv VENV && VENV/bin/pip install jinja2 transformers
    VENV/bin/python tools/goldens/make_chat_goldens.py DATA/chat_templates

conversations.json  the inputs: messages, tools, variables
templates.json      per template and conversation: size and FNV-1a hash of the output, or the error's message
snippets.json       expressions and statements (chat_snippets.py) with their output, or "error"

"mutable": true marks an output that needs list.append, which the immutable sandbox refuses.
"""
import datetime
import functools
import json
import pathlib
import sys

import jinja2
from jinja2.sandbox import SandboxedEnvironment
from transformers.utils import chat_template_utils

from chat_conversations import CONVERSATIONS, SPECIAL_TOKENS
from chat_snippets import CONTEXT, SNIPPETS

NOW = 1762344000  # 2025-11-05 12:00:00 UTC
OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/chat"


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


@functools.lru_cache(maxsize=8)
def compile_template(source, mutable):
    template = chat_template_utils._cached_compile_jinja_template(source)
    env = template.environment
    env.globals["strftime_now"] = lambda f: datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(f)
    if mutable:
        env.is_safe_attribute = lambda obj, attr, value: SandboxedEnvironment.is_safe_attribute(env, obj, attr, value)
    return env.from_string(source)


def render(source, variables):
    """The output, whether it needed mutation, and the error."""
    for mutable in (False, True):
        try:
            template = compile_template(source, mutable)
            return template.render(**json.loads(json.dumps(variables))), mutable, None
        except jinja2.exceptions.SecurityError as error:
            if mutable:
                return None, mutable, error
        except Exception as error:
            return None, mutable, error


def golden(source, variables, full_text):
    output, mutable, error = render(source, variables)
    if error is not None:
        raised = type(error) is jinja2.exceptions.TemplateError
        result = {"error": str(error) if raised else True}
    elif full_text:
        result = {"output": output}
    else:
        data = output.encode()
        result = {"size": len(data), "hash": fnv1a(data)}
    if mutable:
        result["mutable"] = True
    return result


def dump(name, rows, key):
    lines = ",\n".join(json.dumps(k, ensure_ascii=False) + ": " + json.dumps(v, ensure_ascii=False) for k, v in rows)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text("{\n" + key + lines + "\n}\n")


def main():
    dump("conversations.json", [("now", NOW), ("special_tokens", SPECIAL_TOKENS)] + list(CONVERSATIONS.items()), "")
    templates = []
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.jinja")):
        source = path.read_text()
        results = {}
        for name, case in CONVERSATIONS.items():
            variables = {
                "messages": case["messages"],
                "tools": case.get("tools"),
                "documents": None,
                "add_generation_prompt": case.get("add_generation_prompt", False),
                **SPECIAL_TOKENS,
                **case.get("variables", {}),
            }
            results[name] = golden(source, variables, False)
        templates.append((path.name, results))
    dump("templates.json", templates, "")
    snippets = [{"source": s, **golden(s, CONTEXT, True)} for s in SNIPPETS]
    lines = ",\n".join(json.dumps(s, ensure_ascii=False) for s in snippets)
    context = json.dumps(CONTEXT, ensure_ascii=False)
    (OUT / "snippets.json").write_text('{"now": %d, "context": %s,\n"snippets": [\n%s\n]}\n' % (NOW, context, lines))


if __name__ == "__main__":
    main()
