#include "relay/cli/report_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <array>
#include <memory>

namespace relay::cli {
namespace {

struct Free {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, Free>;

std::string fault_of(archive* reader) {
  const char* const text = archive_error_string(reader);
  return text == nullptr ? "the archive is damaged" : text;
}

/// What is read counts against total also where it is not kept.
Expected<std::string, std::string> read_entry(archive* reader, const ZipLimits& limits,
                                              std::size_t& total) {
  std::string octets;
  std::array<char, 65536> piece{};
  while (true) {
    const la_ssize_t length = archive_read_data(reader, piece.data(), piece.size());
    if (length < 0) {
      return Unexpected<std::string>(fault_of(reader));
    }
    if (length == 0) {
      return octets;
    }
    total += static_cast<std::size_t>(length);
    octets.append(piece.data(), static_cast<std::size_t>(length));
    if (octets.size() > limits.entry_octets || total > limits.total_octets) {
      return Unexpected<std::string>("more comes out of the archive than reports may hold");
    }
  }
}

std::string name_of(archive_entry* entry) {
  const char* const name = archive_entry_pathname(entry);
  return name == nullptr ? "(a file without a name)" : name;
}

}  // namespace

Expected<void, std::string> read_zip(std::string_view octets,
                                     const std::function<void(ZipEntry)>& each,
                                     const ZipLimits& limits) {
  const Reader reader(archive_read_new());
  if (!reader || archive_read_support_format_zip(reader.get()) != ARCHIVE_OK ||
      archive_read_open_memory(reader.get(), octets.data(), octets.size()) != ARCHIVE_OK) {
    return Unexpected<std::string>(reader ? fault_of(reader.get()) : "no memory");
  }
  std::size_t total = 0;
  for (std::size_t count = 0; total <= limits.total_octets; ++count) {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) {
      return {};
    }
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      return Unexpected<std::string>(fault_of(reader.get()));
    }
    if (count >= limits.entries) {
      return Unexpected<std::string>("the archive has too many files");
    }
    if (archive_entry_filetype(entry) == AE_IFREG) {
      std::string name = name_of(entry);
      each({std::move(name), read_entry(reader.get(), limits, total)});
    }
  }
  return Unexpected<std::string>("more comes out of the archive than reports may hold");
}

}  // namespace relay::cli
