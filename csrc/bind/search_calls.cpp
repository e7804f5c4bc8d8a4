#include "search_calls.h"

#include <nanobind/stl/string.h>

#include <string>
#include <vector>

namespace grus {
namespace {

using nb::literals::operator""_a;

// An array of three axes as it lies, or a copy of it.
template <class T>
struct Steps {
  Input<T> in;
  idx row, time;
  Steps(const Array& a) : in(a), row(in.stride0), time(in.stride1) {}
};

template <class T>
nb::object attend_as(const Isa& isa, const Array& query, nb::handle vectoro, nb::handle keyso, nb::handle memoryo,
                     nb::handle lengthso) {
  constexpr Kind kind = kind_of<T>;
  const Array keys(keyso, "attend: keys"), memory(memoryo, "attend: memory"), lengths(lengthso, "attend: lengths");
  query.expect(kind, {-1, -1}, "BA");
  keys.expect(kind, {-1, -1, query.dim(1)}, "NSA");
  memory.expect(kind, {keys.dim(0), keys.dim(1), -1}, "NSM");
  lengths.expect(Kind::i64, {keys.dim(0)}, "N");
  const idx rows = query.dim(0), memories = keys.dim(0), steps = keys.dim(1), size = memory.dim(2);
  if (memories == 0 ? rows != 0 : rows % memories != 0)
    query.refuse("have a whole number of rows for each of the " + std::to_string(memories) + " memories");
  const auto vector = bias_of<T>(vectoro, "attend: vector", query.dim(1));
  const auto valid = contiguous<int64_t>(lengths);
  check_lengths(valid.data(), memories, steps);
  const Input<T> q(query);
  const Steps<T> k(keys), m(memory);
  const nb::object context = empty({rows, size}, kind), attention = empty({rows, steps}, kind);
  AttendArgs<T> a{};
  a.each = memories ? rows / memories : 1, a.steps = steps, a.key = query.dim(1), a.size = size;
  a.query = q.data, a.query_row = q.stride0;
  a.vector = pointer(vector);
  a.keys = k.in.data, a.keys_row = k.row, a.keys_time = k.time;
  a.memory = m.in.data, a.memory_row = m.row, a.memory_time = m.time;
  a.lengths = valid.data();
  a.context = static_cast<T*>(Array(context, "attend: context", true).writable_data()), a.context_row = size;
  a.attention = static_cast<T*>(Array(attention, "attend: attention", true).writable_data()), a.attention_row = steps;
  if (rows) compute(rows * steps * (12 * a.key + size), [&] { attend(isa, a, rows); });
  return nb::make_tuple(context, attention);
}

nb::object attend_any(nb::handle queryo, nb::handle vector, nb::handle keys, nb::handle memory, nb::handle lengths,
                      const std::string& isa) {
  const Array query(queryo, "attend: query");
  const Isa& set = isa_by_name(isa);
  if (query.kind() == Kind::f64) return attend_as<double>(set, query, vector, keys, memory, lengths);
  return attend_as<float>(set, query, vector, keys, memory, lengths);
}

template <class T>
nb::object best_as(const Isa& isa, const Array& values, idx count, nb::handle banned, idx picked) {
  values.expect(kind_of<T>, {-1, -1}, "BN");
  const idx rows = values.dim(0);
  BestOf<T> found(rows, values.dim(1), count, banned, picked, "best");
  const Input<T> in(values);
  found.a.values = in.data, found.a.values_row = in.stride0;
  compute(rows * values.dim(1) * 10, [&] { best(isa, found.a, rows); });
  return found.result();
}

nb::object best_any(nb::handle valueso, idx count, nb::handle banned, idx picked, const std::string& isa) {
  const Array values(valueso, "best: values");
  const Isa& set = isa_by_name(isa);
  if (values.kind() == Kind::f64) return best_as<double>(set, values, count, banned, picked);
  return best_as<float>(set, values, count, banned, picked);
}

}  // namespace

void def_search(nb::module_& m) {
  m.def("attend", &attend_any, "query"_a, "vector"_a.none(), "keys"_a, "memory"_a, "lengths"_a, "isa"_a = "",
        nb::sig("def attend(query: numpy.ndarray, vector: numpy.ndarray | None, keys: numpy.ndarray, "
                "memory: numpy.ndarray, lengths: numpy.ndarray, isa: str = '') -> tuple[numpy.ndarray, numpy.ndarray]"));
  m.def("best", &best_any, "values"_a, "count"_a, "banned"_a, "picked"_a, "isa"_a = "",
        nb::sig("def best(values: numpy.ndarray, count: int, banned: numpy.ndarray, picked: int, isa: str = '') "
                "-> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray]"));
}

}  // namespace grus
