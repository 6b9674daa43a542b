// Tag lists of DKIM (RFC 6376 §3.2): "v=1; a=rsa-sha256; …" in signature fields and key records.
// Pure; the parts refer to the text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace relay::message {

struct DkimTag {
  std::string_view name;
  std::string_view value;  ///< without the blanks and folds around it
  std::string_view place;  ///< all between "=" and ";": what is emptied for b= (RFC 6376 §3.7)
};

class DkimTags {
 public:
  /// nullopt: it is no tag list, or a name is in it twice.
  [[nodiscard]] static std::optional<DkimTags> parse(std::string_view text);

  /// nullptr: there is no such tag. Names differ by case.
  [[nodiscard]] const DkimTag* find(std::string_view name) const;
  /// The value of a tag, or what counts without one.
  [[nodiscard]] std::string_view value(std::string_view name,
                                       std::string_view otherwise = "") const;
  [[nodiscard]] const std::vector<DkimTag>& all() const { return tags_; }

 private:
  std::vector<DkimTag> tags_;
};

/// The words of a list like h= and s=, divided by colons, without the blanks around them.
[[nodiscard]] std::vector<std::string> dkim_list(std::string_view value);

}  // namespace relay::message
