// Messages of a relay in staging as files of a Maildir. Blocks until they are on disk.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "relay/net/expected.h"
#include "relay/spool/message.h"

namespace relay::staging {

/// A slice of the content, with CRLF line ends; nullopt after the last. The error is a sentence.
using ContentSlice =
    std::function<Expected<std::optional<std::string>, std::string>(std::uint32_t)>;

/// One file in folder/new, written in folder/tmp and renamed when it is on disk; the folders are
/// made where they are missing. It has LF line ends and begins with Return-Path, X-Stsrelay-Id and
/// one Delivered-To per recipient of the envelope. The same message has the same name again, so
/// that a repetition leaves one file. The error is one sentence.
[[nodiscard]] Expected<void, std::string> capture(const std::string& folder,
                                                  const std::string& hostname,
                                                  const spool::Envelope& envelope,
                                                  const ContentSlice& slice);

}  // namespace relay::staging
