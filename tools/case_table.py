"""Write the table of cases in docs/shares.md from the names of the tests that show them, or check that it is current.

    python3 tools/case_table.py write
    python3 tools/case_table.py check [--allow-missing]

A test shows a case when its name begins with the case's id: `fx_07_…`, `f05_…`, of several cases `fx_02_03_…` or `f05_f06_…`
(in Python after `test_`). A case that no test shows fails the check; with --allow-missing it is only told.
"""

import argparse
import difflib
import re
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/shares.md")
# Where tests are, and how they are written there.
PLACES = (("src", "*.rs"), ("tests", "*.rs"), ("tests", "*.py"), ("tools", "test_*.py"))

BEGIN = "<!-- cases: written by `make cases` from the names of the tests -->"
END = "<!-- end of cases -->"

CASES = {
    "fx_01": "A pod without a DaemonSet, a DaemonSet without an annotation or with an empty one: left alone",
    "fx_02": "A pod's node is known at admission, and its share is in the pod when it is created",
    "fx_03": "On nodes of other sizes other numbers, and the scheduler sees them",
    "fx_04": "At least the least, at most the most, never more than the node has",
    "fx_05": "What a node does not have is left out",
    "fx_06": "A resource without a percentage is not touched",
    "fx_07": "Containers and native sidecars share one share; an init container fits into it",
    "fx_08": "Other resources and fields stay as they are",
    "fx_09": "A template that is missing, comes later or cannot be used: the pod starts, and it is told",
    "fx_10": "A node that is unknown, unnamed or one of several: the pod starts, and it is told",
    "fx_11": "While the webhook is down pods start, its own too",
    "fx_12": "What the cache does not have yet is looked up, not refused",
    "fx_13": "100m × 29 % is 29m",
    "fx_14": "A second look, or a dry run, changes nothing more",
    "fx_15": "A surge, another template, a node that grew: new pods are right, running ones follow as the template says",
    "f01": "An installation starts with its certificate, and nothing that it needs is missing",
    "f02": "The webhook never stands in the way of the pods that serve it, or of kube-system",
    "f03": "Certificates are made by one command, and an uninstall deletes what it says",
    "f04": "Running pods are resized only where that can be done; else it is told, or they are made anew",
    "f05": "Many containers do not multiply the share",
    "f06": "Limits need not equal requests, and what is too large is bounded",
    "f07": "A DaemonSet or template that was made a moment ago refuses no pod",
    "f08": "The annotation counts on the pod template too",
    "f09": "No pods are made beside those of the DaemonSet controller",
    "f10": "Nothing is written again that says the same already",
    "f11": "One of several replicas leads; an edited template and a changed node reach running pods",
    "f12": "The patch touches nothing but resources and the share",
}

# In Rust only what a test runner runs: under an attribute that says so, and not under #[ignore].
MARKS = r'((?:#\[(?:[^\]"]|"[^"]*")*\]\s*(?://[^\n]*\n\s*)*)*)'
NAME = re.compile(MARKS + r"(?:pub(?:\([a-z]+\))? )?(?:async )?(fn|def test)[ _]((?:fx_\d\d|f\d\d)(?:_(?:fx_\d\d|f\d\d|\d\d))*_\w+)\s*\(")
IDS = re.compile(r"(fx_|f)?(\d\d)(?=_)_")


class Wrong(Exception):
    """The table cannot be made."""


def ids(name):
    """The cases that a test's name begins with: of `fx_02_03_the_share` fx_02 and fx_03."""
    found, family, at = [], "", 0
    while match := IDS.match(name, at):
        family = match[1] or family
        found.append(family + match[2])
        at = match.end()
    return found


def shown(sources):
    """The tests of each case, as (name, file), from the text of each file."""
    tests = {case: [] for case in CASES}
    for path, text in sorted(sources.items()):
        for marks, kind, name in NAME.findall(text):
            if kind == "fn" and ("test]" not in marks and "test(" not in marks or "#[ignore" in marks):
                raise Wrong(f"{path}: {name} bears a case's id, and no test runner runs it")
            for case in ids(name):
                if case not in tests:
                    raise Wrong(f"{path}: the test {name} names the case {case}, which tools/case_table.py does not know")
                tests[case].append((name, path))
    return tests


def title(case):
    """FX-7 of fx_07, F5 of f05."""
    return f"FX-{int(case[3:])}" if case.startswith("fx_") else f"F{int(case[1:])}"


def table(tests):
    lines = ["| case | what holds | shown by |\n", "|---|---|---|\n"]
    for case, meaning in CASES.items():
        links = [f"[`{name}`](../{path})" for name, path in sorted(tests[case])]
        lines.append(f"| {title(case)} | {meaning} | {', '.join(links) or '**no test yet**'} |\n")
    return "".join(lines)


def into_page(page, tests):
    """`page` with its table made anew."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Wrong(f"{PAGE} has lost the lines {BEGIN!r} and {END!r} around its table of cases")
    return f"{before}{BEGIN}\n{table(tests)}{END}{after}"


def sources(checkout):
    found = {}
    for folder, pattern in PLACES:
        for path in (checkout / folder).rglob(pattern):
            name = path.relative_to(checkout).as_posix()
            # The tests of this tool name cases that are none.
            if name != "tools/test_case_table.py":
                found[name] = path.read_text()
    return found


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("verb", choices=["write", "check"])
    arguments.add_argument("--allow-missing", action="store_true", help="a case that no test shows is told, and fails nothing")
    arguments.add_argument("--checkout", type=Path, default=CHECKOUT, help=argparse.SUPPRESS)
    arguments = arguments.parse_args()
    try:
        tests = shown(sources(arguments.checkout))
        page = (arguments.checkout / PAGE).read_text()
        made = into_page(page, tests)
    except Wrong as error:
        sys.exit(f"case_table: {error}")
    missing = [title(case) for case in CASES if not tests[case]]
    if missing:
        print(f"case_table: no test shows {', '.join(missing)}: name one after each, such as fx_01_… or f01_…")
    if arguments.verb == "write":
        (arguments.checkout / PAGE).write_text(made)
    elif made != page:
        sys.stdout.writelines(difflib.unified_diff(page.splitlines(True), made.splitlines(True), str(PAGE), "as it would be written"))
        sys.exit(f"case_table: the table of cases in {PAGE} is not current; write it with `make cases`")
    elif missing and not arguments.allow_missing:
        sys.exit(1)


if __name__ == "__main__":
    main()
