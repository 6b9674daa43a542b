// The conformance rows of tests/data/sts-vectors.yaml.
#pragma once

#include <string>

#include <yaml-cpp/yaml.h>

#include "sts/policy.h"

/// The rows of one section, e.g. "txt_record".
inline YAML::Node rows(const std::string& section) {
  static const YAML::Node file = YAML::LoadFile(STSRELAY_TEST_DATA "/sts-vectors.yaml");
  return file[section];
}

/// "T01: canonical form"
inline std::string title(const YAML::Node& row) {
  return row["id"].as<std::string>() + ": " + row["note"].as<std::string>("");
}

/// Knows one U-label, as IDNA would convert it.
inline std::optional<std::string> to_ascii(std::string_view name) {
  constexpr std::string_view kUnicode =
      "b\xC3\xBC"
      "cher";
  const auto at = name.find(kUnicode);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  return std::string{name}.replace(at, kUnicode.size(), "xn--bcher-kva");
}
