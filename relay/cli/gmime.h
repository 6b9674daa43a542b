// What the files that use GMime share: owners of its objects, and what is asked of them most.
// Threading: one thread.
#pragma once

#include <cstddef>
#include <gmime/gmime.h>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace relay::cli {

struct Unref {
  void operator()(gpointer object) const { g_object_unref(object); }
};
template <class T>
using GObjectOwner = std::unique_ptr<T, Unref>;

/// What every use of GMime begins with. octets outlive the parser.
[[nodiscard]] GObjectOwner<GMimeParser> parser_of(std::string_view octets, GMimeFormat format);

[[nodiscard]] bool is_a(GMimeObject* object, GType type);
/// Of a part's Content-Type; "*" for any.
[[nodiscard]] bool is_type(GMimeObject* part, const char* type, const char* subtype);
/// Without blanks around it; empty: there is none.
[[nodiscard]] std::string header(GMimeMessage* message, const char* name);
/// A part's content, decoded.
struct PartContent {
  enum class State { present, missing, too_large } state = State::missing;
  std::string octets;
};
/// max_octets: as encoded.
[[nodiscard]] PartContent content_of(GMimePart* part, std::size_t max_octets);

}  // namespace relay::cli
