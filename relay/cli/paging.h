// Lists longer than one answer: asks for page after page. Each page has entries and "next".
#pragma once

#include <functional>

#include <nlohmann/json.hpp>

#include "relay/cli/control_client.h"

namespace relay::cli {

/// The entries named name of all pages, up to limit of them (0: all), as {name: […], "next": …}.
/// request: makes the request for a page of at most the given size from a page's next (null: the
/// first page).
Expected<nlohmann::ordered_json, int> ask_for_list(
    Daemon& daemon, const char* name, std::size_t limit,
    const std::function<control::Request(const nlohmann::ordered_json& next, std::size_t size)>&
        request);

}  // namespace relay::cli
