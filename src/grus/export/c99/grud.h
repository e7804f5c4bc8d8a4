/* GRU-D in plain C99: a GRU over variables that are not always observed.

       s = gap + since;  xhat = m ? x : exp(-max(0, w s + b)) last
       h' = GRU([xhat, m], exp(-max(0, W s + c)) h);  last' = m ? x : last;  since' = m ? 0 : s */

/* The decays: w and b, of the inputs, W and c, of the state. joined holds 2D numbers, fading H. */
typedef struct {
  const float *w, *b;
  const grus_matrix *state;
  const float *c;
  float *joined, *fading, *work;
  int16_t *rounded;
} grus_decays;

/* Some steps: h, last and since are the states; y, if any, takes h at every step. */
static void grus_grud(float *y, const grus_layer *layer,
                      void (*step)(const grus_layer *, const float *, float *, float *, int16_t *), const float *x,
                      const float *mask, const float *gap, int steps, float *h, float *last, float *since,
                      const grus_decays *d) {
  const int hidden = d->state->rows, size = d->state->size;
  int t, i;
  for (t = 0; t < steps; ++t, x += size, mask += size, ++gap) {
    for (i = 0; i < size; ++i) {
      const int seen = mask[i] > 0.5f;
      since[i] += *gap;
      d->joined[i] = seen ? x[i] : grus_decay_f32(d->w[i] * since[i] + d->b[i]) * last[i];
      d->joined[size + i] = seen ? 1.0f : 0.0f;
    }
    grus_multiply(d->fading, d->state, 0, hidden, since, d->rounded);
    for (i = 0; i < hidden; ++i) h[i] *= grus_decay_f32(d->fading[i] + d->c[i]);
    for (i = 0; i < size; ++i)
      if (mask[i] > 0.5f) last[i] = x[i], since[i] = 0.0f;
    step(layer, d->joined, h, d->work, d->rounded);
    if (y) memcpy(y + (long)t * hidden, h, (size_t)hidden * sizeof *y);
  }
}
