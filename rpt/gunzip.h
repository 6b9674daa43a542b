// gzip (RFC 1952) to octets, within limits. Pure.
#pragma once

#include <string>
#include <string_view>

#include "rpt/expected.h"
#include "rpt/report_reader.h"

namespace rpt {

struct Gunzipped {
  std::string octets;
  std::size_t consumed = 0;  ///< of the input; the rest is no gzip
};

[[nodiscard]] bool is_gzip(std::string_view octets);
[[nodiscard]] Expected<Gunzipped, ReadError> gunzip(std::string_view octets,
                                                    const ReaderLimits& limits);

}  // namespace rpt
