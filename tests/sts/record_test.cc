#include "sts/record.h"

#include <vector>

#include <doctest/doctest.h>

#include "tests/sts/rows.h"

namespace {

sts::Expected<sts::Record, sts::RecordFault> parse(const std::vector<std::string>& records) {
  return sts::parse_records(records);
}

}  // namespace

TEST_CASE("a TXT record set announces the id that the conformance row says") {
  for (const YAML::Node& row : rows("txt_record")) {
    SUBCASE(title(row).c_str()) {
      std::vector<std::string> records;
      for (const YAML::Node& strings : row["records"]) {
        std::string joined;
        for (const YAML::Node& string : strings) {
          joined += string.as<std::string>();
        }
        records.push_back(joined);
      }
      const auto record = parse(records);
      const auto expected = row["rec"] ? row["rec"] : row["strict"];
      CHECK((record ? record->id : "none") == expected.as<std::string>());
    }
  }
}

TEST_CASE("a TXT record that breaks the grammar of RFC 8461 3.1 announces nothing") {
  const std::string nul{"v=STSv1; id=5\0", 14};
  for (const std::string& record : std::vector<std::string>{"v=STSv1;id=",
                                                            "v=STSv1; id= 5",
                                                            "v=STSv1; id =5",
                                                            "v=STSv1; id=5;;",
                                                            "v=STSv1;;id=5",
                                                            "v=STSv1; id=5; ;",
                                                            "v=STSv1; id=5 x",
                                                            "v=STSv1; id=5; x",
                                                            "v=STSv1; id=5; x=",
                                                            "v=STSv1; id=5; =x",
                                                            "v=STSv1; id=a-b; id=5",
                                                            "v=STSv1; id=5; x=a\tb",
                                                            "v=STSv1; id=5\n",
                                                            "v=STSv1; id=5; x=\x7f",
                                                            "v=STSv1; id=5; x=\xC3\xA9",
                                                            "v=STSv1;\nid=5",
                                                            "v=STSv1; 5",
                                                            "v=STSv1; id=5; -x=1",
                                                            "v=STSv1; id=5; id=",
                                                            nul}) {
    CAPTURE(record);
    const auto parsed = parse({record});
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error() == sts::RecordFault::malformed);
  }
}

TEST_CASE("blanks around a delimiter and one trailing delimiter are part of the grammar") {
  for (const std::string record :
       {"v=STSv1 ; id=5", "v=STSv1\t;\tid=5", "v=STSv1;id=5 ; ", "v=STSv1; a=1; id=5; b=2;",
        "v=STSv1; id=5; 9.-_=!<>~", "v=STSv1; id=5; v=STSv2"}) {
    CAPTURE(record);
    const auto parsed = parse({record});
    REQUIRE(parsed);
    CHECK(parsed->id == "5");
  }
}

TEST_CASE("records that do not begin with the version are discarded before they are counted") {
  struct Row {
    std::vector<std::string> records;
    sts::RecordFault fault;
  };
  for (const auto& [records, fault] :
       {Row{{}, sts::RecordFault::absent}, Row{{"v=spf1 -all"}, sts::RecordFault::absent},
        Row{{"v=STSv1"}, sts::RecordFault::absent},
        Row{{"v=STSv10; id=5"}, sts::RecordFault::absent},
        Row{{"V=STSv1; id=5"}, sts::RecordFault::absent},
        Row{{"v=STSv1; id=5", "v=STSv1; id=5"}, sts::RecordFault::several},
        Row{{"v=STSv1;", "v=spf1", "v=STSv1; id=5"}, sts::RecordFault::several},
        Row{{"v=STSv1;", "v=spf1"}, sts::RecordFault::malformed}}) {
    const auto parsed = parse(records);
    REQUIRE_FALSE(parsed);
    CHECK(sts::name(parsed.error()) == sts::name(fault));
  }
}
