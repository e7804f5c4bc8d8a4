// The error of a caller's argument; the binding turns it into grus.errors.UsageError.
#pragma once
#include <stdexcept>
#include <string>

namespace grus {
struct UsageError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
}  // namespace grus
