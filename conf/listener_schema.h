// The settings of one listener, as schema.h has those of everything else.
#pragma once

#include "conf/listener.h"
#include "conf/rules.h"

namespace conf {

template <class Visitor>
void visit(Visitor& visitor, ListenerTls& tls) {
  visitor.value("mode", tls.mode, kListenerTlsModes);
  visitor.value("certificate", tls.certificate, Text{TextKind::file});
  visitor.value("key", tls.key, Text{TextKind::file});
  visitor.value("minimum_version", tls.minimum_version, kTlsVersions);
  visitor.value("client_ca", tls.client_ca, Text{TextKind::file});
}

template <class Visitor>
void visit(Visitor& visitor, ListenerAuth& auth) {
  visitor.value("users", auth.users, Text{TextKind::file});
  visitor.value("required", auth.required, Flag{});
}

template <class Visitor>
void visit(Visitor& visitor, ListenerSocket& socket) {
  visitor.value("mode", socket.mode, Text{TextKind::socket_mode});
  visitor.value("owner", socket.owner, Text{TextKind::user});
}

/// An AddressFilter with what its lists take.
struct FilterSection {
  AddressFilter& filter;
  AddressPatternList rule;
};

template <class Visitor>
void visit(Visitor& visitor, FilterSection& section) {
  visitor.value("allow", section.filter.allow, section.rule);
  visitor.value("deny", section.filter.deny, section.rule);
}

template <class Visitor>
void visit_filters(Visitor& visitor, AddressFilter& senders, AddressFilter& recipients) {
  FilterSection of_senders{senders, kSenders};
  FilterSection of_recipients{recipients, kRecipients};
  visitor.section("senders", of_senders);
  visitor.section("recipients", of_recipients);
}

template <class Visitor>
void visit(Visitor& visitor, ClientLimits& limits) {
  visitor.value("connections", limits.connections, Number{0, 1'000'000});
  visitor.value("messages", limits.messages, Text{TextKind::rate});
  visitor.value("recipients", limits.recipients, Text{TextKind::rate});
  visitor.value("over", limits.over, kOverLimits);
}

template <class Visitor>
void visit(Visitor& visitor, ClientRule& rule) {
  visitor.value("users", rule.users, UserNameList{});
  visitor.value("networks", rule.networks, NetworkList{});
  visit_filters(visitor, rule.senders, rule.recipients);
  visitor.optional_section("limits", rule.limits);
}

template <class Visitor>
void visit(Visitor& visitor, SenderRewrite& rewrite) {
  visitor.value("match", rewrite.match, Text{TextKind::sender_match});
  visitor.value("to", rewrite.to, Text{TextKind::sender_target});
}

template <class Visitor>
void visit(Visitor& visitor, Listener& listener) {
  visitor.value("address", listener.address, ListenPlace{kListenPort});
  visitor.section("socket", listener.socket);
  visitor.section("tls", listener.tls);
  visitor.section("auth", listener.auth);
  visitor.value("proxy_protocol", listener.proxy_protocol, NetworkList{});
  visitor.value("allow_certificates", listener.allow_certificates, CertificateList{});
  visitor.value("allow_networks", listener.allow_networks, NetworkList{});
  visitor.value("normalize_networks", listener.normalize_networks, NetworkList{});
  visit_filters(visitor, listener.senders, listener.recipients);
  visitor.section("limits", listener.limits);
  visitor.list("client_rules", listener.client_rules);
  visitor.list("rewrite_senders", listener.rewrite_senders);
  visitor.value("add_missing_headers", listener.add_missing_headers, Flag{});
  visitor.value("hide_client", listener.hide_client, Flag{});
  visitor.value("priority", listener.priority, kPriorities);
}

}  // namespace conf
