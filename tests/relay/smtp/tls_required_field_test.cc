#include "relay/smtp/tls_required_field.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using relay::smtp::TlsRequiredField;

namespace {

bool says_no(std::string_view header) {
  TlsRequiredField field;
  while (!header.empty()) {
    const auto end = header.find('\n') + 1;
    field.line(header.substr(0, end));
    header.remove_prefix(end);
  }
  return field.says_no();
}

}  // namespace

TEST_CASE("R01 R07: exactly one clear TLS-Required: No counts, everything else does not") {
  struct Row {
    std::string header;
    bool no;
  };
  const std::vector<Row> rows{
      {"TLS-Required: No\r\n", true},
      {"Subject: x\r\nTLS-Required: No\r\nTo: y\r\n", true},
      {"tls-REQUIRED:nO\r\n", true},
      {"TLS-Required :\t no \t\r\n", true},
      {"TLS-Required:\r\n No\r\n", true},
      {"TLS-Required:\r\n\t\r\n No\r\n \r\n", true},
      {"TLS-Required: (why (not)?\\)) No (\r\n because)\r\n", true},
      {"TLS-Required: No(x)(y)\r\n", true},
      // Another value, or one that is not clear.
      {"TLS-Required: Yes\r\n", false},
      {"TLS-Required:\r\n", false},
      {"TLS-Required: \r\n\t\r\n", false},
      {"TLS-Required: N\r\n", false},
      {"TLS-Required: None\r\n", false},
      {"TLS-Required: No, really\r\n", false},
      {"TLS-Required: No No\r\n", false},
      {"TLS-Required: N o\r\n", false},
      {"TLS-Required: N\r\n o\r\n", false},
      {"TLS-Required: N(x)o\r\n", false},
      {"TLS-Required: \"No\"\r\n", false},
      {"TLS-Required: No;\r\n", false},
      {"TLS-Required: (No)\r\n", false},
      {"TLS-Required: No (open\r\n", false},
      {"TLS-Required: (open\\) No\r\n", false},
      {"TLS-Required: ) No\r\n", false},
      // Two fields, whatever they say.
      {"TLS-Required: No\r\nTLS-Required: No\r\n", false},
      {"TLS-Required: No\r\nTLS-Required: Yes\r\n", false},
      {"TLS-Required: Yes\r\nTLS-Required: No\r\n", false},
      {"TLS-Required:\r\nSubject: x\r\nTLS-Required: No\r\n", false},
      // Another field, or none.
      {"", false},
      {"Subject: TLS-Required: No\r\n", false},
      {"Subject: x\r\n TLS-Required: No\r\n", false},
      {"X-TLS-Required: No\r\n", false},
      {"TLS-Required-By: No\r\n", false},
      {"TLS-Required No\r\n", false},
      {": No\r\n", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.header);
    CHECK(says_no(row.header) == row.no);
  }
}
