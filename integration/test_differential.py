"""The daemon's verdict on records and policies beside an independent one: that of
postfix-mta-sts-resolver, whose own code judges what the daemon gets over DNS and HTTPS.

Each world is a good record and policy with faults put in: every fault alone, then two or three at
a time. Where the two judges differ, a fault of the world must explain it, and say who is right.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from peers.daemon import wait_until
from peers.world import World

pytestmark = pytest.mark.needs(modules=["postfix_mta_sts_resolver"])

MIXED_WORLDS = 250


@dataclass
class Published:
    """What a domain publishes. ends: one line end for all lines, or one for each in turn."""

    texts: list[str] = field(default_factory=lambda: ["v=STSv1; id=1;"])
    fields: list[str] = field(default_factory=lambda: [
        "version: STSv1", "mode: enforce", "mx: mx1.example.net", "mx: *.mail.example.net",
        "max_age: 86400"])
    ends: list[str] = field(default_factory=lambda: ["\r\n"])
    before: bytes = b""
    last_end: bool = True

    def record(self, text: str) -> None:
        self.texts[0] = text

    def replace(self, name: str, line: str) -> None:
        self.fields = [line if old.startswith(name) else old for old in self.fields]

    def body(self) -> bytes:
        ends = [self.ends[n % len(self.ends)] for n in range(len(self.fields))]
        if not self.last_end:
            ends[-1] = ""
        return self.before + "".join(map("".join, zip(self.fields, ends))).encode()


@dataclass(frozen=True)
class Verdict:
    id: str
    mode: str
    max_age: int
    mx: tuple[str, ...]  # in order, lower case; none with mode none, which needs no hosts


def differences(ours: Verdict | None, theirs: Verdict | None) -> set[str]:
    """"only-ours", "only-theirs", or the names of what differs."""
    if ours is None or theirs is None:
        return set() if ours is theirs else {"only-theirs" if ours is None else "only-ours"}
    return {name for name in ("id", "mode", "max_age", "mx")
            if getattr(ours, name) != getattr(theirs, name)}


# --- faults, and what is none ------------------------------------------------------------------
def record(text: str) -> Callable[[Published], None]:
    return lambda published: published.record(text)


def also(text: str) -> Callable[[Published], None]:
    return lambda published: published.texts.append(text)


def line(name: str, text: str) -> Callable[[Published], None]:
    return lambda published: published.replace(name, text)


def extra(text: str, at: int | None = None) -> Callable[[Published], None]:
    def change(published: Published) -> None:
        published.fields.insert(len(published.fields) if at is None else at, text)
    return change


def put(name: str, value) -> Callable[[Published], None]:
    return lambda published: setattr(published, name, value)


def without(name: str) -> Callable[[Published], None]:
    def change(published: Published) -> None:
        published.fields = [old for old in published.fields if not old.startswith(name)]
    return change


FAULTS: dict[str, Callable[[Published], None]] = {
    "none": lambda published: None,
    # the record
    "id-hyphen": record("v=STSv1; id=2026-01;"),
    "id-underscore": record("v=STSv1; id=a_b;"),
    "id-33": record(f"v=STSv1; id={'a' * 33};"),
    "id-32": record(f"v=STSv1; id={'a' * 32};"),
    "id-empty": record("v=STSv1; id=;"),
    "id-missing": record("v=STSv1; x=1;"),
    "id-twice": record("v=STSv1; id=1; id=2;"),
    "id-blanks": record("v=STSv1; id = 1;"),
    "ID": record("v=STSv1; ID=1;"),
    "V": record("V=STSv1; id=1;"),
    "stsv1": record("v=stsv1; id=1;"),
    "v-last": record("id=1; v=STSv1;"),
    "v-10": record("v=STSv10; id=1;"),
    "v-blank": record("v=STSv1 ; id=1;"),
    "no-delimiter-at-end": record("v=STSv1; id=1"),
    "blank-at-end": record("v=STSv1; id=1 "),
    "tab": record("v=STSv1;\tid=1;"),
    "two-delimiters": record("v=STSv1;; id=1;"),
    "record-extension": record("v=STSv1; id=1; x.y-z_1=~value!;"),
    "record-extension-bad-name": record("v=STSv1; id=1; -x=1;"),
    "record-extension-blank": record("v=STSv1; id=1; x=a b;"),
    "record-extension-empty": record("v=STSv1; id=1; x=;"),
    "record-word": record("v=STSv1; id=1; word;"),
    "unrelated-beside": also("v=spf1 -all"),
    "another-beside": also("v=STSv1; id=2;"),
    "bad-beside": also("v=STSv1; id=;"),
    "v-10-beside": also("v=STSv10; id=9;"),
    # lines
    "lf": put("ends", ["\n"]),
    "mixed-ends": put("ends", ["\n", "\r\n"]),
    "cr": put("ends", ["\r"]),
    "vertical-tab": put("ends", ["\v"]),
    "nel": put("ends", ["\u0085"]),
    "no-end": put("last_end", False),
    "byte-order-mark": put("before", b"\xef\xbb\xbf"),
    "html": put("before", b"<!DOCTYPE html>\n"),
    "empty-line": extra("", 2),
    "empty-line-at-end": extra(""),
    "comment": extra("# comment", 1),
    "blank-at-line-end": line("mode", "mode: enforce \t"),
    "blanks-after-colon": line("mode", "mode: \t enforce"),
    "no-blank-after-colon": line("mode", "mode:enforce"),
    "blank-before-colon": line("mode", "mode : enforce"),
    "leading-blank": line("mode", " mode: enforce"),
    "any-order": lambda published: published.fields.reverse(),
    # fields
    "no-version": without("version"),
    "no-mode": without("mode"),
    "no-max-age": without("max_age"),
    "no-mx": without("mx"),
    "version-2": line("version", "version: STSv2"),
    "version-case": line("version", "version: stsv1"),
    "Mode": line("mode", "Mode: enforce"),
    "mode-case": line("mode", "mode: Enforce"),
    "mode-other": line("mode", "mode: report"),
    "mode-testing": line("mode", "mode: testing"),
    "mode-none": line("mode", "mode: none"),
    "mode-later-none": extra("mode: none"),
    "mode-later-nonsense": extra("mode: nonsense"),
    "max-age-later": extra("max_age: 604800"),
    "max-age-later-nonsense": extra("max_age: soon"),
    "version-later": extra("version: STSv2"),
    "max-age-year": line("max_age", "max_age: 31557600"),
    "max-age-more": line("max_age", "max_age: 31557601"),
    "max-age-ten-digits": line("max_age", "max_age: 9999999999"),
    "max-age-zeros": line("max_age", "max_age: 0086400"),
    "max-age-plus": line("max_age", "max_age: +86400"),
    "max-age-minus": line("max_age", "max_age: -86400"),
    "max-age-unit": line("max_age", "max_age: 86400s"),
    "max-age-exponent": line("max_age", "max_age: 1e5"),
    "max-age-underscore": line("max_age", "max_age: 86_400"),
    "max-age-empty": line("max_age", "max_age:"),
    "mx-upper-case": extra("mx: MX9.Example.NET"),
    "mx-trailing-dot": extra("mx: mx9.example.net."),
    "mx-address": extra("mx: 192.0.2.7"),
    "mx-star": extra("mx: *"),
    "mx-star-inside": extra("mx: mx.*.example.net"),
    "mx-star-partial": extra("mx: mx*.example.net"),
    "mx-two-stars": extra("mx: *.*.example.net"),
    "mx-list": extra("mx: a.example.net, b.example.net"),
    "mx-blank": extra("mx: a.example.net servername=x"),
    "mx-empty": extra("mx:"),
    "mx-underscore": extra("mx: mx_9.example.net"),
    "mx-leading-dot": extra("mx: .example.net"),
    "extension": extra("x-note: seen"),
    "extension-colon": extra("url: https://example.net/"),
    "extension-empty": extra("note:"),
}

# Who is wrong where the judges differ.
US, THEM, NOBODY = "our fault", "their fault", "either will do"

RECORD = (THEM, "no record by the grammar of RFC 8461 section 3.1, which they do not check")
LINES = (THEM, "not a line by RFC 8461 section 3.2; they pass over what they cannot read")
ENDS = (THEM, "RFC 8461 section 3.2 ends lines with LF or CRLF; Python's splitlines() knows more")
FIRST = (THEM, "RFC 8461 section 3.2: of repeated fields the first counts; they take the last")
DIGITS = (THEM, "RFC 8461 section 3.2 wants digits; Python's int() takes more")
YEAR = (NOBODY, "RFC 8461 section 3.2 ends at a year: they take no more, we take it for a year")
MX = (THEM, "no host name and no pattern of RFC 8461 section 3.2; they hand it on to Postfix")

# fault -> how the judges differ about it, and why
EXPLAINED: dict[str, tuple[set[str], tuple[str, str]]] = {
    **{fault: ({"only-theirs"}, RECORD) for fault in (
        "id-hyphen", "id-underscore", "id-33", "id-empty", "blank-at-end", "two-delimiters",
        "record-extension-bad-name", "record-extension-blank", "record-extension-empty",
        "record-word")},
    "id-twice": ({"id"}, (THEM, "RFC 8461 section 3.1: of repeated fields the first counts")),
    "v-10-beside": ({"only-ours"}, (THEM, "RFC 8461 section 3.1: records that do not begin with "
                                    "\"v=STSv1;\" are discarded; they forget the semicolon")),
    "cr": ({"only-theirs"}, ENDS),
    "vertical-tab": ({"only-theirs"}, ENDS),
    "byte-order-mark": ({"only-ours"}, (NOBODY, "no RFC allows it, and its sense is clear")),
    "html": ({"only-theirs"}, LINES),
    "comment": ({"only-theirs"}, LINES),
    "mode-later-none": ({"mode", "mx"}, FIRST),
    "mode-later-nonsense": ({"only-ours"}, FIRST),
    "max-age-later": ({"max_age"}, FIRST),
    "max-age-later-nonsense": ({"only-ours"}, FIRST),
    "version-later": ({"only-ours"}, FIRST),
    "max-age-more": ({"only-ours"}, YEAR),
    "max-age-ten-digits": ({"only-ours"}, YEAR),
    "max-age-plus": ({"only-theirs"}, DIGITS),
    "max-age-underscore": ({"only-theirs"}, DIGITS),
    "mx-trailing-dot": ({"mx"}, (NOBODY, "the dot means nothing; they leave it to Postfix")),
    **{fault: ({"mx"}, MX) for fault in (
        "mx-address", "mx-star", "mx-star-inside", "mx-star-partial", "mx-two-stars", "mx-list",
        "mx-blank", "mx-empty", "mx-underscore", "mx-leading-dot")},
}


def explained(*faults: str) -> set[str]:
    known = [EXPLAINED[fault] for fault in faults if fault in EXPLAINED]
    kinds = set().union(*(kinds for kinds, _ in known))
    if len(faults) == 1:
        return kinds
    if any(why is FIRST for _, why in known):
        kinds |= {"only-ours", "only-theirs"}  # the other of the two may be at fault itself
    if "no-mx" in faults and any(why is MX for _, why in known):
        kinds |= {"only-theirs"}  # without its bad mx values the policy has none at all
    if "bad-beside" in faults:
        kinds |= {"only-theirs"}  # a record with an empty id, if the first is discarded
    return kinds


@dataclass
class Case:
    domain: str
    faults: tuple[str, ...]
    published: Published


def make_cases() -> Iterator[Case]:
    """Each fault alone, then so many mixtures; the same ones at each run."""
    chance = random.Random(8461)
    chosen = [(name,) for name in FAULTS]
    while len(chosen) < len(FAULTS) + MIXED_WORLDS:
        chosen.append(tuple(chance.sample(sorted(FAULTS), chance.choice((2, 3)))))
    for number, faults in enumerate(chosen):
        published = Published()
        for name in faults:
            FAULTS[name](published)
        yield Case(f"w{number}.example", faults, published)


# --- the judges --------------------------------------------------------------------------------
def normal(id: str, mode: str, max_age: int, mx: list[str]) -> Verdict:
    return Verdict(id, mode, max_age, () if mode == "none" else tuple(map(str.lower, mx)))


class _Answers:
    """Stands in for the resolver's DNS and HTTPS clients, with one domain's records and policy."""

    status, charset = 200, None
    headers = {"Content-Type": "text/plain"}

    def __init__(self, published: Published) -> None:
        self._texts = published.texts
        self._body = published.body()
        self.content = self

    async def query(self, _name: str, _kind: str):
        return [type("Record", (), {"text": text})() for text in self._texts]

    def get(self, _url: str, **_options) -> "_Answers":
        return self

    async def __aenter__(self) -> "_Answers":
        return self

    async def __aexit__(self, *_) -> None:
        pass

    async def read(self, octets: int) -> bytes:
        part, self._body = self._body[:octets], self._body[octets:]
        return part


async def their_verdict(published: Published, monkeypatch) -> Verdict | None:
    from postfix_mta_sts_resolver import resolver

    answers = _Answers(published)
    judge = resolver.STSResolver(timeout=5, loop=asyncio.get_running_loop())
    judge._resolver = answers
    monkeypatch.setattr(resolver.aiohttp, "ClientSession", lambda **_: answers)
    result, found = await judge.resolve("example.net")
    if result is not resolver.STSFetchResult.VALID:
        return None
    id, policy = found
    return normal(id, policy["mode"], policy["max_age"], policy["mx"])


def our_verdicts(world: World, cases: list[Case]) -> dict[str, Verdict]:
    """By the daemon's cache, after a message to each domain."""
    mx = world.add_mx("mx1.example.net")
    for case in cases:
        world.set_mx(case.domain, mx)
        world.publish(case.domain, "", [], body=case.published.body())
        world.dns.set(f"_mta-sts.{case.domain}", "TXT", case.published.texts)
    ids = {world.send(f"x@{case.domain}") for case in cases}
    wait_until(lambda: ids <= {line["id"] for line in world.deliveries()}, "all deliveries", 120)
    return {domain: our_verdict(world, domain) for domain in world.policies()}


def our_verdict(world: World, domain: str) -> Verdict:
    policy = world.daemon.ctl("policy", "show", domain)
    return normal(policy["id"], policy["mode"], policy["max_age"], policy["mx"])


def look_again(world: World, case: Case, ours: dict[str, Verdict], theirs: Verdict | None) -> None:
    """Hundreds of first fetches at once may cost one its time on a busy machine; alone it has it."""
    unexplained = differences(ours.get(case.domain), theirs) - explained(*case.faults)
    if case.domain not in ours and unexplained:
        world.daemon.run("policy", "refresh", case.domain)
        if case.domain in world.policies():
            ours[case.domain] = our_verdict(world, case.domain)


@pytest.fixture(scope="module")
def judged(authority) -> Iterator[list[tuple[Case, set[str], str]]]:
    """Every world, how the judges differ about it, and both verdicts in words."""
    cases = list(make_cases())
    world = World(authority).start()
    with pytest.MonkeyPatch.context() as monkeypatch:
        ours = our_verdicts(world, cases)
        theirs = [asyncio.run(their_verdict(case.published, monkeypatch)) for case in cases]
    for case, verdict in zip(cases, theirs):
        look_again(world, case, ours, verdict)
    yield [(case, differences(ours.get(case.domain), verdict),
            f"ours {ours.get(case.domain)}, theirs {verdict}")
           for case, verdict in zip(cases, theirs)]
    world.close()


def test_every_fault_alone_makes_the_difference_that_is_explained(judged):
    for case, found, words in judged[:len(FAULTS)]:
        assert found == explained(*case.faults), f"{case.faults}: {words}"


def test_every_difference_is_explained_by_a_fault(judged):
    for case, found, words in judged[len(FAULTS):]:
        assert found <= explained(*case.faults), f"{case.faults}: {words}"


def test_no_difference_is_our_fault():
    assert set(EXPLAINED) <= set(FAULTS)
    assert [fault for fault, (_, (whose, _)) in EXPLAINED.items() if whose == US] == []
