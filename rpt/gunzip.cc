#include "rpt/gunzip.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>

#include <zlib.h>

namespace rpt {
namespace {

constexpr std::size_t kRatioFrom = std::size_t{1} << 20U;

/// A zlib stream that reads gzip.
class Inflater {
 public:
  Inflater() : ready_(inflateInit2(&stream_, MAX_WBITS + 16) == Z_OK) {}
  ~Inflater() {
    if (ready_) {
      inflateEnd(&stream_);
    }
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
  bool ready_;
};

bool too_large(const Gunzipped& made, const ReaderLimits& limits) {
  return made.octets.size() > limits.decompressed ||
         (made.octets.size() > kRatioFrom && made.octets.size() / limits.ratio > made.consumed);
}

/// One member, from made.consumed on.
Expected<void, ReadError> gunzip_member(std::string_view octets, const ReaderLimits& limits,
                                        Gunzipped& made) {
  Inflater inflater;
  if (!inflater.ready()) {
    return read_error(ReadFault::damaged, "zlib has no memory");
  }
  z_stream& stream = inflater.stream();
  const std::string_view input = octets.substr(made.consumed);
  std::array<char, 16384> output{};
  // zlib does not write to its input.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
  stream.avail_in = static_cast<uInt>(input.size());
  const std::size_t begin = made.consumed;
  while (true) {
    stream.next_out = reinterpret_cast<Bytef*>(output.data());
    stream.avail_out = static_cast<uInt>(output.size());
    const int result = inflate(&stream, Z_NO_FLUSH);
    made.octets.append(output.data(), output.size() - stream.avail_out);
    made.consumed = begin + input.size() - stream.avail_in;
    if (too_large(made, limits)) {
      return read_error(ReadFault::too_large,
                        "more comes out of the gzip data than a report may hold");
    }
    if (result == Z_STREAM_END) {
      return {};
    }
    if (result == Z_BUF_ERROR ||
        (result == Z_OK && stream.avail_in == 0 && stream.avail_out != 0)) {
      return read_error(ReadFault::truncated, "the gzip data ends too early");
    }
    if (result != Z_OK) {
      return read_error(ReadFault::damaged, "the gzip data is damaged");
    }
  }
}

}  // namespace

bool is_gzip(std::string_view octets) {
  return octets.starts_with("\x1f\x8b");
}

Expected<Gunzipped, ReadError> gunzip(std::string_view octets, const ReaderLimits& limits) {
  if (octets.size() > std::min<std::size_t>(limits.compressed, std::numeric_limits<uInt>::max())) {
    return read_error(ReadFault::too_large, "the gzip data is larger than a report may be");
  }
  constexpr int kMaxMembers = 1000;
  Gunzipped made;
  for (int i = 0; i < kMaxMembers && is_gzip(octets.substr(made.consumed)); ++i) {
    const auto member = gunzip_member(octets, limits, made);
    if (!member) {
      return Unexpected<ReadError>(member.error());
    }
  }
  return made;
}

}  // namespace rpt
