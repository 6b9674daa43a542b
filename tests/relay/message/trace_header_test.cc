#include "relay/message/trace_header.h"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using relay::message::date_time;
using relay::message::received_header;
using relay::message::Time;
using relay::message::TraceFacts;

TEST_CASE("dates are RFC 5322 text in UTC") {
  CHECK(date_time(Time{}) == "Thu, 1 Jan 1970 00:00:00 +0000");
  CHECK(date_time(Time(1'795'300'741'999ms)) == "Sat, 21 Nov 2026 22:39:01 +0000");
  CHECK(date_time(Time(1'709'210'096'000ms)) == "Thu, 29 Feb 2024 12:34:56 +0000");
}

TEST_CASE("the Received field names client, relay and id; the recipient only when it is alone") {
  TraceFacts facts{"client.example", "[192.0.2.1]", "relay.example", "ESMTP", "3KX0", {}, Time{}};
  CHECK(received_header(facts) ==
        "Received: from client.example ([192.0.2.1])\r\n"
        "\tby relay.example with ESMTP id 3KX0;\r\n"
        "\tThu, 1 Jan 1970 00:00:00 +0000\r\n");
  facts.for_recipient = "x@d.example";
  CHECK(received_header(facts).find("id 3KX0\r\n\tfor <x@d.example>;\r\n") != std::string::npos);
  facts.tls = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384";
  CHECK(
      received_header(facts).starts_with("Received: from client.example ([192.0.2.1])\r\n"
                                         "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
                                         "\tby relay.example with "));
  facts.helo.clear();
  CHECK(received_header(facts) ==
        "Received: by relay.example with ESMTP id 3KX0\r\n\tfor <x@d.example>;\r\n"
        "\tThu, 1 Jan 1970 00:00:00 +0000\r\n");
}
