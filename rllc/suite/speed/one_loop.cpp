// The two passes of an update of K memory units, each in one loop: what a kernel of one's own would take.
// Compiled and timed by rllc/suite/speed/parts.py; nothing else uses it.
#include <cstring>
#include <utility>

namespace {

typedef float Vector __attribute__((vector_size(32)));
constexpr int lanes = 8;

template <int K>
void inner_products(long n, float *const *x, float *sums) {  // x: K units and the gradient
  constexpr int rows = K + 1, pairs = rows * (rows + 1) / 2;
  for (int p = 0; p < pairs; ++p) sums[p] = 0;
#pragma omp parallel
  {
    Vector own[pairs] = {};
#pragma omp for nowait
    for (long e = 0; e < n / lanes; ++e) {
      Vector at[rows];
      for (int i = 0; i < rows; ++i) std::memcpy(&at[i], x[i] + e * lanes, sizeof(Vector));
      int p = 0;
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i)
#pragma GCC unroll 16
        for (int j = i; j < rows; ++j) own[p++] += at[i] * at[j];
    }
#pragma omp critical
    for (int p = 0; p < pairs; ++p)
      for (int lane = 0; lane < lanes; ++lane) sums[p] += own[p][lane];
  }
  for (long e = n / lanes * lanes; e < n; ++e) {
    int p = 0;
    for (int i = 0; i < rows; ++i)
      for (int j = i; j < rows; ++j) sums[p++] += x[i][e] * x[j][e];
  }
}

template <int K>
void memory_and_step(long n, float *const *x, float *params, const float *transition,
                     const float *injection, const float *step) {
  float b[K][K], a[K], s[K];
  for (int j = 0; j < K; ++j) {
    a[j] = injection[j], s[j] = step[j];
    for (int i = 0; i < K; ++i) b[i][j] = transition[i * K + j];
  }
#pragma omp parallel for simd
  for (long e = 0; e < n; ++e) {
    float old[K], moved = params[e];
    for (int i = 0; i < K; ++i) old[i] = x[i][e];
    for (int j = 0; j < K; ++j) {
      float sum = a[j] * x[K][e];
      for (int i = 0; i < K; ++i) sum += b[i][j] * old[i];
      x[j][e] = sum;
      moved -= s[j] * sum;
    }
    params[e] = moved;
  }
}

template <int... K>
void dispatch(std::integer_sequence<int, K...>, int k, long n, float *const *x, float *sums, float *params,
              const float *transition, const float *injection, const float *step) {
  ((k == K + 1 ? (sums ? inner_products<K + 1>(n, x, sums)
                       : memory_and_step<K + 1>(n, x, params, transition, injection, step))
               : void()),
   ...);
}

}  // namespace

extern "C" void update(int k, long n, float *const *x, float *sums, float *params, const float *transition,
                       const float *injection, const float *step) {
  dispatch(std::make_integer_sequence<int, 4>{}, k, n, x, sums, params, transition, injection, step);
}
