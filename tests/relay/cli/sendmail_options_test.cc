#include "relay/cli/sendmail_options.h"

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace {

using relay::cli::parse_sendmail;
using relay::cli::SendmailOptions;

using Words = std::vector<std::string_view>;

SendmailOptions taken(const Words& words) {
  const auto options = parse_sendmail(words);
  if (!options) {
    FAIL(options.error());
  }
  return *options;
}

TEST_CASE("sendmail: what programs have always said is understood") {
  const auto options = taken({"-t",          "-oi",        "-fa@b.example",
                              "-F",          "A Name",     "-oem",
                              "-odb",        "-N",         "success,delay",
                              "-R",          "hdrs",       "-V",
                              "a b+",        "-B8BITMIME", "-bm",
                              "-v",          "-om",        "-oee",
                              "x@y.example", "-i",         "--",
                              "-z@y.example"});
  CHECK(options.mode == SendmailOptions::Mode::message);
  CHECK(options.recipients_from == SendmailOptions::Recipients::also_of_header);
  CHECK(options.dot == SendmailOptions::Dot::is_text);
  CHECK(options.sender == "a@b.example");
  CHECK(options.full_name == "A Name");
  CHECK(options.notify == "SUCCESS,DELAY");
  CHECK(options.ret == "HDRS");
  CHECK(options.envid == "a+20b+2B");
  CHECK(options.body == SendmailOptions::Body::eight_bit);
  CHECK(options.recipients == std::vector<std::string>{"x@y.example", "-z@y.example"});
}

TEST_CASE("sendmail: letters may stand together, and a lone hyphen is a word") {
  const auto options = taken({"-ti", "-", "-bs"});
  CHECK(options.recipients_from == SendmailOptions::Recipients::also_of_header);
  CHECK(options.dot == SendmailOptions::Dot::is_text);
  CHECK(options.mode == SendmailOptions::Mode::dialogue);
  CHECK(options.recipients == std::vector<std::string>{"-"});
  CHECK(taken({}).dot == SendmailOptions::Dot::ends);
}

TEST_CASE("sendmail: a sender may be empty, in brackets or with a name") {
  struct Row {
    Words words;
    std::string sender;
  };
  for (const auto& row : {Row{{"-f", ""}, ""}, Row{{"-f", "<>"}, ""}, Row{{"-r<>"}, ""},
                          Row{{"-f", "<a@b.example>"}, "a@b.example"}, Row{{"-froot"}, "root"},
                          Row{{"-r", "A <a@b.example>"}, "a@b.example"}}) {
    CHECK(taken(row.words).sender == row.sender);
  }
  CHECK_FALSE(taken({}).sender);
}

TEST_CASE("sendmail: places are given with long options") {
  const auto options = taken({"--config", "/a.yaml", "--socket=/run/x"});
  CHECK(options.config_file == "/a.yaml");
  CHECK(options.socket == "/run/x");
}

TEST_CASE("sendmail: what cannot be done is refused with the command that does it") {
  struct Row {
    Words words;
    const char* error;
  };
  for (const auto& row :
       {Row{{"-bp"}, "stsrelay queue list"}, Row{{"-bd"}, "stsrelay run"},
        Row{{"-q"}, "stsrelay queue retry"}, Row{{"-q30m"}, "stsrelay queue retry"},
        Row{{"-bi"}, "no aliases"}, Row{{"-I"}, "no aliases"}, Row{{"-bv"}, "-bv: only -bm"},
        Row{{"-f"}, "-f needs a value"}, Row{{"-f", "a b"}, "is not one address"},
        Row{{"-f", "a@b.example, c@d.example"}, "is not one address"},
        Row{{"-N", "often"}, "-N: write never"}, Row{{"-N", "never,delay"}, "-N: write never"},
        Row{{"-R", "some"}, "-R: write full"}, Row{{"-B", "BINARYMIME"}, "-B: write"},
        Row{{"-%"}, "-% is not known"}, Row{{"--frob"}, "--frob is not known"},
        Row{{"--config"}, "--config needs a value"}}) {
    CAPTURE(row.error);
    const auto options = parse_sendmail(row.words);
    REQUIRE_FALSE(options);
    CHECK(options.error().find(row.error) != std::string::npos);
  }
}

}  // namespace
