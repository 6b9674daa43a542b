#!/usr/bin/python3
"""Which test shows which requirement: tests/data/conformance.yaml and features.yaml as tables.

    tests/conformance.py                 writes tests/CONFORMANCE.md
    tests/conformance.py --check         the table is up to date, every named test exists
      --results FILE...                  … and has passed, by these JUnit files, of pytest and of
                                         the unit test programs (STSRELAY_TEST_RESULTS)
      --allow-missing                    requirements that are not shown yet are only counted

Exit status 1 when a requirement has no test or something is missing, a named test does not exist or
did not pass, or the table is stale.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import xml.etree.ElementTree as tree
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

TESTS = Path(__file__).resolve().parent
INTEGRATION = TESTS.parent / "integration"
DATA = TESTS / "data"
TABLE = TESTS / "CONFORMANCE.md"

SENDER = """# What a sender has to do, and what shows it

Made by tests/conformance.py from tests/data/conformance.yaml and features.yaml, and checked with
it: a requirement whose tests are missing or fail breaks the build. The numbers are this project's; "own" marks a
decision where the RFCs are silent or contradict themselves. A test in quotes is a case of the unit
test program before it; all others are integration tests, with all their parameters unless one is
named.
"""
RELAY = """# What a relay is expected to do

Not by an RFC alone, but by those who run one.
"""
PARTS = {"conformance.yaml": SENDER, "features.yaml": RELAY}


@dataclass(frozen=True)
class Requirement:
    id: str
    text: str
    rfc: str = ""
    tests: tuple[str, ...] = ()
    missing: str = ""


def read_groups(text: str) -> list[tuple[str, list[Requirement]]]:
    return [(group["group"],
             [Requirement(**{**row, "tests": tuple(row.get("tests", ()))})
              for row in group["requirements"]])
            for group in yaml.safe_load(text)]


def is_integration(test: str) -> bool:
    return ".py::" in test


# --- which tests there are ---------------------------------------------------------------------
_STRING = r'"(?:[^"\\]|\\.)*"'
_CASE = re.compile(rf"^\s*TEST_CASE(?:_FIXTURE\([^,]*,|\()\s*((?:{_STRING}\s*)+)(\*?)",
                   re.MULTILINE)


def unit_cases() -> dict[str, str]:
    """Test case -> the test program that it is in, by the sources and CMakeLists.txt."""
    programs = {folder: name for name, folder in re.findall(
        r"^stsrelay_test\((\w+) (\S+)", (TESTS / "CMakeLists.txt").read_text(), re.MULTILINE)}
    found = {}
    for path in TESTS.glob("**/*_test.cc"):
        program = programs.get(str(path.parent.relative_to(TESTS)))
        for strings, decorated in _CASE.findall(path.read_text(encoding="utf-8")):
            name = "".join(part[1:-1] for part in re.findall(_STRING, strings))
            if program and not decorated:  # a decorator may skip it, or let it fail
                found[re.sub(r"\\(.)", r"\1", name)] = program
    return found


def integration_tests(files: Iterable[str]) -> set[str]:
    """Node ids of these files, with and without their parameters, as pytest collects them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider",
         *sorted(files)], cwd=INTEGRATION, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"conformance: pytest cannot collect:\n{done.stdout}{done.stderr}")
    nodes = {line for line in done.stdout.splitlines() if "::" in line}
    return nodes | {node.split("[")[0] for node in nodes}


# --- what became of them -----------------------------------------------------------------------
def read_results(paths: Iterable[Path]) -> dict[str, set[str]]:
    """Unit test case ("PROGRAM: CASE") or node id (also without its parameters) -> passed, failed,
    skipped. ctest's own files, which tell no cases apart, say nothing."""
    found = defaultdict(set)
    for path in paths:
        for suite in tree.parse(path).getroot().iter("testsuite"):
            program = suite.get("name", "").removesuffix("_test")
            for case in suite.iter("testcase"):
                name = case.get("name")
                if program == "pytest":
                    node = f"{case.get('classname').split('.')[-1]}.py::{name}"
                    keys = {node, node.split("[")[0]}
                else:
                    keys = {f"{program}: {name}"}
                for key in keys:
                    found[key].add(outcome(case))
    return found


def outcome(case: tree.Element) -> str:
    children = {child.tag for child in case}
    if children & {"failure", "error"} or case.get("status") == "fail":
        return "failed"
    if "skipped" in children or case.get("status") in ("notrun", "disabled"):
        return "skipped"
    return "passed"


def passed(outcomes: set[str]) -> bool:
    return "passed" in outcomes and "failed" not in outcomes


# --- the check ---------------------------------------------------------------------------------
class Check:
    def __init__(self, requirements: list[Requirement]) -> None:
        self.requirements = requirements
        self.unit = unit_cases()
        self.complaints: list[str] = []

    def complain(self, requirement: Requirement, text: str) -> None:
        self.complaints.append(f"{requirement.id}: {text}")

    def structure(self) -> None:
        ids = [requirement.id for requirement in self.requirements]
        for requirement in self.requirements:
            if not requirement.tests and not requirement.missing:
                self.complain(requirement, "no test shows it")
            if ids.count(requirement.id) > 1:
                self.complain(requirement, "it is there twice")

    def existence(self) -> None:
        named = {test for requirement in self.requirements for test in requirement.tests}
        files = {test.split("::")[0] for test in named if is_integration(test)}
        for requirement in self.requirements:
            for file in {test.split("::")[0] for test in requirement.tests
                         if is_integration(test)}:
                if not (INTEGRATION / file).exists():
                    self.complain(requirement, f"no such file: {file}")
        nodes = integration_tests(file for file in files if (INTEGRATION / file).exists())
        for requirement in self.requirements:
            for test in requirement.tests:
                if test not in (nodes if is_integration(test) else self.unit):
                    self.complain(requirement, f"no such test: {test}")

    def success(self, results: dict[str, set[str]]) -> None:
        for requirement in self.requirements:
            for test in requirement.tests:
                key = test if is_integration(test) else f"{self.unit.get(test)}: {test}"
                outcomes = results.get(key, set())
                if not passed(outcomes):
                    how = ", ".join(sorted(outcomes)) or "not run"
                    self.complain(requirement, f"{how}: {test}")


# --- the table ---------------------------------------------------------------------------------
def table(head: str, groups: list[tuple[str, list[Requirement]]], unit: dict[str, str]) -> str:
    lines = [head]
    for title, requirements in groups:
        lines += [f"## {title}", "", "| | RFC | requirement | shown by |", "|---|---|---|---|"]
        for requirement in requirements:
            shown = [f"`{test}`" if is_integration(test) else f"{unit.get(test)} “{test}”"
                     for test in requirement.tests]
            if requirement.missing:
                shown.append(f"**not yet**: {requirement.missing}")
            cells = [requirement.id, requirement.rfc, requirement.text, "<br>".join(shown)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--allow-missing", action="store_true")
    parser.add_argument("--results", nargs="+", type=Path, metavar="FILE", default=[])
    options = parser.parse_args()

    parts = {head: read_groups((DATA / file).read_text(encoding="utf-8"))
             for file, head in PARTS.items()}
    requirements = [requirement for groups in parts.values() for _, rows in groups
                    for requirement in rows]
    check = Check(requirements)
    text = "\n".join(table(head, groups, check.unit) for head, groups in parts.items())
    if not options.check:
        TABLE.write_text(text, encoding="utf-8")
        return 0
    check.structure()
    check.existence()
    if options.results:
        check.success(read_results(options.results))
    if not TABLE.exists() or TABLE.read_text(encoding="utf-8") != text:
        check.complaints.append("tests/CONFORMANCE.md is stale: run tests/conformance.py")
    missing = [requirement for requirement in requirements if requirement.missing]
    if not options.allow_missing:
        for requirement in missing:
            check.complain(requirement, f"missing: {requirement.missing}")
    for complaint in check.complaints:
        print(complaint)
    print(f"conformance: {len(requirements)} requirements, {len(missing)} not fully shown yet, "
          f"{len(check.complaints)} complaints")
    return 1 if check.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
