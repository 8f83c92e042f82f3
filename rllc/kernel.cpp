// Inner products and memory of an update on a CPU, each in one loop over all arrays. Built and called by
// rllc/kernel.py. Several runs of one program lie one after the other in every array.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

typedef float Vector __attribute__((vector_size(32)));
constexpr int64_t lanes = 8;
constexpr int64_t block = 2048;     // numbers whose products are added up in float32, lane by lane
constexpr int64_t tile = 1024;      // numbers of each array that stay in the first cache
constexpr int64_t share = 1 << 14;  // numbers worth a thread's while
constexpr int fewest_rows = 4, most_rows = 7;  // units and gradient, see kernel.py

// Calls work(i) for all i < count, in this thread and in those of the pool that come to help.
template <typename Work>
void in_parallel(ffi::ThreadPool &pool, int64_t count, const Work &work) {
  int64_t helpers = std::min<int64_t>(count, pool.num_threads()) - 1;
  if (helpers <= 0) {
    for (int64_t i = 0; i < count; ++i) work(i);
    return;
  }
  struct Progress {
    std::atomic<int64_t> next{0};
    int64_t done = 0;
    std::mutex mutex;
    std::condition_variable all;
  };
  auto progress = std::make_shared<Progress>();
  // A helper that comes too late finds nothing left and does not touch `work`, which is gone by then.
  auto help = [progress, count, &work] {
    int64_t own = 0;
    for (int64_t i; (i = progress->next.fetch_add(1)) < count; ++own) work(i);
    if (own == 0) return;
    std::lock_guard<std::mutex> lock(progress->mutex);
    if ((progress->done += own) == count) progress->all.notify_one();
  };
  for (int64_t i = 0; i < helpers; ++i) pool.Schedule(decltype(help)(help));
  help();
  std::unique_lock<std::mutex> lock(progress->mutex);
  progress->all.wait(lock, [&] { return progress->done == count; });
}

constexpr int pairs_of(int rows) { return rows * (rows + 1) / 2; }

// Sums of the products of all pairs (i <= j) of Rows arrays of n <= block numbers.
template <int Rows>
void block_products(int64_t n, const float *const *x, double *sums) {
  constexpr int pairs = pairs_of(Rows);
  Vector total[pairs] = {};
  int64_t e = 0;
  for (; e + lanes <= n; e += lanes) {
    Vector at[Rows];
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) std::memcpy(&at[i], x[i] + e, sizeof(Vector));
    int p = 0;
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
      for (int j = i; j < Rows; ++j, ++p) total[p] += at[i] * at[j];
  }
  for (int p = 0; p < pairs; ++p) {
    sums[p] = 0;
    for (int lane = 0; lane < lanes; ++lane) sums[p] += total[p][lane];
  }
  for (; e < n; ++e) {
    int p = 0;
    for (int i = 0; i < Rows; ++i)
      for (int j = i; j < Rows; ++j) sums[p++] += double(x[i][e]) * x[j][e];
  }
}

// Blocks are summed in their order, whoever computed them: the sums do not depend on the threads.
template <int Rows>
void all_products(ffi::ThreadPool &pool, int64_t runs, int64_t n, const std::vector<const float *> &x,
                  float *sums) {
  constexpr int pairs = pairs_of(Rows);
  const int64_t blocks = (n + block - 1) / block, all = runs * blocks, group = share / block;
  std::vector<double> parts(all * pairs);
  in_parallel(pool, (all + group - 1) / group, [&](int64_t task) {
    for (int64_t at = task * group; at < std::min(all, (task + 1) * group); ++at) {
      const int64_t run = at / blocks, start = at % blocks * block;
      const float *from[Rows];
      for (int i = 0; i < Rows; ++i) from[i] = x[i] + run * n + start;
      block_products<Rows>(std::min(block, n - start), from, &parts[at * pairs]);
    }
  });
  for (int64_t run = 0; run < runs; ++run)
    for (int p = 0; p < pairs; ++p) {
      double total = 0;
      for (int64_t b = 0; b < blocks; ++b) total += parts[(run * blocks + b) * pairs + p];
      sums[run * pairs + p] = float(total);
    }
}

template <int... More>
ffi::Error products_of(std::integer_sequence<int, More...>, ffi::ThreadPool &pool, int64_t runs, int64_t n,
                       const std::vector<const float *> &x, float *sums) {
  const int rows = int(x.size());
  const bool found =
      ((rows == fewest_rows + More && (all_products<fewest_rows + More>(pool, runs, n, x, sums), true)) || ...);
  return found ? ffi::Error::Success() : ffi::Error::InvalidArgument("rllc: no products of so many arrays");
}

// Appends the addresses of all arguments from the first on, each of `size` numbers.
ffi::Error addresses(ffi::RemainingArgs &args, size_t first, std::vector<const float *> &x, int64_t size) {
  for (size_t i = first; i < args.size(); ++i) {
    auto found = args.get<ffi::Buffer<ffi::F32>>(i);
    if (found.has_error()) return found.error();
    if (int64_t(found->element_count()) != size)
      return ffi::Error::InvalidArgument("rllc: arrays of different sizes");
    x.push_back(found->typed_data());
  }
  return ffi::Error::Success();
}

// x: fewest_rows to most_rows arrays of `n` numbers for each run; sums: all pairs (i <= j) for each run.
ffi::Error products(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::ResultBuffer<ffi::F32> sums,
                    int64_t n) {
  const int rows = int(args.size());
  const int64_t runs = sums->element_count() / pairs_of(rows);
  std::vector<const float *> x;
  if (auto error = addresses(args, 0, x, runs * n); error.failure()) return error;
  return products_of(std::make_integer_sequence<int, most_rows - fewest_rows + 1>{}, pool, runs, n, x, sums->typed_data());
}

// to = w_0 x_0 + w_1 x_1 + …; `to` may be one of them.
template <int Terms>
void combine(int64_t n, float *to, const float *const *x, const float *w) {
#pragma GCC ivdep
  for (int64_t e = 0; e < n; ++e) {
    float sum = w[0] * x[0][e];
#pragma GCC unroll 4
    for (int i = 1; i < Terms; ++i) sum += w[i] * x[i][e];
    to[e] = sum;
  }
}

void combine(int64_t n, float *to, const float *const *x, const float *w, int terms) {
  switch (terms) {
    case 0: return void(std::fill_n(to, n, 0.0f));
    case 1: return combine<1>(n, to, x, w);
    case 2: return combine<2>(n, to, x, w);
    case 3: return combine<3>(n, to, x, w);
    case 4: return combine<4>(n, to, x, w);
    default:  // no normal form has so many
      for (int64_t e = 0; e < n; ++e) {
        float sum = 0;
        for (int i = 0; i < terms; ++i) sum += w[i] * x[i][e];
        to[e] = sum;
      }
  }
}

// M <- M B + g a^T in the order given, without the zeros of B and a. args: a number that is not read, but
// waited for; k units; the gradient. rets: k units, in the place of the old ones or not.
// weights: (k, k + 1), row j has what unit j takes of each old unit and of the gradient.
ffi::Error memory(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                  ffi::Span<const float> weights, ffi::Span<const int64_t> order) {
  const int k = int(rets.size());
  std::vector<float *> to;
  int64_t size = 0;
  for (int j = 0; j < k; ++j) {
    auto found = rets.get<ffi::Buffer<ffi::F32>>(j);
    if (found.has_error()) return found.error();
    to.push_back((*found)->typed_data());
    size = (*found)->element_count();
  }
  std::vector<const float *> from;
  if (auto error = addresses(args, 1, from, size); error.failure()) return error;
  std::vector<bool> is_kept(k);  // an old unit that is read after its place has been written
  for (int at = 0; at < k; ++at)
    for (int earlier = 0; earlier < at; ++earlier)
      if (weights[order[at] * (k + 1) + order[earlier]] != 0)
        is_kept[order[earlier]] = from[order[earlier]] == to[order[earlier]];
  const bool keeps = std::find(is_kept.begin(), is_kept.end(), true) != is_kept.end();
  in_parallel(pool, (size + share - 1) / share, [&](int64_t task) {
    std::vector<float> kept(keeps ? k * tile : 0), w(k + 1);
    std::vector<const float *> x(k + 1), terms(k + 1);
    const int64_t end = std::min(size, (task + 1) * share);
    for (int64_t start = task * share; start < end; start += tile) {
      const int64_t n = std::min(tile, end - start);
      for (int i = 0; i <= k; ++i) x[i] = from[i] + start;
      for (int i = 0; i < k; ++i)
        if (is_kept[i]) {
          std::memcpy(&kept[i * tile], x[i], n * sizeof(float));
          x[i] = &kept[i * tile];
        }
      for (int at = 0; at < k; ++at) {
        const int64_t j = order[at];
        int used = 0;
        for (int i = 0; i <= k; ++i)
          if (const float weight = weights[j * (k + 1) + i]; weight != 0) terms[used] = x[i], w[used++] = weight;
        combine(n, to[j] + start, terms.data(), w.data(), used);
      }
    }
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(rllc_products, products,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().RemainingArgs().Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<int64_t>("n"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(rllc_memory, memory,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().RemainingArgs().RemainingRets()
                                  .Attr<ffi::Span<const float>>("weights")
                                  .Attr<ffi::Span<const int64_t>>("order"));
