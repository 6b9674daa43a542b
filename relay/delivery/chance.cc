#include "relay/delivery/chance.h"

#include <random>

namespace relay::delivery {
namespace {

std::function<double()> chance() {
  return [engine = std::mt19937_64{std::random_device{}()},
          distribution = std::uniform_real_distribution<double>{}]() mutable {
    return distribution(engine);
  };
}

}  // namespace

std::function<double()> given_or_chance(const std::function<double()>& given) {
  if (given) {
    return given;
  }
  return chance();
}

}  // namespace relay::delivery
