#include "relay/net/dnssec_resolution.h"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/net/signed_zone.h"
#include "tests/support/manual_clock.h"

namespace {

using relay::net::DnsAnswer;
using relay::net::DnsAsk;
using relay::net::DnsFailure;
using relay::net::DnsMx;
using relay::net::DnsNoRecord;
using relay::net::DnsResult;
using relay::net::DnssecAnchors;
using relay::net::DnssecResolution;
using relay::net::DnssecState;
using relay::net::DnssecZones;
using relay::net::DnsTlsa;
using relay::net::DnsType;
using std::chrono::seconds;
using support::SignedWorld;
using support::SignedZone;
using support::ZoneOptions;
using Denial = ZoneOptions::Denial;

/// "secure 192.0.2.1", "insecure no name", "secure no type", "dnssec-bogus: …"
std::string text_of(const DnsResult& result) {
  if (const auto* failure = std::get_if<DnsFailure>(&result)) {
    return failure->reason;
  }
  const auto said = [](DnssecState state) {
    return std::string(state == DnssecState::secure ? "secure" : "insecure");
  };
  if (const auto* absent = std::get_if<DnsNoRecord>(&result)) {
    return said(absent->dnssec) + (absent->name_exists ? " no type" : " no name");
  }
  const auto& answer = std::get<DnsAnswer>(result);
  std::string text = said(answer.dnssec);
  if (const auto* texts = std::get_if<std::vector<std::string>>(&answer.records)) {
    for (const auto& record : *texts) {
      text += " " + record;
    }
  } else if (const auto* mx = std::get_if<std::vector<DnsMx>>(&answer.records)) {
    text += " " + mx->front().exchange;
  } else {
    text += " TLSA " + std::to_string(std::get<std::vector<DnsTlsa>>(answer.records).size());
  }
  return text;
}

using std::chrono::sys_days;
using std::chrono::year;

std::string delegation(const std::string& zone) {
  return zone + ". IN NS ns.invalid.";
}

SignedZone good_zone(const std::string& sub_ds) {
  return {"good.test",
          {"good.test. IN MX 10 mx.good.test.", "mx.good.test. IN A 192.0.2.1",
           "mx.good.test. IN AAAA 2001:db8::1",
           "_25._tcp.mx.good.test. IN TLSA 3 1 1 " + std::string(64, 'a'),
           "alias.good.test. IN CNAME mx.good.test.", "far.good.test. IN CNAME www.plain.test.",
           "*.wild.good.test. IN A 192.0.2.7", "*.wild.good.test. IN TXT \"wild\"",
           "tree.good.test. IN DNAME other.test.", delegation("sub.good.test"), sub_ds,
           delegation("plain.good.test")}};
}

/// A root, test. below it, and below that zones good, unsigned and broken in each way.
SignedWorld new_world() {
  SignedWorld world;
  std::vector<std::string> below;
  const auto add = [&](SignedZone zone) {
    below.push_back(delegation(zone.name()));
    below.push_back(zone.ds());
    world.add(std::move(zone));
  };
  SignedZone sub("sub.good.test", {"sub.good.test. IN A 192.0.2.9"});
  add(good_zone(sub.ds()));
  world.add(std::move(sub));
  add({"other.test",
       {"mx.other.test. IN A 192.0.2.3", "*.wild.other.test. IN A 192.0.2.8",
        "a.deep.other.test. IN A 192.0.2.5", delegation("child.other.test")},
       {.denial = Denial::nsec3, .iterations = 5}});
  add({"open.test",
       {"mx.open.test. IN A 192.0.2.4", delegation("child.open.test"),
        "*.wild.open.test. IN A 192.0.2.8"},
       {.denial = Denial::opt_out}});
  add({"old.test",
       {"mx.old.test. IN A 192.0.2.6"},
       {.valid_until = sys_days{year{2024} / 6 / 30}}});
  add({"early.test",
       {"mx.early.test. IN A 192.0.2.6"},
       {.valid_from = sys_days{year{2024} / 7 / 2}}});
  add({"costly.test", {}, {.denial = Denial::nsec3, .iterations = 151}});
  add({"rsa.test", {"rsa.test. IN A 192.0.2.2"}, {.algorithm = LDNS_SIGN_RSASHA256}});
  add({"ed.test", {"ed.test. IN A 192.0.2.2"}, {.algorithm = LDNS_SIGN_ED25519}});
  // Algorithm 250 and digest type 200 are nobody's.
  world.add({"strange.test", {"strange.test. IN A 192.0.2.2"}});
  world.add({"wrong.test", {"wrong.test. IN A 192.0.2.2"}});
  const std::string digest(64, 'a');
  below.insert(below.end(), {delegation("strange.test"), "strange.test. IN DS 1 250 2 " + digest,
                             "strange.test. IN DS 1 13 200 " + digest, delegation("wrong.test"),
                             "wrong.test. IN DS 1 13 2 " + digest, delegation("plain.test")});
  const ZoneOptions unsigned_zone{.signing = ZoneOptions::Signing::no};
  world.add({"plain.test",
             {"www.plain.test. IN A 192.0.2.10", "back.plain.test. IN CNAME mx.good.test."},
             unsigned_zone});
  for (const auto* name : {"plain.good.test", "child.open.test", "child.other.test"}) {
    world.add({name, {std::string("www.") + name + ". IN A 192.0.2.10"}, unsigned_zone});
  }
  SignedZone test("test", below);
  world.add({".", {delegation("test"), test.ds()}});
  world.add(std::move(test));
  return world;
}

const SignedWorld& shared_world() {
  static const SignedWorld kWorld = new_world();
  return kWorld;
}

/// Asks with everything that is kept between questions.
class Resolver {
 public:
  explicit Resolver(const SignedWorld& given = shared_world())
      : world(given), anchors(*DnssecAnchors::parse(given.zone(".").ds())) {}

  DnsResult ask(const std::string& name, DnsType type = DnsType::a) {
    DnssecResolution resolution(anchors, zones, name, type);
    auto step = resolution.start();
    while (auto* question = std::get_if<DnsAsk>(&step)) {
      CHECK(question->checking == relay::net::DnsChecking::by_us);
      asked.push_back(*question);
      const auto fails = unanswered && *unanswered == question->name;
      step = fails ? resolution.on_failure({"SERVFAIL"})
                   : resolution.on_packet(world.respond(*question, tamper),
                                          {clock.wall(), clock.steady()});
    }
    return std::get<DnsResult>(std::move(step));
  }

  const SignedWorld& world;
  DnssecAnchors anchors;
  DnssecZones zones{100};
  support::ManualClock clock;
  SignedWorld::Tamper tamper = [](const DnsAsk& /*ask*/, ldns_pkt& /*packet*/) {};
  std::optional<std::string> unanswered;
  std::vector<DnsAsk> asked;
};

struct Row {
  const char* name;
  DnsType type;
  std::string expected;
};

void check_rows(Resolver& resolver, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CAPTURE(static_cast<int>(row.type));
    CHECK(text_of(resolver.ask(row.name, row.type)) == row.expected);
  }
}

TEST_CASE("what is signed down from the anchor is secure, also that something is not there") {
  Resolver resolver;
  check_rows(resolver,
             {
                 {"good.test", DnsType::mx, "secure mx.good.test"},
                 {"mx.good.test", DnsType::a, "secure 192.0.2.1"},
                 {"mx.good.test", DnsType::aaaa, "secure 2001:db8::1"},
                 {"_25._tcp.mx.good.test", DnsType::tlsa, "secure TLSA 1"},
                 {"alias.good.test", DnsType::cname, "secure mx.good.test"},
                 {"sub.good.test", DnsType::a, "secure 192.0.2.9"},
                 {"rsa.test", DnsType::a, "secure 192.0.2.2"},
                 {"ed.test", DnsType::a, "secure 192.0.2.2"},
                 {"mx.good.test", DnsType::mx, "secure no type"},
                 {"_tcp.mx.good.test", DnsType::a, "secure no type"},  // empty non-terminal
                 {"no.good.test", DnsType::a, "secure no name"},
                 {"_25._tcp.no.good.test", DnsType::tlsa, "secure no name"},
                 {"_25._tcp.good.test", DnsType::tlsa, "secure no name"},
                 {"nothing.test", DnsType::mx, "secure no name"},
                 {"nothing", DnsType::mx, "secure no name"},
                 {"mx.other.test", DnsType::a, "secure 192.0.2.3"},
                 {"mx.other.test", DnsType::mx, "secure no type"},
                 {"no.other.test", DnsType::a, "secure no name"},
                 {"_25._tcp.mx.other.test", DnsType::tlsa, "secure no name"},
                 {"deep.other.test", DnsType::a, "secure no type"},
             });
}

TEST_CASE("below a proven unsigned delegation everything is insecure, and works") {
  Resolver resolver;
  check_rows(resolver, {
                           {"www.plain.test", DnsType::a, "insecure 192.0.2.10"},
                           {"no.plain.test", DnsType::a, "insecure no name"},
                           {"www.plain.test", DnsType::mx, "insecure no type"},
                           {"_25._tcp.www.plain.test", DnsType::tlsa, "insecure no name"},
                           {"www.plain.good.test", DnsType::a, "insecure 192.0.2.10"},
                           {"www.child.other.test", DnsType::a, "insecure 192.0.2.10"},
                           {"www.child.open.test", DnsType::a, "insecure 192.0.2.10"},
                           // Opt-out: whether a delegation is there is not proven.
                           {"mx.open.test", DnsType::a, "secure 192.0.2.4"},
                           {"mx.open.test", DnsType::mx, "secure no type"},
                           {"no.open.test", DnsType::a, "insecure no name"},
                           // Nothing but algorithms or digests that nobody knows.
                           {"strange.test", DnsType::a, "insecure 192.0.2.2"},
                           // More hash iterations than are worth the work (RFC 9276).
                           {"no.costly.test", DnsType::a, "insecure no name"},
                       });
}

TEST_CASE("an alias is secure if every step is (RFC 7672 §2.2.2)") {
  Resolver resolver;
  check_rows(resolver, {
                           {"alias.good.test", DnsType::a, "secure 192.0.2.1"},
                           {"alias.good.test", DnsType::mx, "secure no type"},
                           {"far.good.test", DnsType::a, "insecure 192.0.2.10"},
                           {"far.good.test", DnsType::cname, "secure www.plain.test"},
                           {"back.plain.test", DnsType::a, "insecure 192.0.2.1"},
                           {"mx.tree.good.test", DnsType::a, "secure 192.0.2.3"},
                           {"no.tree.good.test", DnsType::a, "secure no name"},
                       });
  CHECK(std::get<DnsAnswer>(resolver.ask("alias.good.test")).canonical_name == "mx.good.test");
  CHECK(std::get<DnsAnswer>(resolver.ask("mx.tree.good.test")).canonical_name == "mx.other.test");
}

TEST_CASE("what a wildcard gave needs the proof that nothing better exists (RFC 4035 §5.3.4)") {
  Resolver resolver;
  check_rows(resolver, {
                           {"a.wild.good.test", DnsType::a, "secure 192.0.2.7"},
                           {"a.b.wild.good.test", DnsType::a, "secure 192.0.2.7"},
                           {"a.wild.good.test", DnsType::mx, "secure no type"},
                           {"a.wild.other.test", DnsType::a, "secure 192.0.2.8"},
                           {"a.wild.other.test", DnsType::mx, "secure no type"},
                           {"a.wild.open.test", DnsType::a, "insecure 192.0.2.8"},
                       });
  resolver.tamper = [](const DnsAsk& ask, ldns_pkt& packet) {
    if (ask.type == DnsType::a) {
      support::strip(ldns_pkt_authority(&packet), LDNS_RR_TYPE_NSEC);
      support::strip(ldns_pkt_authority(&packet), LDNS_RR_TYPE_NSEC3);
    }
  };
  check_rows(resolver, {
                           {"a.wild.good.test", DnsType::a,
                            "dnssec-bogus: a.wild.good.test: expanded from a wildcard without "
                            "proof"},
                           {"a.wild.other.test", DnsType::a,
                            "dnssec-bogus: a.wild.other.test: expanded from a wildcard without "
                            "proof"},
                       });
}

TEST_CASE("a signature outside its time is bogus, by the clock that is given") {
  Resolver resolver;
  check_rows(resolver, {
                           {"mx.old.test", DnsType::a,
                            "dnssec-bogus: DNSKEY of old.test: signature by old.test has expired"},
                           {"mx.early.test", DnsType::a,
                            "dnssec-bogus: DNSKEY of early.test: signature by early.test is not "
                            "yet valid"},
                       });
  Resolver later;
  later.clock.advance(std::chrono::hours(48));
  CHECK(text_of(later.ask("mx.early.test")) == "secure 192.0.2.6");
  // What was checked is not kept beyond the signature's end.
  later.clock.advance(std::chrono::hours(24) * 60);
  CHECK(text_of(later.ask("mx.early.test")) ==
        "dnssec-bogus: DNSKEY of .: signature by . has expired");
}

TEST_CASE("whatever breaks the chain of trust is bogus, and says where") {
  struct Attack {
    const char* name;
    const char* question;
    std::function<void(const DnsAsk&, ldns_pkt&)> tamper;
    std::string expected;
  };
  const auto on = [](DnsType type, std::function<void(ldns_pkt&)> change) {
    return [type, change](const DnsAsk& ask, ldns_pkt& packet) {
      if (ask.type == type) {
        change(packet);
      }
    };
  };
  const auto strip_everything = [](ldns_pkt& packet) {
    for (ldns_rr_list* section : {ldns_pkt_answer(&packet), ldns_pkt_authority(&packet)}) {
      support::strip(section, LDNS_RR_TYPE_RRSIG);
      support::strip(section, LDNS_RR_TYPE_NSEC);
      support::strip(section, LDNS_RR_TYPE_NSEC3);
    }
  };
  for (const Attack& attack : std::vector<Attack>{
           {"a spoilt signature", "mx.good.test",
            on(DnsType::a,
               [](ldns_pkt& packet) {
                 support::spoil_signatures(ldns_pkt_answer(&packet), LDNS_RR_TYPE_A);
               }),
            "dnssec-bogus: mx.good.test: signature by good.test is wrong"},
           {"a changed record", "mx.good.test",
            on(DnsType::a,
               [](ldns_pkt& packet) {
                 ldns_rdf_data(ldns_rr_rdf(ldns_rr_list_rr(ldns_pkt_answer(&packet), 0), 0))[3] = 9;
               }),
            "dnssec-bogus: mx.good.test: signature by good.test is wrong"},
           {"signatures taken away", "mx.good.test", on(DnsType::a, strip_everything),
            "dnssec-bogus: mx.good.test is not signed, its zone good.test is"},
           {"a name said to be absent without proof", "mx.good.test",
            on(DnsType::a,
               [&](ldns_pkt& packet) {
                 strip_everything(packet);
                 support::strip(ldns_pkt_answer(&packet), LDNS_RR_TYPE_A);
                 ldns_pkt_set_rcode(&packet, LDNS_RCODE_NXDOMAIN);
               }),
            "dnssec-bogus: mx.good.test is not signed, its zone good.test is"},
           {"DS taken away without proof", "mx.good.test", on(DnsType::ds, strip_everything),
            "dnssec-bogus: DS of test: no signature by ."},
           {"DS said to be absent without proof", "mx.good.test",
            on(DnsType::ds,
               [&](ldns_pkt& packet) {
                 strip_everything(packet);
                 support::strip(ldns_pkt_answer(&packet), LDNS_RR_TYPE_DS);
               }),
            "dnssec-bogus: DS of test: no proof of absence"},
           {"an unsigned delegation without its proof", "www.plain.test",
            on(DnsType::ds,
               [](ldns_pkt& packet) {
                 support::strip(ldns_pkt_authority(&packet), LDNS_RR_TYPE_NSEC);
               }),
            "dnssec-bogus: DS of plain.test: no proof of absence"},
           {"a spoilt proof", "www.plain.test",
            on(DnsType::ds,
               [](ldns_pkt& packet) {
                 support::spoil_signatures(ldns_pkt_authority(&packet), LDNS_RR_TYPE_NSEC);
               }),
            "dnssec-bogus: DS of plain.test: absence: signature by test is wrong"},
           {"keys taken away", "mx.good.test",
            on(DnsType::dnskey,
               [](ldns_pkt& packet) {
                 support::strip(ldns_pkt_answer(&packet), LDNS_RR_TYPE_DNSKEY);
               }),
            "dnssec-bogus: no usable DNSKEY records of ."},
           {"keys that are not signed", "mx.good.test",
            on(DnsType::dnskey,
               [](ldns_pkt& packet) {
                 support::strip_signatures(ldns_pkt_answer(&packet), LDNS_RR_TYPE_DNSKEY);
               }),
            "dnssec-bogus: DNSKEY of .: no signature by ."},
           {"keys that no DS record fits", "wrong.test", [](const DnsAsk&, ldns_pkt&) {},
            "dnssec-bogus: no DNSKEY of wrong.test matches its DS records"},
       }) {
    CAPTURE(attack.name);
    Resolver resolver;
    resolver.tamper = attack.tamper;
    CHECK(text_of(resolver.ask(attack.question)) == attack.expected);
  }
}

/// Answers question with what zone says to another.
void replay(const SignedWorld& world, const DnsAsk& other, ldns_pkt& packet) {
  const auto bytes = world.respond(other);
  ldns_pkt* parsed = nullptr;
  REQUIRE(ldns_wire2pkt(&parsed, bytes.data(), bytes.size()) == LDNS_STATUS_OK);
  for (const bool answers : {true, false}) {
    ldns_rr_list* to = answers ? ldns_pkt_answer(&packet) : ldns_pkt_authority(&packet);
    while (ldns_rr* rr = ldns_rr_list_pop_rr(to)) {
      ldns_rr_free(rr);
    }
    ldns_rr_list_push_rr_list(
        to, ldns_rr_list_clone(answers ? ldns_pkt_answer(parsed) : ldns_pkt_authority(parsed)));
  }
  ldns_pkt_set_rcode(&packet, LDNS_RCODE_NXDOMAIN);
  ldns_pkt_free(parsed);
}

TEST_CASE("true proofs of other things prove nothing here (RFC 6840 §4.1)") {
  struct Attack {
    const char* question;
    DnsType type;
    DnsAsk replayed;
  };
  for (const Attack& attack : {
           // The parent's records at a delegation say nothing about the child's names.
           Attack{"sub.good.test", DnsType::a, {"no.good.test", DnsType::a}},
           Attack{"mx.sub.good.test", DnsType::a, {"no.good.test", DnsType::a}},
           Attack{"good.test", DnsType::mx, {"no.test", DnsType::a}},
           Attack{"mx.other.test", DnsType::a, {"no.test", DnsType::a}},
           // A zone knows that its own names exist.
           Attack{"mx.good.test", DnsType::a, {"no.good.test", DnsType::a}},
           Attack{"mx.other.test", DnsType::a, {"no.other.test", DnsType::a}},
           Attack{"mx.open.test", DnsType::a, {"no.open.test", DnsType::a}},
           Attack{"a.wild.good.test", DnsType::a, {"no.good.test", DnsType::a}},
           Attack{"a.wild.other.test", DnsType::a, {"no.other.test", DnsType::a}},
           // An alias is no absence of other types.
           Attack{"alias.good.test", DnsType::tlsa, {"no.good.test", DnsType::a}},
           // A DNAME stands above all names below it.
           Attack{"mx.tree.good.test", DnsType::a, {"no.good.test", DnsType::a}},
           // Another zone's proofs.
           Attack{"mx.good.test", DnsType::a, {"no.other.test", DnsType::a}},
       }) {
    CAPTURE(attack.question);
    Resolver resolver;
    resolver.tamper = [&](const DnsAsk& ask, ldns_pkt& packet) {
      if (ask.name == attack.question && ask.type == attack.type) {
        replay(shared_world(), attack.replayed, packet);
      }
    };
    CHECK(text_of(resolver.ask(attack.question, attack.type)).starts_with("dnssec-bogus: "));
  }
}

TEST_CASE("no packet makes us check more than a few signatures (CVE-2023-50387)") {
  Resolver resolver;
  resolver.tamper = [](const DnsAsk& ask, ldns_pkt& packet) {
    if (ask.type != DnsType::a) {
      return;
    }
    ldns_rr_list* answer = ldns_pkt_answer(&packet);
    support::spoil_signatures(answer, LDNS_RR_TYPE_A);
    const ldns_rr* signature = ldns_rr_list_rr(answer, ldns_rr_list_rr_count(answer) - 1);
    for (int i = 0; i < 200; ++i) {
      ldns_rr* copy = ldns_rr_clone(signature);
      ldns_rdf_data(ldns_rr_rrsig_sig(copy))[0] = static_cast<std::uint8_t>(i);
      ldns_rr_list_push_rr(answer, copy);
    }
  };
  CHECK(text_of(resolver.ask("mx.good.test")) == "dnssec-bogus: mx.good.test: too many signatures");
}

TEST_CASE("what a chain of trust taught is kept for its TTL") {
  Resolver resolver;
  CHECK(text_of(resolver.ask("mx.good.test")) == "secure 192.0.2.1");
  // The name; keys of the root; DS and keys of test. and good.test.
  CHECK(resolver.asked.size() == 6);
  resolver.ask("_25._tcp.mx.good.test", DnsType::tlsa);
  CHECK(resolver.asked.size() == 7);
  resolver.ask("mx.other.test");
  CHECK(resolver.asked.size() == 10);
  resolver.ask("www.plain.test");
  resolver.ask("www.plain.test");
  CHECK(resolver.asked.size() == 13);
  resolver.clock.advance(seconds(300));
  resolver.ask("mx.good.test");
  CHECK(resolver.asked.size() == 19);
}

TEST_CASE("an answer lives no longer than its signature says") {
  Resolver resolver;
  const auto ttl = [&resolver] {
    return std::get<DnsAnswer>(resolver.ask("mx.good.test")).ttl.count();
  };
  CHECK(ttl() == 300);
  resolver.clock.advance(std::chrono::hours(24) * 31 - seconds(100));
  CHECK(ttl() == 100);
}

TEST_CASE("a question that fails on the way is a failure that names it") {
  Resolver resolver;
  resolver.unanswered = "mx.good.test";
  CHECK(text_of(resolver.ask("mx.good.test")) == "SERVFAIL");
  resolver.unanswered = "good.test";
  CHECK(text_of(resolver.ask("mx.good.test")) == "DS of good.test: SERVFAIL");
}

TEST_CASE("trust begins at the anchor next to the name, and without one nothing is secure") {
  Resolver resolver;
  resolver.anchors =
      *DnssecAnchors::parse("; only this zone\n\n" + shared_world().zone("good.test").dnskey());
  CHECK(text_of(resolver.ask("mx.good.test")) == "secure 192.0.2.1");
  CHECK(text_of(resolver.ask("mx.other.test")) == "insecure 192.0.2.3");
  Resolver none;
  none.anchors = DnssecAnchors();
  CHECK(text_of(none.ask("mx.good.test")) == "insecure 192.0.2.1");
  Resolver wrong;
  wrong.anchors = *DnssecAnchors::parse(". IN DS 20326 8 2 " + std::string(64, 'e'));
  CHECK(text_of(wrong.ask("mx.good.test")) ==
        "dnssec-bogus: no DNSKEY of . matches its DS records");
}

TEST_CASE("an anchor text that cannot be used is refused with its line") {
  const auto error = [](const char* text) {
    const auto parsed = DnssecAnchors::parse(text);
    return parsed ? std::string() : parsed.error();
  };
  CHECK(error("") == "no trust anchor in it");
  CHECK(error("; nothing\n\n") == "no trust anchor in it");
  CHECK(error("; first\n. IN A 192.0.2.1\n").starts_with("line 2: neither a DNSKEY nor a DS"));
  CHECK(error("rubbish").starts_with("line 1: "));
  CHECK(error(". IN DNSKEY 256 3 250 AAAA").starts_with("line 1: neither"));
}

}  // namespace
