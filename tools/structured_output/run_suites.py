#!/usr/bin/env python3
"""Runs the grammar engine against JSON-Schema-Test-Suite.

    run_suites.py --driver build/release/src/grammar/grammar_driver --data ../shared/data [--docs docs/structured_output.md]
"""
import argparse
import collections
import json
import os
import pathlib
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
            ("optional/format/time", "leap second", "leap seconds only at offset zero"),
            ("optional/format/ecmascript-regex", "", "only expressions that other libraries read alike"),
            ("optional/format/regex", "", "only expressions that other libraries read alike")]


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--docs")
    return run_suite(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
