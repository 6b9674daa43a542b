#include "relay/reception/password_checker.h"

#include <memory>
#include <utility>

#include "relay/reception/password.h"

namespace relay::reception {
namespace {

/// A password, wiped at its end, and what it is compared with.
struct Guess {
  Guess(std::string given, std::string known)
      : password(std::move(given)), hash(std::move(known)) {}
  ~Guess() { wipe(password); }
  Guess(const Guess&) = delete;
  Guess& operator=(const Guess&) = delete;

  std::string password, hash;
};

}  // namespace

net::Operation PasswordChecker::check(net::EventLoop& loop, std::string password, std::string hash,
                                      std::function<void(Answer)> done) {
  // Shared, for what a function object holds is copied about.
  const auto guess = std::make_shared<const Guess>(std::move(password), std::move(hash));
  if (thread_.waiting() >= capacity_) {
    return net::later(loop, [done = std::move(done)] { done(Answer::busy); });
  }
  return thread_.run(
      loop, [guess] { return verify_password(guess->password, guess->hash); },
      [done = std::move(done)](bool right) { done(right ? Answer::right : Answer::wrong); });
}

}  // namespace relay::reception
