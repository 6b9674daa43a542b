#include "relay/cli/report_input.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "relay/cli/report_archive.h"
#include "relay/cli/report_mime.h"

namespace relay::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFile = std::size_t{512} << 20U;

/// Is the input one that holds other things too, as mailboxes and folders do?
enum class Expecting { report, anything };

struct Close {
  void operator()(std::FILE* file) const {
    if (file != stdin) {
      std::fclose(file);  // NOLINT(cert-err33-c): it was only read
    }
  }
};
using File = std::unique_ptr<std::FILE, Close>;

// A signature that was good when the mail came is good for its report: now, of no moment, none has
// expired.
ReportCarrier carrier_of(std::string_view mail) {
  return {ReportCarrier::Kind::mail, message::dkim_claims(as_transmitted(mail), {})};
}

/// Takes what a name leads to apart, until reports are left.
class Unpacker {
 public:
  Unpacker(const InputSink& sink, Expecting expecting) : sink_(sink), expecting_(expecting) {}

  void octets(const std::string& source, std::string octets, rpt::ReportMetadata metadata,
              const ReportCarrier& carrier = {}) {
    switch (input_kind(octets)) {
      case InputKind::report:
        sink_.report({source, std::move(octets), std::move(metadata), carrier});
        return;
      case InputKind::zip:
        zip(source, octets, metadata, carrier);
        return;
      case InputKind::mbox:
        mbox(source, octets);
        return;
      case InputKind::mail:
        mail(source, reports_in_mail(octets), expecting_);
        return;
    }
  }

  void mail(const std::string& source, MailContent content, Expecting expecting) {
    for (const std::string& problem : content.problems) {
      sink_.unreadable({source, "too-large", problem});
    }
    if (content.reports.empty() && content.problems.empty()) {
      nothing(source, expecting);
    }
    const ReportCarrier signed_mail =
        content.reports.empty() ? ReportCarrier{} : carrier_of(content.message);
    for (MailedReport& found : content.reports) {
      const ReportCarrier carrier = found.place == MailedReport::Place::here
                                        ? signed_mail
                                        : ReportCarrier{ReportCarrier::Kind::forwarded, {}};
      const bool packed = input_kind(found.octets) == InputKind::zip;
      if (packed) {
        zip(source, found.octets, found.metadata, carrier);
      } else {
        sink_.report({source, std::move(found.octets), std::move(found.metadata), carrier});
      }
    }
  }

 private:
  void nothing(const std::string& source, Expecting expecting) {
    if (expecting == Expecting::anything) {
      sink_.other();
    } else {
      sink_.unreadable({source, "no-report", "it is neither a report nor mail that holds one"});
    }
  }

  void mbox(const std::string& source, const std::string& octets) {
    std::size_t number = 0;
    read_mbox(octets, [&](MailContent content) {
      mail(fmt::format("{}: message {}", source, ++number), std::move(content),
           Expecting::anything);
    });
  }

  void zip(const std::string& source, const std::string& octets,
           const rpt::ReportMetadata& metadata, const ReportCarrier& carrier) {
    if (++zips_ > kMaxZips) {
      sink_.unreadable({source, "too-deep", "archives in archives"});
      return;
    }
    const auto done = read_zip(octets, [&](ZipEntry entry) {
      const std::string inner = fmt::format("{}: {}", source, entry.name);
      if (!entry.octets) {
        sink_.unreadable({inner, "too-large", entry.octets.error()});
        return;
      }
      this->octets(inner, std::move(*entry.octets),
                   {metadata.domain, metadata.submitter, entry.name}, carrier);
    });
    if (!done) {
      sink_.unreadable({source, "damaged", done.error()});
    }
    --zips_;
  }

  static constexpr int kMaxZips = 2;  // one may hold others

  const InputSink& sink_;
  Expecting expecting_;
  int zips_ = 0;
};

void read_file(const std::string& path, const InputSink& sink, Expecting expecting) {
  auto octets = file_octets(path);
  if (!octets) {
    sink.unreadable({path, "cannot-open", octets.error()});
    return;
  }
  const std::string source = path == "-" ? "standard input" : path;
  Unpacker(sink, expecting)
      .octets(source, std::move(*octets), {{}, {}, fs::path(path).filename().string()});
}

void read_folder(const fs::path& folder, const InputSink& sink) {
  std::vector<std::string> files;
  std::error_code failure;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored) && !entry->path().filename().string().starts_with('.')) {
      files.push_back(entry->path().string());
    }
  }
  if (failure) {
    sink.unreadable({folder.string(), "cannot-open", failure.message()});
  }
  std::ranges::sort(files);
  for (const std::string& file : files) {
    read_file(file, sink, Expecting::anything);
  }
}

}  // namespace

Expected<std::string, std::string> file_octets(const std::string& path) {
  const File file(path == "-" ? stdin : std::fopen(path.c_str(), "rbe"));
  if (!file) {
    return Unexpected<std::string>("it cannot be opened");
  }
  std::string octets;
  std::vector<char> piece(1U << 16U);
  while (const std::size_t length = std::fread(piece.data(), 1, piece.size(), file.get())) {
    octets.append(piece.data(), length);
    if (octets.size() > kMaxFile) {
      return Unexpected<std::string>("it is larger than 512 MiB");
    }
  }
  if (std::ferror(file.get()) != 0) {
    return Unexpected<std::string>("it cannot be read");
  }
  return octets;
}

InputKind input_kind(std::string_view octets) {
  if (octets.starts_with("PK\x03\x04") || octets.starts_with("PK\x05\x06")) {
    return InputKind::zip;
  }
  if (octets.starts_with("\x1f\x8b")) {
    return InputKind::report;
  }
  if (octets.starts_with("From ")) {
    return InputKind::mbox;
  }
  std::string_view text = octets;
  text.remove_prefix(text.starts_with("\xef\xbb\xbf") ? 3 : 0);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text.empty() || text.starts_with('{') || text.starts_with('[') ? InputKind::report
                                                                        : InputKind::mail;
}

void read_input(const std::string& path, const InputSink& sink) {
  std::error_code ignored;
  if (path == "-" || !fs::is_directory(path, ignored)) {
    read_file(path, sink, Expecting::report);
    return;
  }
  const fs::path folder(path);
  if (!fs::is_directory(folder / "cur", ignored) && !fs::is_directory(folder / "new", ignored)) {
    read_folder(folder, sink);
    return;
  }
  for (const char* const part : {"cur", "new"}) {
    if (fs::is_directory(folder / part, ignored)) {
      read_folder(folder / part, sink);
    }
  }
}

void read_octets(const std::string& source, std::string octets, const InputSink& sink) {
  Unpacker(sink, Expecting::report)
      .octets(source, std::move(octets), {{}, {}, fs::path(source).filename().string()});
}

}  // namespace relay::cli
