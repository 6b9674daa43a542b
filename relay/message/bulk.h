// Whether a message is one of many: from a mailing list, or sent in bulk (RFC 2919, RFC 3834 §2).
// Pure.
#pragma once

#include <string_view>

namespace relay::message {

/// By List-Id, or Precedence: bulk, list or junk. content: the message or its beginning.
[[nodiscard]] bool is_bulk(std::string_view content);

}  // namespace relay::message
