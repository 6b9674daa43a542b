// What has to be in DNS so that receivers take this relay's TLS reports: keys that sign them (RFC
// 8460 §3, RFC 6376 §3.6), and what is wrong with what is there. Pure.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "relay/cli/check_findings.h"
#include "relay/cli/output.h"
#include "relay/cli/text_lookup.h"
#include "relay/message/dkim_key.h"

namespace relay::cli {

struct SetupKey {
  std::string domain;  ///< d=
  std::string selector;
  std::string file;
  std::optional<message::DkimKey> key{};
  std::string fault;  ///< why there is none

  [[nodiscard]] std::string record_name() const;
};

struct ReportSetup {
  std::string contact;  ///< empty: reports are off
  std::vector<SetupKey> keys;
  /// Whether the configuration names the keys, or they are a proposal.
  enum class Keys { configured, proposed } origin = Keys::configured;
  TextAnswers answers;  ///< for names_to_ask()

  /// The domain that reports.
  [[nodiscard]] std::string domain() const;
};

struct RecordToPublish {
  enum class State { published, absent, differs, unknown, unneeded } state = State::absent;
  std::string name;
  std::string text;  ///< of the TXT record, in one piece; empty: its key does not exist yet
  std::string purpose;
};

struct SetupReport {
  std::string contact, domain;
  std::vector<RecordToPublish> records;
  std::vector<CheckFinding> findings;
  std::size_t good_keys = 0;  ///< published as they are here
  bool undetermined = false;  ///< a name could not be asked for
};

/// Keys for a domain that has none: two of RSA, the last one for s=tlsrpt, and one of Ed25519.
/// folder: where their files go.
[[nodiscard]] std::vector<SetupKey> proposed_keys(const std::string& domain,
                                                  const std::string& folder);
/// Ed25519 where the selector says so, else RSA.
[[nodiscard]] message::DkimKey::Kind kind_for(std::string_view selector);

[[nodiscard]] std::set<std::string> names_to_ask(const ReportSetup& setup);
/// The last of several keys is meant for s=tlsrpt, all others for ordinary verifiers, too.
[[nodiscard]] SetupReport report_on(const ReportSetup& setup);

[[nodiscard]] std::string to_text(const SetupReport& report);
[[nodiscard]] Json to_json(const SetupReport& report);
/// As check_exit_code(): refused, if receivers would ignore the reports.
[[nodiscard]] int exit_code(const SetupReport& report);

/// As master files have it: quoted, in pieces of at most 255 octets.
[[nodiscard]] std::string quoted_text(std::string_view text);

}  // namespace relay::cli
