#include "relay/cli/config_json.h"

#include <concepts>

#include "conf/schema.h"

namespace relay::cli {
namespace {

using Json = nlohmann::ordered_json;

/// The visitor of conf/schema.h that makes JSON.
class JsonWriter {
 public:
  template <std::integral T>
  void value(const char* key, const T& value, const conf::Number& /*rule*/) {
    object_[key] = value;
  }
  template <class Enum, std::size_t N>
  void value(const char* key, const Enum& value, const conf::Choice<N>& rule) {
    object_[key] = rule.names.at(static_cast<std::size_t>(value));
  }
  void value(const char* key, const bool& value, const conf::Flag& /*rule*/) {
    object_[key] = value;
  }
  void value(const char* key, const std::uint64_t& octets, const conf::Octets& /*rule*/) {
    object_[key] = octets;
  }
  void value(const char* key, const conf::Duration& value, const conf::Wait& /*rule*/) {
    object_[key] = conf::to_text(value);
  }
  void value(const char* key, const std::vector<conf::Duration>& values,
             const conf::WaitList& /*rule*/) {
    list_of(key, values, [](conf::Duration value) { return conf::to_text(value); });
  }
  void value(const char* key, const std::string& text, const conf::Text& /*rule*/) {
    object_[key] = text;
  }
  void value(const char* key, const conf::AddressLiteral& address, const conf::Address& /*rule*/) {
    object_[key] = address.text();
  }
  void value(const char* key, const conf::ListenAddress& address,
             const conf::ListenPlace& /*rule*/) {
    object_[key] = address.text();
  }
  void value(const char* key, const std::vector<conf::AddressLiteral>& addresses,
             const conf::AddressList& /*rule*/) {
    list_of(key, addresses, [](const conf::AddressLiteral& address) { return address.text(); });
  }
  void value(const char* key, const std::vector<conf::Network>& networks,
             const conf::NetworkList& /*rule*/) {
    list_of(key, networks, [](const conf::Network& network) { return network.text(); });
  }
  template <class Enum, std::size_t N>
  void value(const char* key, const std::optional<Enum>& value, const conf::Choice<N>& rule) {
    object_[key] = value ? Json(rule.names.at(static_cast<std::size_t>(*value))) : Json();
  }
  template <std::integral T>
  void value(const char* key, const std::optional<T>& value, const conf::Number& /*rule*/) {
    object_[key] = value ? Json(*value) : Json();
  }
  void value(const char* key, const std::optional<std::string>& text, const conf::Text& /*rule*/) {
    object_[key] = text ? Json(*text) : Json();
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const conf::AddressPatternList& /*rule*/) {
    object_[key] = texts;
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const conf::UserNameList& /*rule*/) {
    object_[key] = texts;
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const conf::FingerprintList& /*rule*/) {
    object_[key] = texts;
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const conf::MxPatternList& /*rule*/) {
    object_[key] = texts;
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const conf::ReportUriList& /*rule*/) {
    object_[key] = texts;
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const conf::CertificateList& /*rule*/) {
    object_[key] = texts;
  }
  void value(const char* key, const std::vector<std::string>& texts,
             const conf::PatternList& /*rule*/) {
    object_[key] = texts;
  }
  void value(const char* key, const std::optional<conf::Moment>& moment,
             const conf::UntilMoment& /*rule*/) {
    object_[key] = moment ? Json(conf::to_text(*moment)) : Json();
  }
  template <class Section>
  void section(const char* key, Section& section) {
    object_[key] = object_of(section);
  }
  template <class Section>
  void optional_section(const char* key, std::optional<Section>& section) {
    object_[key] = section ? object_of(*section) : Json();
  }
  template <class Section>
  void list(const char* key, std::vector<Section>& sections) {
    list_of(key, sections, [](Section& section) { return object_of(section); });
  }
  template <class Section>
  void map(const char* key, std::map<std::string, Section>& sections,
           const conf::ByDomain& /*rule*/) {
    Json object = Json::object();
    for (auto& [name, section] : sections) {
      object[name] = object_of(section);
    }
    object_[key] = std::move(object);
  }
  template <class Section>
  static Json object_of(Section& section) {
    JsonWriter writer;
    visit(writer, section);
    return std::move(writer.object_);
  }

 private:
  template <class List, class ToJson>
  void list_of(const char* key, List& items, const ToJson& to_json) {
    Json list = Json::array();
    for (auto& item : items) {
      list.push_back(to_json(item));
    }
    object_[key] = std::move(list);
  }

  Json object_ = Json::object();
};

}  // namespace

Json to_json(const conf::Config& config) {
  conf::Config copy = config;  // the lists of settings are written for reading, too
  return JsonWriter::object_of(copy);
}

}  // namespace relay::cli
