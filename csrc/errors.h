// Errors of a caller's argument, and of asking for what a layer cannot do; the binding turns them into those of grus.errors.
#pragma once
#include <stdexcept>
#include <string>

namespace grus {
struct UsageError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
struct UnsupportedError : std::logic_error {
  using std::logic_error::logic_error;
};
}  // namespace grus
