// A caller's array through the buffer protocol, and the sentences that refuse a wrong one.
#pragma once
#include <nanobind/nanobind.h>

#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/kernels.h"
#include "errors.h"

namespace grus {

namespace nb = nanobind;

enum class Kind { f32, f64, i64, boolean, other };
template <class T>
constexpr Kind kind_of = sizeof(T) == 4 ? Kind::f32 : Kind::f64;
const char* kind_name(Kind kind);

// Holds the buffer (and so the memory) until destroyed. Movable only.
class Array {
 public:
  // where: "PackedGRU.run: x". Throws TypeError (Python) when `o` gives no such buffer.
  Array(nb::handle o, const char* where, bool writable = false);
  Array(Array&& other) noexcept : view_(other.view_), where_(other.where_), kind_(other.kind_) {
    other.view_.obj = nullptr;
  }
  Array(const Array&) = delete;
  ~Array() {
    if (view_.obj) PyBuffer_Release(&view_);
  }
  Kind kind() const { return kind_; }
  int ndim() const { return view_.ndim; }
  idx dim(int i) const { return view_.shape[i]; }
  idx stride(int i) const { return view_.strides[i] / view_.itemsize; }  // in elements; see dense()
  const void* data() const { return view_.buf; }
  void* writable_data() const { return view_.buf; }
  std::string shape() const;

  // Aligned, strides in whole elements, last axis contiguous.
  bool dense() const;
  // Refuses another dtype or shape; a negative size accepts any, `letters` names the axes: "B,T,16".
  void expect(Kind kind, std::initializer_list<idx> shape, const char* letters) const;
  // Bytes from the lowest to beyond the highest element, for overlap checks.
  void extent(const char** low, const char** high) const;
  void copy_to(void* out) const;  // contiguous, row-major
  // Refuses memory that a call cannot fill: last axis not contiguous, or rows on top of each other.
  void check_output() const;
  [[noreturn]] void refuse(const std::string& must) const;

 private:
  Py_buffer view_;
  const char* where_;
  Kind kind_;
};

// A dense view of an array, copied once if it is not dense already.
template <class T>
struct Input {
  const T* data;
  idx stride0 = 0, stride1 = 0;
  std::vector<T> copy;

  explicit Input(const Array& a) {
    if (a.dense()) {
      data = static_cast<const T*>(a.data());
      stride0 = a.ndim() > 0 ? a.stride(0) : 0;
      stride1 = a.ndim() > 1 ? a.stride(1) : 0;
      return;
    }
    idx n = 1;
    for (int i = 0; i < a.ndim(); ++i) n *= a.dim(i);
    copy.resize(static_cast<size_t>(n));
    a.copy_to(copy.data());
    data = copy.data();
    stride1 = a.ndim() > 2 ? a.dim(2) : 1;
    stride0 = a.ndim() > 1 ? a.dim(1) * stride1 : 1;
  }
};

template <class T>
std::vector<T> contiguous(const Array& a) {
  idx n = 1;
  for (int i = 0; i < a.ndim(); ++i) n *= a.dim(i);
  std::vector<T> copy(static_cast<size_t>(n));
  a.copy_to(copy.data());
  return copy;
}

}  // namespace grus
