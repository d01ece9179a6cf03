#!/usr/bin/env python3
"""What a grammar costs a step, and what jump-forward saves: step_overhead.py MILLRACE MODEL [--batch 32] [--tokens 32] [--rounds 6] [--temperature 0] [--jump]

Without --jump: the same requests all at once, with a grammar that has no end and without one, alternating, jump-forward off.
With --jump: a tool call and a JSON record, greedy, on a server with jump-forward and on one without: tokens, steps and time. Jump-forward
guesses the tokenizer's spelling, so that it takes a model that knows such texts.
"""
import argparse
import concurrent.futures
import json
import re
import statistics
import subprocess
import sys
import time
import urllib.request

ITEM = {"type": "object", "additionalProperties": False, "required": ["name", "id", "tags"], "properties": {
    "name": {"type": "string"}, "id": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}}}
ENDLESS = {"type": "array", "minItems": 100000, "items": ITEM}
WEATHER = [{"type": "function", "function": {"name": "get_weather", "description": "Get the weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
RECORD = {"type": "object", "additionalProperties": False, "required": ["name", "age", "city"], "properties": {
    "name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}}}
CHATS = {
    "tool call": {"messages": [{"role": "user", "content": "What is the weather in Paris?"}], "tools": WEATHER, "tool_choice": "required",
                  "parallel_tool_calls": False},
    "JSON record": {"messages": [{"role": "user", "content": "Make a JSON record with: name Rosa, age 31, city Lima."}], "guided_json": RECORD}}


class Server:
    def __init__(self, args, *options):
        self.process = subprocess.Popen([args.millrace, "serve", args.model, "--port", "0", "--max-model-len", "1024", "--kv-cache-bytes", "256M",
                                         "-t", str(args.threads), *options], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"listening on (http://\S+)", line)
            if found:
                self.url = found.group(1)
                return
        sys.exit("the server did not start")

    def steps(self):
        with urllib.request.urlopen(self.url + "/metrics", timeout=60) as reply:
            return int(re.search(r"millrace:steps_total[^\n]* (\d+)", reply.read().decode()).group(1))

    def ask(self, body):
        request = urllib.request.Request(self.url + ("/v1/chat/completions" if "messages" in body else "/v1/completions"), json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as reply:
            return json.load(reply)["usage"]["completion_tokens"]

    def time(self, bodies):
        """Seconds and tokens of requests sent at once."""
        with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
            start = time.perf_counter()
            tokens = sum(pool.map(self.ask, bodies))
            return time.perf_counter() - start, tokens


def bodies_of(args, schema):
    for i in range(args.batch):
        body = {"prompt": "Item %d:" % i, "max_tokens": args.tokens, "temperature": args.temperature, "seed": i, "ignore_eos": schema is None}
        yield body | ({"guided_json": schema} if schema else {})


def show(name, values, unit):
    print("%-45s median %.2f %s (%.2f to %.2f)" % (name, statistics.median(values), unit, min(values), max(values)))


def overhead(args):
    server = Server(args, "--num-forced-tokens", "0")
    times = {False: [], True: []}
    for turn in range(args.rounds + 1):
        for guided, values in times.items():
            seconds, made = server.time(list(bodies_of(args, ENDLESS if guided else None)))
            if turn > 0:  # the first warms up
                values.append(1e3 * seconds / made * args.batch)
    server.process.kill()
    plain, constrained = times.values()
    show("without a grammar", plain, "ms a token of each sequence")
    show("with a grammar", constrained, "ms a token of each sequence")
    show("ratio, round by round", [b / a for a, b in zip(plain, constrained)], "")


def jump(args):
    for option in (["--num-forced-tokens", "0"], []):
        server = Server(args, *option)
        for name, chat in CHATS.items():
            times = []
            for _ in range(args.rounds):
                before = server.steps()
                seconds, made = server.time([chat | {"max_tokens": 300, "temperature": 0}])
                steps = server.steps() - before
                times.append(1e3 * seconds)
            show("%s, %d tokens, %d steps%s" % (name, made, steps, "" if option else ", jump-forward"), times, "ms")
        server.process.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millrace")
    parser.add_argument("model")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--jump", action="store_true")
    args = parser.parse_args()
    if args.jump:
        jump(args)
    else:
        overhead(args)


if __name__ == "__main__":
    main()
