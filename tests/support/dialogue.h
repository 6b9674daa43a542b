// Runs an engine through a written dialogue. A script is lines of "S: ..." and "C: ..."; what the
// peer says is fed to the engine (whole, or byte by byte), what we say must be exactly its output.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace support {

enum class Cut { whole, bytes };

/// Gives bytes to an engine's receive(), at once or one at a time.
template <class Engine>
void feed(Engine& engine, std::string_view bytes, Cut cut) {
  if (cut == Cut::whole) {
    engine.receive(bytes);
    return;
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    engine.receive(bytes.substr(i, 1));
  }
}

/// peer: 'S' when the engine is a client, 'C' when it is a server. The output before the first
/// peer line may be checked too. Consecutive lines of one side form one batch.
template <class Engine>
void play(Engine& engine, char peer, std::string_view script, Cut cut = Cut::whole) {
  std::string said;
  std::string expected;
  bool expecting = false;
  const auto flush = [&] {
    if (!said.empty()) {
      feed(engine, said, cut);
      said.clear();
    }
  };
  const auto check = [&] {
    if (expecting) {
      CHECK(engine.take_output() == expected);
    }
    expected.clear();
    expecting = false;
  };
  while (!script.empty()) {
    const auto end = script.find('\n');
    auto line = script.substr(0, end);
    script.remove_prefix(end == std::string_view::npos ? script.size() : end + 1);
    while (line.starts_with(' ')) {
      line.remove_prefix(1);
    }
    if (line.size() < 3) {
      continue;
    }
    if (line[0] == peer) {
      check();
      said.append(line.substr(3)).append("\r\n");
    } else {
      flush();
      expecting = true;
      expected.append(line.substr(3)).append("\r\n");
    }
  }
  flush();
  check();
}

}  // namespace support
