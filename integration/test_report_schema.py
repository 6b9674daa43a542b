"""The schema of reports refuses what is none, so that a test with it can fail."""

from __future__ import annotations

import copy
import json

import pytest

pytest.importorskip("jsonschema")

from peers.report_schema import complaints, parsed  # noqa: E402

SOUND = {
    "organization-name": "Sender",
    "date-range": {"start-datetime": "2026-08-20T00:00:00Z",
                   "end-datetime": "2026-08-20T23:59:59Z"},
    "contact-info": "tls@sender.example",
    "report-id": "1@sender.example",
    "policies": [
        {"policy": {"policy-type": "sts", "policy-string": ["version: STSv1", "mode: testing"],
                    "policy-domain": "rcpt.example", "mx-host": ["*.rcpt.example"]},
         "summary": {"total-successful-session-count": 9, "total-failure-session-count": 1},
         "failure-details": [
             {"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.1",
              "receiving-mx-hostname": "mx1.rcpt.example", "receiving-mx-helo": "mx1.rcpt.example",
              "receiving-ip": "2001:db8::1", "failed-session-count": 1,
              "failure-reason-code": "X509_V_ERR_CERT_HAS_EXPIRED"}]},
        {"policy": {"policy-type": "tlsa", "policy-string": ["3 1 1 AB12"],
                    "policy-domain": "mx1.rcpt.example", "mx-host": []},
         "summary": {"total-successful-session-count": 1, "total-failure-session-count": 0}}],
}
POLICY = ("policies", 0)
DETAIL = (*POLICY, "failure-details", 0)

MISSING = [("organization-name",), ("date-range",), ("date-range", "start-datetime"),
           ("date-range", "end-datetime"), ("contact-info",), ("report-id",), ("policies",),
           (*POLICY, "policy"), (*POLICY, "policy", "policy-type"),
           (*POLICY, "policy", "policy-domain"), (*POLICY, "summary"),
           (*POLICY, "summary", "total-successful-session-count"),
           (*POLICY, "summary", "total-failure-session-count"), (*DETAIL, "result-type"),
           (*DETAIL, "failed-session-count")]

WRONG = {
    "a date without zone": (("date-range", "start-datetime"), "2026-08-20T00:00:00"),
    "a date only": (("date-range", "end-datetime"), "2026-08-20"),
    "a contact that is no mailbox": (("contact-info",), "Sender"),
    "no policies": (("policies",), []),
    "policies as an object": (("policies",), {}),
    "an unknown policy type": ((*POLICY, "policy", "policy-type"), "dane"),
    "policy lines as one string": ((*POLICY, "policy", "policy-string"), "version: STSv1"),
    "mx-host as a string": ((*POLICY, "policy", "mx-host"), "mx1.rcpt.example"),
    "a domain with a dot at its end": ((*POLICY, "policy", "policy-domain"), "rcpt.example."),
    "a domain in capitals": ((*POLICY, "policy", "policy-domain"), "RCPT.example"),
    "a count as text": ((*POLICY, "summary", "total-failure-session-count"), "1"),
    "a negative count": ((*POLICY, "summary", "total-successful-session-count"), -1),
    "a fraction of a session": ((*POLICY, "summary", "total-successful-session-count"), 0.5),
    "a count that I-JSON cannot hold": (
        (*POLICY, "summary", "total-successful-session-count"), 1 << 53),
    "an unknown result type": ((*DETAIL, "result-type"), "starttls"),
    "a detail of no session": ((*DETAIL, "failed-session-count"), 0),
    "an empty address": ((*DETAIL, "sending-mta-ip"), ""),
    "an address that is none": ((*DETAIL, "receiving-ip"), "mx1.rcpt.example"),
    "an address with a dot at its end": ((*DETAIL, "receiving-ip"), "192.0.2.1."),
    "an address with leading zeros": ((*DETAIL, "receiving-ip"), "192.0.02.1"),
    "an empty reason": ((*DETAIL, "failure-reason-code"), ""),
    "a field that is no field": ((*DETAIL, "additional-info-uri"), "https://x.example/"),
    "lower-case TLSA data": (("policies", 1, "policy", "policy-string"), ["3 1 1 ab12"]),
    "more details than failures": ((*DETAIL, "failed-session-count"), 2),
    "failures without a detail": ((*POLICY, "failure-details"), []),
    "a detail without failures": ((*POLICY, "summary", "total-failure-session-count"), 0),
}


REMOVED = object()


def _with(path: tuple, value) -> dict:
    report = copy.deepcopy(SOUND)
    place = report
    for step in path[:-1]:
        place = place[step]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return report


def _members(value, path: tuple = ()):
    """The path of every member."""
    items = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())
    for key, child in items:
        yield (*path, key)
        yield from _members(child, (*path, key))


def test_a_sound_report_has_no_complaint():
    assert complaints(SOUND) == []
    assert parsed(json.dumps(SOUND).encode()) == SOUND


@pytest.mark.parametrize("path", MISSING, ids=lambda path: "/".join(map(str, path)))
def test_a_report_without_a_field_is_refused(path):
    assert complaints(_with(path, REMOVED))


@pytest.mark.parametrize("path", list(_members(SOUND)), ids=lambda path: "/".join(map(str, path)))
def test_null_is_refused_everywhere(path):
    assert complaints(_with(path, None))


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_value_is_refused(what):
    assert complaints(_with(*WRONG[what]))


@pytest.mark.parametrize("octets", [b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":"\xff"}'])
def test_what_is_no_i_json_is_refused(octets):
    with pytest.raises((AssertionError, UnicodeDecodeError)):
        parsed(octets)
