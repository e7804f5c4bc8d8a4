#include "array.h"

#include <cstdlib>

namespace grus {

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::f32: return "float32";
    case Kind::f64: return "float64";
    case Kind::i64: return "int64";
    case Kind::boolean: return "bool";
    default: return "another dtype";
  }
}

namespace {

bool little_endian() {
  const int one = 1;
  return *reinterpret_cast<const char*>(&one) == 1;
}

Kind parse(const char* format, Py_ssize_t size) {
  if (!format) return Kind::other;
  const bool native = format[0] == '@' || format[0] == '=' || (format[0] == '<' && little_endian());
  if (native) ++format;
  if (format[0] == '\0' || format[1] != '\0') return Kind::other;
  switch (format[0]) {
    case 'f': return Kind::f32;
    case 'd': return Kind::f64;
    case '?': return Kind::boolean;
    case 'l':
    case 'q': return size == 8 ? Kind::i64 : Kind::other;
    default: return Kind::other;
  }
}

}  // namespace

Array::Array(nb::handle o, const char* where, bool writable) : where_(where) {
  const int flags = PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
  if (PyObject_GetBuffer(o.ptr(), &view_, flags) != 0) {
    PyErr_Clear();
    const std::string must = std::string(where) + " must be a " + (writable ? "writable " : "") + "NumPy array, got ";
    throw nb::type_error((must + nb::type_name(o.type()).c_str()).c_str());
  }
  kind_ = parse(view_.format, view_.itemsize);
}

std::string Array::shape() const {
  std::string text = "(";
  for (int i = 0; i < ndim(); ++i) text += (i ? ", " : "") + std::to_string(dim(i));
  return text + (ndim() == 1 ? ",)" : ")");
}

bool Array::dense() const {
  if (reinterpret_cast<uintptr_t>(view_.buf) % static_cast<uintptr_t>(view_.itemsize)) return false;
  for (int i = 0; i < ndim(); ++i)
    if (dim(i) > 1 && view_.strides[i] % view_.itemsize) return false;
  return ndim() == 0 || dim(ndim() - 1) <= 1 || view_.strides[ndim() - 1] == view_.itemsize;
}

void Array::expect(Kind kind, std::initializer_list<idx> shape, const char* letters) const {
  if (kind_ != kind) {
    const std::string got = kind_ == Kind::other ? std::string("format '") + (view_.format ? view_.format : "") + "'"
                                                 : kind_name(kind_);
    throw nb::type_error((std::string(where_) + " must be " + kind_name(kind) + ", got " + got).c_str());
  }
  bool same = ndim() == static_cast<int>(shape.size());
  int i = 0;
  for (const idx n : shape) {
    if (!same) break;
    same = n < 0 || dim(i) == n;
    ++i;
  }
  if (same) return;
  std::string must;
  i = 0;
  for (const char* c = letters; *c; ++c, ++i) {
    const idx n = shape.begin()[i];
    must += (i ? ", " : "") + (n < 0 ? std::string(1, *c) : std::string(1, *c) + "=" + std::to_string(n));
  }
  refuse("have shape (" + must + (shape.size() == 1 ? ",)" : ")"));
}

void Array::refuse(const std::string& must) const {
  throw UsageError(std::string(where_) + " must " + must + ", got " + shape());
}

void Array::extent(const char** low, const char** high) const {
  *low = static_cast<const char*>(view_.buf);
  *high = *low + view_.itemsize;
  for (int i = 0; i < ndim(); ++i) {
    if (dim(i) == 0) {
      *high = *low;
      return;
    }
    const Py_ssize_t reach = (dim(i) - 1) * view_.strides[i];
    (reach < 0 ? *low : *high) += reach;
  }
}

void Array::check_output() const {
  if (!dense()) refuse("be aligned and contiguous along its last axis");
  for (int i = 0; i < ndim(); ++i)
    if (dim(i) == 0) return;
  idx span = dim(ndim() - 1);
  // Axes from the tightest stride outwards: each must clear what lies inside it.
  bool used[8] = {};
  for (int round = 0; round + 1 < ndim(); ++round) {
    int next = -1;
    for (int i = 0; i + 1 < ndim(); ++i)
      if (!used[i] && (next < 0 || std::abs(stride(i)) < std::abs(stride(next)))) next = i;
    used[next] = true;
    if (dim(next) <= 1) continue;
    if (std::abs(stride(next)) < span) refuse("have rows that do not overlap");
    span += std::abs(stride(next)) * (dim(next) - 1);
  }
}

void Array::copy_to(void* out) const {
  char* to = static_cast<char*>(out);
  const int last = ndim() - 1;
  const size_t size = static_cast<size_t>(view_.itemsize);
  if (last < 0) {
    memcpy(to, view_.buf, size);
    return;
  }
  // Rows that lie whole are copied whole: number by number takes 4 ns each.
  const idx n = dim(last), a = last > 0 ? dim(0) : 1, b = last > 1 ? dim(1) : 1;
  if (n == 0) return;  // there may be no memory at all, and memcpy may not be given that
  const Py_ssize_t step = view_.strides[last];
  for (idx i = 0; i < a; ++i)
    for (idx j = 0; j < b; ++j) {
      const char* from = static_cast<const char*>(view_.buf) + (last > 0 ? i * view_.strides[0] : 0) +
                         (last > 1 ? j * view_.strides[1] : 0);
      if (step == view_.itemsize) {
        memcpy(to, from, size * static_cast<size_t>(n));
        to += size * static_cast<size_t>(n);
        continue;
      }
      for (idx k = 0; k < n; ++k, to += size) memcpy(to, from + k * step, size);
    }
}

}  // namespace grus
