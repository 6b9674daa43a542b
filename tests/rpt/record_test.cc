#include "rpt/record.h"

#include <doctest/doctest.h>

#include "tests/rpt/golden.h"

namespace {

using Texts = std::vector<std::string>;

// Knows one name, as a library for IDNA knows all.
std::optional<std::string> to_ascii(std::string_view name) {
  return name == "b\xC3\xBC"
                 "cher.example"
             ? std::optional<std::string>{"XN--bcher-kva.example"}
             : std::nullopt;
}

rpt::Expected<rpt::Record, rpt::RecordFault> parse(const Texts& records) {
  return rpt::parse_records(records, to_ascii);
}

Texts uris(const rpt::Record& record) {
  Texts found;
  for (const auto& destination : record.destinations) {
    found.push_back(destination.uri);
  }
  return found;
}

Texts reasons(const rpt::Record& record) {
  Texts found;
  for (const auto& skipped : record.skipped) {
    found.push_back(skipped.reason);
  }
  return found;
}

Texts joined(const YAML::Node& rrset) {
  Texts records;
  for (const YAML::Node& record : rrset) {
    records.emplace_back();
    for (const YAML::Node& part : record) {
      records.back() += part.as<std::string>();
    }
  }
  return records;
}

}  // namespace

TEST_CASE("each golden record set of group C gives the destinations it must give") {
  for (const YAML::Node& golden : golden::group("C")) {
    const auto id = golden["id"].as<std::string>();
    SUBCASE(id.c_str()) {
      const auto record = parse(joined(golden["txt"]));
      const auto expected = golden["to"].as<Texts>();
      CHECK((record ? uris(*record) : Texts{}) == expected);
      CHECK((record ? record->skipped.size() : 0) == golden["skipped"].as<std::size_t>(0));
    }
  }
}

TEST_CASE("T2 T5 T6 T7: fields, blanks and URIs are read by the grammar of RFC 8460") {
  struct Row {
    std::string record;
    Texts uris;
    Texts skipped;
  };
  for (const auto& [text, expected, skipped] : {
           Row{"v=TLSRPTv1 \t; \trua=mailto:a@x.example \t; ", {"mailto:a@x.example"}, {}},
           Row{"v=TLSRPTv1;rua=mailto:a@x.example\t,\t https://r.example;ext-1=a:b/c",
               {"mailto:a@x.example", "https://r.example/"},
               {}},
           Row{"v=TLSRPTv1;rua=https://b.example/;x=1;rua=mailto:a@x.example;",
               {"https://b.example/", "mailto:a@x.example"},
               {}},
           Row{"v=TLSRPTv1;rua=https://r.example/v1?a=b&c=d", {"https://r.example/v1?a=b&c=d"}, {}},
           Row{"v=TLSRPTv1;rua=", {}, {"empty"}},
           Row{"v=TLSRPTv1;rua=,mailto:a@x.example", {"mailto:a@x.example"}, {"empty"}},
           Row{"v=TLSRPTv1;rua=postmaster@x.example", {}, {"no-scheme"}},
           Row{"v=TLSRPTv1;rua=mailto:a@x.example!10m", {}, {"bad-character"}},
           Row{"v=TLSRPTv1;rua=mailto:a b@x.example,mailto:c@x.example",
               {"mailto:c@x.example"},
               {"bad-character"}},
           Row{"v=TLSRPTv1;rua=http://r.example/,HTTPS://R.Example:443",
               {"https://r.example/"},
               {"plain-http"}},
           Row{"v=TLSRPTv1;rua=https://r.example/%7ea,https://r.example/~a",
               {"https://r.example/~a"},
               {}},
           Row{"v=TLSRPTv1;rua=https://u:p@r.example/,https://r.example/",
               {"https://r.example/"},
               {}},
       }) {
    CAPTURE(text);
    const auto record = parse({text});
    REQUIRE(record);
    CHECK(uris(*record) == expected);
    CHECK(reasons(*record) == skipped);
  }
}

TEST_CASE("T3 T4: what is no single record of the grammar asks for nothing, and says why") {
  const std::string good = "v=TLSRPTv1;rua=mailto:a@x.example";
  const std::string long_name(33, 'n');
  struct Row {
    Texts records;
    std::string_view fault;
  };
  for (const auto& [records, fault] : {
           Row{{}, "absent"},
           Row{{"v=TLSRPTv1"}, "absent"},
           Row{{" v=TLSRPTv1;rua=mailto:a@x.example"}, "absent"},
           Row{{"V=TLSRPTv1;rua=mailto:a@x.example"}, "absent"},
           Row{{"v=TLSRPTv2;rua=mailto:a@x.example", "v=STSv1; id=1"}, "absent"},
           Row{{good, good}, "several"},
           Row{{good, "v=TLSRPTv1;"}, "several"},
           Row{{"v=TLSRPTv1;"}, "malformed"},
           Row{{"v=TLSRPTv1; ;"}, "malformed"},
           Row{{"v=TLSRPTv1;ext=1"}, "malformed"},
           Row{{"v=TLSRPTv1;RUA=mailto:a@x.example"}, "malformed"},
           Row{{"v=TLSRPTv1;rua =mailto:a@x.example"}, "malformed"},
           Row{{"v=TLSRPTv1;;rua=mailto:a@x.example"}, "malformed"},
           Row{{good + ";;"}, "malformed"},
           Row{{good + ";ext"}, "malformed"},
           Row{{good + ";ext="}, "malformed"},
           Row{{good + ";=v"}, "malformed"},
           Row{{good + ";-x=1"}, "malformed"},
           Row{{good + ";x=a=b"}, "malformed"},
           Row{{good + ";x=a b"}, "malformed"},
           Row{{good + ";" + long_name + "=1"}, "malformed"},
       }) {
    CAPTURE(records);
    const auto record = parse(records);
    REQUIRE_FALSE(record);
    CHECK(name(record.error()) == fault);
  }
  CHECK(parse({good + ";" + long_name.substr(1) + "=1", "other"}));
}

TEST_CASE("T8: a mailbox is decoded, quoted where it must be, and has a domain in A-labels") {
  struct Row {
    std::string uri;
    std::string mailbox;
    std::string normal;
  };
  for (const auto& [uri, mailbox, normal] : {
           Row{"MailTo:A.b+c@X.Example.", "A.b+c@x.example", "mailto:A.b+c@x.example"},
           Row{"mailto:a%2Cb@x.example", "\"a,b\"@x.example", "mailto:%22a%2Cb%22@x.example"},
           Row{"mailto:%22a%2Cb%22@x.example", "\"a,b\"@x.example", "mailto:%22a%2Cb%22@x.example"},
           Row{"mailto:%22a%22@x.example", "a@x.example", "mailto:a@x.example"},
           Row{"mailto:%22a%5C%22%5C%5Cb%22@x.example", "\"a\\\"\\\\b\"@x.example",
               "mailto:%22a%5C%22%5C%5Cb%22@x.example"},
           Row{"mailto:a..b@x.example", "\"a..b\"@x.example", "mailto:%22a..b%22@x.example"},
           Row{"mailto:%3Ca%3E@x.example", "\"<a>\"@x.example", "mailto:%22%3Ca%3E%22@x.example"},
           Row{"mailto:a%21b@x.example?bcc=v@y.example#f", "a!b@x.example",
               "mailto:a%21b@x.example"},
           Row{"mailto:a@b%C3%BCcher.example", "a@xn--bcher-kva.example",
               "mailto:a@xn--bcher-kva.example"},
           Row{"mailto:a@b\xC3\xBC"
               "cher.example",
               "a@xn--bcher-kva.example", "mailto:a@xn--bcher-kva.example"},
       }) {
    CAPTURE(uri);
    const auto destination = rpt::parse_destination(uri, to_ascii);
    REQUIRE(destination);
    CHECK(destination->scheme == rpt::Scheme::mailto);
    CHECK(destination->mailbox == mailbox);
    CHECK(destination->uri == normal);
    CHECK(rpt::parse_destination(normal) == *destination);
  }
}

TEST_CASE("T8: an https URI is taken apart, in one spelling, its credentials apart from it") {
  struct Row {
    std::string uri;
    std::string normal;
    std::uint16_t port;
    std::string path;
    std::string userinfo;
  };
  for (const auto& row : {
           Row{"https://R.Example", "https://r.example/", 443, "/", ""},
           Row{"https://r.example:/", "https://r.example/", 443, "/", ""},
           Row{"https://r.example:8443/v1?d=%2c%0d#f", "https://r.example:8443/v1?d=%2C%0D", 8443,
               "/v1?d=%2C%0D", ""},
           Row{"https://r.example?q", "https://r.example/?q", 443, "/?q", ""},
           Row{"https://u%40x:p%3Aw%21@r.example/a", "https://r.example/a", 443, "/a", "u@x:p:w!"},
           Row{"https://r.example/\xC3\xBC", "https://r.example/%C3%BC", 443, "/%C3%BC", ""},
           Row{"https://r%2Eexample/", "https://r.example/", 443, "/", ""},
       }) {
    CAPTURE(row.uri);
    const auto destination = rpt::parse_destination(row.uri, to_ascii);
    REQUIRE(destination);
    CHECK(destination->scheme == rpt::Scheme::https);
    CHECK(destination->uri == row.normal);
    CHECK(destination->host == "r.example");
    CHECK(destination->port == row.port);
    CHECK(destination->path == row.path);
    CHECK(destination->userinfo == row.userinfo);
    CHECK(rpt::parse_destination(rpt::uri_with_credentials(*destination)) == *destination);
  }
}

TEST_CASE("T8: a URI that could do harm or reach nobody is refused with a stable word") {
  struct Row {
    std::string uri;
    std::string_view reason;
  };
  for (const auto& [uri, reason] : {
           Row{"", "empty"},
           Row{"mailto:" + std::string(rpt::kMaxUri, 'a') + "@x.example", "too-long"},
           Row{"https://r.example/" + std::string(rpt::kMaxUri - 100, '\xFC'), "too-long"},
           Row{"mailto:a@x.example\r\nBcc: v@y.example", "bad-character"},
           Row{std::string{"mailto:a\0@x.example", 19}, "bad-character"},
           Row{"mailto:a,b@x.example", "bad-character"},
           Row{"mailto:<a@x.example>", "bad-character"},
           Row{"mailto:a%2@x.example", "bad-escape"},
           Row{"mailto:a@x.example%", "bad-escape"},
           Row{"mailto:%0Da@x.example", "bad-mailbox"},
           Row{"mailto:a%00@x.example", "bad-mailbox"},
           Row{"mailto:%C3%BC@x.example", "bad-mailbox"},
           Row{"mailto:@x.example", "bad-mailbox"},
           Row{"mailto:%22%22@x.example", "bad-mailbox"},
           Row{"mailto:%22a@x.example", "bad-mailbox"},
           Row{"mailto:%22a%22b@x.example", "bad-mailbox"},
           Row{"mailto:nobody", "bad-mailbox"},
           Row{"mailto:a%40b@x.example", "bad-mailbox"},
           Row{"mailto:" + std::string(65, 'a') + "@x.example", "bad-mailbox"},
           Row{"mailto:a@x.example%2Cb@y.example", "several-recipients"},
           Row{"mailto:a@", "bad-domain"},
           Row{"mailto:a@localhost", "bad-domain"},
           Row{"mailto:a@x..example", "bad-domain"},
           Row{"mailto:a@-x.example", "bad-domain"},
           Row{"mailto:a@x.example%0D%0A", "bad-domain"},
           Row{"mailto:a@" + std::string(64, 'x') + ".example", "bad-domain"},
           Row{"mailto:a@%C3%A4.example", "bad-domain"},
           Row{"mailto:a@[192.0.2.1]", "ip-address"},
           Row{"mailto:a@192.0.2.1", "ip-address"},
           Row{"https://192.0.2.1/", "ip-address"},
           Row{"https://0x7f.0x1/", "ip-address"},
           Row{"https://2130706433/", "ip-address"},
           Row{"https://[2001:db8::1]/", "ip-address"},
           Row{"https:r.example", "bad-domain"},
           Row{"https:///v1", "bad-domain"},
           Row{"https://u@v@", "bad-domain"},
           Row{"https://r%2F.example/", "bad-domain"},
           Row{"https://r.example:0/", "bad-port"},
           Row{"https://r.example:65536/", "bad-port"},
           Row{"https://r.example:4x/", "bad-port"},
           Row{"https://r.example:4:4/", "bad-port"},
           Row{"https://u%0A:p@r.example/", "bad-credentials"},
           Row{"http://r.example/", "plain-http"},
           Row{"ftp://r.example/", "unsupported-scheme"},
           Row{"1x:a", "no-scheme"},
           Row{":a", "no-scheme"},
       }) {
    CAPTURE(uri);
    const auto destination = rpt::parse_destination(uri, to_ascii);
    REQUIRE_FALSE(destination);
    CHECK(destination.error() == reason);
  }
}

TEST_CASE("credentials are shown nowhere, whatever is wrong with the URI around them") {
  for (const std::string uri :
       {"https://me:secret@192.0.2.1/", "https://me:secret@r.example:99999/",
        "ftp://me:secret@r.example/", "https:me:secret@r.example", "me:secret@r.example",
        "https://me:sec/ret@secret@r.example/", "//me:secret@r.example/x@y"}) {
    CAPTURE(uri);
    const auto record = parse({"v=TLSRPTv1;rua=" + uri + ",https://u:secret@r.example/"});
    REQUIRE(record);
    REQUIRE(record->skipped.size() + record->destinations.size() == 2);
    for (const auto& skipped : record->skipped) {
      CHECK(skipped.uri.find("secret") == std::string::npos);
    }
    for (const auto& destination : record->destinations) {
      CHECK(destination.uri.find("secret") == std::string::npos);
    }
  }
}

TEST_CASE("destinations, skipped URIs and what is shown of them are bounded") {
  std::string text = "v=TLSRPTv1;rua=mailto:x@" + std::string(500, 'x') + "\x01";
  for (int i = 0; i < 1000; ++i) {
    text += ",mailto:r" + std::to_string(i) + "@x.example";
  }
  const auto record = parse({text});
  REQUIRE(record);
  CHECK(record->destinations.size() == rpt::kMaxDestinations);
  CHECK(record->destinations.back().mailbox == "r9@x.example");
  REQUIRE(record->skipped.size() == rpt::kMaxSkipped);
  CHECK(record->skipped.front().uri.size() == 200);
  CHECK(record->skipped.front().uri.ends_with("xxx..."));
  CHECK(record->skipped.back().reason == "too-many");
  CHECK(parse({"v=TLSRPTv1;rua=\x01"})->skipped.front().uri == "?");
}
