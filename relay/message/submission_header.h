// What a submission server does to the header section of its own submitters' mail (RFC 6409 §8), as
// it passes: Date and Message-ID where they are missing, another sender in From. Mail that carries
// a signature is never changed, nor From of mail that was relayed before. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/smtp/envelope_rules.h"

namespace relay::message {

struct SubmissionFacts {
  std::string date;                           ///< value of a missing Date; "": none is added
  std::string message_id;                     ///< with < and >; "": none is added
  std::string hostname;                       ///< of addresses in From that have no domain
  std::vector<smtp::SenderRewrite> rewrites;  ///< of From
};

/// Memory is bounded by one header line; with rewrites, by the header section from From on.
class SubmissionHeader {
 public:
  explicit SubmissionHeader(SubmissionFacts facts) : facts_(std::move(facts)) {}

  /// content: what ContentCheck let pass, in any cut; appends what takes its place to out.
  void feed(std::string_view content, std::string& out);
  /// The content ended.
  void finish(std::string& out);

 private:
  void line(std::string_view line, std::string& out);
  void begin_field(std::string_view line);
  void end_header(std::string& out);
  [[nodiscard]] std::string from_field() const;

  SubmissionFacts facts_;
  bool in_header_ = true;
  std::string line_;  // not complete yet
  bool has_date_ = false, has_message_id_ = false;
  bool signed_ = false, relayed_ = false;
  int from_fields_ = 0;
  bool in_from_ = false;
  bool holding_ = false;
  std::string held_;          // from From on, until it is known whether it may be changed
  std::size_t from_end_ = 0;  // of the From field in it
};

}  // namespace relay::message
