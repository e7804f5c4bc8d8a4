// Training on raw pointers, for callers that hold tensors of their own kind.
#pragma once
#include <nanobind/nanobind.h>

namespace grus {
void def_training(nanobind::module_& m);
}
