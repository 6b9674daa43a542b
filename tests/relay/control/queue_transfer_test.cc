// Messages as files: what an export says of a message, and how an import takes it in.
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "relay/control/exported_message.h"
#include "relay/control/queue_import.h"
#include "relay/spool/message_store.h"
#include "tests/relay/spool/fixture.h"

namespace relay::control::testing {
namespace {

using namespace relay::spool::testing;
using spool::MessageId;
using std::chrono::hours;

ExportedMessage exported_example(const std::string& content) {
  ExportedMessage message;
  message.envelope = envelope_to({"a.example", "b.example"});
  message.envelope.id = MessageId(1'000'000);
  message.envelope.received_at = net::WallTime(std::chrono::milliseconds(1'769'990'000'123));
  message.envelope.expires_at = message.envelope.received_at + hours(96);
  message.envelope.life_from = message.envelope.received_at;
  message.envelope.size = content.size();
  message.envelope.tls = spool::MessageTls::required;
  message.envelope.priority = spool::Priority::bulk;
  message.envelope.delay_told = true;
  message.envelope.user = "app";
  message.envelope.listener = "192.0.2.1:2525";
  message.envelope.recipients[1].attempts = 3;
  message.envelope.recipients[1].last_result = "451 \"later\"";
  message.exported_at = message.envelope.received_at + hours(1);
  message.crc = spool::crc_of(content);
  return message;
}

/// A folder, and a queue that imports from it.
struct ImportWorld {
  ImportWorld() { std::filesystem::create_directories(folder); }

  void put(const std::string& name, const ExportedMessage& message, const std::string& content) {
    std::ofstream(folder + "/" + name + ".eml") << content;
    std::ofstream(folder + "/" + name + ".json") << to_json_text(message);
  }
  Imported import(QueueImport::Files files = QueueImport::Files::kept) {
    return thread.ask<Imported>([&](std::function<void(Imported)> done) {
      std::make_shared<QueueImport>(QueueImport::Parts{*spool, thread.loop(), clock}, folder, files)
          ->start(std::move(done));
    });
  }

  TemporaryDirectory directory;
  std::string folder = directory.spool() + "-exported";
  ManualClock clock;
  LoopThread thread;
  std::unique_ptr<spool::Spool> spool = open_spool(directory.spool(), clock);
  std::unique_ptr<spool::SpoolReader> reader = open_reader(directory.spool());
};

TEST_CASE("an exported message comes back from its text, and its life goes on after the export") {
  const ExportedMessage message = exported_example("content");
  const auto read = parse_exported(to_json_text(message));
  REQUIRE(read);
  CHECK(read->crc == message.crc);
  CHECK(read->exported_at == message.exported_at);
  CHECK(read->envelope.imported_id == message.envelope.id);
  CHECK(read->envelope.sender == message.envelope.sender);
  CHECK(read->envelope.received_at == message.envelope.received_at);
  CHECK(read->envelope.tls == spool::MessageTls::required);
  CHECK(read->envelope.priority == spool::Priority::bulk);
  CHECK(read->envelope.delay_told);
  CHECK(read->envelope.user == "app");
  CHECK(read->envelope.listener == "192.0.2.1:2525");
  REQUIRE(read->envelope.recipients.size() == 2);
  CHECK(read->envelope.recipients[1].index == 1);
  CHECK(read->envelope.recipients[1].attempts == 3);
  CHECK(read->envelope.recipients[1].last_result == "451 \"later\"");
  const auto later = read->envelope_at(message.exported_at + hours(48));
  CHECK(later.expires_at == message.envelope.expires_at + hours(48));
  CHECK(later.life_from == message.envelope.life_from + hours(48));
  ExportedMessage held = *read;
  held.envelope.held = "why";
  CHECK(held.envelope_at(message.exported_at + hours(48)).expires_at ==
        message.envelope.expires_at);
}

TEST_CASE("an export that was written before listeners were noted is read without one") {
  auto json = nlohmann::ordered_json::parse(to_json_text(exported_example("content")));
  json.erase("listener");
  const auto read = parse_exported(json.dump());
  REQUIRE(read);
  CHECK(read->envelope.listener.empty());
  CHECK(read->envelope.user == "app");
}

TEST_CASE("what is no exported message is refused with what is wrong") {
  const std::string sound = to_json_text(exported_example("content"));
  auto json = nlohmann::ordered_json::parse(sound);
  CHECK(parse_exported("{").error().find("is no message") == 0);
  CHECK(parse_exported("{}").error().find("is no message") == 0);
  json["stsrelay_export"] = 2;
  CHECK(parse_exported(json.dump()).error().find("another version") != std::string::npos);
  struct Row {
    const char* member;
    nlohmann::ordered_json value;
  };
  for (const Row& row : {Row{"id", "?"}, Row{"sender", 7}, Row{"size", -1}, Row{"tls", "perhaps"},
                         Row{"eight_bit", "yes"}, Row{"listener", 25}, Row{"recipients", nullptr},
                         Row{"recipients", nlohmann::ordered_json::array({1})}}) {
    CAPTURE(row.member);
    json = nlohmann::ordered_json::parse(sound);
    json[row.member] = row.value;
    const auto read = parse_exported(json.dump());
    REQUIRE_FALSE(read);
    CHECK(read.error().find("has no sound") == 0);
  }
}

TEST_CASE("import: each message once, large ones too, with a new id") {
  ImportWorld world;
  const std::string large(300'000, 'x');
  world.put("A", exported_example("small"), "small");
  auto second = exported_example(large);
  second.envelope.id = MessageId(1'000'001);
  world.put("B", second, large);
  const Imported first = world.import();
  CHECK(first.messages == 2);
  CHECK(first.failed.empty());
  const auto stored = *world.reader->list(std::nullopt, 10);
  REQUIRE(stored.size() == 2);
  CHECK(stored[0].id != MessageId(1'000'000));
  CHECK(stored[0].received_at == second.envelope.received_at);
  CHECK(read_content(*world.reader, stored[1].id) == large);
  const Imported again = world.import(QueueImport::Files::removed);
  CHECK(again.messages == 0);
  CHECK(again.known == 2);
  CHECK(std::filesystem::is_empty(world.folder));
  CHECK(world.reader->totals()->messages == 2);
}

TEST_CASE("import: what was delivered is not taken again, what the operator took away is") {
  for (const bool removed : {false, true}) {
    CAPTURE(removed);
    ImportWorld world;
    auto message = exported_example("content");
    message.envelope.recipients.resize(1);
    world.put("A", message, "content");
    CHECK(world.import().messages == 1);
    const MessageId id = world.reader->list(std::nullopt, 1)->at(0).id;
    if (removed) {
      change(*world.spool, world.thread, {{spool::MessageChange::Kind::remove, id}});
    } else {
      REQUIRE(settle(*world.spool, world.thread, delivered(id)));
    }
    const Imported again = world.import();
    CHECK(again.messages == (removed ? 1 : 0));
    CHECK(again.known == (removed ? 0 : 1));
  }
}

TEST_CASE("import: a copy of what is still in this queue is not taken") {
  ImportWorld world;
  auto envelope = envelope_to({"a.example"});
  envelope.received_at = world.clock.wall();
  auto message = exported_example("content");
  message.envelope.id = store(*world.spool, world.thread, envelope, 100);
  message.envelope.received_at = envelope.received_at;
  world.put("A", message, "content");
  CHECK(world.import().known == 1);
}

TEST_CASE("import: damaged files are named and stay, the others are taken") {
  ImportWorld world;
  world.put("A", exported_example("content"), "cont3nt");
  auto sound = exported_example("content");
  sound.envelope.id = MessageId(5);
  world.put("B", sound, "content");
  std::ofstream(world.folder + "/C.json") << "{";
  auto lonely = sound;
  lonely.envelope.id = MessageId(6);
  world.put("D", lonely, "content");
  std::filesystem::remove(world.folder + "/D.eml");
  const Imported imported = world.import(QueueImport::Files::removed);
  CHECK(imported.messages == 1);
  CHECK(imported.failed ==
        std::vector<std::string>{"A.json: its .eml file is not what was exported",
                                 "C.json: is no message that `queue export` wrote",
                                 "D.json: its .eml file cannot be read"});
  CHECK(std::filesystem::exists(world.folder + "/A.eml"));
  CHECK_FALSE(std::filesystem::exists(world.folder + "/B.eml"));
}

}  // namespace
}  // namespace relay::control::testing
