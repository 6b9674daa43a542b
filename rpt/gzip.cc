#include <array>
#include <new>

#include <zlib.h>

#include "rpt/report.h"

namespace rpt {
namespace {

class Deflater {
 public:
  Deflater() {
    constexpr int kGzipWindow = 15 + 16;  // the largest window; 16 asks for a gzip header
    constexpr int kMemory = 8;            // zlib's default
    if (deflateInit2_(&stream_, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipWindow, kMemory,
                      Z_DEFAULT_STRATEGY, ZLIB_VERSION, sizeof stream_) != Z_OK) {
      throw std::bad_alloc{};
    }
    header_.os = 255;  // RFC 1952 §2.3.1: unknown; zlib would write the system it was built for
    deflateSetHeader(&stream_, &header_);
  }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  ~Deflater() { deflateEnd(&stream_); }

  void append(std::string& output, std::string_view input, int flush) {
    const void* start = input.data();
    stream_.next_in = const_cast<Bytef*>(static_cast<const Bytef*>(start));  // zlib only reads it
    stream_.avail_in = static_cast<uInt>(input.size());
    do {
      std::array<char, 16384> octets{};
      void* const end = octets.data();
      stream_.next_out = static_cast<Bytef*>(end);
      stream_.avail_out = static_cast<uInt>(octets.size());
      deflate(&stream_, flush);
      output.append(octets.data(), octets.size() - stream_.avail_out);
    } while (stream_.avail_out == 0);
  }

 private:
  z_stream stream_{};
  gz_header header_{};
};

}  // namespace

std::string gzip(std::string_view octets) {
  constexpr std::size_t kSlice = std::size_t{1} << 30U;  // zlib counts in 32 bits
  Deflater deflater;
  std::string compressed;
  while (octets.size() > kSlice) {
    deflater.append(compressed, octets.substr(0, kSlice), Z_NO_FLUSH);
    octets.remove_prefix(kSlice);
  }
  deflater.append(compressed, octets, Z_FINISH);
  return compressed;
}

}  // namespace rpt
