#!/usr/bin/env python3
"""Plays the transcripts of a real kube-apiserver against this project's server and holds the result against a floor.

usage: check_floor.py --binary REHEARSAL [--oracle DIR] [--floor FILE] [--area NAME …] [--raise]

The floor (tests/oracle-floor.json) says for every area how many cases agreed semantically and exactly at least once.
A count below it fails; `--raise` writes better counts into it and never lowers one. Two servers are started: one with
no controllers for everything, and one with all of them for the area that is about controllers.
Exit status: 0 held, 1 dropped, 2 could not be run, 77 no transcripts to be found.
Needs Python 3.9+ and nothing else.
"""
import argparse, json, pathlib, signal, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ABSENT = 77
# The cases of this area mostly wait for a controller, so all of them may wait at once.
WAITING = "controllers"


class CannotRun(Exception):
    """The comparison itself could not be made."""


def play(binary, oracle, golden, controllers, jobs):
    """Runs the oracle against a fresh server and returns its results."""
    with tempfile.TemporaryDirectory(prefix="oracle-") as scratch:
        out = pathlib.Path(scratch) / "results.json"
        log = pathlib.Path(scratch) / "log"
        server = [binary, "serve", "--http", "--port", "0", "--auth", "rbac", "--controllers", controllers,
                  "--token-file", str(oracle / "tokens.csv"), "--kubeconfig-out", str(pathlib.Path(scratch) / "kubeconfig")]
        with open(log, "wb") as stderr, subprocess.Popen(server, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
            try:
                line = process.stdout.readline()
                if not line.startswith("ready url="):
                    raise CannotRun("the server did not start: %s%s" % (line, log.read_text(errors="replace")))
                url = line.split()[1].removeprefix("url=")
                player = [sys.executable, str(oracle / "oracle.py"), "--server", url, "--jobs", str(jobs), "--json", str(out)]
                played = subprocess.run(player + [str(g) for g in golden], capture_output=True, text=True)
                if process.poll() is not None:
                    raise CannotRun("the server ended while it was asked (%d):\n%s" % (process.returncode, log.read_text(errors="replace")))
            finally:
                process.terminate()
        if not out.exists():
            raise CannotRun("the oracle gave no results:\n%s%s" % (played.stdout, played.stderr))
        return json.loads(out.read_text())


def count(results):
    """The counts of every area: cases, semantic, exact."""
    areas = {}
    for r in results:
        area = areas.setdefault(r["case"].split("/")[0], {"cases": 0, "semantic": 0, "exact": 0})
        area["cases"] += 1
        area["semantic"] += r["semantic"]
        area["exact"] += r["exact"]
    return areas


def compare(areas, floor):
    """Prints a table and returns the areas that fell below their floor."""
    fallen = []
    print("%-18s %5s   %s   %s" % ("area", "cases", "semantic (floor)", "exact (floor)"))
    for name in sorted(set(areas) | set(floor)):
        have, want = areas.get(name, {"cases": 0, "semantic": 0, "exact": 0}), floor.get(name, {"semantic": 0, "exact": 0})
        low = [k for k in ("semantic", "exact") if have[k] < want[k]]
        mark = "DROPPED" if low else "better" if any(have[k] > want[k] for k in ("semantic", "exact")) else ""
        print("%-18s %5d   %8d (%5d)   %5d (%5d)  %s" % (name, have["cases"], have["semantic"], want["semantic"], have["exact"], want["exact"], mark))
        if low:
            fallen.append(name)
    total = {k: sum(a[k] for a in areas.values()) for k in ("cases", "semantic", "exact")}
    print("%-18s %5d   %8d           %5d" % ("all", total["cases"], total["semantic"], total["exact"]))
    return fallen


def raised(areas, floor):
    """The floor with every better count in its place."""
    out = dict(floor)
    for name, have in areas.items():
        old = floor.get(name, {"semantic": 0, "exact": 0})
        out[name] = {k: max(have[k], old[k]) for k in ("semantic", "exact")}
    return {name: out[name] for name in sorted(out)}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--binary", required=True, help="the rehearsal binary")
    ap.add_argument("--oracle", type=pathlib.Path, default=ROOT.parent / "shared" / "oracle", help="where oracle.py and golden/ are")
    ap.add_argument("--floor", type=pathlib.Path, default=HERE.parent / "oracle-floor.json")
    ap.add_argument("--area", action="append", help="only this area (repeatable)")
    ap.add_argument("--raise", dest="raising", action="store_true", help="write better counts into the floor")
    a = ap.parse_args()
    # Termination unwinds like an error does, so that the server ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    golden = sorted((a.oracle / "golden").glob("*.json"))
    if not golden or not (a.oracle / "oracle.py").exists():
        print("no transcripts at %s" % a.oracle, file=sys.stderr)
        return ABSENT
    floor = json.loads(a.floor.read_text()) if a.floor.exists() else {}
    known = floor
    if a.area:
        golden = [g for g in golden if g.stem in a.area]
        known = {k: v for k, v in floor.items() if k in a.area}
    still, waiting = [g for g in golden if g.stem != WAITING], [g for g in golden if g.stem == WAITING]
    try:
        results = play(a.binary, a.oracle, still, "none", 4) if still else []
        results += play(a.binary, a.oracle, waiting, "all", 32) if waiting else []
    except CannotRun as e:
        print(e, file=sys.stderr)
        return 2
    areas = count(results)
    fallen = compare(areas, known)
    if fallen:
        dropped = [r for r in results if not r["exact"] and r["case"].split("/")[0] in fallen]
        for r in dropped:
            print("\n%s %s" % ("MESSAGE" if r["semantic"] else "DIFFERS", r["case"]))
            for d in r["diffs"][:5]:
                print("    " + d)
        print("\nbelow the floor: %s" % ", ".join(fallen), file=sys.stderr)
    if a.raising:
        rows = ",\n".join('  %s: %s' % (json.dumps(k), json.dumps(v)) for k, v in raised(areas, floor).items())
        a.floor.write_text("{\n%s\n}\n" % rows)
    return 1 if fallen else 0


if __name__ == "__main__":
    sys.exit(main())
