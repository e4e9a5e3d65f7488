// Tiles of values in few bits for one target. See wire_code.hpp and simd/foreach_target.hpp. Plain
// loops over a whole tile: every compiler makes vectors of them.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

namespace wire_code {

inline constexpr int tile = static_cast<int>(wire_tile);
inline constexpr int blocks = tile / 8;  ///< of Philox: 16 bits for each value

/// Sixteen blocks side by side; c[i] receives word i of each.
inline void draw(const RoundingStream& chance, std::uint64_t first, std::uint32_t (&c)[4][blocks]) {
  for (int i = 0; i < blocks; ++i) {
    c[0][i] = static_cast<std::uint32_t>(first) + static_cast<std::uint32_t>(i);
    c[1][i] = static_cast<std::uint32_t>(first >> 32);
    c[2][i] = chance.step;
    c[3][i] = chance.stream;
  }
  std::uint32_t key0 = chance.key[0], key1 = chance.key[1];
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < blocks; ++i) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0][i];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2][i];
      c[0][i] = static_cast<std::uint32_t>(p1 >> 32) ^ c[1][i] ^ key0;
      c[2][i] = static_cast<std::uint32_t>(p0 >> 32) ^ c[3][i] ^ key1;
      c[1][i] = static_cast<std::uint32_t>(p1);
      c[3][i] = static_cast<std::uint32_t>(p0);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

/// For each value of tile number `number` a number in [0,1), in steps of 2^-16.
inline void draw_units(const RoundingStream& chance, std::uint64_t number, float (&unit)[tile]) {
  std::uint32_t c[4][blocks];
  draw(chance, number * blocks, c);
  for (int word = 0; word < 4; ++word)
    for (int i = 0; i < blocks; ++i) {
      unit[(2 * word) * blocks + i] =
          static_cast<float>(static_cast<std::int32_t>(c[word][i] & 0xFFFFu)) * 0x1p-16f;
      unit[(2 * word + 1) * blocks + i] =
          static_cast<float>(static_cast<std::int32_t>(c[word][i] >> 16)) * 0x1p-16f;
    }
}

inline float from_bits(std::uint32_t bits) {
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}
inline std::uint32_t to_bits(float value) {
  std::uint32_t out;
  std::memcpy(&out, &value, sizeof out);
  return out;
}
inline constexpr std::uint32_t sign_bit = 0x80000000u, exponent_bits = 0x7F800000u;
/// The least scale, 2^-126, and the largest power of two that one may be, 2^126: both have an
/// inverse.
inline constexpr std::uint32_t least_scale = 0x00800000u, most_scale = 0x7E800000u;

/// What the codes of a tile depend on.
struct TileRange {
  std::uint32_t largest;  ///< bits of the largest magnitude
  bool has_negative;
};
inline TileRange range_of(const float (&x)[tile]) {
  std::int32_t bits[tile];
  std::memcpy(bits, x, sizeof bits);
  std::int32_t largest = 0, signs = 0;
  for (int i = 0; i < tile; ++i) {
    const std::int32_t magnitude = bits[i] & 0x7FFFFFFF;
    largest = magnitude > largest ? magnitude : largest;
    signs |= magnitude != 0 ? bits[i] : 0;
  }
  return {static_cast<std::uint32_t>(largest), signs < 0};
}

// Loops over halves look at integers only, which are compared with a sign: of anything else some
// compilers make no vectors. Halves travel as they lie in memory: see core/bytes.hpp.

/// Half precision, rounded to nearest even, of |y| < 4.
inline void to_half(const float (&y)[tile], std::uint16_t (&code)[tile]) {
  std::int32_t bits[tile], magnitude[tile], tiny[tile];
  float shifted[tile];
  std::memcpy(bits, y, sizeof bits);
  for (int i = 0; i < tile; ++i) magnitude[i] = bits[i] & 0x7FFFFFFF;
  // Below 2^-14 a half has steps of 2^-24, as a float between 1/2 and 1.
  std::memcpy(shifted, magnitude, sizeof shifted);
  for (int i = 0; i < tile; ++i) shifted[i] += 0.5f;
  std::memcpy(tiny, shifted, sizeof tiny);
  for (int i = 0; i < tile; ++i) {
    const std::int32_t normal =
        (magnitude[i] + 0xFFF + ((magnitude[i] >> 13) & 1) - (112 << 23)) >> 13;
    const std::int32_t below = tiny[i] - 0x3F000000;
    bits[i] = (magnitude[i] < (113 << 23) ? below : normal) | ((bits[i] >> 16) & 0x8000);
  }
  for (int i = 0; i < tile; ++i) code[i] = static_cast<std::uint16_t>(bits[i]);
}
inline void from_half(const std::uint16_t (&code)[tile], float scale, float (&x)[tile]) {
  std::int32_t half[tile], tiny[tile];
  for (int i = 0; i < tile; ++i) half[i] = code[i];
  for (int i = 0; i < tile; ++i) x[i] = static_cast<float>(half[i] & 0x3FF) * 0x1p-24f;
  std::memcpy(tiny, x, sizeof tiny);
  for (int i = 0; i < tile; ++i) {
    const std::int32_t normal = ((half[i] & 0x7FFF) << 13) + (112 << 23);
    const std::int32_t magnitude = (half[i] & 0x7C00) == 0 ? tiny[i] : normal;
    half[i] = magnitude | (half[i] & 0x8000) << 16;
  }
  std::memcpy(x, half, sizeof half);
  for (int i = 0; i < tile; ++i) x[i] *= scale;
}

/// Codes 0 to `most` of x / scale + offset, rounded by chance.
inline void round_by_chance(const float (&x)[tile], float inverse, float offset, std::int32_t most,
                            const float (&unit)[tile], std::uint8_t (&code)[tile]) {
  for (int i = 0; i < tile; ++i) {
    const float above_zero = x[i] * inverse + (offset + unit[i]);
    std::int32_t whole = static_cast<std::int32_t>(above_zero);
    whole = whole < 0 ? 0 : whole;
    code[i] = static_cast<std::uint8_t>(whole > most ? most : whole);
  }
}

inline void store_scale(std::uint32_t bits, std::uint8_t* out) {
  out[0] = static_cast<std::uint8_t>(bits >> 16);
  out[1] = static_cast<std::uint8_t>(bits >> 24);
}

/// `x` has zeros behind the `values` that count.
inline void encode_half(const float (&x)[tile], int values, std::uint8_t* out) {
  std::uint32_t scale = range_of(x).largest & exponent_bits;
  scale = scale < least_scale ? least_scale : scale > most_scale ? most_scale : scale;
  const float inverse = 1.0f / from_bits(scale);
  float y[tile];
  for (int i = 0; i < tile; ++i) y[i] = x[i] * inverse;
  std::uint16_t code[tile];
  to_half(y, code);
  store_scale(scale, out);
  std::memcpy(out + 2, code, 2 * static_cast<std::size_t>(values));
}

template <int bits>
void encode_whole(const float (&x)[tile], int values, const RoundingStream& chance,
                  std::uint64_t number, std::uint8_t* out) {
  constexpr int middle = 1 << (bits - 1), most = 2 * middle - 1;
  const TileRange range = range_of(x);
  const auto levels = static_cast<float>(range.has_negative ? middle - 1 : most);
  // Up to the next bfloat16, so that the largest value has a code.
  std::uint32_t scale = to_bits(from_bits(range.largest) / levels);
  scale = (scale + 0xFFFFu) & 0xFFFF0000u;
  if (scale < least_scale) scale = least_scale;
  float unit[tile];
  draw_units(chance, number, unit);
  std::uint8_t code[tile];
  round_by_chance(x, 1.0f / from_bits(scale),
                  range.has_negative ? static_cast<float>(middle) : 0.0f, most, unit, code);
  store_scale(range.has_negative ? scale : scale | sign_bit, out);
  if constexpr (bits == 8) {
    std::memcpy(out + 2, code, static_cast<std::size_t>(values));
  } else {
    std::uint8_t packed[tile / 2];
    for (int i = 0; i < tile / 2; ++i)
      packed[i] = static_cast<std::uint8_t>(code[2 * i] | (code[2 * i + 1] << 4));
    // The other half of a last byte is 0, whatever the code of nothing is.
    if (values % 2 != 0) packed[values / 2] &= 0xF;
    std::memcpy(out + 2, packed, static_cast<std::size_t>((values + 1) / 2));
  }
}

/// Gives the value of each code, for a tile of which `values` count.
template <int bits>
void decode_whole(const std::uint8_t* in, int values, float scale, bool has_negative,
                  float (&x)[tile]) {
  std::uint8_t code[tile] = {};
  if constexpr (bits == 8) {
    std::memcpy(code, in, static_cast<std::size_t>(values));
  } else {
    std::uint8_t packed[tile / 2] = {};
    std::memcpy(packed, in, static_cast<std::size_t>((values + 1) / 2));
    for (int i = 0; i < tile / 2; ++i) {
      code[2 * i] = packed[i] & 0xF;
      code[2 * i + 1] = packed[i] >> 4;
    }
  }
  const std::int32_t zero = has_negative ? 1 << (bits - 1) : 0;
  for (int i = 0; i < tile; ++i) x[i] = static_cast<float>(std::int32_t{code[i]} - zero) * scale;
}

inline int tile_bytes(CodeBits bits, int values) {
  return 2 + (values * static_cast<int>(bits) + 7) / 8;
}

inline void encode(CodeBits bits, Index values, const float* x, const RoundingStream& chance,
                   std::uint64_t first_tile, std::uint8_t* out) {
  for (Index at = 0; at < values; at += tile, x += tile, ++first_tile) {
    const int count = values - at < tile ? static_cast<int>(values - at) : tile;
    float own[tile] = {};
    std::memcpy(own, x, static_cast<std::size_t>(count) * sizeof(float));
    if (bits == CodeBits::half)
      encode_half(own, count, out);
    else if (bits == CodeBits::int8)
      encode_whole<8>(own, count, chance, first_tile, out);
    else
      encode_whole<4>(own, count, chance, first_tile, out);
    out += tile_bytes(bits, count);
  }
}

inline void decode(CodeBits bits, Index values, const std::uint8_t* in, float* x) {
  for (Index at = 0; at < values; at += tile, x += tile) {
    const int count = values - at < tile ? static_cast<int>(values - at) : tile;
    const std::uint32_t stored = (std::uint32_t{in[0]} << 16) | (std::uint32_t{in[1]} << 24);
    const float scale = from_bits(stored & ~sign_bit);
    float own[tile];
    if (bits == CodeBits::half) {
      std::uint16_t code[tile] = {};
      std::memcpy(code, in + 2, 2 * static_cast<std::size_t>(count));
      from_half(code, scale, own);
    } else if (bits == CodeBits::int8) {
      decode_whole<8>(in + 2, count, scale, (stored & sign_bit) == 0, own);
    } else {
      decode_whole<4>(in + 2, count, scale, (stored & sign_bit) == 0, own);
    }
    std::memcpy(x, own, static_cast<std::size_t>(count) * sizeof(float));
    in += tile_bytes(bits, count);
  }
}

}  // namespace wire_code

inline constexpr WireCodeTable wire_code_table{.encode = wire_code::encode,
                                               .decode = wire_code::decode};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
