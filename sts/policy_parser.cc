// One pass over the lines of a policy body, bounded by its size (RFC 8461 §3.2).
#include <algorithm>
#include <array>
#include <cstdint>

#include "sts/policy.h"
#include "sts/text.h"

namespace sts {
namespace {

constexpr std::size_t kMaxDiagnostics = 100;
constexpr std::size_t kMaxAgeDigits = 10;
constexpr std::chrono::seconds kMaxAge{31557600};

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

std::string_view trim_end(std::string_view text) {
  while (!text.empty() && is_blank(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

std::string_view trim_start(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) {
    text.remove_prefix(1);
  }
  return text;
}

bool is_extension_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxExtensionName && is_alnum(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alnum(c) || c == '_' || c == '-' || c == '.'; });
}

// The octets that may follow a leading octet of UTF-8-2, -3 and -4 (RFC 3629 §4).
struct Utf8Form {
  std::uint8_t lead_from, lead_to, second_from, second_to;
  std::size_t length;
};
constexpr std::array<Utf8Form, 8> kUtf8Forms = {{{0xC2, 0xDF, 0x80, 0xBF, 2},
                                                 {0xE0, 0xE0, 0xA0, 0xBF, 3},
                                                 {0xE1, 0xEC, 0x80, 0xBF, 3},
                                                 {0xED, 0xED, 0x80, 0x9F, 3},
                                                 {0xEE, 0xEF, 0x80, 0xBF, 3},
                                                 {0xF0, 0xF0, 0x90, 0xBF, 4},
                                                 {0xF1, 0xF3, 0x80, 0xBF, 4},
                                                 {0xF4, 0xF4, 0x80, 0x8F, 4}}};

// Length of the multi-octet UTF-8 character that text begins with; 0: it begins with none.
std::size_t utf8_length(std::string_view text) {
  const auto octet = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const auto* const form = std::find_if(
      kUtf8Forms.begin(), kUtf8Forms.end(),
      [&](const Utf8Form& each) { return octet(0) >= each.lead_from && octet(0) <= each.lead_to; });
  if (form == kUtf8Forms.end() || text.size() < form->length || octet(1) < form->second_from ||
      octet(1) > form->second_to) {
    return 0;
  }
  for (std::size_t i = 2; i < form->length; ++i) {
    if (octet(i) < 0x80 || octet(i) > 0xBF) {
      return 0;
    }
  }
  return form->length;
}

// sts-policy-ext-value without its outer blanks: printable ASCII, inner spaces, UTF-8.
bool is_extension_text(std::string_view value) {
  while (!value.empty()) {
    const bool printable = value.front() >= ' ' && value.front() <= '~';
    const std::size_t length = printable ? 1 : utf8_length(value);
    if (length == 0) {
      return false;
    }
    value.remove_prefix(length);
  }
  return true;
}

std::optional<Mode> parse_mode(std::string_view value) {
  for (const Mode mode : {Mode::enforce, Mode::testing, Mode::none}) {
    if (value == name(mode)) {
      return mode;
    }
  }
  return std::nullopt;
}

std::optional<std::chrono::seconds> parse_max_age(std::string_view value) {
  if (value.empty() || value.size() > kMaxAgeDigits ||
      !std::all_of(value.begin(), value.end(), is_digit)) {
    return std::nullopt;
  }
  std::int64_t seconds = 0;
  for (const char c : value) {
    seconds = seconds * 10 + (c - '0');
  }
  return std::chrono::seconds{seconds};
}

std::string quoted(std::string_view value) {
  constexpr std::size_t kShown = 80;
  std::string text = "'";
  for (const char c : value.substr(0, kShown)) {
    text += c >= ' ' && c <= '~' ? c : '?';
  }
  return text + (value.size() > kShown ? "...'" : "'");
}

class Parser {
 public:
  Parser(Strictness strictness, const ToAscii& to_ascii)
      : strictness_(strictness), to_ascii_(to_ascii) {}

  ParsedPolicy parse(std::string_view body);

 private:
  void parse_line(std::string_view line);
  void parse_field(std::string_view name, std::string_view value);
  void on_version(std::string_view value);
  void on_mode(std::string_view value);
  void on_max_age(std::string_view value);
  void on_mx(std::string_view value);
  void on_extension(std::string_view name, std::string_view value);
  std::optional<MxPattern> repaired_mx(std::string_view value);
  void finish();

  void fatal(std::string_view code, std::string message) {
    valid_ = false;
    note(Severity::fatal, code, std::move(message));
  }
  // A fault that leaves the meaning beyond doubt: costs the policy at the strict level only.
  void tolerable(std::string_view code, std::string message) {
    if (strictness_ == Strictness::strict) {
      fatal(code, std::move(message));
    } else {
      note(Severity::tolerated, code, std::move(message));
    }
  }
  void note(Severity severity, std::string_view code, std::string message) {
    // Bounded for a body of 65,536 empty lines; the first fatal one always finds room.
    const bool first_fatal = severity == Severity::fatal && !has_fatal_;
    if (diagnostics_.size() < kMaxDiagnostics || first_fatal) {
      diagnostics_.push_back({std::string{code}, line_, std::move(message), severity});
    }
    has_fatal_ = has_fatal_ || severity == Severity::fatal;
  }
  // RFC 8461 §3.2: of a repeated field other than mx the first one counts, whatever the later
  // ones say; or an appended line could weaken the policy.
  bool repeated(bool& seen, std::string_view name) {
    if (seen) {
      note(Severity::tolerated, "duplicate-field",
           "The field " + std::string{name} + " is given again; the first one counts.");
      return true;
    }
    seen = true;
    return false;
  }

  Strictness strictness_;
  const ToAscii& to_ascii_;
  std::size_t line_ = 0;
  bool valid_ = true;
  bool has_fatal_ = false;
  bool version_seen_ = false;
  bool mode_seen_ = false;
  bool max_age_seen_ = false;
  bool mx_seen_ = false;
  Policy policy_;
  std::vector<Diagnostic> diagnostics_;
};

ParsedPolicy Parser::parse(std::string_view body) {
  policy_.body = body;
  if (body.size() > kMaxBody) {
    // A cut body must never be judged: what is missing may be mx lines.
    policy_.body.clear();
    fatal("policy-too-large", "The body is larger than 64 KiB.");
    return {std::nullopt, std::move(diagnostics_)};
  }
  if (body.empty()) {
    fatal("empty-body", "The body is empty.");
    return {std::nullopt, std::move(diagnostics_)};
  }
  if (body.starts_with(kByteOrderMark)) {
    line_ = 1;
    tolerable("byte-order-mark", "The body begins with a UTF-8 byte order mark.");
    body.remove_prefix(kByteOrderMark.size());
    line_ = 0;
  }
  while (!body.empty()) {
    ++line_;
    const auto end = body.find('\n');
    std::string_view line = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    // A CR is part of a line end only before LF.
    if (end != std::string_view::npos && line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    parse_line(trim_end(line));
  }
  finish();
  ParsedPolicy parsed{std::nullopt, std::move(diagnostics_)};
  if (valid_) {
    parsed.policy = std::move(policy_);
  }
  return parsed;
}

void Parser::parse_line(std::string_view line) {
  if (line.empty()) {
    return tolerable("empty-line", "The line is empty.");
  }
  if (is_blank(line.front())) {
    return fatal("leading-blank", "The line begins with a blank.");
  }
  if (line.front() == '<') {
    return fatal("html", "The line looks like HTML; the host seems to serve a web page here.");
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) {
    return fatal("no-colon", "The line " + quoted(line) + " is no 'name: value' pair.");
  }
  parse_field(line.substr(0, colon), trim_start(line.substr(colon + 1)));
}

void Parser::parse_field(std::string_view name, std::string_view value) {
  using Setter = void (Parser::*)(std::string_view);
  struct KnownField {
    std::string_view name;
    Setter set;
  };
  static constexpr std::array<KnownField, 4> kFields = {{{"version", &Parser::on_version},
                                                         {"mode", &Parser::on_mode},
                                                         {"max_age", &Parser::on_max_age},
                                                         {"mx", &Parser::on_mx}}};
  const std::string_view bare = trim_end(name);
  const auto* const known = std::find_if(kFields.begin(), kFields.end(),
                                         [&](const auto& field) { return field.name == bare; });
  if (known == kFields.end()) {
    return on_extension(name, value);
  }
  if (bare.size() != name.size()) {
    return fatal("blank-before-colon",
                 "There is a blank between " + std::string{bare} + " and its colon.");
  }
  (this->*known->set)(value);
}

void Parser::on_version(std::string_view value) {
  if (!repeated(version_seen_, "version") && value != "STSv1") {
    fatal("bad-version", "The version is " + quoted(value) + " and not 'STSv1'.");
  }
}

void Parser::on_mode(std::string_view value) {
  if (repeated(mode_seen_, "mode")) {
    return;
  }
  const auto mode = parse_mode(value);
  if (!mode) {
    return fatal("bad-mode",
                 "The mode is " + quoted(value) + " and not 'enforce', 'testing' or 'none'.");
  }
  policy_.mode = *mode;
}

void Parser::on_max_age(std::string_view value) {
  if (repeated(max_age_seen_, "max_age")) {
    return;
  }
  const auto max_age = parse_max_age(value);
  if (!max_age) {
    return fatal("bad-max-age",
                 "max_age is " + quoted(value) + " and not a number of one to ten digits.");
  }
  policy_.max_age = std::min(*max_age, kMaxAge);
  if (*max_age > kMaxAge) {
    tolerable("max-age-too-large", "max_age is above 31557600 seconds (one year).");
  }
}

void Parser::on_mx(std::string_view value) {
  mx_seen_ = true;
  auto pattern = MxPattern::parse(value);
  if (!pattern) {
    pattern = repaired_mx(value);
  }
  if (pattern) {
    policy_.mx.push_back(std::move(*pattern));
  } else {
    tolerable("bad-mx", "The mx value " + quoted(value) + " is no host name or '*.' and a name.");
  }
}

// The two spellings whose meaning is plain: a name with its trailing dot, a name in U-labels.
std::optional<MxPattern> Parser::repaired_mx(std::string_view value) {
  const bool dot = value.ends_with('.');
  const bool unicode = !std::all_of(value.begin(), value.end(), is_ascii);
  std::string_view name = value;
  name.remove_suffix(dot ? 1 : 0);
  std::string text{name};
  if (unicode && to_ascii_) {
    const bool wildcard = name.starts_with("*.");
    name.remove_prefix(wildcard ? 2 : 0);
    text = (wildcard ? "*." : "") + to_ascii_(name).value_or("");
  }
  auto pattern = MxPattern::parse(text);
  if (pattern && dot) {
    tolerable("trailing-dot", "The mx value " + quoted(value) + " ends with a dot.");
  }
  if (pattern && unicode) {
    tolerable("u-label", "The mx value " + quoted(value) + " is not in A-labels (xn--).");
  }
  return pattern;
}

void Parser::on_extension(std::string_view name, std::string_view value) {
  if (!is_extension_name(name)) {
    tolerable("bad-field-name", quoted(name) + " is no field name.");
  } else if (value.empty()) {
    tolerable("empty-value", "The field " + quoted(name) + " has no value.");
  } else if (!is_extension_text(value)) {
    tolerable("bad-field-value",
              "The value of " + quoted(name) + " holds control characters or no UTF-8.");
  }
}

void Parser::finish() {
  line_ = 0;
  if (!version_seen_) {
    fatal("no-version", "There is no version field.");
  }
  if (!mode_seen_) {
    fatal("no-mode", "There is no mode field.");
  }
  if (!max_age_seen_) {
    fatal("no-max-age", "There is no max_age field.");
  }
  if (policy_.mx.empty() && mode_seen_ && policy_.mode != Mode::none) {
    if (mx_seen_) {
      fatal("no-usable-mx", "None of the mx values is a host name.");
    } else {
      fatal("no-mx", "There is no mx field.");
    }
  }
}

}  // namespace

ParsedPolicy parse_policy(std::string_view body, Strictness strictness, const ToAscii& to_ascii) {
  return Parser{strictness, to_ascii}.parse(body);
}

}  // namespace sts
