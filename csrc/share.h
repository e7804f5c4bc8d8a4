// How a call's work is cut into parts, for gru.cpp and mingru.cpp. No Python and no instruction set in here.
#pragma once
#include <algorithm>
#include <vector>

#include "core/kernels.h"
#include "team.h"

namespace grus {

// Multiply-adds that pay for waking another thread, measured: below it two threads were no faster than one
// (2 Zen 4 cores: a part of 300 000 takes about 8 us).
constexpr idx kPartWork = 300000;

// Alone: no one to meet.
constexpr Together kAlone{0, 1, nullptr, nullptr};

inline int parts_for(idx rows, idx work_per_row) {
  const idx by_work = rows * work_per_row / kPartWork;
  return static_cast<int>(std::max<idx>(1, std::min<idx>({rows, by_work, num_threads()})));
}

// Rows longest first, dealt to parts back and forth (0 1 2 2 1 0 ...), so that parts carry equal work.
// Rows of one part stay longest first. Without lengths parts are runs of neighbours.
inline std::vector<idx> deal(idx batch, const int64_t* lengths, int parts, std::vector<idx>& starts) {
  std::vector<idx> rows(batch);
  for (idx i = 0; i < batch; ++i) rows[i] = i;
  starts.assign(parts + 1, 0);
  for (int p = 0; p <= parts; ++p) starts[p] = batch * p / parts;
  if (!lengths) return rows;
  std::stable_sort(rows.begin(), rows.end(), [&](idx a, idx b) { return lengths[a] > lengths[b]; });
  if (parts == 1) return rows;
  std::vector<std::vector<idx>> dealt(parts);
  for (idx i = 0; i < batch; ++i) {
    const idx turn = i % (2 * parts);
    dealt[turn < parts ? turn : 2 * parts - 1 - turn].push_back(rows[i]);
  }
  rows.clear();
  for (int p = 0; p < parts; ++p) {
    starts[p] = static_cast<idx>(rows.size());
    rows.insert(rows.end(), dealt[p].begin(), dealt[p].end());
  }
  starts[parts] = batch;
  return rows;
}

}  // namespace grus
