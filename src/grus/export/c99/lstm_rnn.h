/* LSTM and simple RNN in plain C99: the home of their equations in C.

       i, f, o = sigmoid(W x + b + U h + d) of their own rows;  g = tanh(W_g x + b_g + U_g h + d_g)
       c' = f * c + i * g;  h' = o * tanh(c')                                    LSTM, rows in the order i, f, g, o
       h' = tanh(W x + b + U h + d), or max(0, W x + b + U h + d)                simple RNN */

/* One layer; biases are NULL where there are none, as are the recurrent weights of a MinGRU (mingru.h). relu is for the
   simple RNN only. */
typedef struct {
  int hidden, relu;
  const grus_matrix *w_ih, *w_hh;
  const float *b_ih, *b_hh;
} grus_recurrent;

/* a = W x + b + U h + d, all rows; work holds as many numbers again. */
static void grus_sums(float *a, const grus_recurrent *l, const float *x, const float *h, float *work, int16_t *q) {
  const int rows = l->w_hh->rows;
  int i;
  grus_multiply(a, l->w_ih, 0, rows, x, q);
  grus_multiply(work, l->w_hh, 0, rows, h, q);
  for (i = 0; i < rows; ++i) a[i] += work[i] + (l->b_ih ? l->b_ih[i] + l->b_hh[i] : 0.0f);
}

/* h and c become the next; work holds 8H numbers. */
static void grus_lstm_step(const grus_recurrent *l, const float *x, float *h, float *c, float *work, int16_t *q) {
  const int hidden = l->hidden;
  const float *i = work, *f = i + hidden, *g = f + hidden, *o = g + hidden;
  int j;
  grus_sums(work, l, x, h, work + 4 * hidden, q);
  for (j = 0; j < hidden; ++j) {
    c[j] = grus_sigmoid_f32(f[j]) * c[j] + grus_sigmoid_f32(i[j]) * grus_tanh_f32(g[j]);
    h[j] = grus_sigmoid_f32(o[j]) * grus_tanh_f32(c[j]);
  }
}

/* h becomes the next; work holds 2H numbers. */
static void grus_rnn_step(const grus_recurrent *l, const float *x, float *h, float *c, float *work, int16_t *q) {
  const int hidden = l->hidden;
  int j;
  (void)c;
  grus_sums(work, l, x, h, work + hidden, q);
  for (j = 0; j < hidden; ++j) h[j] = !l->relu ? grus_tanh_f32(work[j]) : work[j] < 0.0f ? 0.0f : work[j];
}

/* A stack of layers over some steps: h and c are the states of all of them, c NULL but for an LSTM; y, if any, takes
   the last layer's h at every step. */
static void grus_recurrents(float *y, const grus_recurrent *layers, int count,
                            void (*step)(const grus_recurrent *, const float *, float *, float *, float *, int16_t *),
                            const float *x, float *h, float *c, int steps, float *work, int16_t *q) {
  const int hidden = layers->hidden, input = layers->w_ih->size;
  int t, l;
  for (t = 0; t < steps; ++t, x += input) {
    const float *v = x;
    for (l = 0; l < count; ++l) {
      step(layers + l, v, h + (long)l * hidden, c ? c + (long)l * hidden : NULL, work, q);
      v = h + (long)l * hidden;
    }
    if (y) memcpy(y + (long)t * hidden, v, (size_t)hidden * sizeof *y);
  }
}

/* Every step once from the same states; kept holds H numbers, NULL but for an LSTM. */
static void grus_recurrent_each(
    float *y, const grus_recurrent *l,
    void (*step)(const grus_recurrent *, const float *, float *, float *, float *, int16_t *), const float *x,
    const float *h, const float *c, int steps, float *kept, float *work, int16_t *q) {
  const int hidden = l->hidden;
  int t;
  for (t = 0; t < steps; ++t, y += hidden, x += l->w_ih->size) {
    memcpy(y, h, (size_t)hidden * sizeof *y);
    if (c) memcpy(kept, c, (size_t)hidden * sizeof *kept);
    step(l, x, y, kept, work, q);
  }
}
