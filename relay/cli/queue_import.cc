// `queue import`: exported messages enter the queue, with the daemon running or not.
#include "relay/control/queue_import.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "relay/cli/changeable_queue.h"
#include "relay/cli/commands.h"
#include "relay/cli/durable_file.h"
#include "relay/cli/output.h"

namespace relay::cli {
namespace {

/// Copies one file of an export to where the daemon reads it.
Expected<void, std::string> copy_in(const std::filesystem::path& from, const std::string& folder) {
  std::ifstream source(from, std::ios::binary);
  if (!source) {
    return Unexpected<std::string>(fmt::format("{} cannot be read", from.string()));
  }
  auto file = DurableFile::create(folder, from.filename().string());
  if (!file) {
    return Unexpected<std::string>(file.error());
  }
  std::string part(64UL << 10, '\0');
  while (source) {
    source.read(part.data(), static_cast<std::streamsize>(part.size()));
    const std::string_view read(part.data(), static_cast<std::size_t>(source.gcount()));
    if (auto written = (*file)->write(read); !written) {
      return written;
    }
  }
  return (*file)->hand_over().and_then([&] { return (*file)->finish(); });
}

/// Content before the envelope, so that the daemon never sees half a message.
bool hand_to_daemon(const std::string& folder, const std::string& inbox) {
  std::error_code error;
  for (const char* const kind : {".eml", ".json"}) {
    for (const auto& file : std::filesystem::directory_iterator(folder, error)) {
      if (file.path().extension() != kind || file.path().filename().string().starts_with('.')) {
        continue;
      }
      if (const auto copied = copy_in(file.path(), inbox); !copied) {
        complain(copied.error());
        return false;
      }
    }
  }
  if (error) {
    complain(fmt::format("the folder {} cannot be read: {}", folder, error.message()));
  }
  return !error;
}

int print_imported(const CommonOptions& options, const Json& answer) {
  if (options.json) {
    print_json(answer);
  } else {
    print(fmt::format("Imported: {}\n", counted(answer["messages"], "message")));
    if (answer["known"] != 0) {
      print(fmt::format("Known here already: {}\n", counted(answer["known"], "message")));
    }
  }
  for (const Json& failure : answer["failed"]) {
    complain(printable(failure.get<std::string>()));
  }
  return answer["failed"].empty() ? kDone : kFailed;
}

int import_queue(const CommonOptions& options, const std::string& folder) {
  const auto config = configuration(options);
  ChangeableQueue queue(options);
  if (!config || !queue.open(options, *config)) {
    return kFailed;
  }
  if (queue.own() == nullptr) {
    if (!hand_to_daemon(folder, control::import_folder(config->queue.path))) {
      return kFailed;
    }
    const auto answer = queue.ask(control::QueueImportRequest{});
    return answer ? print_imported(options, *answer) : answer.error();
  }
  Json answer;
  std::make_shared<control::QueueImport>(
      control::QueueImport::Parts{*queue.own(), queue.loop(), queue.clock()}, folder,
      control::QueueImport::Files::kept)
      ->start([&](const control::Imported& imported) {
        answer = control::imported_view(imported);
        queue.loop().stop();
      });
  queue.loop().run();
  return print_imported(options, answer);
}

}  // namespace

void add_queue_import(CLI::App& queue, Invocation& invocation) {
  const auto folder = std::make_shared<std::string>();
  add_asking_command(queue, invocation, "import",
                     "Take exported messages into the queue, none of them twice",
                     [&invocation, folder] { return import_queue(invocation.common, *folder); })
      ->add_option("folder", *folder, "What `queue export` wrote")
      ->required();
}

}  // namespace relay::cli
