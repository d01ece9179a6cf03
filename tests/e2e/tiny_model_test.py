#!/usr/bin/env python3
"""The bundled model, through the engine: 200 held-out questions and the perplexity of held-out text.

Usage: tiny_model_test.py MILLRACE [--report]   (--report also prints each family's score and the wrong replies)

tools/tiny_models/score.py measures the same with the training code; both judge by judge.py there."""

import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/tiny_models"))
from judge import is_right  # noqa: E402
GOLDEN = ROOT / "tests/golden/tiny_models"
MODEL = ROOT / "models/millrace-tiny.gguf"
MILLRACE = sys.argv.pop(1)
REPORT = "--report" in sys.argv

MEASURED_RIGHT = 181  # of 200, greedy, Q8_0; the goal is 180
MARGIN = 4  # kernels of other CPUs round differently, which turns a few close calls
MEASURED_PERPLEXITY = 40.11  # Q8_0; bf16: 40.15


def full_dialogue(question):
    """The model's own chat template with the question's messages and tools set in front of it.

    `run` takes one user message; this gives it tools and earlier exchanges all the same."""
    template = json.loads((ROOT / "models/millrace-tiny/tokenizer_config.json").read_text())["chat_template"]
    given = {"messages": question["messages"], "tools": question.get("tools", [])}
    return "".join(f"{{%- set {name} = {json.dumps(value)} -%}}" for name, value in given.items()) + template


def ask(question):
    prompt = question["messages"][-1]["content"]
    command = [MILLRACE, "run", str(MODEL), "-t", "1", "--max-model-len", "2048", "--temp", "0", "-n", "160",
               "--json", f"--prompt={prompt}"]
    with tempfile.TemporaryDirectory() as folder:
        if len(question["messages"]) > 1 or "tools" in question:
            path = pathlib.Path(folder) / "dialogue.jinja"
            path.write_text(full_dialogue(question))
            command += ["--chat-template", str(path)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr}")
    return json.loads(result.stdout)["text"]


class TinyModel(unittest.TestCase):
    def test_held_out_questions_are_answered(self):
        questions = [json.loads(line) for line in (GOLDEN / "questions.jsonl").read_text().splitlines()]
        self.assertEqual(len(questions), 200)
        families = collections.defaultdict(lambda: [0, 0])
        with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
            for question, reply in zip(questions, pool.map(ask, questions)):
                right = is_right(reply, question["match"], question["answer"])
                families[question["family"]][0] += right
                families[question["family"]][1] += 1
                if REPORT and not right:
                    print(f"{question['family']}: {question['messages'][-1]['content']!r} -> {reply!r}, "
                          f"expected {question['answer']!r}")
        right = sum(score[0] for score in families.values())
        if REPORT:
            print(", ".join(f"{family} {score[0]}/{score[1]}" for family, score in sorted(families.items())))
            print(f"right: {right} of {len(questions)}")
        self.assertGreaterEqual(right, MEASURED_RIGHT - MARGIN)

    def test_perplexity_of_held_out_text(self):
        command = [MILLRACE, "eval", "perplexity", str(MODEL), str(GOLDEN / "heldout.txt"), "--json"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        self.assertEqual(result.returncode, 0, result.stderr)
        out = json.loads(result.stdout)
        self.assertEqual(out["scored_tokens"], 8160)
        self.assertAlmostEqual(out["perplexity"], MEASURED_PERPLEXITY, delta=0.01 * MEASURED_PERPLEXITY)


if __name__ == "__main__":
    unittest.main(argv=[argument for argument in sys.argv if argument != "--report"])
