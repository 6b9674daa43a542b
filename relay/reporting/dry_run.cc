#include "relay/reporting/dry_run.h"

#include <cerrno>
#include <fstream>
#include <system_error>

#include <fmt/format.h>

namespace relay::reporting {

Expected<std::string, std::string> write_file(const std::string& folder, const std::string& name,
                                              const std::string& content) {
  const std::string path = folder + "/" + name;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) {
    return Unexpected<std::string>(
        fmt::format("{} cannot be written: {}; make the folder of reports.dry_run_folder, for the "
                    "user that stsrelay runs as",
                    path, std::generic_category().message(errno)));
  }
  return path;
}

}  // namespace relay::reporting
