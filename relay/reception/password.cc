#include "relay/reception/password.h"

#include <algorithm>
#include <array>
#include <crypt.h>
#include <cstring>
#include <memory>
#include <utility>

namespace relay::reception {
namespace {

constexpr std::array<std::pair<std::string_view, HashMethod>, 5> kPrefixes{
    {{"$y$", HashMethod::yescrypt},
     {"$2b$", HashMethod::bcrypt},
     {"$2a$", HashMethod::bcrypt},
     {"$2y$", HashMethod::bcrypt},
     {"$6$", HashMethod::sha512_crypt}}};

const char* prefix_of(HashMethod method) {
  switch (method) {
    case HashMethod::yescrypt:
      return "$y$";
    case HashMethod::bcrypt:
      return "$2b$";
    case HashMethod::sha512_crypt:
      return "$6$";
  }
  return "$y$";
}

struct WipeState {
  void operator()(crypt_data* state) const {
    ::explicit_bzero(state, sizeof *state);
    delete state;
  }
};

std::optional<std::string> crypted(const std::string& password, const std::string& setting) {
  // 32 KiB: too much for a stack.
  const std::unique_ptr<crypt_data, WipeState> state(new crypt_data{});
  const char* hash = ::crypt_r(password.c_str(), setting.c_str(), state.get());
  if (hash == nullptr || hash[0] == '*') {
    return std::nullopt;
  }
  return hash;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) {
    return false;
  }
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |=
        static_cast<unsigned char>(a[i]) ^ static_cast<unsigned>(static_cast<unsigned char>(b[i]));
  }
  return difference == 0;
}

bool is_typeable(const std::string& password) {
  return password.size() < CRYPT_MAX_PASSPHRASE_SIZE && password.find('\0') == std::string::npos;
}

}  // namespace

std::optional<std::string> hash_password(const std::string& password, HashMethod method) {
  std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting{};
  if (!is_typeable(password) || ::crypt_gensalt_rn(prefix_of(method), 0, nullptr, 0, setting.data(),
                                                   static_cast<int>(setting.size())) == nullptr) {
    return std::nullopt;
  }
  return crypted(password, setting.data());
}

bool is_password_hash(const std::string& text) {
  const bool known = std::ranges::any_of(
      kPrefixes, [&text](const auto& entry) { return text.starts_with(entry.first); });
  if (!known || ::crypt_checksalt(text.c_str()) != CRYPT_SALT_OK) {
    return false;
  }
  // A setting without the hash itself has no more than the salt behind the last "$".
  constexpr std::size_t kShortestHash = 31;
  const auto last = text.substr(text.rfind('$') + 1);
  return last.size() >= kShortestHash && text.find_first_of(": \t!*\\") == std::string::npos;
}

std::string hash_without_password(const std::string& hash) {
  // Another last character: crypt(3) takes the same salt and cost from it.
  auto changed = hash;
  changed.back() = changed.back() == '.' ? '/' : '.';
  return changed;
}

bool verify_password(const std::string& password, const std::string& hash) {
  const auto computed = is_typeable(password) ? crypted(password, hash) : std::nullopt;
  return computed && equal_in_constant_time(*computed, hash);
}

void wipe(std::string& secret) {
  ::explicit_bzero(secret.data(), secret.size());
  secret.clear();
}

}  // namespace relay::reception
