#include "conf/config.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <sstream>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "conf/check.h"
#include "conf/environment.h"
#include "conf/findings.h"
#include "conf/preload.h"
#include "conf/reader.h"
#include "conf/utf8.h"

namespace conf {
namespace {

constexpr std::size_t kMaxText = 4U << 20;

std::size_t line_at(std::string_view text, std::size_t position) {
  return static_cast<std::size_t>(std::ranges::count(text.substr(0, position), '\n')) + 1;
}

std::optional<ConfigError> text_fault(std::string_view text) {
  if (text.size() > kMaxText) {
    return ConfigError{0, "", fmt::format("the file is larger than {}", size_to_text(kMaxText))};
  }
  std::size_t position = 0;
  while (position < text.size()) {
    const std::size_t length = utf8_length(text.substr(position));
    if (length == 0 || text[position] == '\0') {
      return ConfigError{line_at(text, position), "", "is no UTF-8 text; save the file as UTF-8"};
    }
    position += length;
  }
  return std::nullopt;
}

/// Notes where a document begins and drops all else.
class DocumentStart final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { line = to_line(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnAlias(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {}
  void OnSequenceStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/,
                       YAML::anchor_t /*anchor*/, YAML::EmitterStyle::value /*style*/) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {}
  void OnMapEnd() override {}

  std::size_t line = 0;

 private:
  static std::size_t to_line(const YAML::Mark& mark) {
    return mark.is_null() ? 0 : static_cast<std::size_t>(mark.line) + 1;
  }
};

/// YAML::Load() reads the first document and silently drops what follows. (YAML::LoadAll() would
/// read it, but never ends on text such as `"a",`, which is one empty document after the other.)
std::optional<std::size_t> line_of_second_document(std::string_view text) {
  std::istringstream stream{std::string(text)};
  YAML::Parser parser(stream);
  DocumentStart start;
  if (!parser.HandleNextDocument(start) || !parser.HandleNextDocument(start)) {
    return std::nullopt;
  }
  return start.line;
}

ConfigError malformed(const YAML::Exception& fault, std::string_view text) {
  const std::size_t line = fault.mark.is_null() ? 0 : static_cast<std::size_t>(fault.mark.line) + 1;
  // The usual reason, and the one YAML's own message hides best.
  const bool tab = text.starts_with('\t') || text.find("\n\t") != std::string_view::npos;
  return {line, "",
          fmt::format("is not well-formed YAML: {}{}", fault.msg,
                      tab ? " (indent with spaces, not with tabs)" : "")};
}

/// Names are compared as text from here on.
void make_lower(std::string& name) {
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
}

/// A mailbox's domain; what stands before it may tell cases apart (RFC 5321 §2.4).
void make_domain_lower(std::string& mailbox) {
  std::string domain = mailbox.substr(mailbox.rfind('@') + 1);
  make_lower(domain);
  mailbox.replace(mailbox.size() - domain.size(), domain.size(), domain);
}

void make_comparable(Route& route) {
  make_lower(route.match);
  make_lower(route.mx);
  make_lower(route.host);
  make_lower(route.helo);
  make_domain_lower(route.sender);
  if (const auto address = parse_listen_address(route.listener, kListenPort)) {
    route.listener = address->text();
  }
  for (Upstream& upstream : route.upstreams) {
    make_lower(upstream.host);
  }
}

Config read(const YAML::Node& root, Findings& findings) {
  Config config;
  if (!root.IsNull()) {
    Reader(findings, "", root).read(config);
  }
  make_lower(config.hostname);
  for (Route& route : config.routes) {
    make_comparable(route);
  }
  make_lower(config.delivery.helo);
  for (ReplyRule& rule : config.delivery.reply_rules) {
    make_lower(rule.host);
  }
  for (Listener& listener : config.listen) {
    for (SenderRewrite& rewrite : listener.rewrite_senders) {
      make_lower(rewrite.match);
      make_domain_lower(rewrite.to);
    }
  }
  make_domain_lower(config.reports.contact);
  make_domain_lower(config.reports.from);
  make_domain_lower(config.notices.postmaster);
  for (ReportKey& key : config.reports.dkim) {
    make_lower(key.domain);
    make_lower(key.selector);
  }
  if (config.staging) {
    make_lower(config.staging->confirm);
    make_domain_lower(config.staging->redirect_to);
    for (StagingFault& fault : config.staging->faults) {
      make_lower(fault.recipient);
    }
  }
  for (ReportKey& key : config.dkim) {
    make_lower(key.domain);
    make_lower(key.selector);
  }
  if (config.control.socket.empty()) {
    config.control.socket = default_socket(config.queue);
  }
  if (!findings.any()) {
    check(config, findings);
  }
  return config;
}

tl::unexpected<std::vector<ConfigError>> refuse(ConfigError error) {
  return tl::unexpected(std::vector<ConfigError>{std::move(error)});
}

/// What read(root, findings) makes of the one document that the text holds.
template <class Read>
auto read_document(std::string_view yaml, const Read& read, Findings findings = {})
    -> tl::expected<std::invoke_result_t<Read, const YAML::Node&, Findings&>,
                    std::vector<ConfigError>> {
  if (auto fault = text_fault(yaml)) {
    return refuse(std::move(*fault));
  }
  try {
    if (const auto line = line_of_second_document(yaml)) {
      return refuse({*line, "",
                     "is not part of the document that ends before; is \"---\" or a "
                     "bracket or quote too much?"});
    }
    auto value = read(YAML::Load(std::string(yaml)), findings);
    if (findings.any()) {
      return tl::unexpected(findings.take_errors());
    }
    return value;
  } catch (const YAML::Exception& fault) {
    return refuse(malformed(fault, yaml));
  } catch (const std::exception& fault) {
    return refuse({0, "", fmt::format("cannot be read: {}", fault.what())});
  }
}

Preload read_preload(const YAML::Node& root, Findings& findings) {
  Preload preload;
  if (!root.IsNull()) {
    Reader(findings, "", root).read_map(preload, {ByDomain::Wildcards::refused, "mx"});
  }
  for (const auto& [domain, entry] : preload) {
    if (entry.mx.empty() && !findings.any()) {
      findings.fail(domain, "has no mx; name the hosts that receive its mail");
    }
  }
  return preload;
}

}  // namespace

tl::expected<Config, std::vector<ConfigError>> parse(std::string_view yaml) {
  return read_document(yaml, read);
}

tl::expected<Config, std::vector<ConfigError>> parse(std::string_view yaml,
                                                     const Environment& environment) {
  return read_document(yaml, read, Findings(environment));
}

tl::expected<Preload, std::vector<ConfigError>> parse_preload(std::string_view yaml) {
  return read_document(yaml, read_preload);
}

std::size_t line_of(std::string_view yaml, const std::string& key) {
  const auto line = read_document(yaml, [&key](const YAML::Node& root, Findings& /*findings*/) {
    Findings lines;
    static_cast<void>(read(root, lines));
    return lines.line_of(key);
  });
  return line.value_or(0);
}

std::vector<ConfigError> warnings(std::string_view yaml, Moment now) {
  const auto over = [now](const YAML::Node& root, Findings& findings) {
    Findings errors;  // parse() reports them
    const TlsPolicy policy = read(root, errors).tls_policy;
    for (const auto& [domain, rule] : policy.domains) {
      if (rule.until && *rule.until <= now) {
        const std::string key = fmt::format("tls_policy.domains.{}.until", domain);
        findings.fail(errors.line_of(key), key,
                      fmt::format("{} is over, the rule is as if it were not there; remove it",
                                  to_text(*rule.until)));
      }
    }
    return policy.domains.size();
  };
  const auto read_again = read_document(yaml, over);
  return read_again ? std::vector<ConfigError>{} : read_again.error();
}

}  // namespace conf
