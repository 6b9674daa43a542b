#include "relay/log_postfix.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using relay::LogField;
using relay::PostfixStyle;

std::string lines(std::string_view event, const std::vector<LogField>& fields,
                  PostfixStyle style = {}) {
  std::string text;
  for (const auto& line : relay::postfix_lines(event, fields, style)) {
    text += std::string(line.program) + ": " + line.text + "\n";
  }
  return text;
}

std::vector<LogField> delivered() {
  return {{"id", "3KX0"},           {"to", "b@b.example"},
          {"host", "mx.b.example"}, {"ip", "192.0.2.1"},
          {"port", "2525"},         {"tls", "TLSv1.3 TLS_AES_256_GCM_SHA384 verified"},
          {"policy_type", "sts"},   {"result", "delivered"},
          {"dsn", "2.0.0"},         {"reply", "250 2.0.0 taken"},
          {"delay", "1.50"},        {"delays", "0.10/0.40/1.00"}};
}

std::vector<LogField> with(std::vector<LogField> fields, std::string_view key,
                           const std::string& value) {
  for (LogField& field : fields) {
    if (field.key == key) {
      field.value = value;
    }
  }
  return fields;
}

TEST_CASE("an accepted message is a client line and a queue line") {
  CHECK(lines("accepted", {{"id", "3KX0"},
                           {"from", "a@a.example"},
                           {"recipients", "2"},
                           {"client", "192.0.2.9"},
                           {"user", "app"},
                           {"size", "480"}}) ==
        "smtpd: 3KX0: client=unknown[192.0.2.9], sasl_username=app\n"
        "qmgr: 3KX0: from=<a@a.example>, size=480, nrcpt=2 (queue active)\n");
  CHECK(lines("accepted", {{"id", "3KX0"}, {"from", "<>"}, {"size", "1"}, {"client", "::1"}}) ==
        "smtpd: 3KX0: client=unknown[::1]\n"
        "qmgr: 3KX0: from=<>, size=1, nrcpt=1 (queue active)\n");
}

TEST_CASE("a delivery has Postfix's fields in Postfix's order") {
  CHECK(lines("delivery", delivered()) ==
        "smtp: 3KX0: to=<b@b.example>, relay=mx.b.example[192.0.2.1]:2525, delay=1.50, "
        "delays=0/0.10/0.40/1.00, dsn=2.0.0, status=sent (250 2.0.0 taken)\n");
  auto deferred = with(with(delivered(), "result", "deferred"), "reply", "451 4.7.1 later");
  CHECK(lines("delivery", with(deferred, "dsn", "4.7.1"))
            .ends_with("dsn=4.7.1, status=deferred (host mx.b.example[192.0.2.1] said: 451 4.7.1 "
                       "later)\n"));
  deferred = with(with(with(deferred, "host", ""), "ip", ""), "reply", "connect: refused");
  CHECK(lines("delivery", deferred) ==
        "smtp: 3KX0: to=<b@b.example>, relay=none, delay=1.50, delays=0/0.10/0.40/1.00, "
        "dsn=2.0.0, status=deferred (connect: refused)\n");
  for (const char* result : {"failed", "expired"}) {
    CHECK(lines("delivery", with(delivered(), "result", result)).find(" status=bounced (") !=
          std::string::npos);
  }
}

TEST_CASE("tls= stands between delays and dsn, in the words of Postfix, if it is wanted") {
  struct Row {
    const char *tls, *policy, *field;
  };
  for (const Row& row :
       {Row{"TLSv1.3 X verified", "sts", "tls=secure, dsn="},
        Row{"TLSv1.3 X verified", "no-policy-found", "tls=may, dsn="},
        Row{"TLSv1.3 X unverified (X509_V_ERR)", "no-policy-found", "tls=may, dsn="},
        Row{"TLSv1.3 X unverified (X) dane-matched", "no-policy-found", "tls=dane, dsn="},
        Row{"none (not-advertised)", "no-policy-found", "tls=none, dsn="},
        Row{"failed (tls-alert-40)", "no-policy-found", "tls=may:none, dsn="},
        Row{"", "no-policy-found", "1.00, dsn="}}) {
    CAPTURE(row.tls);
    const auto fields = with(with(delivered(), "tls", row.tls), "policy_type", row.policy);
    CHECK(lines("delivery", fields, {PostfixStyle::TlsField::present}).find(row.field) !=
          std::string::npos);
    CHECK(lines("delivery", fields).find("tls=") == std::string::npos);
  }
}

TEST_CASE("notices, refusals and the end of a message have their lines, other events none") {
  CHECK(lines("notice", {{"id", "N1"}, {"about", "M1"}, {"kind", "delayed"}, {"size", "900"}}) ==
        "bounce: M1: sender delay notification: N1\n"
        "qmgr: N1: from=<>, size=900, nrcpt=1 (queue active)\n");
  CHECK(lines("notice", {{"id", "N1"}, {"about", "M1"}, {"kind", "double-bounce"}})
            .starts_with("bounce: M1: postmaster non-delivery notification: N1\n"));
  CHECK(lines("removed", {{"id", "M1"}}) == "qmgr: M1: removed\n");
  CHECK(lines("rejected", {{"client", "192.0.2.9"},
                           {"helo", "h"},
                           {"stage", "RCPT"},
                           {"from", "a@a.example"},
                           {"to", "b@b.example"},
                           {"reply", "550 5.7.1 Relaying denied"}}) ==
        "smtpd: NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 550 5.7.1 Relaying denied; "
        "from=<a@a.example> to=<b@b.example> proto=ESMTP helo=<h>\n");
  CHECK(lines("session", {{"id", "M1"}}).empty());
  // What staging kept was neither sent nor bounced.
  CHECK(lines("delivery", with(delivered(), "result", "sinked")).empty());
}

TEST_CASE("what others said looks like no field of ours") {
  auto fields = with(delivered(), "reply",
                     "250 ok from=<x@y>, size=9)\n3KX1: to=<z@z>, relay=z, status=sent (");
  std::string text = lines("delivery", fields);
  CHECK(text.find("from=<") == std::string::npos);
  CHECK(text.find("to=<", text.find("to=<") + 1) == std::string::npos);
  CHECK(text.find('\n') == text.size() - 1);
  text = lines("delivery", with(delivered(), "to", "\"a>, relay=x, status=sent \"@b.example"));
  CHECK(text.find(", relay=mx.b.example[") == text.find(", relay="));
  text = lines("accepted", {{"id", "M"}, {"from", "\"x>, size=7, \"@a.example"}, {"size", "1"}});
  CHECK(text.find(", size=1, ") == text.find(", size="));
}

}  // namespace
