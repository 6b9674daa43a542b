// A received report in perfect form, to be spoiled by a test, and the sample files.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

namespace support {

inline nlohmann::json sound_report() {
  return nlohmann::json::parse(R"({
    "organization-name": "Sender",
    "date-range": {"start-datetime": "2026-08-20T00:00:00Z", "end-datetime": "2026-08-20T23:59:59Z"},
    "contact-info": "tls@sender.example",
    "report-id": "1@sender.example",
    "policies": [{
      "policy": {"policy-type": "sts", "policy-string": ["version: STSv1", "mode: testing"],
                 "policy-domain": "rcpt.example", "mx-host": ["mx1.rcpt.example"]},
      "summary": {"total-successful-session-count": 9, "total-failure-session-count": 1},
      "failure-details": [{"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.1",
                           "receiving-mx-hostname": "mx1.rcpt.example",
                           "receiving-ip": "203.0.113.10", "failed-session-count": 1}]}]})");
}

inline std::string sample_report(const std::string& name) {
  std::ifstream file(STSRELAY_TEST_DATA "/reports/" + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace support
