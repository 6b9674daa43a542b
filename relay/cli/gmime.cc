#include "relay/cli/gmime.h"

namespace relay::cli {

GObjectOwner<GMimeParser> parser_of(std::string_view octets, GMimeFormat format) {
  static const bool initialized = [] {
    g_mime_init();
    return true;
  }();
  static_cast<void>(initialized);
  const GObjectOwner<GMimeStream> stream(
      g_mime_stream_mem_new_with_buffer(octets.data(), octets.size()));
  GObjectOwner<GMimeParser> parser(g_mime_parser_new_with_stream(stream.get()));
  g_mime_parser_set_format(parser.get(), format);
  return parser;
}

bool is_a(GMimeObject* object, GType type) {
  return g_type_check_instance_is_a(reinterpret_cast<GTypeInstance*>(object), type) != 0;
}

bool is_type(GMimeObject* part, const char* type, const char* subtype) {
  return g_mime_content_type_is_type(g_mime_object_get_content_type(part), type, subtype) != 0;
}

std::string header(GMimeMessage* message, const char* name) {
  const char* const text = g_mime_object_get_header(reinterpret_cast<GMimeObject*>(message), name);
  constexpr std::string_view kBlanks = " \t\r\n";
  std::string value = text == nullptr ? std::string() : std::string(text);
  value.erase(0, value.find_first_not_of(kBlanks));
  value.erase(value.find_last_not_of(kBlanks) + 1);
  return value;
}

PartContent content_of(GMimePart* part, std::size_t max_octets) {
  GMimeDataWrapper* const content = g_mime_part_get_content(part);
  GMimeStream* const encoded =
      content == nullptr ? nullptr : g_mime_data_wrapper_get_stream(content);
  if (encoded == nullptr) {
    return {};
  }
  if (g_mime_stream_length(encoded) > static_cast<gint64>(max_octets)) {
    return {PartContent::State::too_large, {}};
  }
  const GObjectOwner<GMimeStream> decoded(g_mime_stream_mem_new());
  g_mime_data_wrapper_write_to_stream(content, decoded.get());
  const GByteArray* const bytes =
      g_mime_stream_mem_get_byte_array(reinterpret_cast<GMimeStreamMem*>(decoded.get()));
  return {PartContent::State::present,
          std::string(reinterpret_cast<const char*>(bytes->data), bytes->len)};
}

}  // namespace relay::cli
