#include "conf/reader.h"

#include <algorithm>
#include <iterator>
#include <ranges>

#include "conf/names.h"

namespace conf {
namespace {

std::size_t line_of(const YAML::Node& node, std::size_t otherwise) {
  const YAML::Mark mark = node.Mark();
  return mark.is_null() ? otherwise : static_cast<std::size_t>(mark.line) + 1;
}

constexpr std::string_view kDurations = "write for example 30s, 5m, 4h or 4d";
constexpr std::string_view kSizes = "write octets, or for example 64KiB, 25MiB or 1GiB";

std::string address_expectation(std::uint16_t default_port) {
  return fmt::format(
      "is no IP address with a port; write for example 192.0.2.1:{0} or \"[2001:db8::1]:{0}\" "
      "(port {0} may be left out)",
      default_port);
}

}  // namespace

Reader::Reader(Findings& findings, std::string path, const YAML::Node& node)
    : findings_(findings), path_(std::move(path)) {
  if (!node.IsMap()) {
    findings_.fail(line_of(node, findings_.line_of(path_)), path_,
                   "must hold \"key: value\" lines");
    return;
  }
  for (const auto& pair : node) {
    add_entry(pair.first, pair.second);
  }
}

void Reader::add_entry(const YAML::Node& key, const YAML::Node& node) {
  const std::size_t line = line_of(key, findings_.line_of(path_));
  if (!key.IsScalar()) {
    findings_.fail(line, path_, "a key must be a plain word");
    return;
  }
  const auto [entry, added] = entries_.try_emplace(key.Scalar(), Entry{node, line});
  if (!added) {
    findings_.fail(
        line, path_of(key.Scalar()),
        fmt::format("is given twice (first on line {}); remove one", entry->second.line));
    return;
  }
  findings_.note_line(path_of(key.Scalar()), line);
}

std::string Reader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

const Reader::Entry* Reader::find(const char* key) {
  known_.emplace_back(key);
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

std::optional<Reader::Scalar> Reader::as_scalar(std::string path, std::size_t line,
                                                const YAML::Node& node) {
  if (node.IsScalar() && findings_.environment() == nullptr) {
    return Scalar{std::move(path), line, node.Scalar()};
  }
  if (node.IsScalar()) {
    auto text = filled_in(node.Scalar(), *findings_.environment());
    if (!text) {
      findings_.fail(line, std::move(path), std::move(text.error()));
      return std::nullopt;
    }
    return Scalar{std::move(path), line, std::move(*text)};
  }
  findings_.fail(line, std::move(path),
                 node.IsNull() ? "has no value; give one or remove the line"
                               : "must be a single value, not a list or a section");
  return std::nullopt;
}

std::optional<Reader::Scalar> Reader::scalar(const char* key) {
  const Entry* const entry = find(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  return as_scalar(path_of(key), line_of(entry->node, entry->line), entry->node);
}

std::optional<std::uint64_t> Reader::number(const char* key, const Number& rule) {
  const auto read = scalar(key);
  if (!read) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  const char* const end = read->text.data() + read->text.size();
  const auto [stop, fault] = std::from_chars(read->text.data(), end, value);
  if (fault != std::errc() || stop != end || value < rule.min || value > rule.max) {
    findings_.fail(
        read->line, read->path,
        fmt::format("\"{}\" is no whole number from {} to {}", read->text, rule.min, rule.max));
    return std::nullopt;
  }
  return value;
}

std::optional<std::size_t> Reader::choice(const char* key, const std::string_view* names,
                                          std::size_t count) {
  const auto read = scalar(key);
  if (!read) {
    return std::nullopt;
  }
  const auto* const found = std::find(names, names + count, read->text);
  if (found == names + count) {
    findings_.fail(read->line, read->path,
                   fmt::format("\"{}\" is not known; write one of {}", read->text,
                               fmt::join(names, names + count, ", ")));
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - names);
}

void Reader::value(const char* key, bool& target, const Flag& /*rule*/) {
  const auto read = scalar(key);
  if (!read) {
    return;
  }
  if (read->text != "true" && read->text != "false") {
    findings_.fail(read->line, read->path,
                   fmt::format("\"{}\" is neither true nor false", read->text));
    return;
  }
  target = read->text == "true";
}

void Reader::value(const char* key, std::uint64_t& target, const Octets& rule) {
  const auto read = scalar(key);
  if (!read) {
    return;
  }
  const auto size = parse_size(read->text);
  if (!size) {
    findings_.fail(read->line, read->path,
                   fmt::format("\"{}\" is no size; {}", read->text, kSizes));
  } else if (*size < rule.min || *size > rule.max) {
    findings_.fail(read->line, read->path,
                   fmt::format("\"{}\" is not between {} and {}", read->text,
                               size_to_text(rule.min), size_to_text(rule.max)));
  } else {
    target = *size;
  }
}

void Reader::value(const char* key, Duration& target, const Wait& rule) {
  const auto read = scalar(key);
  if (!read) {
    return;
  }
  const auto duration = parse_duration(read->text);
  if (!duration) {
    findings_.fail(read->line, read->path,
                   fmt::format("\"{}\" is no duration; {}", read->text, kDurations));
  } else if (*duration < rule.min || *duration > rule.max) {
    findings_.fail(read->line, read->path,
                   fmt::format("\"{}\" is not between {} and {}", read->text, to_text(rule.min),
                               to_text(rule.max)));
  } else {
    target = *duration;
  }
}

std::optional<std::vector<Reader::Scalar>> Reader::scalars(const char* key) {
  const Entry* const entry = find(key);
  if (entry == nullptr || entry->node.IsNull()) {
    return std::nullopt;
  }
  if (!entry->node.IsSequence()) {
    findings_.fail(entry->line, path_of(key), "must be a list: [first, second], also for one item");
    return std::nullopt;
  }
  std::vector<Scalar> items;
  for (std::size_t i = 0; i < entry->node.size(); ++i) {
    const YAML::Node item = entry->node[i];
    if (auto read =
            as_scalar(fmt::format("{}[{}]", path_of(key), i), line_of(item, entry->line), item)) {
      items.push_back(std::move(*read));
    }
  }
  return items;
}

template <class T, class Parse>
void Reader::read_list(const char* key, std::vector<T>& target, const Parse& parse,
                       std::string_view expectation) {
  const auto items = scalars(key);
  if (!items) {
    return;
  }
  target.clear();
  for (const Scalar& item : *items) {
    findings_.note_line(item.path, item.line);
    if (auto parsed = parse(item.text)) {
      target.push_back(std::move(*parsed));
    } else {
      findings_.fail(item.line, item.path, fmt::format("\"{}\" {}", item.text, expectation));
    }
  }
}

void Reader::value(const char* key, std::vector<Duration>& target, const WaitList& rule) {
  std::vector<Duration> waits = target;
  const auto parse = [&rule](std::string_view text) {
    const auto wait = parse_duration(text);
    return wait && *wait <= rule.max ? wait : std::nullopt;
  };
  const std::size_t errors = findings_.count();
  read_list(key, waits, parse,
            fmt::format("is no duration up to {}; {}", to_text(rule.max), kDurations));
  if (findings_.count() > errors) {
    return;
  }
  const bool may_be_empty = rule.empty == WaitList::Empty::allowed;
  if (waits.empty() ? !may_be_empty : waits.back() < rule.min_last) {
    findings_.fail(path_of(key),
                   fmt::format("must end with a wait of at least {}, because the last one repeats",
                               to_text(rule.min_last)));
    return;
  }
  target = std::move(waits);
}

void Reader::value(const char* key, std::string& target, const Text& rule) {
  auto read = scalar(key);
  if (!read) {
    return;
  }
  if (auto fault = fault_of(rule.kind, read->text)) {
    findings_.fail(read->line, read->path, std::move(*fault));
    return;
  }
  target = std::move(read->text);
}

void Reader::value(const char* key, std::optional<std::string>& target, const Text& rule) {
  auto read = target.value_or("");
  const std::size_t errors = findings_.count();
  value(key, read, rule);
  if (entries_.contains(key) && findings_.count() == errors) {
    target = std::move(read);
  }
}

void Reader::value(const char* key, AddressLiteral& target, const Address& rule) {
  const auto read = scalar(key);
  if (!read) {
    return;
  }
  if (auto address = parse_address(read->text, rule.default_port)) {
    target = std::move(*address);
  } else {
    findings_.fail(read->line, read->path,
                   fmt::format("\"{}\" {}", read->text, address_expectation(rule.default_port)));
  }
}

void Reader::value(const char* key, std::vector<AddressLiteral>& target, const AddressList& rule) {
  const auto parse = [&rule](std::string_view text) {
    return parse_address(text, rule.default_port);
  };
  read_list(key, target, parse, address_expectation(rule.default_port));
}

void Reader::value(const char* key, std::vector<Network>& target, const NetworkList& /*rule*/) {
  read_list(key, target, Network::parse,
            "is no network; write for example 192.0.2.0/24, 2001:db8::/32 or one address "
            "(bits after the prefix must be zero)");
}

const Reader::Entry* Reader::mapping(const char* key) {
  const Entry* const entry = find(key);
  return entry == nullptr || entry->node.IsNull() ? nullptr : entry;
}

std::optional<std::vector<Reader::Entry>> Reader::mappings(const char* key) {
  const Entry* const entry = mapping(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  if (!entry->node.IsSequence()) {
    findings_.fail(entry->line, path_of(key), "must be a list; begin each entry with \"- \"");
    return std::nullopt;
  }
  std::vector<Entry> items;
  for (std::size_t i = 0; i < entry->node.size(); ++i) {
    const YAML::Node item = entry->node[i];
    items.push_back({item, line_of(item, entry->line)});
  }
  return items;
}

void Reader::report_unknown_keys() {
  for (const auto& [key, entry] : entries_) {
    if (std::ranges::find(known_, key) != known_.end()) {
      continue;
    }
    const auto meant = nearest(key, known_);
    findings_.fail(entry.line, path_of(key),
                   meant ? fmt::format("is no setting; did you mean \"{}\"?", *meant)
                         : fmt::format("is no setting; known here: {}", fmt::join(known_, ", ")));
  }
}

}  // namespace conf
