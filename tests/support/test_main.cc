// main() of every unit test program. Beside the console's report it leaves what became of each case
// in the folder that the environment names (STSRELAY_TEST_RESULTS), as a JUnit file.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace {

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

/// Written when the program ends, so one that does not get there leaves no word of success.
class ResultsFile : public doctest::IReporter {
 public:
  explicit ResultsFile(const doctest::ContextOptions& options)
      : program_(std::filesystem::path(options.binary_name.c_str()).filename().string()) {}

  void test_case_start(const doctest::TestCaseData& test) override { name_ = test.m_name; }
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    cases_.emplace_back(name_, stats.testCaseSuccess ? Outcome::passed : Outcome::failed);
  }
  void test_run_end(const doctest::TestRunStats& /*stats*/) override {
    const char* const folder = std::getenv("STSRELAY_TEST_RESULTS");
    if (folder == nullptr) {
      return;
    }
    std::ofstream file(std::filesystem::path(folder) / (program_ + ".xml"));
    file << "<testsuite name=\"" << escaped(program_) << "\">\n";
    for (const auto& [name, outcome] : cases_) {
      file << "<testcase classname=\"" << escaped(program_) << "\" name=\"" << escaped(name)
           << (outcome == Outcome::passed ? "\"/>\n" : "\"><failure/></testcase>\n");
    }
    file << "</testsuite>\n";
  }

  void report_query(const doctest::QueryData& /*data*/) override {}
  void test_run_start() override {}
  void test_case_reenter(const doctest::TestCaseData& /*test*/) override {}
  void test_case_exception(const doctest::TestCaseException& /*exception*/) override {}
  void subcase_start(const doctest::SubcaseSignature& /*subcase*/) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& /*data*/) override {}
  void log_message(const doctest::MessageData& /*data*/) override {}
  void test_case_skipped(const doctest::TestCaseData& /*test*/) override {}

 private:
  enum class Outcome { passed, failed };
  std::string program_;
  std::string name_;
  std::vector<std::pair<std::string, Outcome>> cases_;
};

REGISTER_LISTENER("results", 1, ResultsFile);

}  // namespace
