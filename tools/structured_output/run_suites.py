#!/usr/bin/env python3
"""Runs the grammar engine against JSON-Schema-Test-Suite and JSONSchemaBench.

    run_suites.py suite --driver build/release/src/grammar/grammar_driver --data ../shared/data [--docs docs/structured_output.md]
    run_suites.py bench --driver ... --data ... [--limit N] [--samples 20] [--vocabulary llama3]

`suite` needs nothing beside Python; `bench` needs the jsonschema package, which judges instances and samples.
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


def drive(driver, requests, vocabulary=None):
    """Yields one reply per request; the engine reads them in order from one process."""
    command = [driver] + ([vocabulary] if vocabulary else [])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    for request in requests:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the engine died on %s" % request["schema"][:2000])
        yield json.loads(line)
    process.stdin.close()
    process.wait()


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
        write_table(args.docs, rows, counts)
    return 1 if wrong else 0


def write_table(path, rows, counts):
    """Replaces what stands between the two marks of the page."""
    lines = ["JSON-Schema-Test-Suite, draft 2020-12, %s." % counts, "",
             "| file of the suite | cases | exact | refused | stricter | note |", "|---|---|---|---|---|---|"]
    for name, row in rows.items():
        why = [reason.split(": ", 1)[-1] for reason, _ in row["why"].most_common(2)]
        why += sorted({text for n, _, text in STRICTER if n == name and row["stricter"]})
        note = NOT_JUDGED.get(name, "; ".join(why)).replace("|", "\\|")[:120]
        lines.append("| %s | %d | %d | %d | %d | %s |" % (name, row["cases"], row["exact"], row["refused"], row["stricter"], note))
    begin, end = "<!-- generated by run_suites.py -->", "<!-- end -->"
    page = pathlib.Path(path).read_text()
    head, rest = page.split(begin, 1)
    tail = rest.split(end, 1)[1]
    pathlib.Path(path).write_text(head + begin + "\n" + "\n".join(lines) + "\n" + end + tail)


def load_bench(folder, limit, seed=1):
    paths = sorted(pathlib.Path(folder).glob("data/*/*.json"))
    if limit and limit < len(paths):
        paths = sorted(random.Random(seed).sample(paths, limit))
    for path in paths:
        yield path, path.read_text()


def percentile(values, fraction):
    return sorted(values)[min(len(values) - 1, int(len(values) * fraction))] if values else float("nan")


def is_rounding(error):
    """jsonschema divides floats; what it calls no multiple may be one in exact decimal arithmetic."""
    if getattr(error, "validator", None) != "multipleOf":
        return False
    return decimal.Decimal(repr(error.instance)) % decimal.Decimal(repr(error.validator_value)) == 0


def run_bench(args):
    import jsonschema
    archive = os.path.join(args.data, "structured_output", "jsonschemabench.tar.gz")
    vocabulary = None
    if args.vocabulary == "llama3":
        vocabulary = os.path.join(args.data, "tokenizers", "llama3", "tokenizer.model")
    with extract(archive, lambda n: n.startswith("data/") or "/data/" in n) as folder:
        cases = list(load_bench(folder, args.limit))
    status, reasons, errors, invalid = collections.Counter(), collections.Counter(), [], []
    by_set = collections.defaultdict(collections.Counter)
    compile_ms, first_ms, mask_us = [], [], []
    samples = unjudged = 0
    requests = ({"schema": text, "samples": args.samples} for _, text in cases)
    for (path, text), reply in zip(cases, drive(args.driver, requests, vocabulary)):
        status[reply["status"]] += 1
        by_set[path.parent.name][reply["status"]] += 1
        compile_ms.append(reply["compile_ms"])
        if reply["status"] != "ok":
            reasons[reply["message"].split(": ", 1)[-1][:100]] += 1
            if args.verbose:
                print(path.name, reply["status"], reply["message"][:300])
            continue
        first_ms.append(reply["first_mask_ms"])
        mask_us += reply["mask_us"]
        if "error" in reply:
            errors.append((path.name, reply["error"][:1000]))
        schema = json.loads(text)
        try:
            validator_class = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
            validator = validator_class(schema, format_checker=validator_class.FORMAT_CHECKER)
        except Exception:
            unjudged += len(reply["samples"])
            continue
        for sample in reply["samples"]:
            samples += 1
            try:
                value = json.loads(sample)
                problem = next((e for e in validator.iter_errors(value) if not is_rounding(e)), None)
            except json.JSONDecodeError as e:
                problem = e
            except Exception as e:  # the validator itself gave up on the schema
                unjudged += 1
                if args.verbose:
                    print("UNJUDGED", path.name, repr(e)[:200])
                break
            if problem is not None:
                invalid.append((path.name, sample[:500], str(problem)[:300]))
                break
    for name, error in errors[:args.show]:
        print("ERROR", name, error)
    for entry in invalid[:args.show]:
        print("INVALID", *entry, sep="\n    ")
    total = len(cases)
    print("schemas %d: %s" % (total, dict(status)))
    for name, counts in sorted(by_set.items()):
        print("  %-16s %5d of %5d" % (name, counts["ok"], sum(counts.values())))
    for reason, count in reasons.most_common(25):
        print("%6d  %s" % (count, reason))
    print("samples %d, schemas with an invalid one %d, with an error %d, not judged %d" % (
        samples, len(invalid), len(errors), unjudged))
    print("compile ms: median %.2f p99 %.1f max %.1f; first mask ms: median %.2f p99 %.1f" % (
        statistics.median(compile_ms), percentile(compile_ms, .99), max(compile_ms),
        statistics.median(first_ms), percentile(first_ms, .99)))
    if mask_us:
        print("masks %d: median %.1f us, p99 %.1f us, p99.9 %.1f us, max %.1f us" % (
            len(mask_us), statistics.median(mask_us), percentile(mask_us, .99), percentile(mask_us, .999), max(mask_us)))
    return 1 if invalid or errors else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["suite", "bench"])
    parser.add_argument("--driver", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--docs")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--vocabulary", choices=["bytes", "llama3"], default="llama3")
    parser.add_argument("--show", type=int, default=20)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    return run_suite(args) if args.what == "suite" else run_bench(args)


if __name__ == "__main__":
    sys.exit(main())
