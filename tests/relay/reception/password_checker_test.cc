#include "relay/reception/password_checker.h"

#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "relay/reception/password.h"

using relay::net::EventLoop;
using relay::net::Operation;
using relay::reception::hash_password;
using relay::reception::HashMethod;
using relay::reception::PasswordChecker;
using Answer = PasswordChecker::Answer;

namespace {

std::string hash_of(const std::string& password) {
  return *hash_password(password, HashMethod::sha512_crypt);
}

}  // namespace

TEST_CASE("a password is checked off the loop, the answer comes on it and not at once") {
  EventLoop loop;
  PasswordChecker checker;
  const auto hash = hash_of("right");
  for (const auto& [password, expected] :
       {std::pair{"right", Answer::right}, std::pair{"wrong", Answer::wrong}}) {
    std::optional<Answer> answer;
    const auto check = checker.check(loop, password, hash, [&](Answer given) {
      answer = given;
      loop.stop();
    });
    CHECK_FALSE(answer);
    loop.run();
    CHECK(answer == expected);
  }
}

TEST_CASE("a check that was given up is not answered, those after it are") {
  EventLoop loop;
  PasswordChecker checker;
  const auto hash = hash_of("right");
  int answers = 0;
  auto dropped = checker.check(loop, "right", hash, [&](Answer) { answers += 100; });
  dropped.cancel();
  const auto kept = checker.check(loop, "right", hash, [&](Answer) {
    ++answers;
    loop.stop();
  });
  loop.run();
  CHECK(answers == 1);
}

TEST_CASE("who comes when too many wait is told at once, by the loop") {
  EventLoop loop;
  PasswordChecker checker(0);
  std::optional<Answer> answer;
  const auto check = checker.check(loop, "right", hash_of("right"), [&](Answer given) {
    answer = given;
    loop.stop();
  });
  CHECK_FALSE(answer);
  loop.run();
  CHECK(answer == Answer::busy);
}

TEST_CASE("a checker that ends drops what waits") {
  EventLoop loop;
  int answers = 0;
  Operation first;
  Operation second;
  {
    PasswordChecker checker;
    first = checker.check(loop, "right", hash_of("right"), [&](Answer) { ++answers; });
    second = checker.check(loop, "right", hash_of("right"), [&](Answer) { ++answers; });
  }
  first.cancel();
  second.cancel();
  loop.post([&loop] { loop.stop(); });
  loop.run();
  CHECK(answers == 0);
}
