// How a report reaches its destination by HTTPS: what answers mean, when it is tried again, and
// that a resend has the same octets.
#include "relay/reporting/report_sender.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/reporting/reporting_world.h"

namespace reporting_world {
namespace {

std::string body_of(const std::string& request) {
  return request.substr(request.find("\r\n\r\n") + 4);
}

TEST_CASE("sender: what a server answers decides what becomes of the delivery") {
  struct Row {
    std::string answer;
    rpt::Stage stage;
    std::string result;
    std::chrono::seconds shortest, longest;  ///< until the next try
  };
  const std::vector<Row> rows{
      {status("200 OK"), rpt::Stage::accepted, "200", 0s, 0s},
      {status("201 Created"), rpt::Stage::accepted, "201", 0s, 0s},
      {status("404 Not Found"), rpt::Stage::refused, "404", 0s, 0s},
      {status("303 See Other", "Location: https://mta-sts.example.net/x\r\n"), rpt::Stage::refused,
       "303", 0s, 0s},
      {status("503 Busy"), rpt::Stage::rendered, "503", 300s, 375s},
      {status("429 Slow", "Retry-After: 3600\r\n"), rpt::Stage::rendered, "429", 3600s, 3600s},
  };
  for (const Row& row : rows) {
    CAPTURE(row.result);
    World world(row.answer);
    world.publish("a.example", world.post_uri());
    world.count("a.example");
    const auto delivery = world.wait_for_delivery(
        [&](const spool::ReportDelivery& each) { return !each.result.empty(); });
    CHECK(delivery.stage == row.stage);
    CHECK(delivery.result == row.result);
    CHECK(delivery.attempts == 1);
    CHECK(delivery.first_attempt == kDue);
    if (row.stage == rpt::Stage::rendered) {
      CHECK(delivery.next_attempt >= kDue + row.shortest);
      CHECK(delivery.next_attempt <= kDue + row.longest);
    }
  }
}

TEST_CASE("sender: a failed POST is repeated with the same octets, also after a restart") {
  std::vector<std::string> bodies;
  World* place = nullptr;
  int answers = 0;
  World world([&](const support::TlsPeer& peer) {
    bodies.push_back(body_of(place->host.last_request()));
    peer.send(status(++answers < 3 ? "503 Busy" : "200 OK"));
  });
  place = &world;
  world.publish("a.example", world.post_uri());
  world.count("a.example");
  for (const int attempts : {1, 2}) {
    const auto delivery = world.wait_for_delivery([&](const spool::ReportDelivery& each) {
      return each.attempts == attempts && each.result == "503" &&
             each.next_attempt > world.clock.wall();
    });
    world.clock.set_wall(delivery.next_attempt);
    world.restart();
  }
  CHECK(world.wait_for_stage(rpt::Stage::accepted).attempts == 3);
  REQUIRE(bodies.size() == 3);
  CHECK_FALSE(bodies[0].empty());
  CHECK(bodies[1] == bodies[0]);
  CHECK(bodies[2] == bodies[0]);
}

TEST_CASE("sender: an attempt that was cut off is made again at once, with the same octets") {
  World world(status("200 OK"));
  spool::StoredReport report;
  report.key = world.key();
  report.state = spool::ReportState::rendered;
  report.id = "1@sender.example";
  report.content = "octets as they were";
  spool::ReportDelivery delivery;
  delivery.key = world.key();
  delivery.uri = world.post_uri();
  delivery.stage = rpt::Stage::handed_over;
  delivery.attempts = 1;
  delivery.first_attempt = kDue - 1s;
  delivery.next_attempt = kDue - 1s;
  spool::ReportWrite write;
  write.reports = {report};
  write.deliveries = {delivery};
  world.write(write);
  CHECK(world.wait_for_stage(rpt::Stage::accepted).attempts == 2);
  CHECK(body_of(world.host.last_request()) == "octets as they were");
}

TEST_CASE("sender: after 24 hours without success a delivery is given up") {
  World world(status("503 Busy"));
  world.publish("a.example", world.post_uri());
  world.count("a.example");
  world.wait_for_delivery([](const auto& each) { return each.result == "503"; });
  world.clock.advance(24h);
  world.reporter->wake();
  CHECK(world.wait_for_stage(rpt::Stage::expired).attempts == 2);
}

TEST_CASE("sender: redirects are followed to https, a few of them, with the same octets") {
  struct Row {
    const char* name;
    std::string location;  ///< of /v1; "SELF": our own server's /v2
    bool loops;
    rpt::Stage stage;
    std::string result;
  };
  const std::vector<Row> rows{
      {"to another path", "SELF", false, rpt::Stage::accepted, "200"},
      {"to plain http", "http://mta-sts.example.net/x", false, rpt::Stage::refused,
       "308 redirect-not-https"},
      {"for ever", "SELF", true, rpt::Stage::refused, "308 too-many-redirects"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    World* place = nullptr;
    World world([&](const support::TlsPeer& peer) {
      const std::string location = row.location == "SELF" ? place->post_uri("/v2") : row.location;
      const bool first = place->host.last_request().starts_with("POST /v1 ");
      peer.send(first || row.loops
                    ? status("308 Permanent Redirect", "Location: " + location + "\r\n")
                    : status("200 OK"));
    });
    place = &world;
    world.publish("a.example", world.post_uri());
    world.count("a.example");
    const auto delivery =
        world.wait_for_delivery([](const auto& each) { return !each.result.empty(); });
    CHECK(delivery.stage == row.stage);
    CHECK(delivery.result == row.result);
    CHECK(body_of(world.host.last_request()) == world.report()->content);
    CHECK(world.host.requests() == (row.loops ? 4 : row.location == "SELF" ? 2 : 1));
  }
}

TEST_CASE("sender: an attempt under way when it was killed ends in one accepted report") {
  std::atomic<bool> silent = true;
  World world([&](const support::TlsPeer& peer) {
    if (silent) {
      peer.wait_for_end();
    } else {
      peer.send(status("201 Created"));
    }
  });
  world.publish("a.example", world.post_uri());
  world.count("a.example");
  world.begin();
  world.run_until([&] { return world.host.requests() == 1; });
  const std::string first = body_of(world.host.last_request());
  CHECK(world.deliveries().at(0).stage == rpt::Stage::handed_over);
  silent = false;
  world.kill();
  CHECK(world.wait_for_stage(rpt::Stage::accepted).attempts == 2);
  CHECK(body_of(world.host.last_request()) == first);
  CHECK(world.host.requests() == 2);
}

TEST_CASE("sender: so many at one host at once, and others are not kept waiting by it") {
  std::atomic<bool> silent = true;
  World world([&](const support::TlsPeer& peer) {
    if (silent) {
      peer.wait_for_end();
    } else {
      peer.send(status("201 Created"));
    }
  });
  // More than are looked at in one go.
  spool::ReportWrite write;
  for (std::size_t n = 0; n < relay::reporting::kDueLookedAt + 50; ++n) {
    spool::StoredReport report;
    report.key = world.key("d" + std::to_string(n) + ".example");
    report.state = spool::ReportState::rendered;
    report.id = "1@sender.example";
    write.reports.push_back(report);
    spool::ReportDelivery delivery;
    delivery.key = report.key;
    delivery.uri = world.post_uri();
    delivery.next_attempt = kDue - 1h;
    write.deliveries.push_back(delivery);
  }
  write.reports.push_back(write.reports.front());
  write.reports.back().key = world.key();
  write.deliveries.push_back(write.deliveries.front());
  write.deliveries.back().key = world.key();
  write.deliveries.back().uri = "mailto:t@r.example";
  write.deliveries.back().next_attempt = kDue;
  world.write(write);
  CHECK(world.wait_for_stage(rpt::Stage::handed_over).message);
  const auto begun = [&] {
    return std::ranges::count_if(write.deliveries, [&](const spool::ReportDelivery& each) {
      const auto now = *world.reader->report_deliveries(each.key);
      return now.at(0).stage == rpt::Stage::handed_over && !now[0].message;
    });
  };
  world.run_until([&] { return begun() == 2; });
  support::settle(world.loop, 50);
  CHECK(begun() == 2);
  silent = false;
}

TEST_CASE("sender: so many mails to one domain are in the queue at once, others come after them") {
  World world;
  constexpr int kMails = 53;
  constexpr std::size_t kAtOnce = 50;
  for (int n = 0; n < kMails; ++n) {
    const std::string domain = "d" + std::to_string(n) + ".example";
    world.publish(domain, "mailto:t@r.example");
    world.store->count({session(domain)});
  }
  world.write({});
  const auto queued = [&] { return world.reader->queued_reports()->size(); };
  const auto rendered = [&] {
    return world.reader->due_reports(world.clock.wall(), 1)->planned.empty();
  };
  world.run_until([&] { return queued() == kAtOnce && rendered(); });
  REQUIRE(world.reader->reports({.day = session_day()})->size() == kMails);
  const auto mails = *world.reader->list(std::nullopt, 100);
  for (const auto& mail : mails) {
    spool::Settlement settlement;
    settlement.id = mail.id;
    settlement.updates = {{0, spool::RecipientUpdate::Outcome::delivered, {}, ""}};
    settlement.report = spool::ReportMailOutcome{};
    world.store->settle(settlement, world.loop, [&](const auto&) { world.reporter->wake(); });
  }
  world.run_until([&] { return queued() == kMails - kAtOnce; });
}

TEST_CASE("sender: addresses that are not public are not posted to, outside a test world") {
  World world;
  world.settings.private_addresses = ReportSettings::PrivateAddresses::refused;
  world.publish("a.example", world.post_uri());
  world.count("a.example");
  CHECK(world.wait_for_stage(rpt::Stage::refused).result == "address-refused");
  CHECK(world.host.connections() == 0);
}

TEST_CASE("sender: a suppressed destination gets nothing, until the suppression is over") {
  for (const auto until : {kDue + 1s, kDue}) {
    World world;
    world.publish("a.example", "mailto:t@r.example");
    world.count("a.example");
    spool::ReportWrite write;
    write.suppressions = {{"mailto:t@r.example", until, "550 no such user"}};
    world.write(write);
    if (until > kDue) {
      CHECK(world.wait_for_stage(rpt::Stage::refused).result == "suppressed: 550 no such user");
      CHECK(world.reader->list(std::nullopt, 10)->empty());
    } else {
      world.wait_for_stage(rpt::Stage::handed_over);
      CHECK(world.reader->list(std::nullopt, 10)->size() == 1);
    }
  }
}

TEST_CASE("sender: credentials go to the host that they were published for") {
  World world;
  std::string uri = world.post_uri();
  uri.insert(std::string("https://").size(), "user:secret@");
  world.publish("a.example", uri);
  world.count("a.example");
  world.wait_for_stage(rpt::Stage::accepted);
  CHECK(world.host.last_request().find("\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=\r\n") !=
        std::string::npos);
}

}  // namespace
}  // namespace reporting_world
