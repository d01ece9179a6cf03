#!/usr/bin/env python3
"""The CLI as scripts use it: exit status, one-sentence errors, the JSON contract of `run`. Usage: cli_test.py MILLRACE"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MILLRACE = sys.argv.pop(1)
SYNTH = "synth:tiny-llama:Q4_0"


def run(*arguments, stdin=""):
    return subprocess.run([MILLRACE, *arguments], input=stdin, capture_output=True, text=True, timeout=120)


class Cli(unittest.TestCase):
    def generate(self, *extra):
        result = run("run", SYNTH, "--raw", "-p", "abc", "-n", "8", "--json", "--ignore-eos", *extra)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def test_run_prints_the_agreed_json(self):
        out = self.generate("--temp", "0")
        self.assertEqual(list(out), ["text", "token_ids", "prompt_token_ids", "finish_reason", "timings"])
        self.assertEqual(len(out["token_ids"]), 8)
        self.assertEqual(out["finish_reason"], "length")
        self.assertGreater(out["timings"]["total_ms"], 0)

    def test_a_seed_decides_the_text(self):
        first, again, other = (self.generate("--temp", "1", "--seed", seed, "-t", threads)
                               for seed, threads in (("7", "1"), ("7", "2"), ("8", "1")))
        self.assertEqual(first["token_ids"], again["token_ids"])
        self.assertNotEqual(first["token_ids"], other["token_ids"])

    def test_the_prompt_may_come_from_a_pipe(self):
        piped = run("run", SYNTH, "--raw", "-n", "4", "--temp", "0", "--json", stdin="abc")
        self.assertEqual(json.loads(piped.stdout)["prompt_token_ids"], self.generate("--temp", "0")["prompt_token_ids"])

    def test_tokenize_round_trips(self):
        with tempfile.TemporaryDirectory() as folder:
            model = f"{folder}/tiny.gguf"
            self.assertEqual(run("synth", "tiny-llama", "Q8_0", model).returncode, 0)
            text = "Hello, world! äöü 你好\n  two  spaces"
            ids = run("tokenize", model, stdin=text)
            self.assertEqual(ids.returncode, 0, ids.stderr)
            self.assertEqual(run("tokenize", model, "--decode", stdin=ids.stdout).stdout, text)

    def test_inspect_shows_the_model(self):
        out = json.loads(run("inspect", SYNTH, "--json").stdout)
        self.assertEqual(out["architecture"], "llama")
        self.assertGreater(out["kv_bytes_per_token"]["bf16"], out["kv_bytes_per_token"]["int8"])
        self.assertIn("architecture", run("inspect", SYNTH).stdout)

    def test_errors_are_one_sentence_on_standard_error(self):
        for arguments in (("run", "/no/such/model", "-p", "x"), ("run", SYNTH, "-p", "x", "--kv-cache-dtype", "q9"),
                          ("run", SYNTH, "--raw", "-p", "x", "--top-p", "2"), ("inspect", str(ROOT / "LICENSE"))):
            result = run(*arguments)
            self.assertEqual(result.returncode, 1, arguments)
            self.assertEqual(result.stdout, "")
            self.assertRegex(result.stderr, r"^millrace: [^\n]+\n$")

    def test_wrong_usage_is_2(self):
        for arguments in ((), ("nonsense",), ("run",), ("run", SYNTH, "--threads", "0"), ("run", SYNTH, "--no-such-option")):
            self.assertEqual(run(*arguments).returncode, 2, arguments)
        self.assertEqual(run("--help").returncode, 0)

    def test_grammar_accepts_rejects_and_refuses(self):
        with tempfile.TemporaryDirectory() as folder:
            schema, text = pathlib.Path(folder, "s.json"), pathlib.Path(folder, "t.json")
            schema.write_text('{"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}')
            for instance, status in (('{"n": 7}', 0), ('{"n": 2}', 1), ('{}', 1)):
                text.write_text(instance)
                result = run("grammar", "--tokenizer", SYNTH, "--json-schema", str(schema), "--accept", str(text))
                self.assertEqual(result.returncode, status, f"{instance}: {result.stderr}")
            sampled = run("grammar", "--tokenizer", SYNTH, "--regex", "a{2,4}[xyz]", "--sample", "5")
            self.assertEqual(sampled.returncode, 0, sampled.stderr)
            schema.write_text('{"$dynamicRef": "#x"}')
            refused = run("grammar", "--tokenizer", SYNTH, "--json-schema", str(schema), "--sample", "1")
            self.assertEqual(refused.returncode, 3)
            self.assertIn("$dynamicRef", refused.stderr)

    def test_completion_knows_commands_and_options(self):
        script = run("completion").stdout
        ask = 'COMP_WORDS=({}); COMP_CWORD={}; _millrace; echo "${{COMPREPLY[*]}}"'
        for words, expected in (("millrace in", "inspect"), ("millrace run --max-mod", "--max-model-len")):
            command = script + ask.format(words, len(words.split()) - 1)
            self.assertEqual(subprocess.run(["bash", "-c", command], capture_output=True, text=True).stdout.strip(), expected)

    def test_render_prints_the_text(self):
        with tempfile.TemporaryDirectory() as folder:
            template, messages = pathlib.Path(folder, "t.jinja"), pathlib.Path(folder, "m.json")
            template.write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{{ eos_token }}")
            messages.write_text(json.dumps([{"role": "user", "content": "hi"}]))
            out = run("render", "--template", str(template), "--messages", str(messages), "--eos-token", "</s>")
            self.assertEqual(out.stdout, "[user] hi\n</s>")

    def test_perplexity_of_random_weights_is_about_uniform(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as text:
            text.write("The quick brown fox jumps over the lazy dog. " * 60)
            text.flush()
            out = run("eval", "perplexity", SYNTH, text.name, "-c", "64", "--chunks", "4", "--json")
            self.assertEqual(out.returncode, 0, out.stderr)
            self.assertEqual(json.loads(out.stdout)["scored_tokens"], 4 * 31)
            self.assertGreater(json.loads(out.stdout)["perplexity"], 10)

    def test_kl_divergence_of_a_model_from_itself_is_zero(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as text:
            text.write("The quick brown fox jumps over the lazy dog. " * 60)
            text.flush()
            divergence = {}
            for model in ("synth:tiny-llama:F32", SYNTH):
                out = run("eval", "kl-divergence", model, text.name, "--base", "synth:tiny-llama:F32", "-c", "64", "--chunks", "2", "--json")
                self.assertEqual(out.returncode, 0, out.stderr)
                divergence[model] = json.loads(out.stdout)
            itself, quantised = divergence.values()
            self.assertEqual((itself["kl_divergence"], itself["same_top"], itself["scored_tokens"]), (0.0, 1.0, 2 * 31))
            self.assertGreater(quantised["kl_divergence"], 1e-6)

    def test_a_prompt_is_saved_and_restored(self):
        with tempfile.TemporaryDirectory() as folder:
            saved = f"{folder}/prompt.kv"
            answer = ("run", SYNTH, "--raw", "-p", "the same words again and again " * 8, "-n", "6", "--temp", "0", "--json")
            first = run(*answer, "--save-kv", saved)
            self.assertEqual(first.returncode, 0, first.stderr)
            again = run(*answer, "--load-kv", saved)
            self.assertEqual(again.returncode, 0, again.stderr)
            first, again = json.loads(first.stdout), json.loads(again.stdout)
            self.assertEqual(first["token_ids"], again["token_ids"])
            self.assertEqual(first["timings"]["cached_tokens"], 0)
            self.assertGreater(again["timings"]["cached_tokens"], 15)
            other = run(*answer, "--kv-type", "fp8", "--load-kv", saved)
            self.assertEqual(other.returncode, 1)
            self.assertIn("--kv-cache-dtype", other.stderr)

    def test_measured_steps_feed_the_simulator(self):
        with tempfile.TemporaryDirectory() as folder:
            steps, trace = f"{folder}/steps.json", pathlib.Path(folder, "t.csv")
            bench = run("bench", SYNTH, "--engine", "--batch", "6", "--pp", "40", "--tg", "12", "--steps-out", steps, "--json")
            self.assertEqual(bench.returncode, 0, bench.stderr)
            self.assertEqual(json.loads(bench.stdout)["output_tokens"], 6 * 12)
            trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" +
                             "".join(f"2023-11-16 18:15:{second:02}.5,60,10\n" for second in range(20)))
            simulate = ("simulate", "--trace", str(trace), "--cost", steps, "--json", "--price-per-hour", "1")
            first, again = run(*simulate), run(*simulate)
            self.assertEqual(first.returncode, 0, first.stderr)
            self.assertEqual(first.stdout, again.stdout)
            self.assertEqual(json.loads(first.stdout)["output_tokens"], 200)
            self.assertGreater(json.loads(first.stdout)["cost_per_million_output_tokens"], 0)
            self.assertEqual(run("simulate", "--trace", str(ROOT / "LICENSE"), "--cost", steps).returncode, 1)

    def test_the_scales_of_a_trace_multiply_in_every_command(self):
        for command in (("bench", "serve"), ("bench",), ("simulate",)):
            text = " ".join(run(*command, "--help").stdout.split())
            self.assertIn("multiply the times of the trace by this", text)
            self.assertIn("multiply the lengths of its prompts and answers by this", text)
        with tempfile.TemporaryDirectory() as folder:
            steps, trace = f"{folder}/steps.json", pathlib.Path(folder, "t.csv")
            trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" +
                             "".join(f"2023-11-16 18:15:{second:02}.5,60,10\n" for second in range(20)))
            scaled = ("--trace", str(trace), "--length-scale", "0.5", "--json", "--time-scale")
            bench = run("bench", SYNTH, "--engine", "--steps-out", steps, *scaled, "0.01")
            self.assertEqual(bench.returncode, 0, bench.stderr)
            self.assertEqual(json.loads(bench.stdout)["output_tokens"], 20 * 5)
            seconds = []
            for time_scale in ("1", "10"):
                out = json.loads(run("simulate", "--cost", steps, *scaled, time_scale).stdout)
                self.assertEqual(out["output_tokens"], 20 * 5)
                seconds.append(out["seconds"])
            self.assertAlmostEqual(seconds[0], 19, delta=2)
            self.assertAlmostEqual(seconds[1], 190, delta=2)

    def test_serve_dry_run_refuses_names_that_are_none(self):
        for option in ("--scheduling-policy", "--preemption-policy", "--batching", "--mode"):
            wrong = run("serve", SYNTH, "--dry-run", option, "bogus")
            self.assertNotEqual(wrong.returncode, 0, option)
            self.assertIn("expected", wrong.stderr)

    def test_serve_dry_run_prints_the_memory_plan(self):
        plan = run("serve", SYNTH, "--dry-run", "--kv-cache-bytes", "4MiB")
        self.assertEqual(plan.returncode, 0, plan.stderr)
        for part in ("weights", "workspace", "KV cache", "swap space", "total", "left"):
            self.assertIn(part, plan.stdout)


if __name__ == "__main__":
    unittest.main()
