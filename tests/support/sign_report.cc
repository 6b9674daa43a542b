// Signs mail with given keys, for verifiers that others wrote (integration/test_dkim.py).
//   sign_report key rsa|ed25519                       a new key, PEM
//   sign_report record KEYFILE [SERVICE]              the TXT record for it
//   sign_report report DOMAIN SELECTOR=KEYFILE...     a signed TLS report; its text from stdin
//   sign_report message DOMAIN SELECTOR=KEYFILE...    the message from stdin, signed
#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "relay/message/dkim_key.h"
#include "relay/message/dkim_signer.h"
#include "relay/message/report_mail.h"

namespace {

using relay::message::DkimKey;
using relay::message::DkimSigner;
using relay::message::ReportMail;
using relay::message::Time;

constexpr Time kNow = std::chrono::sys_days(std::chrono::year(2026) / 8 / 21);

std::string contents(std::istream& stream) {
  return {std::istreambuf_iterator<char>(stream), {}};
}

DkimKey key_from(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  auto key = DkimKey::from_pem(contents(file));
  if (!key) {
    throw std::runtime_error(path + ": " + key.error());
  }
  return *key;
}

std::vector<DkimSigner> signers(const std::vector<std::string>& arguments) {
  std::vector<DkimSigner> result;
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    const std::size_t equals = arguments[i].find('=');
    result.push_back(
        {arguments[1], arguments[i].substr(0, equals), key_from(arguments[i].substr(equals + 1))});
  }
  return result;
}

std::string report(const std::string& domain, const std::string& text) {
  ReportMail mail;
  mail.from = "tls-reports@" + domain;
  mail.from_name = "Example \"Relay\" Operations";
  mail.to = "reports@rcpt.example";
  mail.report_domain = "rcpt.example";
  mail.submitter = domain;
  mail.report_id = "2026-08-20.4f1c@" + domain;
  mail.file_name = domain + "!rcpt.example!1787184000!1787270399!001.json.gz";
  mail.text = text;
  for (int octet = 0; octet < 1024; ++octet) {
    mail.body += static_cast<char>(octet & 0xff);
  }
  mail.date = kNow;
  mail.message_id = mail.report_id;
  return relay::message::report_mail(mail);
}

std::string answer(const std::vector<std::string>& arguments) {
  const std::string& what = arguments.at(0);
  if (what == "key") {
    return DkimKey::generate(arguments.at(1) == "rsa" ? DkimKey::Kind::rsa : DkimKey::Kind::ed25519)
        .pem();
  }
  if (what == "record") {
    return key_from(arguments.at(1)).record(arguments.size() > 2 ? arguments[2] : "");
  }
  const std::string input = contents(std::cin);
  const std::string message = what == "report" ? report(arguments.at(1), input) : input;
  return relay::message::sign(signers(arguments), message, kNow) + message;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    std::cout << answer({arguments + 1, arguments + count});
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
