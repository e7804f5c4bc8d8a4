/* A detector beside its network in plain C99: what the network sees of the rows before, and how unlikely its errors are.

   sums: of each number that is judged (the error of a column, then its value if that is judged too) a short mean of it,
   the long mean and variance of that, and rows counted; the range of each column's scaled values, the last one known;
   room for the judged. counts: rows taken in, rows since one above the threshold, whether the newest had each column. */
typedef struct {
  int columns, judged, window, quiet, joint;
  double memory, outside, threshold;
  const double *mean, *variance, *rows, *low, *high; /* where every stream begins */
  const unsigned char *masked;
} grus_detect;

enum { GRUS_WARM_UP = 8 };

static double grus_between(double a, double low, double high) { return a < low ? low : a > high ? high : a; }

/* sign(e) log(1 + |e|), at most 10; NaN stays. */
static double grus_damped(double e) {
  const double size = log1p(fabs(e));
  return e == e ? copysign(size < 10.0 ? size : 10.0, e) : e;
}
/* -log10 of the two-sided tail of the standard normal distribution beyond z, which is not below 0. */
static double grus_digits(double z) {
  double tail, found;
  if (z < 8.0) return z > 0.0 ? -log10(erfc(z / 1.4142135623730951)) : 0.0;
  z = z < 1e9 ? z : 1e9;
  tail = 1.0 / (z * z);
  found = (0.5 * z * z + log(z * 2.5066282746310002 / 2.0) - log1p(-tail + 3.0 * tail * tail)) / 2.302585092994046;
  return found < 1e6 ? found : 1e6;
}

/* Before the first row; all of the state is zero. */
static void grus_detect_begin(const grus_detect *d, double *sums, int32_t *counts) {
  const int J = d->judged, C = d->columns;
  int i;
  memcpy(sums + J, d->mean, (size_t)J * sizeof *sums);
  memcpy(sums + 2 * J, d->variance, (size_t)J * sizeof *sums);
  memcpy(sums + 3 * J, d->rows, (size_t)J * sizeof *sums);
  memcpy(sums + 4 * J, d->low, (size_t)C * sizeof *sums);
  memcpy(sums + 4 * J + C, d->high, (size_t)C * sizeof *sums);
  for (i = 0; i < C; ++i) sums[4 * J + 2 * C + i] = (double)NAN;
  counts[1] = d->quiet;
}

/* The last known value of each column, and behind those that are masked whether the row before had it. */
static void grus_detect_see(const grus_detect *d, float *x, const double *sums, const int32_t *counts) {
  const double *last = sums + 4 * d->judged + 2 * d->columns;
  int i;
  for (i = 0; i < d->columns; ++i) {
    *x++ = last[i] == last[i] ? (float)grus_between(last[i], -6.0, 6.0) : 0.0f;
    if (d->masked[i]) *x++ = (float)counts[2 + i];
  }
}

/* Takes in a row of which `mean` was expected. The outputs may be NULL, each by itself. */
static void grus_detect_row(const grus_detect *d, double *sums, int32_t *counts, const float *row, const float *mean,
                            const double *center, const double *scale, float *score, float *alarm, float *severity,
                            float *expected) {
  const int J = d->judged, C = d->columns;
  double *level = sums, *middle = level + J, *variance = middle + J, *rows = variance + J, *low = rows + J;
  double *high = low + C, *last = high + C, *z = last + C, worst = 0.0, most = 2.2250738585072014e-308, total = 0.0;
  int i, there = 0, above;
  for (i = 0; i < C; ++i) {
    const double value = grus_between(((double)row[i] - center[i]) / scale[i], -1e100, 1e100);
    const double wanted = mean[i] == mean[i] ? (double)mean[i] : 0.0;
    z[i] = counts[0] < GRUS_WARM_UP ? (double)NAN : grus_damped(value - wanted);
    if (J > C) z[C + i] = z[i] == z[i] ? grus_damped(value) : z[i];
    if (expected) expected[i] = (float)(wanted * scale[i] + center[i]);
  }
  for (i = 0; i < J; ++i) {
    const double judged = z[i];
    z[i] = 0.0;
    if (judged != judged) continue;
    level[i] += (judged - level[i]) / d->window;
    if (d->memory > 0.0) {
      const double apart = level[i] - middle[i];
      rows[i] = rows[i] + 1.0 < d->memory ? rows[i] + 1.0 : d->memory;
      middle[i] += apart / rows[i];
      variance[i] += (apart * (level[i] - middle[i]) - variance[i]) / rows[i];
    }
    z[i] = fabs(level[i] - middle[i]) / sqrt(variance[i] + 1e-4);
    total += z[i] * z[i] * z[i] * z[i];
    ++there;
  }
  for (i = 0; i < C; ++i) {
    if (z[J - C + i] > z[i]) z[i] = z[J - C + i];
    if (z[i] > most) most = z[i];
  }
  for (i = 0; i < C; ++i) {
    const double value = grus_between(((double)row[i] - center[i]) / scale[i], -1e100, 1e100);
    double found = grus_digits(d->joint ? z[i] * (sqrt(sqrt(total / (there ? there : 1))) / most) : z[i]);
    counts[2 + i] = value == value;
    if (value == value) {
      const double past = value > high[i] ? value - high[i] : low[i] - value, wide = high[i] - low[i];
      if (d->outside > 0.0 && past > 0.0 && wide > 0.0) {
        const double far = 8.0 / d->outside * (past / wide);
        if (far > found) found = far < 1e6 ? far : 1e6;
      }
      low[i] = fmin(low[i], value);
      high[i] = fmax(high[i], value);
      last[i] = value;
    }
    if (severity) severity[i] = (float)found;
    if (found > worst) worst = found;
  }
  above = worst / (worst + 5.0) > d->threshold;
  if (score) *score = (float)(worst / (worst + 5.0));
  if (alarm) *alarm = above && counts[1] >= d->quiet ? 1.0f : 0.0f;
  counts[1] = above ? 0 : counts[1] < d->quiet ? counts[1] + 1 : d->quiet;
  if (counts[0] < GRUS_WARM_UP) ++counts[0];
}
