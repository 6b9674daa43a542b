// Password hashes by crypt(3): yescrypt, bcrypt and sha512-crypt. Slow on purpose: not for an event
// loop (password_checker). Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace relay::reception {

enum class HashMethod { yescrypt, bcrypt, sha512_crypt };

/// A hash of password with a fresh salt, "$y$…"; nullopt: a NUL or more octets than crypt(3) takes,
/// or the system has no randomness.
[[nodiscard]] std::optional<std::string> hash_password(const std::string& password,
                                                       HashMethod method = HashMethod::yescrypt);
/// Whether verify_password() can say yes to it.
[[nodiscard]] bool is_password_hash(const std::string& text);
/// As costly as hash, and of no password.
[[nodiscard]] std::string hash_without_password(const std::string& hash);
[[nodiscard]] bool verify_password(const std::string& password, const std::string& hash);
/// Overwrites a text that nobody may find in memory later.
void wipe(std::string& secret);

}  // namespace relay::reception
