// Reads one YAML mapping into one struct by the lists of conf/schema.h, noting every error.
#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "conf/findings.h"
#include "conf/schema.h"

namespace conf {

class Reader {
 public:
  /// path: the key of the mapping, "" for the whole file. A node that is no mapping is an error.
  Reader(Findings& findings, std::string path, const YAML::Node& node);

  /// Reads all of target and reports keys that it does not have.
  template <class Section>
  void read(Section& target) {
    visit(*this, target);
    report_unknown_keys();
  }

  // The visitor of conf/schema.h. A setting that is absent or wrong leaves its member as it is.
  template <std::integral T>
  void value(const char* key, T& target, const Number& rule);
  template <class Enum, std::size_t N>
  void value(const char* key, Enum& target, const Choice<N>& rule);
  void value(const char* key, bool& target, const Flag& rule);
  void value(const char* key, std::uint64_t& target, const Octets& rule);
  void value(const char* key, Duration& target, const Wait& rule);
  void value(const char* key, std::vector<Duration>& target, const WaitList& rule);
  void value(const char* key, std::string& target, const Text& rule);
  void value(const char* key, AddressLiteral& target, const Address& rule);
  void value(const char* key, std::vector<AddressLiteral>& target, const AddressList& rule);
  void value(const char* key, ListenAddress& target, const ListenPlace& rule);
  void value(const char* key, std::vector<Network>& target, const NetworkList& rule);
  template <class Enum, std::size_t N>
  void value(const char* key, std::optional<Enum>& target, const Choice<N>& rule);
  template <std::integral T>
  void value(const char* key, std::optional<T>& target, const Number& rule);
  void value(const char* key, std::optional<std::string>& target, const Text& rule);
  void value(const char* key, std::vector<std::string>& target, const FingerprintList& rule);
  void value(const char* key, std::vector<std::string>& target, const MxPatternList& rule);
  void value(const char* key, std::vector<std::string>& target, const ReportUriList& rule);
  void value(const char* key, std::vector<std::string>& target, const CertificateList& rule);
  void value(const char* key, std::vector<std::string>& target, const PatternList& rule);
  void value(const char* key, std::vector<std::string>& target, const AddressPatternList& rule);
  void value(const char* key, std::vector<std::string>& target, const UserNameList& rule);
  void value(const char* key, std::optional<Moment>& target, const UntilMoment& rule);
  template <class Section>
  void section(const char* key, Section& target);
  template <class Section>
  void optional_section(const char* key, std::optional<Section>& target);
  template <class Section>
  void list(const char* key, std::vector<Section>& target);
  template <class Section>
  void map(const char* key, std::map<std::string, Section>& target, const ByDomain& rule);
  /// As map(), where the whole mapping is one.
  template <class Section>
  void read_map(std::map<std::string, Section>& target, const ByDomain& rule);

 private:
  struct Entry {
    YAML::Node node;
    std::size_t line = 0;
  };
  /// One scalar with its place, wherever it stands.
  struct Scalar {
    std::string path;
    std::size_t line;
    std::string text;
  };

  void add_entry(const YAML::Node& key, const YAML::Node& node);
  [[nodiscard]] std::string path_of(std::string_view key) const;
  /// The entry of a key, if it is there; notes that the key is known.
  const Entry* find(const char* key);
  std::optional<Scalar> scalar(const char* key);
  std::optional<Scalar> as_scalar(std::string path, std::size_t line, const YAML::Node& node);
  std::optional<std::uint64_t> number(const char* key, const Number& rule);
  std::optional<std::size_t> choice(const char* key, const std::string_view* names,
                                    std::size_t count);
  /// The items of a list of scalars, if the key is there and holds a list.
  std::optional<std::vector<Scalar>> scalars(const char* key);
  /// The items of a list of mappings; the default stays where there is none.
  std::optional<std::vector<Entry>> mappings(const char* key);
  /// The key of an entry in the form that is looked for, if it is a domain.
  std::optional<std::string> domain_key(const std::string& key, const Entry& entry,
                                        const ByDomain& rule);
  /// The mapping that an entry holds or, being a list, stands for.
  static YAML::Node section_of(const Entry& entry, const ByDomain& rule);
  void read_texts(const char* key, std::vector<std::string>& target,
                  std::optional<std::string> (*parse)(std::string_view),
                  std::string_view expectation);
  /// The mapping of a section; absent and empty are the same.
  const Entry* mapping(const char* key);
  template <class T, class Parse>
  void read_list(const char* key, std::vector<T>& target, const Parse& parse,
                 std::string_view expectation);
  void report_unknown_keys();

  Findings& findings_;
  std::string path_;
  std::map<std::string, Entry> entries_;
  std::vector<std::string> known_;
};

template <std::integral T>
void Reader::value(const char* key, T& target, const Number& rule) {
  if (const auto read = number(key, rule)) {
    target = static_cast<T>(*read);
  }
}

template <class Enum, std::size_t N>
void Reader::value(const char* key, Enum& target, const Choice<N>& rule) {
  if (const auto index = choice(key, rule.names.data(), N)) {
    target = static_cast<Enum>(*index);
  }
}

template <class Enum, std::size_t N>
void Reader::value(const char* key, std::optional<Enum>& target, const Choice<N>& rule) {
  if (const auto index = choice(key, rule.names.data(), N)) {
    target = static_cast<Enum>(*index);
  }
}

template <std::integral T>
void Reader::value(const char* key, std::optional<T>& target, const Number& rule) {
  if (const auto read = number(key, rule)) {
    target = static_cast<T>(*read);
  }
}

template <class Section>
void Reader::map(const char* key, std::map<std::string, Section>& target, const ByDomain& rule) {
  if (const Entry* const entry = mapping(key)) {
    Reader(findings_, path_of(key), entry->node).read_map(target, rule);
  }
}

template <class Section>
void Reader::read_map(std::map<std::string, Section>& target, const ByDomain& rule) {
  std::map<std::string, std::size_t> lines;
  for (const auto& [key, entry] : entries_) {
    const auto domain = domain_key(key, entry, rule);
    if (!domain) {
      continue;
    }
    const std::string path = path_of(*domain);
    const auto [given, added] = lines.emplace(*domain, entry.line);
    if (!added) {
      const auto [first, second] = std::minmax({entry.line, given->second});
      findings_.fail(second, path,
                     fmt::format("is given twice (first on line {}); remove one", first));
    } else if (entry.node.IsNull()) {
      findings_.fail(entry.line, path, "has no value; give one or remove the line");
    } else {
      findings_.note_line(path, entry.line);
      Reader(findings_, path, section_of(entry, rule)).read(target[*domain]);
    }
  }
}

template <class Section>
void Reader::section(const char* key, Section& target) {
  if (const Entry* const entry = mapping(key)) {
    Reader(findings_, path_of(key), entry->node).read(target);
  }
}

template <class Section>
void Reader::optional_section(const char* key, std::optional<Section>& target) {
  if (const Entry* const entry = mapping(key)) {
    target.emplace();
    Reader(findings_, path_of(key), entry->node).read(*target);
  }
}

template <class Section>
void Reader::list(const char* key, std::vector<Section>& target) {
  const auto items = mappings(key);
  if (!items) {
    return;
  }
  target.clear();
  for (const Entry& item : *items) {
    const std::string path = fmt::format("{}[{}]", path_of(key), target.size());
    findings_.note_line(path, item.line);
    Reader(findings_, path, item.node).read(target.emplace_back());
  }
}

}  // namespace conf
