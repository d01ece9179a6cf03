#!/usr/bin/env python3
"""The same tokens alone and among 64 others, through the server: equality_test.py MILLRACE.

65 requests that differ in prompt, length, sampling, n, logprobs, grammar and endpoint are asked one after another, then all at once; their token ids and
logprobs must be equal, bit for bit, on several thread counts."""
import concurrent.futures
import random
import sys

import serving

NUM_REQUESTS = 65
TOPICS = ("France", "a mill", "the sea", "two friends", "the number seven", "a long winter", "bread", "the moon")


def request(number):
    """Path and body."""
    chance = random.Random(number)
    text = f"Tell me about {chance.choice(TOPICS)}. " + "And then? " * chance.choice((0, 0, 3, 40))
    body = {"max_tokens": chance.randint(5, 80), "seed": number, "ignore_eos": True, "return_token_ids": True}
    body.update(chance.choice(({"temperature": 0}, {"temperature": 1}, {"temperature": 0.8, "top_p": 0.9, "top_k": 40}, {"temperature": 1.2, "min_p": 0.05},
                               {"temperature": 0.7, "repetition_penalty": 1.2, "frequency_penalty": 0.3}, {"temperature": 1, "n": 3},
                               {"temperature": 0, "dry_multiplier": 0.8}, {"temperature": 1, "guided_regex": "[a-z ]{10,60}", "ignore_eos": False})))
    if chance.random() < 0.5:
        return "/v1/completions", {**body, "prompt": text, "logprobs": 2}
    return "/v1/chat/completions", {**body, "messages": [{"role": "user", "content": text}], "logprobs": True, "top_logprobs": 2}


def ask(server, number):
    return [(choice["token_ids"], choice["logprobs"], choice["finish_reason"]) for choice in server.post(*request(number))["choices"]]


def main():
    results = []
    for threads in ("1", "2"):
        with serving.serving(sys.argv[1], "-t", threads, "--max-num-seqs", "96") as server:
            alone = [ask(server, number) for number in range(NUM_REQUESTS)]
            with concurrent.futures.ThreadPoolExecutor(NUM_REQUESTS) as pool:
                together = list(pool.map(lambda number: ask(server, number), range(NUM_REQUESTS)))
            for number in range(NUM_REQUESTS):
                assert alone[number] == together[number], f"{threads} threads, request {number}: {request(number)}"
            results.append(alone)
    assert results[0] == results[1], "the number of threads changed tokens"
    print(f"ok: {NUM_REQUESTS} requests, {sum(len(choice[0]) for answer in results[0] for choice in answer)} tokens equal alone, together, and on 1 and 2 threads")


if __name__ == "__main__":
    main()
