#include "relay/staging/capture.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace relay::staging {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "capture-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string maildir() const { return path_ + "/mail"; }
  [[nodiscard]] std::vector<std::string> names(const char* part) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(maildir() + part)) {
      found.push_back(entry.path().filename().string());
    }
    return found;
  }

 private:
  std::string path_;
};

spool::Envelope message() {
  spool::Envelope envelope;
  envelope.id = spool::MessageId(7);
  envelope.sender = "app@example.com";
  envelope.received_at = net::WallTime(std::chrono::seconds(1'800'000'000));
  for (const char* address : {"a@x.example", "b@y.example"}) {
    spool::Recipient recipient;
    recipient.address = address;
    envelope.recipients.push_back(recipient);
  }
  return envelope;
}

ContentSlice slices(std::vector<std::string> parts) {
  return [parts = std::move(parts)](std::uint32_t n) {
    using Result = Expected<std::optional<std::string>, std::string>;
    return n < parts.size() ? Result(parts[n]) : Result(std::nullopt);
  };
}

TEST_CASE("capture: a message is one file of the Maildir, also when it is written again") {
  const Folder folder;
  for (int round = 0; round < 2; ++round) {
    REQUIRE(capture(folder.maildir(), "relay.test", message(),
                    slices({"Subject: x\r\n\r", "\nText\r\n"})));
  }
  const auto names = folder.names("/new");
  REQUIRE(names.size() == 1);
  CHECK(names.front() == "1800000000." + spool::MessageId(7).text() + ".relay.test");
  CHECK(folder.names("/tmp").empty());
  CHECK(folder.names("/cur").empty());
  std::ostringstream text;
  text << std::ifstream(folder.maildir() + "/new/" + names.front()).rdbuf();
  CHECK(text.str() ==
        "Return-Path: <app@example.com>\nX-Stsrelay-Id: " + spool::MessageId(7).text() +
            "\nDelivered-To: a@x.example\nDelivered-To: b@y.example\n"
            "Subject: x\n\nText\n");
}

TEST_CASE("capture: what cannot be read whole leaves no file") {
  const Folder folder;
  const auto broken = [](std::uint32_t n) {
    using Result = Expected<std::optional<std::string>, std::string>;
    return n == 0 ? Result("Subject: x\r\n") : Result(Unexpected<std::string>("damaged"));
  };
  const auto done = capture(folder.maildir(), "relay.test", message(), broken);
  REQUIRE_FALSE(done);
  CHECK(done.error() == "damaged");
  CHECK(folder.names("/new").empty());
  CHECK(folder.names("/tmp").empty());
}

TEST_CASE("capture: a folder that cannot be made is named") {
  const auto done = capture("/dev/null/mail", "relay.test", message(), slices({}));
  REQUIRE_FALSE(done);
  CHECK(done.error().starts_with("/dev/null/mail: "));
}

}  // namespace
}  // namespace relay::staging
