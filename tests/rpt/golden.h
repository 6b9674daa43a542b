// The rows of tests/data/tlsrpt-cases.yaml that this library answers for alone.
#pragma once

#include <stdexcept>
#include <string>

#include <yaml-cpp/yaml.h>

namespace golden {

inline const YAML::Node& group(const char* name) {
  static const YAML::Node file = YAML::LoadFile(STSRELAY_TEST_DATA "/tlsrpt-cases.yaml");
  static YAML::Node found;
  found.reset(file[name]);
  return found;
}

/// One row of group D.
inline YAML::Node row(const std::string& id) {
  for (const YAML::Node& each : group("D")) {
    if (each["id"].as<std::string>() == id) {
      return each;
    }
  }
  throw std::out_of_range{"no golden case " + id};
}

}  // namespace golden
