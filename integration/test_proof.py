"""That the proof proves: every row of the tables has a test, a requirement counts as shown only by
cases that passed, and what a test needs is not missed in silence."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

import conftest
from peers.daemon import REPOSITORY
from peers.vectors import sections

TESTS = REPOSITORY / "tests"
SECTIONS = {"dane", "requiretls", "cache_flow", "application"}
ATTACKS = {"blocked GET", "forged NODATA", "forged NXDOMAIN", "stripped STARTTLS", "foreign MX",
           "second tenant on the same MX", "restart", "expired id"}


def _load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def _named_by_tests() -> set[str]:
    """Ids in names of integration tests and of rows, and in strings of the unit tests."""
    found = set()
    for path in (REPOSITORY / "integration").glob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"^def (?:test_(?:\w*_)?)?([A-Za-z]\d\d)(?:_\w+)?\(", text, re.M))
    for path in TESTS.glob("**/*_test.cc"):
        for string in re.findall(r'"((?:[^"\\]|\\.)*)"', path.read_text(encoding="utf-8")):
            found |= set(re.findall(r"\b[A-Z]\d\d\b", string))
    return {id.upper() for id in found}


@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_every_row_is_named_by_a_test(section):
    assert {row["id"] for row in sections()[section]} <= _named_by_tests()


def test_every_downgrade_attack_has_a_test_of_its_name():
    text = (REPOSITORY / "integration" / "test_attacks.py").read_text(encoding="utf-8")
    named = set(re.findall(r"^def test_(\w+)\(", text, re.M))
    assert {attack.lower().replace(" ", "_") for attack in ATTACKS} <= named


UNIT = "a case of the unit tests"
NODE = "test_x.py::test_y"


def _complaints(tmp_path, unit: str, integration: str) -> list[str]:
    conformance = _load(TESTS / "conformance.py")
    (tmp_path / "sts_test.xml").write_text(
        f'<testsuite name="sts_test"><testcase classname="sts_test" name="{UNIT}">{unit}'
        '</testcase></testsuite>')
    (tmp_path / "integration.xml").write_text(
        '<testsuites><testsuite name="pytest"><testcase classname="test_x" name="test_y[a]"/>'
        f'<testcase classname="test_x" name="test_y[b]">{integration}</testcase>'
        '</testsuite></testsuites>')
    (tmp_path / "unit.xml").write_text(
        '<testsuite name="Linux-c++"><testcase name="sts" classname="sts" status="run"/>'
        '</testsuite>')
    check = conformance.Check([conformance.Requirement("R1", "", "", (UNIT, NODE))])
    check.unit = {UNIT: "sts"}
    check.success(conformance.read_results(tmp_path.glob("*.xml")))
    return check.complaints


def test_a_requirement_is_shown_by_cases_that_passed(tmp_path):
    assert _complaints(tmp_path, "", "") == []


@pytest.mark.parametrize("unit, integration, complaint", [
    ("<failure/>", "", f"R1: failed: {UNIT}"), ("", "<failure/>", f"R1: failed, passed: {NODE}")])
def test_a_case_that_failed_shows_nothing(tmp_path, unit, integration, complaint):
    assert _complaints(tmp_path, unit, integration) == [complaint]


def test_a_program_that_passed_shows_no_case_that_it_did_not_run(tmp_path):
    conformance = _load(TESTS / "conformance.py")
    (tmp_path / "sts_test.xml").write_text('<testsuite name="sts_test"/>')
    check = conformance.Check([conformance.Requirement("R1", "", "", (UNIT,))])
    check.unit = {UNIT: "sts"}
    check.success(conformance.read_results(tmp_path.glob("*.xml")))
    assert check.complaints == [f"R1: not run: {UNIT}"]


class _Item:
    def __init__(self, *args, **kwargs) -> None:
        self.mark = pytest.mark.needs(*args, **kwargs).mark

    def iter_markers(self, name: str):
        return [self.mark] if name == self.mark.name else []


@pytest.mark.parametrize("needs", [(["no-such-program"], {}), ([], {"modules": ["no_such_module"]})],
                         ids=["program", "module"])
@pytest.mark.parametrize("uid, outcome", [(0, pytest.fail.Exception), (1000, pytest.skip.Exception)])
def test_what_could_have_been_installed_is_not_skipped(monkeypatch, needs, uid, outcome):
    monkeypatch.setattr(conftest.os, "geteuid", lambda: uid)
    monkeypatch.setattr(conftest.shutil, "which", lambda program, **_: program == "apt-get" or None)
    with pytest.raises(outcome, match="not installed: no.such"):
        conftest.pytest_runtest_setup(_Item(*needs[0], **needs[1]))


def test_what_needs_root_is_skipped_without_and_says_why(monkeypatch):
    monkeypatch.setattr(conftest.os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match="a small tmpfs needs root"):
        conftest.pytest_runtest_setup(_Item(root="a small tmpfs"))
    monkeypatch.setattr(conftest.os, "geteuid", lambda: 0)
    conftest.pytest_runtest_setup(_Item(root="a small tmpfs"))
