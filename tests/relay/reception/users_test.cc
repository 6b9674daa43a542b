#include "relay/reception/users.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/reception/password.h"

using relay::reception::hash_password;
using relay::reception::hash_without_password;
using relay::reception::HashMethod;
using relay::reception::is_password_hash;
using relay::reception::Users;
using relay::reception::verify_password;

TEST_CASE("a hash by any of the three methods proves its password and no other") {
  for (const auto method : {HashMethod::yescrypt, HashMethod::bcrypt, HashMethod::sha512_crypt}) {
    const auto hash = hash_password("p\xc3\xa4ssword", method);
    REQUIRE(hash);
    CAPTURE(*hash);
    CHECK(is_password_hash(*hash));
    CHECK(verify_password("p\xc3\xa4ssword", *hash));
    CHECK_FALSE(verify_password("p\xc3\xa4ssworD", *hash));
    CHECK_FALSE(verify_password("", *hash));
    CHECK_FALSE(verify_password("p\xc3\xa4ssword", hash_without_password(*hash)));
    CHECK(is_password_hash(hash_without_password(*hash)));
  }
  CHECK(hash_password("x") != hash_password("x"));  // salted
}

TEST_CASE("a password with a NUL or of too many octets is none") {
  const auto hash = *hash_password("x", HashMethod::sha512_crypt);
  for (const auto& password : {std::string("x\0y", 3), std::string(512, 'x')}) {
    CHECK_FALSE(hash_password(password));
    CHECK_FALSE(verify_password(password, hash));
  }
}

TEST_CASE("a users file's faults are told by line, and never with a hash") {
  const std::string hash = *hash_password("x", HashMethod::sha512_crypt);
  struct Row {
    std::string text;
    std::vector<std::string> faults;
  };
  const std::string no_hash =
      " is followed by no yescrypt, bcrypt or sha512-crypt hash; make one with: stsrelay "
      "hash-password";
  const std::vector<Row> rows{
      {"", {}},
      {"# nobody yet\n\n", {}},
      {"alice:" + hash + "\r\n  b@example.org:" + hash + "  \n", {}},
      {"alice:" + hash + "\nalice:" + hash, {"2 alice: is given twice; remove one"}},
      {"\nalice\n:" + hash + "\nbob:x",
       {"2 is no \"NAME:HASH\"; make one with: stsrelay hash-password --user NAME",
        "3 is no \"NAME:HASH\"; make one with: stsrelay hash-password --user NAME",
        "4 bob:" + no_hash}},
      {"a:secret", {"1 a:" + no_hash}},
      {"a:$1$abcdefgh$H5U1Ai7eRQ1TUpfWGNbLk/", {"1 a:" + no_hash}},  // md5-crypt
      {"a:" + hash.substr(0, hash.rfind('$')), {"1 a:" + no_hash}},
      {"a:" + hash + ":1000", {"1 a:" + no_hash}},
      {"a:!" + hash, {"1 a:" + no_hash}},  // locked, as in /etc/shadow
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    std::vector<std::string> faults;
    if (const auto users = Users::parse(row.text); !users) {
      for (const auto& fault : users.error()) {
        faults.push_back(std::to_string(fault.line) + " " + fault.reason);
      }
    }
    CHECK(faults == row.faults);
  }
}

TEST_CASE("an unknown user has a hash of the same cost that no password proves") {
  const std::string hash = *hash_password("x", HashMethod::sha512_crypt);
  const auto users = Users::parse("alice:" + hash);
  REQUIRE(users);
  CHECK(users->hash_of("alice") == hash);
  for (const auto* name : {"Alice", "bob", ""}) {
    const auto& nobody = users->hash_of(name);
    CHECK(is_password_hash(nobody));
    CHECK(nobody.substr(0, hash.size() - 1) == hash.substr(0, hash.size() - 1));
    CHECK_FALSE(verify_password("x", nobody));
  }
}
