#!/usr/bin/env python3
"""Runs the grammar engine against JSON-Schema-Test-Suite and JSONSchemaBench.

    run_suites.py suite --driver build/release/src/grammar/grammar_driver --data ../shared/data [--docs docs/structured_output.md]
    run_suites.py bench --driver ... --data ... [--limit N] [--samples 20] [--mutants 5] [--vocabulary llama3] [--docs ...]

`suite` needs nothing beside Python; `bench` needs the jsonschema package, which judges samples and mutants: samples that were
changed in one place, and that must be rejected where the package calls them invalid.
"""
import argparse
import collections
import decimal
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def extract(archive, keep):
    """Extracts the members that keep() names into a temporary folder, which the caller removes."""
    folder = tempfile.TemporaryDirectory()
    with tarfile.open(archive) as tar:
        members = [m for m in tar.getmembers() if m.isfile() and keep(m.name) and ".." not in m.name]
        tar.extractall(folder.name, members=members)
    return folder


class Engine:
    """The engine in a process of its own, which reads requests in order."""

    def __init__(self, driver, vocabulary=None):
        command = [driver] + ([vocabulary] if vocabulary else [])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the engine died on %s" % request["schema"][:2000])
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def drive(driver, requests, vocabulary=None):
    """Yields one reply per request."""
    engine = Engine(driver, vocabulary)
    for request in requests:
        yield engine.ask(request)
    engine.close()


def load_suite(folder):
    base = pathlib.Path(folder) / "tests" / "draft2020-12"
    files = sorted(base.glob("*.json")) + sorted((base / "optional").glob("*.json"))
    files += sorted((base / "optional" / "format").glob("*.json"))
    for path in files:
        name = str(path.relative_to(base))[:-5]
        for group in json.loads(path.read_text()):
            yield name, group


# Behaviour that is optional in the specification and that this engine doesn't promise: see the generated table.
NOT_JUDGED = {
    "content": "annotation only", "optional/format-assertion": "needs vocabularies", "vocabulary": "needs vocabularies",
    "format": "annotation only: formats are enforced here, see optional/format",
    "optional/cross-draft": "needs several drafts in one document",
    "optional/float-overflow": "a number above a bound has no exponent here",
    "optional/format/unknown": "annotation only"}


# Valid instances that this engine rejects on purpose, by file and words of the test's description.
STRICTER = [("optional/format/hostname", "A-label", "IDNA A-labels are not allowed: checking them takes more than an automaton"),
            ("optional/format/date-time", "leap second", "leap seconds only at offset zero"),
            ("optional/format/time", "leap second", "leap seconds only at offset zero")]


def is_stricter(name, group, test):
    words = group["description"] + " " + test["description"]
    return test["valid"] and any(name == n and w in words for n, w, _ in STRICTER)


def run_suite(args):
    archive = os.path.join(args.data, "structured_output", "JSON-Schema-Test-Suite.tar.gz")
    with extract(archive, lambda n: "draft2020-12" in n) as folder:
        cases = list(load_suite(folder))
    requests = [{"schema": compact(g["schema"]), "accept": [compact(t["data"]) for t in g["tests"]],
                 "whitespace": "compact"} for _, g in cases]
    rows = collections.OrderedDict()
    wrong = []
    for (name, group), reply in zip(cases, drive(args.driver, requests)):
        row = rows.setdefault(name, {"cases": 0, "exact": 0, "refused": 0, "stricter": 0, "why": collections.Counter()})
        row["cases"] += len(group["tests"])
        if reply["status"] == "refused":
            row["refused"] += len(group["tests"])
            row["why"][reply["message"]] += len(group["tests"])
            continue
        for i, test in enumerate(group["tests"]):
            accepted = reply["status"] == "ok" and reply["accepted"][i]
            if accepted == test["valid"]:
                row["exact"] += 1
            elif is_stricter(name, group, test):
                row["stricter"] += 1
            elif name not in NOT_JUDGED:
                wrong.append((name, group["description"], test["description"], compact(group["schema"])[:300],
                              compact(test["data"])[:200], "accepted" if accepted else "rejected",
                              reply.get("message", "")))
    for entry in wrong:
        print("WRONG", *entry, sep="\n    ")
    total = sum(r["cases"] for n, r in rows.items() if n not in NOT_JUDGED)
    exact = sum(r["exact"] for n, r in rows.items() if n not in NOT_JUDGED)
    refused = sum(r["refused"] for n, r in rows.items() if n not in NOT_JUDGED)
    stricter = sum(r["stricter"] for r in rows.values())
    counts = "%d cases: %d judged exactly as the suite does, %d refused by name, %d stricter, %d wrong" % (
        total, exact, refused, stricter, len(wrong))
    print(counts)
    if args.docs:
        write_between(args.docs, "run_suites.py", suite_table(rows, counts))
    return 1 if wrong else 0


def suite_table(rows, counts):
    lines = ["JSON-Schema-Test-Suite, draft 2020-12, %s." % counts, "",
             "| file of the suite | cases | exact | refused | stricter | note |", "|---|---|---|---|---|---|"]
    for name, row in rows.items():
        why = [reason.split(": ", 1)[-1] for reason, _ in row["why"].most_common(2)]
        why += sorted({text for n, _, text in STRICTER if n == name and row["stricter"]})
        note = NOT_JUDGED.get(name, "; ".join(why)).replace("|", "\\|")[:120]
        lines.append("| %s | %d | %d | %d | %d | %s |" % (name, row["cases"], row["exact"], row["refused"], row["stricter"], note))
    return lines


def write_between(path, maker, lines):
    """Replaces what stands between the marks of one generated part of the page."""
    begin, end = "<!-- generated by %s -->" % maker, "<!-- end -->"
    page = pathlib.Path(path).read_text()
    head, rest = page.split(begin, 1)
    tail = rest.split(end, 1)[1]
    pathlib.Path(path).write_text(head + begin + "\n" + "\n".join(lines) + "\n" + end + tail)


def load_bench(folder, limit, seed=1):
    paths = sorted(pathlib.Path(folder).glob("data/*/*.json"))
    random.Random(seed).shuffle(paths)
    for path in paths[:limit] if limit else paths:
        yield path, path.read_text()


def percentile(values, fraction):
    return sorted(values)[min(len(values) - 1, int(len(values) * fraction))] if values else float("nan")


def is_rounding(error):
    """jsonschema divides floats; what it calls no multiple may be one in exact decimal arithmetic."""
    if getattr(error, "validator", None) != "multipleOf":
        return False
    return decimal.Decimal(repr(error.instance)) % decimal.Decimal(repr(error.validator_value)) == 0


def mutate(value, rng):
    """A copy of a JSON value, changed in one place."""
    places = [((), value)]
    for path, inner in places:
        if isinstance(inner, dict):
            places += [(path + (key,), child) for key, child in inner.items()]
        elif isinstance(inner, list):
            places += [(path + (i,), child) for i, child in enumerate(inner[:20])]
    path, old = rng.choice(places)
    if isinstance(old, dict) and old and rng.random() < 0.5:
        new = dict(old)
        del new[rng.choice(sorted(new))]
    elif isinstance(old, dict) and rng.random() < 0.5:
        new = dict(old, zzz=1)
    elif isinstance(old, list) and rng.random() < 0.6:
        new = old + [old[0] if old else 1]
    elif isinstance(old, str) and rng.random() < 0.6:
        new = old + "~" if rng.random() < 0.5 else old[:-1]
    elif isinstance(old, (int, float)) and not isinstance(old, bool) and rng.random() < 0.6:
        new = rng.choice([-old - 1, old + 1000000, old + 0.5])
    else:
        new = rng.choice([None, True, 7, "text", [], {}])

    def rebuilt(inner, rest):
        if not rest:
            return new
        copy = inner.copy()
        copy[rest[0]] = rebuilt(inner[rest[0]], rest[1:])
        return copy
    return rebuilt(value, path)


class Bench:
    """What a run over schemas has seen so far."""

    def __init__(self, args, vocabulary):
        self.args = args
        self.engine = Engine(args.driver, vocabulary)
        self.rng = random.Random(3)
        self.by_set = collections.defaultdict(collections.Counter)
        self.reasons = collections.Counter()
        self.errors, self.invalid, self.accepted = [], [], []
        self.compile_ms, self.first_ms, self.mask_us = [], [], []
        self.samples = self.mutants = self.unjudged = 0

    def run(self, name, group, text):
        reply = self.engine.ask({"schema": text, "samples": self.args.samples})
        self.by_set[group][reply["status"]] += 1
        self.compile_ms.append(reply["compile_ms"])
        if reply["status"] != "ok":
            self.reasons[reply["message"].split(": ", 1)[-1][:100]] += 1
            if self.args.verbose:
                print(name, reply["status"], reply["message"][:300])
            return
        self.first_ms.append(reply["first_mask_ms"])
        self.mask_us += reply["mask_us"]
        if "error" in reply:
            self.errors.append((name, reply["error"][:1000]))
        try:
            self.judge(name, text, reply["samples"])
        except Exception as e:  # the validator itself gives up on some schemas
            self.unjudged += 1
            if self.args.verbose:
                print("UNJUDGED", name, repr(e)[:200])

    def judge(self, name, text, samples):
        import jsonschema
        schema = json.loads(text)
        validator_class = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        validator = validator_class(schema, format_checker=validator_class.FORMAT_CHECKER)
        values = []
        for sample in samples:
            try:
                values.append(json.loads(sample))
                problem = next((e for e in validator.iter_errors(values[-1]) if not is_rounding(e)), None)
            except json.JSONDecodeError as e:
                problem = e
            if problem is not None:
                self.invalid.append((name, sample[:500], str(problem)[:300]))
                return
            self.samples += 1
        mutants = [mutate(self.rng.choice(values), self.rng) for _ in range(self.args.mutants)] if values else []
        mutants = [m for m in mutants if not validator.is_valid(m)]
        self.mutants += len(mutants)
        texts = [compact(m) for m in mutants]
        for instance, taken in zip(texts, self.engine.ask({"schema": text, "accept": texts})["accepted"] if texts else []):
            if taken:
                self.accepted.append((name, instance[:500]))

    def table(self):
        total = collections.Counter()
        lines = ["| set | schemas | enforced | refused | meaningless |", "|---|---|---|---|---|"]
        for name, counts in sorted(self.by_set.items()) + [("all", total)]:
            if counts is not total:
                total += counts
            all_of = sum(counts.values())
            lines.append("| %s | %d | %d (%.1f %%) | %d | %d |" % (
                name, all_of, counts["ok"], 100.0 * counts["ok"] / all_of, counts["refused"], counts["invalid"]))
        lines += ["", "%d samples of enforced schemas, by schemas with an invalid one: %d; mutants that the `jsonschema` package calls"
                  " invalid: %d, accepted: %d; dead ends and other errors: %d; schemas that the package can't judge: %d." % (
                      self.samples, len(self.invalid), self.mutants, len(self.accepted), len(self.errors), self.unjudged), "",
                  "Compile ms: median %.2f, p99 %.1f, max %.0f; first mask ms: median %.2f, p99 %.1f." % (
                      statistics.median(self.compile_ms), percentile(self.compile_ms, .99), max(self.compile_ms),
                      statistics.median(self.first_ms), percentile(self.first_ms, .99))]
        if self.mask_us:
            lines.append("Masks: %d, median %.1f us, p99 %.1f us, p99.9 %.1f us, max %.1f us." % (
                len(self.mask_us), statistics.median(self.mask_us), percentile(self.mask_us, .99), percentile(self.mask_us, .999),
                max(self.mask_us)))
        lines += ["", "| refused for | schemas |", "|---|---|"]
        lines += ["| %s | %d |" % (reason.replace("|", "\\|"), count) for reason, count in self.reasons.most_common(15)]
        return lines


def run_bench(args):
    archive = os.path.join(args.data, "structured_output", "jsonschemabench.tar.gz")
    vocabulary = None
    if args.vocabulary == "llama3":
        vocabulary = os.path.join(args.data, "tokenizers", "llama3", "tokenizer.model")
    with extract(archive, lambda n: n.startswith("data/") or "/data/" in n) as folder:
        cases = list(load_bench(folder, args.limit))
    bench = Bench(args, vocabulary)
    for done, (path, text) in enumerate(cases):
        bench.run(path.name, path.parent.name, text)
        if args.verbose and done % 100 == 99:
            print("\n".join(["after %d schemas" % (done + 1)] + bench.table()), flush=True)
    for name, error in bench.errors[:args.show]:
        print("ERROR", name, error)
    for entry in bench.invalid[:args.show] + bench.accepted[:args.show]:
        print("INVALID", *entry, sep="\n    ")
    print("\n".join(bench.table()))
    if args.docs:
        head = "JSONSchemaBench, %s, %d samples and %d mutants a schema, Llama-3 vocabulary." % (
            "all %d schemas" % len(cases) if not args.limit else "%d schemas chosen at random" % len(cases), args.samples, args.mutants)
        write_between(args.docs, "run_suites.py bench", [head, ""] + bench.table())
    return 1 if bench.invalid or bench.errors or bench.accepted else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["suite", "bench"])
    parser.add_argument("--driver", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--docs")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--mutants", type=int, default=5)
    parser.add_argument("--vocabulary", choices=["bytes", "llama3"], default="llama3")
    parser.add_argument("--show", type=int, default=20)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    return run_suite(args) if args.what == "suite" else run_bench(args)


if __name__ == "__main__":
    sys.exit(main())
