// Attention and the best outputs of a layer, on arrays.
#pragma once
#include <nanobind/nanobind.h>

#include "packed.h"
#include "search.h"

namespace grus {

void def_search(nb::module_& m);

// The arrays that a call fills, and what was asked of it; what they are called in errors begins with `where`.
template <class T>
struct BestOf {
  BestArgs<T> a{};
  nb::object codes, best, of_picked, total;

  // sizes: outputs of a row.
  BestOf(idx rows, idx size, idx count, nb::handle banned, idx picked, const std::string& where) {
    if (count < 1 || count > size)
      throw UsageError(where + ": count must be from 1 to " + std::to_string(size) + ", got " + std::to_string(count));
    if (picked < 0 || picked >= size)
      throw UsageError(where + ": picked must be from 0 to " + std::to_string(size - 1) + ", got " +
                       std::to_string(picked));
    const Array given(banned, "best: banned");
    given.expect(Kind::i64, {-1}, "N");
    banned_.resize(static_cast<size_t>(given.dim(0)));
    given.copy_to(banned_.data());
    codes = empty({rows, count}, Kind::i64), best = empty({rows, count}, kind_of<T>);
    of_picked = empty({rows}, kind_of<T>), total = empty({rows}, Kind::f64);
    a.size = size, a.count = count, a.picked = picked;
    a.banned = banned_.data(), a.banned_count = static_cast<idx>(banned_.size());
    a.codes = data<int64_t>(codes), a.best = data<T>(best), a.of_picked = data<T>(of_picked), a.total = data<double>(total);
  }
  nb::object result() const { return nb::make_tuple(codes, best, of_picked, total); }

 private:
  std::vector<int64_t> banned_;
  template <class N>
  static N* data(const nb::object& array) {
    return static_cast<N*>(Array(array, "best: out", true).writable_data());
  }
};

}  // namespace grus
