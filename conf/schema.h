// Every setting once: its key, its place in Config and what it accepts (rules.h). The reader, the
// emitter and whoever else walks a configuration visit these lists; a new setting is added here, in
// conf/config.h and in conf/relay.yaml. A visitor has value(key, member, rule), section(key,
// member), optional_section(key, member), list(key, member) and map(key, member, rule).
#pragma once

#include <chrono>

#include "conf/config.h"
#include "conf/listener_schema.h"
#include "conf/preload.h"
#include "conf/rules.h"

namespace conf {

template <class Visitor>
void visit(Visitor& visitor, OAuth2& oauth2) {
  visitor.value("token_url", oauth2.token_url, Text{TextKind::https_url});
  visitor.value("client_id", oauth2.client_id, Text{TextKind::credential});
  visitor.value("client_secret_file", oauth2.client_secret_file, Text{TextKind::file});
  visitor.value("scope", oauth2.scope, Text{TextKind::reason});
}

template <class Visitor>
void visit(Visitor& visitor, UpstreamAuth& auth) {
  visitor.value("user", auth.user, Text{TextKind::credential});
  visitor.value("password_file", auth.password_file, Text{TextKind::file});
  visitor.optional_section("oauth2", auth.oauth2);
  visitor.value("send_over", auth.send_over, kSendOver);
}

template <class Visitor>
void visit(Visitor& visitor, Upstream& upstream) {
  visitor.value("host", upstream.host, Text{TextKind::next_hop});
  visitor.value("port", upstream.port, kPort);
  visitor.value("tls", upstream.tls, kUpstreamTls);
  visitor.value("level", upstream.level, kUpstreamLevels);
  visitor.optional_section("auth", upstream.auth);
}

template <class Visitor>
void visit(Visitor& visitor, Route& route) {
  visitor.value("match", route.match, Text{TextKind::route_match});
  visitor.value("sender", route.sender, Text{TextKind::route_sender});
  visitor.value("listener", route.listener, Text{TextKind::route_listener});
  visitor.value("mx", route.mx, Text{TextKind::domain});
  visitor.value("host", route.host, Text{TextKind::next_hop});
  visitor.value("port", route.port, kPort);
  visitor.list("upstreams", route.upstreams);
  visitor.value("helo", route.helo, Text{TextKind::host_name});
  visitor.value("source_ipv4", route.source_ipv4, Text{TextKind::ipv4});
  visitor.value("source_ipv6", route.source_ipv6, Text{TextKind::ipv6});
  visitor.value("rate", route.rate, Text{TextKind::rate});
}

template <class Visitor>
void visit(Visitor& visitor, Limits& limits) {
  // RFC 5321 §4.5.3.1.7: 64K octets of content must be possible.
  visitor.value("message_size", limits.message_size, Octets{64ULL << 10, 4ULL << 30});
  // RFC 5321 §4.5.3.1.8: 100 recipients must be possible.
  visitor.value("recipients", limits.recipients, Number{100, 100'000});
  visitor.value("connections", limits.connections, kCount);
  visitor.value("connections_per_client", limits.connections_per_client, kCount);
  visitor.value("received_headers", limits.received_headers, Number{10, 1000});
  visitor.value("header_size", limits.header_size, Octets{16ULL << 10, 64ULL << 20});
  // RFC 5321 §4.5.3.1.6: 1000 octets with CRLF must be possible.
  visitor.value("line_length", limits.line_length, Number{998, 1'000'000});
  visitor.value("soft_errors", limits.soft_errors, kCount);
  visitor.value("hard_errors", limits.hard_errors, kCount);
  visitor.value("auth_failures", limits.auth_failures, kCount);
  visitor.value("junk_commands", limits.junk_commands, kCount);
  visitor.value("command_timeout", limits.command_timeout, kTimeout);
  visitor.value("session_timeout", limits.session_timeout, kTimeout);
  visitor.value("minimum_data_rate", limits.minimum_data_rate, Number{0, 1'000'000'000});
}

template <class Visitor>
void visit(Visitor& visitor, QueueRule& rule) {
  visitor.value("lifetime", rule.lifetime, Wait{Duration(0), std::chrono::hours(24 * 30)});
  visitor.value("retry", rule.retry,
                WaitList{std::chrono::milliseconds(100), std::chrono::hours(24 * 30),
                         WaitList::Empty::allowed});
}

template <class Visitor>
void visit(Visitor& visitor, QueueUser& user) {
  visitor.value("priority", user.priority, kPriorities);
}

template <class Visitor>
void visit(Visitor& visitor, Queue& queue) {
  visitor.value("path", queue.path, Text{TextKind::directory});
  visitor.value("lifetime", queue.lifetime,
                Wait{std::chrono::seconds(1), std::chrono::hours(24 * 30)});
  visitor.value("warn_after", queue.warn_after, Wait{Duration(0), std::chrono::hours(24 * 30)});
  visitor.value("retry", queue.retry,
                WaitList{std::chrono::milliseconds(100), std::chrono::hours(24 * 30)});
  visitor.value("jitter_percent", queue.jitter_percent, Number{0, 50});
  visitor.value("min_free", queue.min_free, Octets{0, 1ULL << 40});
  visitor.value("max_messages", queue.max_messages, Number{0, 1'000'000'000});
  visitor.value("max_size", queue.max_size, Octets{0, 1ULL << 50});
  visitor.value("max_messages_per_sender", queue.max_messages_per_sender, Number{0, 1'000'000'000});
  visitor.map("domains", queue.domains, ByDomain{ByDomain::Wildcards::allowed});
  visitor.map("users", queue.users,
              ByDomain{ByDomain::Wildcards::refused, nullptr, ByDomain::Keys::users});
}

template <class Visitor>
void visit(Visitor& visitor, Timeouts& timeouts) {
  visitor.value("connect", timeouts.connect, kTimeout);
  visitor.value("greeting", timeouts.greeting, kTimeout);
  visitor.value("ehlo", timeouts.ehlo, kTimeout);
  visitor.value("starttls", timeouts.starttls, kTimeout);
  visitor.value("mail", timeouts.mail, kTimeout);
  visitor.value("rcpt", timeouts.rcpt, kTimeout);
  visitor.value("data", timeouts.data, kTimeout);
  visitor.value("body", timeouts.body, kTimeout);
  visitor.value("final_dot", timeouts.final_dot, kTimeout);
  visitor.value("rset", timeouts.rset, kTimeout);
  visitor.value("attempt", timeouts.attempt, kTimeout);
}

template <class Visitor>
void visit(Visitor& visitor, DestinationRule& rule) {
  visitor.value("ipv6", rule.ipv6, kSwitch);
  visitor.value("connections", rule.connections, Number{0, 1'000'000});
  visitor.value("rate", rule.rate, Text{TextKind::rate});
}

template <class Visitor>
void visit(Visitor& visitor, ReplyRule& rule) {
  visitor.value("host", rule.host, Text{TextKind::route_match});
  visitor.value("code", rule.code, Text{TextKind::reply_code});
  visitor.value("status", rule.status, Text{TextKind::enhanced_code});
  visitor.value("text", rule.text, Text{TextKind::reason});
  visitor.value("action", rule.action, kReplyActions);
  visitor.value("wait", rule.wait, Wait{std::chrono::seconds(1), std::chrono::hours(24)});
}

template <class Visitor>
void visit(Visitor& visitor, Delivery& delivery) {
  visitor.value("connections_per_destination", delivery.connections_per_destination, kCount);
  visitor.value("connections", delivery.connections, kCount);
  visitor.value("connection_idle", delivery.connection_idle,
                Wait{Duration(0), std::chrono::hours(1)});
  visitor.value("connection_age", delivery.connection_age, kTimeout);
  visitor.value("messages_per_connection", delivery.messages_per_connection, kCount);
  visitor.value("hosts_per_attempt", delivery.hosts_per_attempt, Number{1, 1000});
  visitor.value("addresses_per_host", delivery.addresses_per_host, Number{1, 1000});
  visitor.value("sessions_per_attempt", delivery.sessions_per_attempt, Number{1, 1000});
  visitor.value("force_8bit", delivery.force_8bit, Flag{});
  visitor.value("ipv6", delivery.ipv6, Flag{});
  visitor.value("prefer", delivery.prefer, kPrefers);
  visitor.value("helo", delivery.helo, Text{TextKind::host_name});
  visitor.value("source_ipv4", delivery.source_ipv4, Text{TextKind::ipv4});
  visitor.value("source_ipv6", delivery.source_ipv6, Text{TextKind::ipv6});
  visitor.value("host_retry", delivery.host_retry, Wait{Duration(0), std::chrono::hours(24)});
  visitor.map("domains", delivery.domains, ByDomain{ByDomain::Wildcards::allowed});
  visitor.list("reply_rules", delivery.reply_rules);
  visitor.section("timeouts", delivery.timeouts);
}

template <class Visitor>
void visit(Visitor& visitor, Sts& sts) {
  visitor.value("first_contact_wait", sts.first_contact_wait, kTimeout);
  visitor.value("first_contact", sts.first_contact, kFirstContacts);
  visitor.value("on_dns_failure", sts.on_dns_failure, kOnDnsFailures);
  visitor.value("concurrent_fetches", sts.concurrent_fetches, Number{1, 10'000});
  visitor.value("concurrent_fetches_per_host", sts.concurrent_fetches_per_host, Number{1, 10'000});
  visitor.value("cache_entries", sts.cache_entries, Number{1, 100'000'000});
  visitor.value("history", sts.history, Number{0, 1000});
}

template <class Visitor>
void visit(Visitor& visitor, TlsRule& rule) {
  visitor.value("level", rule.level, kTlsLevels);
  visitor.value("mx", rule.mx, MxPatternList{});
  visitor.value("fingerprints", rule.fingerprints, FingerprintList{});
  visitor.value("until", rule.until, UntilMoment{});
  visitor.value("reason", rule.reason, Text{TextKind::reason});
  visitor.value("report_only", rule.report_only, Flag{});
}

template <class Visitor>
void visit(Visitor& visitor, TlsPolicy& policy) {
  visitor.value("default", policy.default_level, kDefaultTlsLevels);
  visitor.value("report_only", policy.report_only, Flag{});
  visitor.value("dane_with_sts", policy.dane_with_sts, kDaneWithSts);
  visitor.value("revocation", policy.revocation, kRevocation);
  visitor.value("preload", policy.preload, Text{TextKind::file});
  visitor.map("domains", policy.domains, ByDomain{ByDomain::Wildcards::allowed});
}

template <class Visitor>
void visit(Visitor& visitor, PreloadEntry& entry) {
  visitor.value("mx", entry.mx, MxPatternList{});
  visitor.value("until", entry.until, UntilMoment{});
}

template <class Visitor>
void visit(Visitor& visitor, ReportKey& key) {
  visitor.value("domain", key.domain, Text{TextKind::domain});
  visitor.value("selector", key.selector, Text{TextKind::domain});
  visitor.value("key_file", key.key_file, Text{TextKind::file});
}

template <class Visitor>
void visit(Visitor& visitor, Redact& redact) {
  visitor.value("sending_mta_ip", redact.sending_mta_ip, Flag{});
  visitor.value("helo", redact.helo, Flag{});
  visitor.value("reason", redact.reason, Flag{});
}

template <class Visitor>
void visit(Visitor& visitor, ReportRule& rule) {
  visitor.value("send", rule.send, Flag{});
  visitor.value("rua", rule.rua, ReportUriList{});
}

template <class Visitor>
void visit(Visitor& visitor, Reports& reports) {
  visitor.value("organization", reports.organization, Text{TextKind::reason});
  visitor.value("contact", reports.contact, Text{TextKind::mailbox});
  visitor.value("from", reports.from, Text{TextKind::mailbox});
  visitor.list("dkim", reports.dkim);
  // RFC 8460 §4.1: a report covers a day, so the next one must not be due before it is out.
  visitor.value("window", reports.window, Wait{Duration(0), std::chrono::hours(12)});
  visitor.value("grace", reports.grace, Wait{Duration(0), std::chrono::hours(6)});
  visitor.value("details_per_policy", reports.details_per_policy, Number{1, 1000});
  visitor.section("redact", reports.redact);
  visitor.map("domains", reports.domains, ByDomain{ByDomain::Wildcards::refused});
  visitor.value("success_only", reports.success_only, Flag{});
  visitor.value("dry_run_folder", reports.dry_run_folder, Text{TextKind::file});
}

template <class Visitor>
void visit(Visitor& visitor, Dns& dns) {
  visitor.value("resolvers", dns.resolvers, AddressList{53});
  visitor.value("trust_ad", dns.trust_ad, AddressList{53});
  visitor.value("timeout", dns.timeout, Wait{Duration(1), std::chrono::minutes(1)});
  visitor.value("rounds", dns.rounds, Number{1, 20});
  visitor.value("dnssec", dns.dnssec, kDnssec);
  visitor.value("trust_anchor", dns.trust_anchor, Text{TextKind::file});
}

template <class Visitor>
void visit(Visitor& visitor, Control& control) {
  visitor.value("socket", control.socket, Text{TextKind::file});
}

template <class Visitor>
void visit(Visitor& visitor, Logging& log) {
  visitor.value("level", log.level, kLogLevels);
  visitor.value("format", log.format, kLogFormats);
  visitor.value("syslog_name", log.syslog_name, Text{TextKind::account_name});
  visitor.value("postfix_tls", log.postfix_tls, Flag{});
  visitor.value("trace_memory", log.trace_memory, Octets{0, 1ULL << 30});
}

template <class Visitor>
void visit(Visitor& visitor, Notices& notices) {
  visitor.value("return_size", notices.return_size, Octets{4ULL << 10, 64ULL << 20});
  visitor.value("delayed_for_bulk", notices.delayed_for_bulk, Flag{});
  visitor.value("postmaster", notices.postmaster, Text{TextKind::mailbox});
  visitor.value("per_hour", notices.per_hour, kCount);
}

template <class Visitor>
void visit(Visitor& visitor, Events& events) {
  visitor.value("to", events.to, Text{TextKind::event_target});
  visitor.value("token_file", events.token_file, Text{TextKind::file});
  visitor.value("queue", events.queue, Number{100, 1'000'000});
}

template <class Visitor>
void visit(Visitor& visitor, Metrics& metrics) {
  visitor.value("address", metrics.address, Address{9125});
}

template <class Visitor>
void visit(Visitor& visitor, StagingFault& fault) {
  visitor.value("recipient", fault.recipient, Text{TextKind::reason});
  visitor.value("at", fault.at, kFaultPlaces);
  visitor.value("reply", fault.reply, Text{TextKind::reason});
  visitor.value("delay", fault.delay, Wait{Duration(0), std::chrono::hours(24)});
  visitor.value("connection", fault.connection, kFaultConnections);
}

template <class Visitor>
void visit(Visitor& visitor, Staging& staging) {
  visitor.value("confirm", staging.confirm, Text{TextKind::host_name});
  visitor.value("redirect_to", staging.redirect_to, Text{TextKind::mailbox});
  visitor.value("allow_recipients", staging.allow_recipients, PatternList{});
  visitor.value("sink", staging.sink, Flag{});
  visitor.value("sink_keep", staging.sink_keep, Wait{Duration(0), std::chrono::hours(24 * 30)});
  visitor.value("capture", staging.capture, Text{TextKind::file});
  visitor.value("dry_run", staging.dry_run, Flag{});
  visitor.value("soft_bounce", staging.soft_bounce, Flag{});
  visitor.list("faults", staging.faults);
  visitor.value("only_hosts", staging.only_hosts, PatternList{});
}

template <class Visitor>
void visit(Visitor& visitor, TestWorld& world) {
  visitor.value("resolvers", world.resolvers, AddressList{53});
  visitor.value("smtp_port", world.smtp_port, kPort);
  visitor.value("https_port", world.https_port, kPort);
  visitor.value("ca_file", world.ca_file, Text{TextKind::file});
  visitor.value("allow_private_addresses", world.allow_private_addresses, Flag{});
  visitor.value("shortest_record_ttl", world.shortest_record_ttl,
                Wait{Duration(0), std::chrono::hours(1)});
  visitor.value("clock_offset", world.clock_offset,
                Wait{Duration(0), std::chrono::hours(24 * 365)});
}

template <class Visitor>
void visit(Visitor& visitor, Config& config) {
  visitor.value("hostname", config.hostname, Text{TextKind::host_name});
  visitor.value("user", config.user, Text{TextKind::user});
  visitor.value("workers", config.workers, Number{0, 1024});
  visitor.list("listen", config.listen);
  visitor.list("routes", config.routes);
  visitor.section("limits", config.limits);
  visitor.section("queue", config.queue);
  visitor.section("delivery", config.delivery);
  visitor.section("sts", config.sts);
  visitor.section("tls_policy", config.tls_policy);
  visitor.section("reports", config.reports);
  visitor.list("dkim", config.dkim);
  visitor.section("notices", config.notices);
  visitor.section("dns", config.dns);
  visitor.section("control", config.control);
  visitor.section("log", config.log);
  visitor.optional_section("metrics", config.metrics);
  visitor.optional_section("events", config.events);
  visitor.optional_section("staging", config.staging);
  visitor.optional_section("test_world", config.test_world);
}

}  // namespace conf
