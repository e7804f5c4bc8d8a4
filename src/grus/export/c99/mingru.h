/* MinGRU in plain C99, a cell of lstm_rnn.h:

       z = sigmoid(W_z x + b_z);  n = W_n x + b_n;  h' = (1 - z) * n + z * h        rows in the order z, n */

/* h becomes the next; work holds 2H numbers. */
static void grus_mingru_step(const grus_recurrent *l, const float *x, float *h, float *c, float *work, int16_t *q) {
  const int hidden = l->hidden;
  const float *n = work + hidden;
  int j;
  (void)c;
  grus_multiply(work, l->w_ih, 0, 2 * hidden, x, q);
  for (j = 0; l->b_ih && j < 2 * hidden; ++j) work[j] += l->b_ih[j];
  for (j = 0; j < hidden; ++j) h[j] = grus_blend_f32(grus_sigmoid_f32(work[j]), n[j], h[j]);
}
