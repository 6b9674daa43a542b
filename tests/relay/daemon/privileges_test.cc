#include "relay/privileges.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kNames{"spool.db", "lock", "control.sock", "import/"};

/// A folder with another one beside it; gone with this object.
class Subject {
 public:
  Subject() {
    std::string pattern = (fs::temp_directory_path() / "stsrelay-test-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    root = pattern;
    spool = root / "spool";
  }
  ~Subject() { fs::remove_all(root); }
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  void put(const fs::path& file) const {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << "x";
  }
  /// What prepare_directory() complains of, for the account that the test runs as.
  [[nodiscard]] std::string complaint() const {
    const relay::Account account{"", ::geteuid(), ::getegid()};
    const auto prepared = relay::prepare_directory(spool.string(), kNames, account);
    return prepared ? "" : prepared.error();
  }

  fs::path root, spool;
};

TEST_CASE("a spool's directory that is missing is made, for the account alone") {
  const Subject subject;
  CHECK(subject.complaint().empty());
  struct stat status {};
  REQUIRE(::stat(subject.spool.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0700);
}

TEST_CASE("a spool's directory may hold the spool's files and a volume's lost+found") {
  const Subject subject;
  subject.put(subject.spool / "spool.db");
  subject.put(subject.spool / "lock");
  fs::create_directory(subject.spool / "lost+found");
  fs::create_directory(subject.spool / "import");
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (subject.spool / "control.sock").string().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::close(socket);
  CHECK(subject.complaint().empty());
}

TEST_CASE("a directory that holds anything else is refused by the name of what it holds") {
  struct Row {
    std::string name;
    void (*make)(const Subject& subject, const fs::path& path);
    std::string complaint;
  };
  const std::vector<Row> rows{
      {"passwd", [](const Subject& s, const fs::path& path) { s.put(path); },
       "passwd is none of the queue's files"},
      {"old", [](const Subject&, const fs::path& path) { fs::create_directories(path); },
       "old is none of the queue's files"},
      {"import", [](const Subject& s, const fs::path& path) { s.put(path); },
       "import is no folder"},
      {"spool.db", [](const Subject&, const fs::path& path) { fs::create_directories(path); },
       "spool.db is no plain file"},
      {"spool.db",
       [](const Subject& s, const fs::path& path) {
         s.put(s.root / "shadow");
         fs::create_directory(s.spool);
         fs::create_symlink(s.root / "shadow", path);
       },
       "spool.db is no plain file"},
      {"lock",
       [](const Subject& s, const fs::path& path) {
         s.put(s.root / "shadow");
         fs::create_directory(s.spool);
         fs::create_hard_link(s.root / "shadow", path);
       },
       "lock has another name, too"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.complaint);
    const Subject subject;
    row.make(subject, subject.spool / row.name);
    const std::string complaint = subject.complaint();
    CHECK(complaint.find(subject.spool.string() + " cannot be given") == 0);
    CHECK(complaint.find(row.complaint) != std::string::npos);
    CHECK(complaint.find("set queue.path") != std::string::npos);
  }
}

TEST_CASE("a spool's directory that is a file is an error that names it") {
  const Subject subject;
  subject.put(subject.spool);
  CHECK(subject.complaint().find(subject.spool.string()) == 0);
}

}  // namespace
