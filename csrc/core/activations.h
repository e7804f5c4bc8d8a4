// Vectorised sigmoid, tanh and decay, written once over a lane type; included inside an instruction set's namespace.
//
// All start from e^t with t = -|a| (sigmoid, decay) or -2|a| (tanh), so nothing overflows:
//   t = n ln2 + r, |r| <= ln2/2;  e^t = 2^n (1 + r + r^2 q(r)),  q the minimax polynomial for the relative
//   error of e^r - 1 (float: degree 4, 1.4e-8; double: degree 10, 2.7e-19; Remez exchange in 60 digits).
// sigmoid(a) = 1/(1+e) for a >= 0, e/(1+e) for a < 0;  tanh|a| = -m/(m+2), m = e^t - 1 computed without
// cancellation as 2^n (e^r - 1) + (2^n - 1).  decay(a) = e^-max(0, a): 1 for a < 0, else e.
// Valid over the whole range, infinities included; NaN in gives NaN out. The error is at most 2.5 units in the last
// place of the exact result, for all functions and both number types; tests/kernels/test_native_activations.py
// measures it. Sigmoid and decay results below the smallest normal number are given as 0.

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  static constexpr float log2e = 1.44269504088896340736f;
  static constexpr float ln2_hi = 0.693115234375f;  // 12 low bits clear: n * ln2_hi is exact
  static constexpr float ln2_lo = 3.19461849453e-5f;
  static constexpr float magic = 12582912.0f + 127.0f;  // 1.5 * 2^23 + exponent bias
  static constexpr float sigmoid_cap = 88.0f;           // beyond it 2^n is exactly 0
  static constexpr float tanh_cap = 10.0f;              // beyond 9.01 tanh rounds to 1
  static constexpr int terms = 5;
  static constexpr float q[terms] = {0.49999998154005835596f, 0.16666543621160042545f,
                                     0.04166719987772162508f, 0.0083665205678489970779f,
                                     0.001388252026799309427f};
};

template <>
struct MathConstants<double> {
  static constexpr double log2e = 1.44269504088896340736;
  static constexpr double ln2_hi = 0.6931471803691238;
  static constexpr double ln2_lo = 1.9082149292705878161e-10;
  static constexpr double magic = 6755399441055744.0 + 1023.0;
  static constexpr double sigmoid_cap = 709.0;
  static constexpr double tanh_cap = 20.0;
  static constexpr int terms = 11;
  static constexpr double q[terms] = {0.50000000000000000085,   0.16666666666666676507,
                                      0.041666666666666508764,  0.0083333333333216915973,
                                      0.0013888888888962380981, 0.00019841269885965739894,
                                      0.000024801587172516008908, 2.755724437439191015e-6,
                                      2.7557402663986493035e-7, 2.5108978809569218402e-8,
                                      2.0875322893963810406e-9};
};

template <class L>
struct WithMath : L {
  using T = typename L::T;
  using V = typename L::V;
  using C = MathConstants<T>;

  // t <= 0 as 2^n and e^r - 1.
  static inline void exp_parts(V t, V& scale, V& em1) {
    const V k = L::fma(t, L::set(C::log2e), L::set(C::magic));
    const V n = L::sub(k, L::set(C::magic));
    V r = L::fma(n, L::set(-C::ln2_hi), t);
    r = L::fma(n, L::set(-C::ln2_lo), r);
    V q = L::set(C::q[C::terms - 1]);
    for (int i = C::terms - 2; i >= 0; --i) q = L::fma(q, r, L::set(C::q[i]));
    em1 = L::fma(L::mul(r, r), q, r);
    scale = L::exponent(k);
  }
  static inline V sigmoid(V a) {
    const V one = L::set(1);
    V scale, em1;
    exp_parts(L::sub(L::set(0), L::cap(L::abs(a), L::set(C::sigmoid_cap))), scale, em1);
    const V e = L::fma(scale, em1, scale);
    return L::div(L::if_negative(a, e, one), L::add(one, e));
  }
  static inline V decay(V a) {
    V scale, em1;
    exp_parts(L::sub(L::set(0), L::cap(L::abs(a), L::set(C::sigmoid_cap))), scale, em1);
    const V e = L::fma(scale, em1, scale);
    return L::fma(L::set(0), e, L::if_negative(a, L::set(1), e));  // 0 e: a NaN may have a sign
  }
  // e^-a for a >= 0, NaN for a NaN: what decay gives there, in two thirds of the time.
  static inline V fade(V a) {
    V scale, em1;
    exp_parts(L::sub(L::set(0), L::cap(a, L::set(C::sigmoid_cap))), scale, em1);
    return L::fma(scale, em1, scale);
  }
  static inline V tanh(V a) {
    V scale, em1;
    exp_parts(L::mul(L::set(-2), L::cap(L::abs(a), L::set(C::tanh_cap))), scale, em1);
    const V m = L::fma(scale, em1, L::sub(scale, L::set(1)));
    const V magnitude = L::div(m, L::sub(L::set(-2), m));
    return L::with_sign(L::abs(magnitude), a);
  }
};
