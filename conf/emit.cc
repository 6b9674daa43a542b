#include <yaml-cpp/yaml.h>

#include "conf/config.h"
#include "conf/schema.h"

namespace conf {
namespace {

/// The visitor of conf/schema.h that writes.
class Writer {
 public:
  template <std::integral T>
  void value(const char* key, T& value, const Number& /*rule*/) {
    begin(key) << static_cast<std::uint64_t>(value);
  }
  template <class Enum, std::size_t N>
  void value(const char* key, Enum& value, const Choice<N>& rule) {
    begin(key) << std::string(rule.names.at(static_cast<std::size_t>(value)));
  }
  void value(const char* key, const bool& value, const Flag& /*rule*/) { begin(key) << value; }
  void value(const char* key, const std::uint64_t& octets, const Octets& /*rule*/) {
    begin(key) << size_to_text(octets);
  }
  void value(const char* key, const Duration& duration, const Wait& /*rule*/) {
    begin(key) << to_text(duration);
  }
  void value(const char* key, const std::vector<Duration>& durations, const WaitList& /*rule*/) {
    list_of(key, durations, [](Duration duration) { return to_text(duration); });
  }
  void value(const char* key, const std::string& text, const Text& /*rule*/) {
    begin(key) << YAML::DoubleQuoted << text;
  }
  void value(const char* key, const AddressLiteral& address, const Address& /*rule*/) {
    begin(key) << address.text();
  }
  void value(const char* key, const ListenAddress& address, const ListenPlace& /*rule*/) {
    begin(key) << address.text();
  }
  void value(const char* key, const std::vector<AddressLiteral>& addresses,
             const AddressList& /*rule*/) {
    list_of(key, addresses, [](const AddressLiteral& address) { return address.text(); });
  }
  void value(const char* key, const std::vector<Network>& networks, const NetworkList& /*rule*/) {
    list_of(key, networks, [](const Network& network) { return network.text(); });
  }
  template <class Enum, std::size_t N>
  void value(const char* key, std::optional<Enum>& value, const Choice<N>& rule) {
    if (value) {
      this->value(key, *value, rule);
    }
  }
  template <std::integral T>
  void value(const char* key, std::optional<T>& value, const Number& rule) {
    if (value) {
      this->value(key, *value, rule);
    }
  }
  void value(const char* key, const std::optional<std::string>& text, const Text& rule) {
    if (text) {
      value(key, *text, rule);
    }
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const FingerprintList& /*rule*/) {
    list_of(key, texts, [](const std::string& text) { return text; });
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const MxPatternList& /*rule*/) {
    list_of(key, texts, [](const std::string& text) { return text; });
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const ReportUriList& /*rule*/) {
    list_of(key, texts, [](const std::string& text) { return text; });
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const CertificateList& /*rule*/) {
    list_of(key, texts, [](const std::string& text) { return text; });
  }
  void value(const char* key, const std::vector<std::string>& texts, const PatternList& /*rule*/) {
    list_of(key, texts, [](const std::string& text) { return text; });
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const AddressPatternList& /*rule*/) {
    list_of(key, texts, [](const std::string& text) { return text; });
  }
  void value(const char* key, const std::vector<std::string>& texts, const UserNameList& /*rule*/) {
    list_of(key, texts, [](const std::string& text) { return text; });
  }
  void value(const char* key, const std::optional<Moment>& moment, const UntilMoment& /*rule*/) {
    if (moment) {
      begin(key) << to_text(*moment);
    }
  }
  template <class Section>
  void section(const char* key, Section& section) {
    begin(key);
    map(section);
  }
  template <class Section>
  void optional_section(const char* key, std::optional<Section>& present) {
    if (present) {
      section(key, *present);
    }
  }
  template <class Section>
  void list(const char* key, std::vector<Section>& sections) {
    begin(key) << (sections.empty() ? YAML::Flow : YAML::Block) << YAML::BeginSeq;
    for (Section& section : sections) {
      map(section);
    }
    out_ << YAML::EndSeq;
  }
  template <class Section>
  void map(const char* key, std::map<std::string, Section>& sections, const ByDomain& /*rule*/) {
    begin(key) << (sections.empty() ? YAML::Flow : YAML::Block) << YAML::BeginMap;
    for (auto& [name, section] : sections) {
      begin(name.c_str());
      map(section);
    }
    out_ << YAML::EndMap;
  }
  template <class Section>
  void map(Section& section) {
    out_ << YAML::BeginMap;
    visit(*this, section);
    out_ << YAML::EndMap;
  }

  [[nodiscard]] std::string text() const { return std::string(out_.c_str()) + "\n"; }

 private:
  YAML::Emitter& begin(const char* key) {
    return out_ << YAML::Key << std::string(key) << YAML::Value;
  }
  template <class T, class ToText>
  void list_of(const char* key, const std::vector<T>& items, const ToText& to_text) {
    begin(key) << YAML::Flow << YAML::BeginSeq;
    for (const T& item : items) {
      const std::string text = to_text(item);
      // YAML 1.1 readers take a leading colon within [ ] for a key's end.
      out_ << (text.starts_with(':') ? YAML::DoubleQuoted : YAML::Auto) << text;
    }
    out_ << YAML::EndSeq;
  }

  YAML::Emitter out_;
};

}  // namespace

std::string to_yaml(const Config& config) {
  Writer writer;
  Config copy = config;  // the lists of settings are written for reading, too, and so not const
  writer.map(copy);
  return writer.text();
}

}  // namespace conf
