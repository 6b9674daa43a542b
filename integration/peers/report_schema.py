"""TLS reports held against the schema of RFC 8460 §4.4 (tests/data/tls-rpt.schema.json)."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import jsonschema

SCHEMA = Path(__file__).resolve().parents[2] / "tests" / "data" / "tls-rpt.schema.json"


@functools.cache
def _validator() -> jsonschema.Draft7Validator:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def _no_twins(pairs: list[tuple[str, object]]) -> dict:
    """RFC 7493 §2.3: no member name twice."""
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), f"a member is there twice: {names}"
    return dict(pairs)


def _no_constant(text: str):
    raise AssertionError(f"{text} is no JSON")


def parsed(octets: bytes) -> dict:
    """I-JSON as a value."""
    return json.loads(octets.decode("utf-8"), object_pairs_hook=_no_twins,
                      parse_constant=_no_constant)


def complaints(report) -> list[str]:
    """What is wrong with a report; nothing, if it is sound."""
    found = [f"{'/'.join(map(str, error.absolute_path)) or '.'}: {error.message}"
             for error in _validator().iter_errors(report)]
    return found or _wrong_counts(report)


def _wrong_counts(report: dict) -> list[str]:
    """A failed session has a detail; a detail has no more sessions than failed (RFC 8460 §4.2)."""
    wrong = []
    for element in report["policies"]:
        failed = element["summary"]["total-failure-session-count"]
        details = [d["failed-session-count"] for d in element.get("failure-details", [])]
        if (failed > 0) != bool(details) or any(count > failed for count in details) or (
                sum(details) < failed):
            wrong.append(f"{element['policy']['policy-domain']}: {failed} failed, {details}")
    return wrong
