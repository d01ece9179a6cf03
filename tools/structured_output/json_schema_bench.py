#!/usr/bin/env python3
"""Runs the grammar engine over JSONSchemaBench and writes what it found into docs/benchmarks/structured_output.md.

    json_schema_bench.py run --driver build/release/src/grammar/grammar_driver --data ../shared/data --results R.jsonl [--shard 0/2]
    json_schema_bench.py report --results R0.jsonl R1.jsonl [--docs docs/benchmarks/structured_output.md]

`run` appends one line per schema and goes on where an earlier run stopped. Samples are random tokens that the masks allow, then
the shortest end; the jsonschema package judges them, and mutants of them (changed in one place): those that it calls invalid
must be rejected. Times are processor time, so they hold on a machine that is busy with other things.
"""
import argparse
import collections
import decimal
import json
import math
import os
import pathlib
import random
import re
import signal
import sys
import threading

from run_suites import Engine, compact, extract, write_between

BUCKET = math.log(1.05)  # mask times are kept in buckets 5 % wide
JUDGE_SECONDS = 30
SAMPLE_SECONDS = 60


class PatientEngine(Engine):
    """An engine that is ended, and started anew, when one request takes more than SAMPLE_SECONDS of processor time."""

    def __init__(self, driver, vocabulary):
        self.command = (driver, vocabulary)
        super().__init__(driver, vocabulary)

    def processor_seconds(self):
        fields = pathlib.Path("/proc/%d/stat" % self.process.pid).read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, request):
        start, answered = self.processor_seconds(), threading.Event()

        def watch():
            while not answered.wait(5):
                if self.processor_seconds() - start > SAMPLE_SECONDS:
                    self.process.kill()
                    return
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            return super().ask(request)
        except RuntimeError:
            self.process.wait()
            super().__init__(*self.command)
            raise
        finally:
            answered.set()
            watcher.join()


def load_bench(folder, shard, limit):
    paths = sorted(pathlib.Path(folder).glob("data/*/*.json"))
    random.Random(1).shuffle(paths)
    part, parts = map(int, shard.split("/"))
    paths = paths[part::parts]
    return paths[:limit] if limit else paths


def is_rounding(error):
    """jsonschema divides floats; what it calls no multiple may be one in exact decimal arithmetic."""
    if getattr(error, "validator", None) != "multipleOf":
        return False
    return decimal.Decimal(repr(error.instance)) % decimal.Decimal(repr(error.validator_value)) == 0


def is_dialect(error):
    """For ECMA-262, and so for JSON Schema, U+FEFF is white space; for Python it is none."""
    if getattr(error, "validator", None) != "pattern" or "\ufeff" not in error.instance:
        return False
    return re.search(error.validator_value, error.instance.replace("\ufeff", " ")) is not None


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


def out_of_time(_signal, _frame):
    raise TimeoutError("the validator took more than %d s" % JUDGE_SECONDS)


def judge(text, samples, engine, mutants, row):
    """Fills the row's counts from what the jsonschema package says of samples and mutants."""
    import jsonschema
    schema = json.loads(text)
    validator_class = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    validator = validator_class(schema, format_checker=validator_class.FORMAT_CHECKER)
    values = []
    for sample in samples:
        try:
            value = json.loads(sample)
            problem = next((e for e in validator.iter_errors(value) if not is_rounding(e) and not is_dialect(e)), None)
        except json.JSONDecodeError as e:
            problem = e
        if problem is not None:
            row["invalid"].append([sample[:500], str(problem)[:300]])
            continue
        values.append(value)
        row["samples"] += 1
    rng = random.Random(row["name"])
    wrong = [mutate(rng.choice(values), rng) for _ in range(mutants)] if values else []
    texts = [compact(m) for m in wrong if not validator.is_valid(m)]
    row["mutants"] += len(texts)
    taken = engine.ask({"schema": text, "accept": texts})["accepted"] if texts else []
    row["accepted"] += [t[:500] for t, yes in zip(texts, taken) if yes]


def run_schema(engine, path, args):
    text = path.read_text()
    row = {"name": path.name, "set": path.parent.name, "samples": 0, "invalid": [], "mutants": 0, "accepted": [], "errors": []}
    try:
        reply = engine.ask({"schema": text, "samples": args.samples})
    except RuntimeError:  # it died, or it found no short way to an end
        reply = engine.ask({"schema": text}) | {"error": "no samples within %d s" % SAMPLE_SECONDS, "samples": [], "mask_us": []}
    row.update({key: reply[key] for key in ("status", "message", "compile_ms", "first_mask_ms") if key in reply})
    if reply["status"] != "ok":
        return row
    if "error" in reply:
        row["errors"].append(reply["error"][:1000])
    row["masks"] = collections.Counter(round(math.log(max(us, 0.01)) / BUCKET) for us in reply["mask_us"])
    signal.setitimer(signal.ITIMER_PROF, JUDGE_SECONDS)
    try:
        judge(text, reply["samples"], engine, args.mutants, row)
    except Exception as e:  # the validator itself gives up on some schemas
        row["unjudged"] = repr(e)[:300]
    signal.setitimer(signal.ITIMER_PROF, 0)
    return row


def run(args):
    archive = os.path.join(args.data, "structured_output", "jsonschemabench.tar.gz")
    vocabulary = os.path.join(args.data, "tokenizers", "llama3", "tokenizer.model")
    results = pathlib.Path(args.results[0])
    known = set()
    if results.exists():
        known = {(r["set"], r["name"]) for r in map(json.loads, results.read_text().splitlines())}
    signal.signal(signal.SIGPROF, out_of_time)
    with extract(archive, lambda n: n.startswith("data/") or "/data/" in n) as folder, results.open("a") as out:
        engine = PatientEngine(args.driver, vocabulary)
        for path in load_bench(folder, args.shard, args.limit):
            if (path.parent.name, path.name) not in known:
                out.write(json.dumps(run_schema(engine, path, args)) + "\n")
                out.flush()
        engine.close()
    return 0


def percentile(values, fraction):
    return sorted(values)[min(len(values) - 1, int(len(values) * fraction))] if values else float("nan")


def mask_percentile(buckets, fraction):
    wanted, seen = fraction * sum(buckets.values()), 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen > wanted:
            return math.exp(bucket * BUCKET)
    return math.exp(max(buckets) * BUCKET) if buckets else float("nan")


def table_of_sets(rows):
    by_set = collections.defaultdict(collections.Counter)
    for row in rows:
        for name in (row["set"], "all"):
            by_set[name][row["status"]] += 1
    lines = ["| set | schemas | enforced | refused | meaningless |", "|---|---|---|---|---|"]
    for name in sorted(by_set, key=lambda n: (n == "all", n)):
        counts = by_set[name]
        lines.append("| %s | %d | %d (%.1f %%) | %d | %d |" % (
            name, sum(counts.values()), counts["ok"], 100.0 * counts["ok"] / sum(counts.values()), counts["refused"], counts["invalid"]))
    return lines


def table_of_times(rows):
    masks = collections.Counter()
    for row in rows:
        masks.update({int(bucket): count for bucket, count in row.get("masks", {}).items()})
    lines = ["| processor time | number | median | p99 | p99.9 | most |", "|---|---|---|---|---|---|"]
    for name, key in (("compiling, ms", "compile_ms"), ("compiling and the first mask, ms", "first_mask_ms")):
        values = [row[key] for row in rows if key in row]
        lines.append("| %s | %d | %.2f | %.1f | %.1f | %.0f |" % (
            name, len(values), percentile(values, .5), percentile(values, .99), percentile(values, .999), max(values)))
    lines.append("| a mask, us | %d | %.1f | %.0f | %.0f | %.0f |" % (
        (sum(masks.values()),) + tuple(mask_percentile(masks, f) for f in (.5, .99, .999, 1))))
    return lines


def report(args):
    by_name = {}
    for row in (json.loads(line) for path in args.results for line in pathlib.Path(path).read_text().splitlines()):
        by_name.setdefault((row["set"], row["name"]), row)
    rows = list(by_name.values())
    reasons = collections.Counter(row["message"].split(": ", 1)[-1][:100] for row in rows if row["status"] != "ok")
    total = {key: sum(row[key] for row in rows) for key in ("samples", "mutants")}
    total.update({key: sum(len(row[key]) for row in rows) for key in ("invalid", "accepted", "errors")})
    unjudged = collections.Counter(row["unjudged"].split("(")[0] for row in rows if "unjudged" in row)
    lines = table_of_sets(rows) + [
        "", "Samples that the `jsonschema` package calls valid: %d, invalid: %d. Mutants that it calls invalid: %d, accepted: %d. Dead ends "
        "and other errors: %d. Schemas that the package itself can't judge: %d (%s)." % (
            total["samples"], total["invalid"], total["mutants"], total["accepted"], total["errors"], sum(unjudged.values()),
            ", ".join("%s %d" % item for item in unjudged.most_common(6))), ""]
    lines += table_of_times(rows) + ["", "| refused for | schemas |", "|---|---|"]
    lines += ["| %s | %d |" % (reason.replace("|", "\\|"), count) for reason, count in reasons.most_common(25)]
    for row in rows:
        for kind in ("invalid", "accepted", "errors"):
            for entry in row[kind][:1]:
                print(kind.upper(), row["set"] + "/" + row["name"], entry, sep="\n    ")
    print("\n".join(lines))
    if args.docs:
        write_between(args.docs, "json_schema_bench.py", lines)
    return 1 if total["invalid"] or total["accepted"] or total["errors"] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("--results", nargs="+", required=True)
    parser.add_argument("--driver")
    parser.add_argument("--data")
    parser.add_argument("--shard", default="0/1")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--mutants", type=int, default=5)
    parser.add_argument("--docs")
    args = parser.parse_args()
    return run(args) if args.what == "run" else report(args)


if __name__ == "__main__":
    sys.exit(main())
