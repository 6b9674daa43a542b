#include <charconv>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "relay/daemon_parts.h"
#include "relay/file_text.h"
#include "relay/privileges.h"
#include "relay/settings.h"

namespace relay {
namespace {

/// Before what could not be handed over is tried again; then ever later.
constexpr std::chrono::seconds kFirstEventWait{1};

using BoundSocket = Expected<std::shared_ptr<net::ListeningSocket>, std::string>;

/// Whom the file of a listener's UNIX socket belongs to; nullopt: who runs us now.
Expected<std::optional<net::ListeningSocket::Owner>, std::string> socket_owner(
    const conf::Config& config, const conf::ListenerSocket& socket) {
  const bool becomes = ::geteuid() == 0 && !config.user.empty();
  const std::string& name = socket.owner.empty() && becomes ? config.user : socket.owner;
  if (name.empty()) {
    return std::nullopt;
  }
  const auto account = find_account(name);
  if (!account) {
    return Unexpected<std::string>(account.error());
  }
  return net::ListeningSocket::Owner{account->uid, account->gid};
}

BoundSocket bind_unix(const conf::Config& config, const conf::Listener& listener) {
  const auto owner = socket_owner(config, listener.socket);
  if (!owner) {
    return Unexpected<std::string>(fmt::format("{}: {}", listener.address.text(), owner.error()));
  }
  unsigned mode = 0;
  const std::string& text = listener.socket.mode;
  std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  auto bound = net::ListeningSocket::bind_unix(listener.address.path, mode, *owner);
  if (!bound) {
    return Unexpected<std::string>(fmt::format(
        "{}; its folder must exist and be writable for the account that stsrelay runs as",
        bound.error()));
  }
  return bound;
}

}  // namespace

Expected<void, std::string> Daemon::take_sockets() {
  auto taken = InheritedSockets::take();
  if (!taken) {
    return Unexpected<std::string>(std::move(taken.error()));
  }
  inherited_ = std::move(*taken);
  return {};
}

Expected<std::shared_ptr<net::ListeningSocket>, std::string> Daemon::socket_for(
    const net::SocketAddress& address) {
  if (auto claimed = inherited_.claim(address)) {
    return claimed;
  }
  return net::ListeningSocket::bind(address);
}

Expected<std::shared_ptr<net::ListeningSocket>, std::string> Daemon::socket_for(
    const conf::Listener& listener) {
  if (listener.address.is_unix()) {
    return bind_unix(*config_, listener);
  }
  const auto address = net::SocketAddress::from_ip(listener.address.ip, listener.address.port);
  if (!address) {
    return Unexpected<std::string>(
        fmt::format("{} is no address to listen on", listener.address.text()));
  }
  return socket_for(*address);
}

Expected<void, std::string> Daemon::bind_listeners() {
  for (const conf::Listener& listener : config_->listen) {
    auto socket = socket_for(listener);
    if (!socket) {
      return Unexpected<std::string>(std::move(socket.error()));
    }
    sockets_.push_back(std::move(*socket));
  }
  return {};
}

Expected<void, std::string> Daemon::bind_web() {
  if (!config_->metrics) {
    return {};
  }
  const auto& [ip, port] = config_->metrics->address;
  const auto address = net::SocketAddress::from_ip(ip, port);
  if (!address) {
    return Unexpected<std::string>(fmt::format("metrics.address {} is no address to listen on",
                                               config_->metrics->address.text()));
  }
  auto socket = socket_for(*address);
  if (!socket) {
    return Unexpected<std::string>("metrics.address " + socket.error());
  }
  web_socket_ = std::move(*socket);
  return {};
}

Expected<void, std::string> Daemon::drop_privileges() {
  if (::geteuid() != 0) {
    return {};
  }
  if (config_->user.empty()) {
    log_.warning("running-as-root", {{"remedy", "set user in the configuration"}});
    return {};
  }
  return become_user(*config_);
}

Expected<void, std::string> Daemon::open_spool() {
  spool::SpoolOptions options;
  options.directory = config_->queue.path;
  options.min_free_bytes = config_->queue.min_free;
  auto opened = spool::Spool::open(options, clock_);
  if (!opened) {
    return Unexpected<std::string>(opened.error());
  }
  spool_ = std::move(*opened);
  for (const std::string& warning : spool_->warnings()) {
    log_.warning("spool", {{"detail", warning}});
  }
  auto reader = spool::SpoolReader::open(config_->queue.path);
  if (!reader) {
    return Unexpected<std::string>(reader.error());
  }
  reader_ = std::move(*reader);
  return make_import_folder();
}

Expected<void, std::string> Daemon::make_import_folder() {
  const std::string folder = control::import_folder(config_->queue.path);
  std::error_code error;
  std::filesystem::create_directory(folder, error);
  if (!error) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  }
  if (error) {
    return Unexpected<std::string>(
        fmt::format("the folder {} cannot be made: {}", folder, error.message()));
  }
  return {};
}

Expected<void, std::string> Daemon::open_rules() {
  auto overrides = reader_->overrides();
  if (!overrides) {
    return Unexpected<std::string>(
        fmt::format("stored overrides cannot be read: {}", overrides.error().reason));
  }
  rules_ = std::make_unique<delivery::RuleBook>(
      delivery::RuleBook::Parts{main_loop_, clock_, *spool_, log_}, config_->tls_policy,
      std::move(files_.preload), std::move(*overrides));
  rules_->on_change([this](const std::shared_ptr<const delivery::LocalRules>& rules) {
    for (auto& thread : threads_) {
      thread->loop.post([worker = thread->worker.get(), rules] { worker->set_rules(rules); });
    }
  });
  return {};
}

Expected<void, std::string> Daemon::open_clients() {
  const auto holds = reader_->client_holds();
  if (!holds) {
    return Unexpected<std::string>(
        fmt::format("the clients that are held cannot be read: {}", holds.error().reason));
  }
  clients_ = std::make_unique<reception::Clients>(
      reception::Clients::Parts{main_loop_, clock_, *spool_, log_}, *holds);
  return {};
}

Expected<void, std::string> Daemon::make_watchers() {
  log_.watch(reception_counts_);
  log_.watch(trace_memory_);
  if (!config_->events) {
    return {};
  }
  auto sink = event_sink();
  if (!sink) {
    return Unexpected<std::string>(sink.error());
  }
  events_ = std::make_unique<EventFeed>(main_loop_, log_, std::move(*sink),
                                        static_cast<std::size_t>(config_->events->queue),
                                        kFirstEventWait);
  log_.watch(*events_);
  return {};
}

Expected<std::unique_ptr<EventSink>, std::string> Daemon::event_sink() {
  const conf::Events& events = *config_->events;
  if (!events.by_web()) {
    return socket_sink(main_loop_, events.to);
  }
  WebSinkOptions options;
  options.url = events.to;
  if (!events.token_file.empty()) {
    auto token = secret_line(events.token_file);
    if (!token) {
      return Unexpected<std::string>("events.token_file: " + token.error());
    }
    options.token = std::move(*token);
  }
  auto dns = dns_options(*config_);
  if (!dns) {
    return Unexpected<std::string>(dns.error());
  }
  options.dns = std::move(*dns);
  options.https.ca_file = config_->test_world ? config_->test_world->ca_file : "";
  options.https.revocation = revocation(*config_);
  return web_sink(main_loop_, clock_, std::move(options));
}

Expected<void, std::string> Daemon::make_workers() {
  const std::size_t count = worker_count(*config_);
  const auto settings = worker_settings(*config_, reachable_at(listen_addresses()), rules_->rules(),
                                        std::exchange(files_.delivery, {}));
  auto tls = net::TlsClientContext::create(settings->ca_file, settings->revocation);
  if (!tls) {
    return Unexpected<std::string>(tls.error());
  }
  const auto dns = dns_options(*config_);
  if (!dns) {
    return Unexpected<std::string>(dns.error());
  }
  auto pauses = reader_->pauses();
  if (!pauses) {
    return Unexpected<std::string>(
        fmt::format("the queue's pauses cannot be read: {}", pauses.error().reason));
  }
  pauses_ = std::make_shared<const delivery::Pauses>(std::move(*pauses));
  auto shares = load_policies(count);
  if (!shares) {
    return Unexpected<std::string>(shares.error());
  }
  const auto receiving =
      reception::ReceptionSettings::from(*config_, std::exchange(files_.listeners, {}));
  std::vector<reception::ListenerBinding> bindings;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    bindings.push_back({sockets_[i], receiving->listen[i]});
  }
  const auto fetch_places = std::make_shared<delivery::FetchPlaces>(delivery::FetchPlaces::Limits{
      config_->sts.concurrent_fetches, config_->sts.concurrent_fetches_per_host});
  const auto notice_limit = std::make_shared<delivery::NoticeLimit>();
  std::vector<delivery::Dispatcher::Place> places;
  for (std::size_t i = 0; i < count; ++i) {
    auto reader = spool::SpoolReader::open(config_->queue.path);
    if (!reader) {
      return Unexpected<std::string>(reader.error());
    }
    auto thread = std::make_unique<WorkerThread>();
    PolicyShare& share = (*shares)[i];
    delivery::Worker::Parts parts{thread->loop,
                                  clock_,
                                  *spool_,
                                  log_,
                                  std::move(*reader),
                                  *dns,
                                  *tls,
                                  settings,
                                  std::move(share.stored.policies),
                                  std::move(share.refetch)};
    parts.troubles = std::move(share.stored.troubles);
    parts.fetch_places = fetch_places;
    parts.pauses = pauses_;
    parts.notice_limit = notice_limit;
    parts.trace = &dialogue_trace_;
    thread->worker = std::make_unique<delivery::Worker>(std::move(parts));
    thread->reception = std::make_unique<reception::Reception>(
        reception::ReceptionContext{thread->loop, clock_, *spool_, log_, passwords_, throttle_,
                                    receiving, connections_, *clients_},
        bindings);
    places.push_back({&thread->loop, thread->worker.get()});
    threads_.push_back(std::move(thread));
  }
  dispatcher_ = std::make_unique<delivery::Dispatcher>(std::move(places), config_->routes);
  spool_->set_stored_observer([this](const std::shared_ptr<const spool::Envelope>& envelope) {
    dispatcher_->stored(envelope);
  });
  return {};
}

Expected<std::vector<Daemon::PolicyShare>, std::string> Daemon::load_policies(std::size_t count) {
  std::vector<PolicyShare> shares(count);
  const auto read = reader_->each_policy([&](spool::SpoolReader::StoredPolicy policy) {
    const std::string& domain = policy ? (*policy)->domain : policy.error();
    PolicyShare& share = shares[delivery::Dispatcher::owner({}, {domain}, count)];
    if (policy) {
      share.stored.policies.push_back(std::move(*policy));
    } else {
      // Its row stays until another takes its place, so that each start tries again.
      log_.warning("policy-damaged", {{"domain", domain}, {"detail", "it is fetched again"}});
      share.refetch.push_back(domain);
    }
  });
  const auto troubles = read ? reader_->each_trouble([&](spool::PolicyTrouble trouble) {
    auto& share = shares[delivery::Dispatcher::owner({}, {trouble.domain}, count)];
    share.stored.troubles.push_back(std::move(trouble));
  })
                             : read;
  if (!troubles) {
    return Unexpected<std::string>(
        fmt::format("stored policies cannot be read: {}", troubles.error().reason));
  }
  return shares;
}

Expected<void, std::string> Daemon::load_queue() {
  std::size_t groups = 0;
  auto read = reader_->each_pending([&](const spool::PendingGroup& group) {
    ++groups;
    const std::size_t owner =
        delivery::Dispatcher::owner(config_->routes, delivery::path_of(group), threads_.size());
    threads_[owner]->worker->add_pending(group);
  });
  if (!read) {
    return Unexpected<std::string>(
        fmt::format("the queue cannot be read: {}", read.error().reason));
  }
  if (groups > 0) {
    log_.info("queue-loaded", {{"groups", std::to_string(groups)}});
  }
  return {};
}

Expected<void, std::string> Daemon::make_reporter() {
  auto reader = spool::SpoolReader::open(config_->queue.path);
  if (!reader) {
    return Unexpected<std::string>(reader.error());
  }
  auto dns = dns_options(*config_);
  if (!dns) {
    return Unexpected<std::string>(dns.error());
  }
  auto settings = report_settings(*config_);
  if (!settings) {
    return Unexpected<std::string>(settings.error());
  }
  net::HttpsClientOptions https;
  https.ca_file = config_->test_world ? config_->test_world->ca_file : "";
  https.revocation = (*settings)->revocation;
  reporter_ = std::make_unique<reporting::Reporter>(
      reporting::Reporter::Parts{main_loop_, clock_, *spool_, log_, std::move(*reader),
                                 std::move(*dns), std::move(https), std::move(*settings)});
  return {};
}

Expected<void, std::string> Daemon::start_control() {
  auto socket = net::ListeningSocket::bind_unix(config_->control.socket, 0600);
  if (!socket) {
    return Unexpected<std::string>(socket.error());
  }
  actions_ = std::make_unique<control::ControlActions>(*reader_, clock_, control_actions());
  control_ = std::make_unique<control::ControlServer>(
      main_loop_, std::move(*socket),
      [this](const control::Request& request, std::function<void(control::Response)> respond) {
        actions_->execute(request, std::move(respond));
      });
  return {};
}

std::vector<net::SocketAddress> Daemon::listen_addresses() const {
  std::vector<net::SocketAddress> addresses;
  for (const auto& socket : sockets_) {
    if (const auto address = socket->address()) {
      addresses.push_back(*address);
    }
  }
  return addresses;
}

}  // namespace relay
