#include "relay/message/dkim_verifier.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/message/digest.h"
#include "relay/message/dkim_signer.h"
#include "tests/relay/message/dkim_fixture.h"

namespace {

using relay::message::base64;
using relay::message::dkim_claims;
using relay::message::DkimClaim;
using relay::message::DkimKey;
using relay::message::DkimResult;
using relay::message::DkimVerdict;
using relay::message::judge;
using relay::message::sha256;
using relay::message::Time;
using support::dkim_file;
using support::rfc_key;

constexpr Time kNow{std::chrono::milliseconds(1528637909'750)};

std::string with_crlf(const std::string& text) {
  std::string result;
  for (const char c : text) {
    result += c == '\n' ? "\r\n" : std::string(1, c);
  }
  return result;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// The verdict on the first signature of a message.
DkimVerdict verdict(const std::string& message, const std::vector<std::string>& records) {
  const auto claims = dkim_claims(message, kNow);
  REQUIRE(!claims.empty());
  return judge(claims.front(), records);
}

std::string reason(const std::string& message, const std::vector<std::string>& records) {
  const DkimVerdict found = verdict(message, records);
  CHECK((found.result == DkimResult::pass) == found.reason.empty());
  return found.reason;
}

const std::string kMessage =
    "From: Reports  <reports@sender.example>\r\n"
    "Subject: two\r\n"
    " lines\r\n"
    "\r\n"
    "Two  words.\r\n"
    "\r\n";

/// kMessage with a signature put together by hand; tags: what is said beside v=, b= and bh=.
std::string signed_by_hand(const std::string& tags, const DkimKey& key, const std::string& header,
                           const std::string& body) {
  const std::string field =
      "DKIM-Signature: v=1; " + tags + "; bh=" + base64(sha256(body)) + "; b=";
  return field + base64(key.sign(header + field)) + "\r\n" + kMessage;
}

const std::string kTags = "a=rsa-sha256; c=simple/simple; d=sender.example; s=s; h=From:subject";
const std::string kHeader = "From: Reports  <reports@sender.example>\r\nSubject: two\r\n lines\r\n";
const std::string kBody = "Two  words.\r\n";

std::string simply_signed(const std::string& tags = kTags) {
  return signed_by_hand(tags, rfc_key("rsa"), kHeader, kBody);
}

TEST_CASE("both signatures of RFC 8463 §A.3 are good by the RFC's keys") {
  const auto claims = dkim_claims(with_crlf(dkim_file("rfc8463.eml")), kNow);
  REQUIRE(claims.size() == 2);
  CHECK(claims[0].key_name() == "brisbane._domainkey.football.example.com");
  CHECK(claims[1].key_name() == "test._domainkey.football.example.com");
  const std::vector<std::string> ed25519{rfc_key("ed25519").record("")};
  const std::vector<std::string> rsa{rfc_key("rsa").record("")};
  CHECK(judge(claims[0], ed25519).result == DkimResult::pass);
  CHECK(judge(claims[1], rsa).result == DkimResult::pass);
  CHECK(judge(claims[0], rsa).reason == "key-kind");
  CHECK(judge(claims[1], ed25519).reason == "key-kind");
}

TEST_CASE("our own signatures are good, and no longer once a signed octet has changed") {
  for (const char* algorithm : {"rsa", "ed25519"}) {
    CAPTURE(algorithm);
    const relay::message::DkimSigner with{"sender.example", "s2026", rfc_key(algorithm)};
    const std::string message = relay::message::sign(with, kMessage, kNow) + kMessage;
    const std::vector<std::string> records{with.key.record("tlsrpt")};
    CHECK(verdict(message, records).result == DkimResult::pass);
    CHECK(verdict(message, records).declares_reports);
    CHECK_FALSE(verdict(message, {with.key.record("")}).declares_reports);
    CHECK(reason(replaced(message, "Two", "Too"), records) == "body-changed");
    CHECK(reason(replaced(message, "Subject: two", "Subject: too"), records) == "signature-wrong");
    CHECK(reason("Subject: x\r\n" + message, records) == "signature-wrong");
    CHECK(reason(replaced(message, "t=1528637909", "t=1528637908"), records) == "signature-wrong");
  }
}

TEST_CASE("simple canonicalization takes each octet as it is, but for empty lines at the end") {
  const std::vector<std::string> records{rfc_key("rsa").record("")};
  const std::string message = simply_signed();
  CHECK(reason(message, records).empty());
  CHECK(reason(message + "\r\n\r\n", records).empty());
  CHECK(reason(replaced(message, "Two  words", "Two words"), records) == "body-changed");
  CHECK(reason(replaced(message, "Reports  <", "Reports <"), records) == "signature-wrong");
  CHECK(reason(replaced(message, "two\r\n lines", "two lines"), records) == "signature-wrong");
  CHECK(reason(replaced(message, "; s=s;", ";  s=s;"), records) == "signature-wrong");
  // Nothing is a line end (RFC 6376 §3.4.3).
  const std::string field =
      "DKIM-Signature: v=1; " + kTags + "; bh=" + base64(sha256("\r\n")) + "; b=";
  const std::string empty =
      field + base64(rfc_key("rsa").sign(kHeader + field)) + "\r\n" + kHeader + "\r\n";
  CHECK(reason(empty, records).empty());
}

TEST_CASE("header and body have each their canonicalization; without c= both are simple") {
  const std::vector<std::string> records{rfc_key("rsa").record("")};
  const auto with = [&](const std::string& from, const std::string& to) {
    return replaced(kTags, from, to);
  };
  CHECK(reason(simply_signed(with("c=simple/simple; ", "")), records).empty());
  CHECK(reason(simply_signed(with("simple/simple", "simple")), records).empty());
  const std::string relaxed_body = signed_by_hand(with("simple/simple", "simple/relaxed"),
                                                  rfc_key("rsa"), kHeader, "Two words.\r\n");
  CHECK(reason(relaxed_body, records).empty());
  CHECK(reason(simply_signed(with("simple/simple", "strange/simple")), records) ==
        "canonicalization");
}

TEST_CASE("a signature that breaks a rule is not good whatever its key") {
  struct Row {
    const char* from;
    const char* to;
    const char* reason;
  };
  const std::vector<std::string> records{rfc_key("rsa").record("")};
  for (const Row& row : {
           Row{"a=rsa-sha256", "a=rsa-sha1", "algorithm"},
           Row{"h=From:subject", "h=subject", "from-not-signed"},
           Row{"; s=s", "; s=s; l=3", "length-limited"},  // RFC 8460 §3
           Row{"; s=s", "; s=s; x=1528637908", "expired"},
           Row{"; s=s", "; s=s; q=other", "query-method"},
           Row{"; s=s", "; s=s; i=@other.example", "identity"},
           Row{"; s=s", "; s=s; i=@badsender.example", "identity"},
           Row{"; s=s", "; s=s; s=t", "malformed"},
           Row{"; s=s", "", "malformed"},
           Row{"; s=s", "; s=s;;", "malformed"},
       }) {
    CAPTURE(row.to);
    CHECK(reason(simply_signed(replaced(kTags, row.from, row.to)), records) == row.reason);
  }
  for (const char* sound : {"; s=s; x=1528637910", "; s=s; i=@sub.sender.example",
                            "; s=s; q=dns/txt", "; s=s; unknown=1"}) {
    CAPTURE(sound);
    CHECK(reason(simply_signed(replaced(kTags, "; s=s", sound)), records).empty());
  }
  CHECK(reason(replaced(simply_signed(), "v=1", "v=2"), records) == "version");
  CHECK(reason(replaced(simply_signed(), "bh=", "bh=!"), records) == "malformed");
  CHECK(dkim_claims(kMessage, kNow).empty());
}

TEST_CASE("a key record decides whether its key counts") {
  const std::string p = "p=" + rfc_key("rsa").public_record();
  struct Row {
    std::vector<std::string> records;
    const char* reason;
  };
  for (const Row& row : {
           Row{{p}, ""},
           Row{{"v=DKIM1; " + p + ";"}, ""},
           Row{{"v=DKIM1; h=sha1:sha256; s=*; t=y; n=note; " + p}, ""},
           Row{{"s=email; " + p}, ""},
           Row{{"s=tlsrpt; " + p}, ""},
           Row{{"s=email:tlsrpt; " + p}, ""},
           Row{{"s=other; " + p}, "key-service"},
           Row{{"h=sha1; " + p}, "key-hash"},
           Row{{"v=DKIM1; p="}, "key-revoked"},
           Row{{"v=DKIM2; " + p}, "key-malformed"},
           Row{{p + "; v=DKIM1"}, "key-malformed"},
           Row{{"v=DKIM1; k=rsa"}, "key-malformed"},
           Row{{"p=AAAA"}, "key-malformed"},
           Row{{"k=dsa; " + p}, "key-kind-unknown"},
           Row{{}, "no-key"},
           Row{{p, p}, "several-keys"},
           Row{{DkimKey::generate(DkimKey::Kind::rsa).record("")}, "signature-wrong"},
       }) {
    CAPTURE(row.records.empty() ? "" : row.records.front());
    CHECK(reason(simply_signed(), row.records) == row.reason);
  }
  const std::string below = simply_signed(replaced(kTags, "; s=s", "; s=s; i=@sub.sender.example"));
  CHECK(reason(below, {"t=s; " + p}) == "identity");
}

TEST_CASE("of many signatures only the first ones are looked at") {
  std::string message;
  for (int i = 0; i < 50; ++i) {
    message += "DKIM-Signature: v=1\r\n";
  }
  CHECK(dkim_claims(message + kMessage, kNow).size() == relay::message::kMaxDkimClaims);
}

TEST_CASE("base64 is read with blanks in it, and nothing else is") {
  using relay::message::from_base64;
  CHECK(from_base64("TWE=") == "Ma");
  CHECK(from_base64(" T\r\n\tWFu ") == "Man");
  CHECK(from_base64("") == "");
  for (const char* wrong : {"TWF", "TW=u", "====", "TWF!", "=TWF"}) {
    CAPTURE(wrong);
    CHECK_FALSE(from_base64(wrong));
  }
}

}  // namespace
