// `queue export`: messages as files, with the daemon running or not.
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "relay/cli/changeable_queue.h"
#include "relay/cli/commands.h"
#include "relay/cli/durable_file.h"
#include "relay/cli/output.h"
#include "relay/cli/queue_options.h"
#include "relay/control/exported_message.h"
#include "relay/control/queue_selection.h"
#include "relay/spool/message_store.h"
#include "relay/spool/spool_reader.h"

namespace relay::cli {
namespace {

constexpr std::size_t kExportedAtOnce = 100;
constexpr const char* kHeldForExport = "being exported";

struct ExportOptions {
  std::string folder;
  FilterOptions filter;
  std::vector<std::string> ids;
  bool all = false;
  bool remove = false;
};

class Exporter {
 public:
  Exporter(const ExportOptions& wanted, std::unique_ptr<spool::SpoolReader> reader,
           ChangeableQueue* queue)
      : wanted_(wanted),
        reader_(std::move(reader)),
        queue_(queue),
        selection_(wanted.filter.filter, now()) {}

  int run() {
    std::optional<spool::MessageId> last;
    while (true) {
      auto page = reader_->list(last, kExportedAtOnce);
      if (!page) {
        complain(page.error().reason);
        return kFailed;
      }
      std::vector<spool::Envelope> batch;
      for (spool::Envelope& envelope : *page) {
        last = envelope.id;
        auto meant = named(envelope.id) ? selection_.apply(std::move(envelope)) : std::nullopt;
        if (meant) {
          batch.push_back(std::move(*meant));
        }
      }
      const bool at_end = page->size() < kExportedAtOnce;
      if (!batch.empty() && !export_batch(std::move(batch))) {
        return kFailed;
      }
      if (at_end) {
        return kDone;
      }
    }
  }
  [[nodiscard]] Json answer() const {
    return {{"messages", messages_}, {"removed", removed_}, {"under_way", under_way_}};
  }

 private:
  [[nodiscard]] bool named(spool::MessageId id) const {
    const auto same = [id](const std::string& text) { return spool::MessageId::parse(text) == id; };
    return wanted_.ids.empty() || std::ranges::any_of(wanted_.ids, same);
  }

  bool export_batch(std::vector<spool::Envelope> batch) {
    const bool by_daemon = queue_ != nullptr && queue_->own() == nullptr;
    if (by_daemon && !hold(batch)) {
      return false;
    }
    for (const spool::Envelope& envelope : batch) {
      if (!export_one(envelope)) {
        if (by_daemon) {
          release(batch);
        }
        return false;
      }
    }
    return queue_ == nullptr || (by_daemon ? remove_by_daemon(batch) : remove_here(batch));
  }

  /// Keeps the daemon from trying them; those that it is trying now are left out.
  bool hold(std::vector<spool::Envelope>& batch) {
    const auto busy = hold_all(batch);
    if (!busy) {
      return false;
    }
    std::vector<spool::Envelope> tried;
    std::vector<spool::Envelope> quiet;
    for (const spool::Envelope& before : batch) {
      if (busy->contains(before.id.text())) {
        tried.push_back(before);
      } else if (!add_as_it_is_now(before, quiet)) {
        return false;
      }
    }
    under_way_ += tried.size();
    batch = std::move(quiet);
    return release(tried);
  }

  /// The ids of those that are being tried; nullopt: it failed, which was said.
  std::optional<std::set<std::string>> hold_all(const std::vector<spool::Envelope>& batch) {
    // What is held already keeps its reason: it may be tried all the same, since before the hold.
    std::map<std::string, control::QueueChange> requests;
    for (const spool::Envelope& envelope : batch) {
      const std::string reason = envelope.held.empty() ? kHeldForExport : envelope.held;
      control::QueueChange& request = requests[reason];
      request.action = control::QueueAction::hold;
      request.reason = reason;
      request.ids.push_back(envelope.id);
    }
    std::set<std::string> busy;
    for (const auto& [reason, request] : requests) {
      const auto held = queue_->ask(request);
      if (!held) {
        return std::nullopt;
      }
      for (const Json& id : held->at("busy")) {
        busy.insert(id.get<std::string>());
      }
    }
    return busy;
  }

  /// Adds a message as it is now that nothing happens to it any more, unless it is gone.
  bool add_as_it_is_now(const spool::Envelope& before, std::vector<spool::Envelope>& quiet) {
    auto after = reader_->envelope(before.id, "");
    if (!after) {
      complain(after.error().reason);
      return false;
    }
    if (!*after) {
      return true;
    }
    spool::Envelope& now_stored = **after;
    std::erase_if(now_stored.recipients, [&](const spool::Recipient& recipient) {
      return std::ranges::find(before.recipients, recipient.index, &spool::Recipient::index) ==
             before.recipients.end();
    });
    now_stored.held = before.held;
    now_stored.held_at = before.held_at;
    quiet.push_back(std::move(now_stored));
    return true;
  }

  bool release(const std::vector<spool::Envelope>& batch) {
    control::QueueChange request;
    request.action = control::QueueAction::release;
    for (const spool::Envelope& envelope : batch) {
      if (envelope.held.empty()) {
        request.ids.push_back(envelope.id);
      }
    }
    return request.ids.empty() || queue_->ask(request).has_value();
  }

  bool export_one(const spool::Envelope& envelope) {
    control::ExportedMessage message{envelope, now(), 0};
    const std::string name = envelope.id.text();
    const auto content = write_content(envelope, name + ".eml", message.crc);
    if (!content) {
      complain(content.error());
      return false;
    }
    // After its content: a folder has all of each message whose .json it has.
    const auto written = DurableFile::create(wanted_.folder, name + ".json")
                             .and_then([&](std::unique_ptr<DurableFile>&& file) {
                               return file->write(control::to_json_text(message)).and_then([&] {
                                 return file->finish();
                               });
                             });
    if (!written) {
      complain(written.error());
      return false;
    }
    ++messages_;
    return true;
  }

  Expected<void, std::string> write_content(const spool::Envelope& envelope,
                                            const std::string& name, std::uint32_t& crc) {
    auto file = DurableFile::create(wanted_.folder, name);
    if (!file) {
      return Unexpected<std::string>(file.error());
    }
    std::uint64_t size = 0;
    for (std::uint32_t n = 0;; ++n) {
      const auto slice = reader_->slice(envelope.id, n);
      if (!slice) {
        return Unexpected<std::string>(slice.error().reason);
      }
      if (!*slice) {
        break;
      }
      crc = spool::crc_of(**slice, crc);
      size += (*slice)->size();
      if (auto written = (*file)->write(**slice); !written) {
        return written;
      }
    }
    if (size != envelope.size) {
      return Unexpected<std::string>(
          fmt::format("message {} went while it was exported", envelope.id.text()));
    }
    return (*file)->finish();
  }

  bool remove_by_daemon(const std::vector<spool::Envelope>& batch) {
    control::QueueChange request;
    request.action = control::QueueAction::remove;
    request.filter = wanted_.filter.filter;
    request.filter.held = false;
    request.filter.held_for.clear();
    for (const spool::Envelope& envelope : batch) {
      request.ids.push_back(envelope.id);
    }
    if (request.ids.empty()) {
      return true;
    }
    const auto removed = queue_->ask(request);
    if (!removed) {
      return false;
    }
    removed_ += removed->at("messages").get<std::size_t>();
    // Recipients that were not meant go on as before.
    return release(batch);
  }

  bool remove_here(const std::vector<spool::Envelope>& batch) {
    std::vector<spool::MessageChange> changes;
    for (const spool::Envelope& envelope : batch) {
      spool::MessageChange change{spool::MessageChange::Kind::remove, envelope.id, now()};
      for (const spool::Recipient& recipient : envelope.recipients) {
        change.recipients.push_back(recipient.index);
      }
      changes.push_back(std::move(change));
    }
    removed_ += changes.size();
    return queue_->change(changes);
  }

  const ExportOptions& wanted_;
  std::unique_ptr<spool::SpoolReader> reader_;
  ChangeableQueue* queue_;  ///< null: nothing is removed
  control::QueueSelection selection_;
  std::size_t messages_ = 0, removed_ = 0, under_way_ = 0;
};

bool make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  }
  if (error) {
    complain(fmt::format("the folder {} cannot be made: {}", folder, error.message()));
  }
  return !error;
}

bool says_which(ExportOptions& wanted) {
  if (!wanted.filter.read()) {
    return false;
  }
  if (wanted.ids.empty() && wanted.filter.filter.empty() && !wanted.all) {
    complain("say which messages: ids, options like --domain or --sender, or --all");
    return false;
  }
  return std::ranges::all_of(wanted.ids,
                             [](const std::string& id) { return parsed_id(id).has_value(); });
}

int export_queue(const CommonOptions& options, ExportOptions& wanted) {
  if (!says_which(wanted)) {
    return kUsage;
  }
  const auto config = configuration(options);
  if (!config || !make_folder(wanted.folder)) {
    return kFailed;
  }
  ChangeableQueue queue(options);
  if (wanted.remove && !queue.open(options, *config)) {
    return kFailed;
  }
  auto reader = spool::SpoolReader::open(config->queue.path);
  if (!reader) {
    complain(reader.error());
    return kFailed;
  }
  Exporter exporter(wanted, std::move(*reader), wanted.remove ? &queue : nullptr);
  const int result = exporter.run();
  const Json answer = exporter.answer();
  if (options.json) {
    print_json(answer);
  } else {
    print(
        fmt::format("Exported to {}: {}\n", wanted.folder, counted(answer["messages"], "message")));
    if (wanted.remove) {
      print(fmt::format("Removed from the queue: {}\n", counted(answer["removed"], "message")));
    }
    if (answer["under_way"] != 0) {
      print(fmt::format("Left alone, because they are being tried at this moment: {}\n",
                        counted(answer["under_way"], "message")));
    }
  }
  return result;
}

}  // namespace

void add_queue_export(CLI::App& queue, Invocation& invocation) {
  const auto wanted = std::make_shared<ExportOptions>();
  CLI::App* const out = add_asking_command(
      queue, invocation, "export", "Write messages to files, with the daemon running or not",
      [&invocation, wanted] { return export_queue(invocation.common, *wanted); });
  out->add_option("folder", wanted->folder, "Where to: ID.eml and ID.json for each message")
      ->required();
  out->add_option("id", wanted->ids, "Message ids");
  add_filter(*out, wanted->filter);
  out->add_flag("--all", wanted->all, "Everything in the queue");
  out->add_flag("--remove", wanted->remove, "Take from the queue what is safely written");
}

}  // namespace relay::cli
