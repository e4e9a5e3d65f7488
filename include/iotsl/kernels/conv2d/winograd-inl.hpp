// Winograd's transforms for one target, a vector of channels at a time. Layouts and drivers:
// winograd.hpp and winograd_weight_grad.hpp.
IOTSL_NAMESPACE_BEGIN
namespace kernels::IOTSL_TARGET {
using namespace simd::IOTSL_TARGET;

namespace winograd {

// F(4, 3) with the points 0, +-1/sqrt(2), +-sqrt(2) and infinity, whose rounding errors are smaller
// than those of 0, +-1, +-2 (B. Barabasz et al., Error Analysis and Improving the Accuracy of
// Winograd Convolution, 2020). In the words of A. Lavin and S. Gray, Fast Algorithms for
// Convolutional Neural Networks, 2016: Y = A^T [(G g G^T) * (B^T d B)] A.
inline constexpr float root2 = 1.41421356237F, root2_half = 0.70710678119F;

/// AArch64: many registers for vectors as for addresses, and factors that are lanes.
inline constexpr bool has_room = multiplies_by_lane && registers >= 32;

/// c - x times one of four factors. Where it can be a lane all four take one register, and the
/// square has more of them.
template <int lane>
IOTSL_INLINE Vec less_factor(Vec x, Vec c) {
  constexpr float factors[] = {2, 0.5F, root2, root2_half};
  if constexpr (has_room) {
    static constexpr float negative[] = {-factors[0], -factors[1], -factors[2], -factors[3]};
    return mla_lane<lane>(load(negative), x, c);
  } else {
    return fnma(set1(factors[lane]), x, c);
  }
}

/// B^T: six inputs of a line to six frequencies.
struct Input {
  static constexpr int in = 6, out = 6;
  static IOTSL_INLINE void apply(const Vec (&d)[6], Vec (&v)[6]) {
    const Vec even1 = less_factor<0>(d[2], d[4]), even2 = less_factor<1>(d[2], d[4]);
    const Vec odd1 = less_factor<2>(d[1], mul(set1(root2_half), d[3]));
    const Vec odd2 = less_factor<3>(d[1], mul(set1(root2), d[3]));
    v[0] = fnma(set1(2.5F), d[2], add(d[0], d[4]));
    v[1] = add(even1, odd1);
    v[2] = sub(even1, odd1);
    v[3] = add(even2, odd2);
    v[4] = sub(even2, odd2);
    v[5] = fnma(set1(2.5F), d[3], add(d[1], d[5]));
  }
};

/// A^T: six frequencies to four outputs.
struct Output {
  static constexpr int in = 6, out = 4;
  static IOTSL_INLINE void apply(const Vec (&m)[6], Vec (&y)[4]) {
    const Vec sum1 = add(m[1], m[2]), sum2 = add(m[3], m[4]);
    const Vec difference1 = mul(set1(root2_half), sub(m[1], m[2]));
    const Vec difference2 = mul(set1(root2), sub(m[3], m[4]));
    y[0] = add(m[0], add(sum1, sum2));
    y[1] = add(difference1, difference2);
    y[2] = fma(set1(2.0F), sum2, mul(set1(0.5F), sum1));
    y[3] = fma(set1(2.0F), difference2, fma(set1(0.5F), difference1, m[5]));
  }
};

/// A: the adjoint of Output.
struct Gradient {
  static constexpr int in = 4, out = 6;
  static IOTSL_INLINE void apply(const Vec (&g)[4], Vec (&v)[6]) {
    const Vec even1 = fma(set1(0.5F), g[2], g[0]), even2 = fma(set1(2.0F), g[2], g[0]);
    const Vec odd1 = mul(set1(root2_half), fma(set1(0.5F), g[3], g[1]));
    const Vec odd2 = mul(set1(root2), fma(set1(2.0F), g[3], g[1]));
    v[0] = g[0];
    v[1] = add(even1, odd1);
    v[2] = sub(even1, odd1);
    v[3] = add(even2, odd2);
    v[4] = sub(even2, odd2);
    v[5] = g[3];
  }
};

/// G: three weights to six frequencies.
struct Weights {
  static constexpr int in = 3, out = 6;
  static IOTSL_INLINE void apply(const Vec (&g)[3], Vec (&u)[6]) {
    const Vec even1 = fma(set1(-1.0F / 3), g[2], mul(set1(-2.0F / 3), g[0]));
    const Vec even2 = fma(set1(1.0F / 3), g[2], mul(set1(1.0F / 6), g[0]));
    const Vec odd1 = mul(set1(root2 / 3), g[1]), odd2 = mul(set1(root2 / 6), g[1]);
    u[0] = g[0];
    u[1] = sub(even1, odd1);
    u[2] = add(even1, odd1);
    u[3] = add(even2, odd2);
    u[4] = sub(even2, odd2);
    u[5] = g[2];
  }
};

/// G^T: the adjoint of Weights.
struct WeightSums {
  static constexpr int in = 6, out = 3;
  static IOTSL_INLINE void apply(const Vec (&s)[6], Vec (&g)[3]) {
    const Vec sum1 = add(s[1], s[2]), sum2 = add(s[3], s[4]);
    const Vec difference1 = sub(s[1], s[2]), difference2 = sub(s[3], s[4]);
    g[0] = fma(set1(1.0F / 6), sum2, fma(set1(-2.0F / 3), sum1, s[0]));
    g[1] = fma(set1(root2 / 6), difference2, mul(set1(-root2 / 3), difference1));
    g[2] = fma(set1(1.0F / 3), sub(sum2, sum1), s[5]);
  }
};

/// The steps along a line of up to six values. Where registers are many, each has one of its own,
/// and the compiler is not told what it is, or it adds the steps up anew for each address; no
/// array, which it would keep in memory.
class Steps {
 public:
  explicit IOTSL_INLINE Steps(Index floats)
      : one_(bytes(floats)),
        two_(bytes(2 * floats)),
        three_(bytes(3 * floats)),
        four_(bytes(4 * floats)),
        five_(bytes(5 * floats)),
        six_(bytes(6 * floats)) {}
  /// From value j of the line that begins at `line` to the next.
  template <class T>
  IOTSL_INLINE T* next(T* line, T* at, int j) const {
    return has_room ? moved(line, to_next_of(j)) : moved(at, one_);
  }

 private:
  static IOTSL_INLINE std::ptrdiff_t bytes(Index floats) {
    std::ptrdiff_t out = static_cast<std::ptrdiff_t>(floats) * std::ptrdiff_t{sizeof(float)};
    if constexpr (has_room) __asm__("" : "+r"(out));
    return out;
  }
  static IOTSL_INLINE float* moved(float* at, std::ptrdiff_t by) {
    return reinterpret_cast<float*>(reinterpret_cast<char*>(at) + by);
  }
  static IOTSL_INLINE const float* moved(const float* at, std::ptrdiff_t by) {
    return reinterpret_cast<const float*>(reinterpret_cast<const char*>(at) + by);
  }
  IOTSL_INLINE std::ptrdiff_t to_next_of(int j) const {
    return j == 0 ? one_ : j == 1 ? two_ : j == 2 ? three_ : j == 3 ? four_ : j == 4 ? five_ : six_;
  }
  std::ptrdiff_t one_, two_, three_, four_, five_, six_;
};

/// Where the columns of a square come from and the rows go to, one after the other: values by
/// steps, or as listed. Lists are in the order of columns. Of `rows` values to a column, and from
/// there `step` floats to the next.
template <int rows>
struct Stepped {
  const float* column_at;
  Steps down;
  Index step;
  IOTSL_INLINE void operator()(int /*j*/, Vec (&column)[rows]) {
    const float* at = column_at;
    IOTSL_UNROLL
    for (int i = 0; i < rows; ++i) {
      column[i] = load(at);
      at = down.next(column_at, at, i);
    }
    column_at += step;
  }
};
struct Listed {
  const float* from;
  const std::int32_t* offset;
  template <int rows>
  IOTSL_INLINE void operator()(int j, Vec (&column)[rows]) const {
    IOTSL_UNROLL
    for (int i = 0; i < rows; ++i)
      column[i] = load(reinterpret_cast<const float*>(reinterpret_cast<const char*>(from) +
                                                      offset[j * rows + i]));
  }
};
template <int edge>
struct ToStepped {
  float* row_at;
  Steps steps;
  IOTSL_INLINE void operator()(int /*i*/, const Vec (&row)[edge]) {
    float* at = row_at;
    IOTSL_UNROLL
    for (int j = 0; j < edge; ++j) {
      store(at, row[j]);
      at = steps.next(row_at, at, j);
    }
    row_at = at;
  }
};
template <int edge>
struct ToListed {
  float* to;
  const std::int32_t* offset;
  Vec shift;
  IOTSL_INLINE void operator()(int i, const Vec (&row)[edge]) const {
    IOTSL_UNROLL
    for (int j = 0; j < edge; ++j)
      store(reinterpret_cast<float*>(reinterpret_cast<char*>(to) + offset[j * edge + i]),
            add(row[j], shift));
  }
};

/// square() with its middle in memory, where registers are few and an address that moves costs
/// nothing: compilers would find a place for each value by itself.
template <class Line, class From, class To>
IOTSL_INLINE void square_in_memory(From from, To to) {
  alignas(16) float half[Line::in * Line::out * lanes];
  float* next = half;
  IOTSL_UNROLL
  for (int j = 0; j < Line::in; ++j) {
    Vec column[Line::in], turned[Line::out];
    hold_loads();
    from(j, column);
    Line::apply(column, turned);
    IOTSL_UNROLL
    for (int i = 0; i < Line::out; ++i) store_run(next, lanes, turned[i]);
  }
  IOTSL_UNROLL
  for (int i = 0; i < Line::out; ++i) {
    const float* at = half + i * lanes;
    Vec column[Line::in], row[Line::out];
    hold_loads();
    IOTSL_UNROLL
    for (int j = 0; j < Line::in; ++j) {
      Vec value[1];
      load_run(at, Line::out * lanes, value);
      column[j] = value[0];
    }
    Line::apply(column, row);
    to(i, row);
  }
}

/// A transform of lines applied to the columns, then the rows of a square.
template <class Line, class From, class To>
IOTSL_INLINE void square(From from, To to) {
  if constexpr (next_vecs == 1) return square_in_memory<Line>(from, to);
  Vec half[Line::out][Line::in];
  IOTSL_UNROLL
  for (int j = 0; j < Line::in; ++j) {
    Vec column[Line::in], turned[Line::out];
    if (has_room) hold_loads();
    from(j, column);
    Line::apply(column, turned);
    IOTSL_UNROLL
    for (int i = 0; i < Line::out; ++i) half[i][j] = turned[i];
  }
  IOTSL_UNROLL
  for (int i = 0; i < Line::out; ++i) {
    Vec row[Line::out];
    Line::apply(half[i], row);
    to(i, row);
  }
}

/// square() where there is little to do: a third of the code, and slower.
template <class Line, class From, class To>
IOTSL_INLINE void small_square(From from, To to) {
  Vec half[Line::out][Line::in];
  for (int j = 0; j < Line::in; ++j) {
    Vec column[Line::in], turned[Line::out];
    from(j, column);
    Line::apply(column, turned);
    for (int i = 0; i < Line::out; ++i) half[i][j] = turned[i];
  }
  for (int i = 0; i < Line::out; ++i) {
    Vec row[Line::out];
    Line::apply(half[i], row);
    to(i, row);
  }
}

inline void input(Index tiles, const WinogradTile* tile, const float* block, Index channels,
                  const WinogradRows& v) {
  const Steps steps(v.frequency_stride);
  for (Index t = 0; t < tiles; ++t)
    for (Index c = 0; c < channels; c += lanes)
      square<Input>(Listed{block + c, tile[t].in}, ToStepped<6>{v.data + t * v.stride + c, steps});
}

inline void gradient(Index tiles, const WinogradTile* tile, const float* block, Index channels,
                     const WinogradRows& v) {
  const Steps steps(v.frequency_stride);
  for (Index t = 0; t < tiles; ++t)
    for (Index c = 0; c < channels; c += lanes)
      square<Gradient>(Listed{block + c, tile[t].out},
                       ToStepped<6>{v.data + t * v.stride + c, steps});
}

inline void output(Index tiles, const WinogradTile* tile, const WinogradRows& m, const float* bias,
                   float* block) {
  const Steps down(6 * m.frequency_stride);
  for (Index t = 0; t < tiles; ++t)
    for (Index c = 0; c < tile_cols; c += lanes)
      square<Output>(Stepped<6>{m.data + t * m.stride + c, down, m.frequency_stride},
                     ToListed<4>{block + c, tile[t].out, load(bias + c)});
}

inline void weights(Index channels, const float* packed, bool flipped, float* u,
                    Index frequency_stride) {
  const float* first = flipped ? packed + 8 * tile_cols : packed;
  const Index step = flipped ? -tile_cols : tile_cols;
  const Steps down(3 * step), steps(frequency_stride);
  for (Index c = 0; c < channels; ++c)
    for (Index j = 0; j < tile_cols; j += lanes)
      square<Weights>(Stepped<3>{first + c * 9 * tile_cols + j, down, step},
                      ToStepped<6>{u + c * tile_cols + j, steps});
}

inline void weight_sums(Index channels, const float* s, Index frequency_stride, float* packed) {
  const Steps down(6 * frequency_stride), steps(tile_cols);
  for (Index c = 0; c < channels; ++c)
    for (Index j = 0; j < tile_cols; j += lanes)
      small_square<WeightSums>(Stepped<6>{s + c * tile_cols + j, down, frequency_stride},
                               ToStepped<3>{packed + c * 9 * tile_cols + j, steps});
}

}  // namespace winograd

inline constexpr WinogradTable winograd_table{
    .input = winograd::input,
    .output = winograd::output,
    .gradient = winograd::gradient,
    .weights = winograd::weights,
    .weight_sums = winograd::weight_sums,
};

}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
