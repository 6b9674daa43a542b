// How the parts of rules and listeners are read; the rest of the reader is in conf/reader.cc.
#include <algorithm>

#include "conf/names.h"
#include "conf/reader.h"

namespace conf {

std::optional<std::string> Reader::domain_key(const std::string& key, const Entry& entry,
                                              const ByDomain& rule) {
  if (rule.keys == ByDomain::Keys::users) {
    const bool fine = !key.empty() && std::ranges::all_of(key, [](char c) {
      const auto octet = static_cast<unsigned char>(c);
      return octet > ' ' && octet != 0x7f;
    });
    if (!fine) {
      findings_.fail(entry.line, path_of(key), "is no name of a user, as a users file has them");
    }
    return fine ? std::optional(key) : std::nullopt;
  }
  auto domain = parse_rule_domain(key);
  if (domain && rule.wildcards == ByDomain::Wildcards::refused && domain->starts_with("*.")) {
    domain.reset();
  }
  if (!domain) {
    findings_.fail(entry.line, path_of(key),
                   rule.wildcards == ByDomain::Wildcards::allowed
                       ? std::string(kNoRuleDomain)
                       : "is no policy domain; write for example example.com (internationalised "
                         "names in their xn-- form, without a trailing dot)");
    return std::nullopt;
  }
  return domain;
}

YAML::Node Reader::section_of(const Entry& entry, const ByDomain& rule) {
  if (rule.list_key == nullptr || !entry.node.IsSequence()) {
    return entry.node;
  }
  YAML::Node section(YAML::NodeType::Map);
  section[rule.list_key] = entry.node;
  return section;
}

void Reader::read_texts(const char* key, std::vector<std::string>& target,
                        std::optional<std::string> (*parse)(std::string_view),
                        std::string_view expectation) {
  const auto items = scalars(key);
  if (!items) {
    return;
  }
  target.clear();
  for (const Scalar& item : *items) {
    if (auto parsed = parse(item.text)) {
      target.push_back(std::move(*parsed));
    } else {
      findings_.fail(item.line, item.path, fmt::format("\"{}\" {}", item.text, expectation));
    }
  }
}

void Reader::value(const char* key, std::vector<std::string>& target,
                   const FingerprintList& /*rule*/) {
  read_texts(key, target, parse_fingerprint, kNoFingerprint);
}

void Reader::value(const char* key, std::vector<std::string>& target,
                   const MxPatternList& /*rule*/) {
  read_texts(key, target, parse_mx_pattern, kNoMxPattern);
}

void Reader::value(const char* key, std::vector<std::string>& target,
                   const ReportUriList& /*rule*/) {
  read_texts(key, target, parse_report_uri,
             "is nowhere to send reports to; write mailto:tls@example.com or "
             "https://example.com/reports (RFC 8460 §3; , ; and ! as %2C %3B %21)");
}

void Reader::value(const char* key, std::vector<std::string>& target,
                   const CertificateList& /*rule*/) {
  read_texts(key, target, parse_certificate_name,
             "is neither a SHA-256 fingerprint (64 hexadecimal digits) nor a host name, nor \"*\" "
             "for every certificate of tls.client_ca");
}

void Reader::value(const char* key, std::vector<std::string>& target, const PatternList& /*rule*/) {
  read_texts(key, target, parse_pattern,
             "is no pattern; write one word, in which * stands for any text, for example "
             "\"*@example.com\"");
}

void Reader::value(const char* key, std::vector<std::string>& target,
                   const AddressPatternList& rule) {
  switch (rule.null_sender) {
    case AddressPatternList::NullSender::allowed:
      read_texts(key, target, parse_sender_pattern,
                 "is no address; write user@example.com, example.com, *.example.com (all below "
                 "it), or <> for the null sender of notices");
      return;
    case AddressPatternList::NullSender::refused:
      read_texts(key, target, parse_address_pattern,
                 "is no address; write user@example.com, example.com or *.example.com (all below "
                 "it)");
      return;
  }
}

void Reader::value(const char* key, std::vector<std::string>& target,
                   const UserNameList& /*rule*/) {
  read_texts(key, target, parse_user_name,
             "is no user; write a name of the file of auth.users, or uid:NUMBER for a UNIX socket");
}

void Reader::value(const char* key, ListenAddress& target, const ListenPlace& rule) {
  const auto read = scalar(key);
  if (!read) {
    return;
  }
  if (auto address = parse_listen_address(read->text, rule.default_port)) {
    target = std::move(*address);
  } else {
    findings_.fail(read->line, read->path,
                   fmt::format("\"{0}\" is no IP address with a port; write for example "
                               "192.0.2.1:{1} or \"[2001:db8::1]:{1}\" (port {1} may be left "
                               "out), or unix:/path of a socket",
                               read->text, rule.default_port));
  }
}

void Reader::value(const char* key, std::optional<Moment>& target, const UntilMoment& /*rule*/) {
  const auto read = scalar(key);
  if (!read) {
    return;
  }
  target = parse_moment(read->text);
  if (!target) {
    findings_.fail(read->line, read->path, fmt::format("\"{}\" {}", read->text, kNoMoment));
  }
}

}  // namespace conf
