#include "iotsl/core/memory.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

using iotsl::Buffer;
using iotsl::memory_statistics;

std::string out_of_memory_of(const auto& call) {
  try {
    call();
  } catch (const iotsl::OutOfMemory& error) {
    return error.what();
  }
  return {};
}

/// Switches budget and injection off again.
struct Restore {
  ~Restore() {
    iotsl::set_memory_budget(0);
    iotsl::fail_allocation_after(-1);
  }
};

}  // namespace

TEST_CASE("memory: a freed block is used again") {
  const auto before = memory_statistics();
  std::byte* first = nullptr;
  {
    const Buffer buffer(5000);
    first = buffer.data();
    CHECK(memory_statistics().in_use_bytes > before.in_use_bytes);
  }
  CHECK(memory_statistics().in_use_bytes == before.in_use_bytes);
  const auto reserved = memory_statistics().reserved_bytes;
  const Buffer again(4990);  // the same size class
  CHECK(again.data() == first);
  CHECK(memory_statistics().reserved_bytes == reserved);
}

TEST_CASE("memory: trim gives cached blocks back") {
  { const Buffer buffer(100000); }
  iotsl::trim_memory();
  const auto after = memory_statistics();
  CHECK(after.reserved_bytes == after.in_use_bytes);
}

TEST_CASE("memory: blocks are aligned, hold what was asked for and waste little") {
  std::vector<std::size_t> sizes;
  for (std::size_t n = 0; n < 3000; ++n) sizes.push_back(n);
  for (std::size_t power = 12; power < 24; ++power)
    for (std::size_t eighth = 8; eighth < 16; ++eighth)
      for (std::size_t off : {0u, 1u, 63u, 64u, 65u}) sizes.push_back((eighth << power) / 8 + off);
  for (std::size_t n : sizes) {
    const std::size_t before = memory_statistics().in_use_bytes;
    const iotsl::Scratch scratch(n);
    REQUIRE(reinterpret_cast<std::uintptr_t>(scratch.as<char>()) % 64 == 0);
    const std::size_t taken = memory_statistics().in_use_bytes - before;
    REQUIRE(taken >= n);
    REQUIRE(taken <= n + n / 8 + 64);
    std::memset(scratch.as<char>(), 1, n);  // ASan watches the bounds
  }
  iotsl::trim_memory();
}

TEST_CASE("memory: the peak is the largest number of bytes in use") {
  iotsl::reset_memory_peak();
  const auto before = memory_statistics();
  CHECK(before.peak_bytes == before.in_use_bytes);
  {
    const Buffer a(1 << 20);
    { const Buffer b(1 << 20); }
    const Buffer c(1 << 10);
  }
  const auto after = memory_statistics();
  CHECK(after.in_use_bytes == before.in_use_bytes);
  CHECK(after.peak_bytes >= before.in_use_bytes + (2 << 20));
  CHECK(after.peak_bytes <= before.in_use_bytes + (2 << 20) + (2 << 18));
  iotsl::reset_memory_peak();
  CHECK(memory_statistics().peak_bytes == after.in_use_bytes);
}

TEST_CASE("memory: beyond the budget an allocation fails and nothing else changes") {
  const Restore restore;
  const auto before = memory_statistics();
  iotsl::set_memory_budget(before.in_use_bytes + (1 << 20));
  CHECK(memory_statistics().budget_bytes == before.in_use_bytes + (1 << 20));
  const Buffer fits(1 << 19);
  CHECK(out_of_memory_of([] { Buffer(1 << 20); }) ==
        "out of memory: 1048640 bytes asked for; the memory budget is exceeded");
  const Buffer still_fits(1 << 18);
  iotsl::set_memory_budget(0);
  const Buffer unlimited(1 << 20);
}

TEST_CASE("memory: an injected failure happens once") {
  const Restore restore;
  iotsl::fail_allocation_after(1);
  const Buffer first(100);
  CHECK(out_of_memory_of([] { Buffer(100); }) ==
        "out of memory: 164 bytes asked for; an injected failure");
  const Buffer second(100);
}

TEST_CASE("memory: a request that no machine can meet") {
  constexpr std::size_t half = ~std::size_t{0} / 2 + 1;  // of what an address can name
  CHECK(out_of_memory_of([] { Buffer(std::size_t{half}); }) ==
        iotsl::concat("out of memory: ", half + 64, " bytes asked for; the request is too large"));
}

TEST_CASE("buffer: copies share the block and its version") {
  Buffer a(64);
  CHECK(a.unique());
  Buffer b = a;
  CHECK(!a.unique());
  b.bump_version();
  CHECK(a.version() == 1);
  b = Buffer();
  CHECK(a.unique());
  Buffer c = std::move(a);
  CHECK(c.unique());
  Buffer& self = c;
  c = self;
  CHECK(c.unique());
  CHECK(c.version() == 1);
}

TEST_CASE("memory: several threads allocate at once") {
  const auto before = memory_statistics().in_use_bytes;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t, &wrong] {
      for (std::size_t i = 0; i < 2000; ++i) {
        const Buffer buffer(64 + i % 700);
        std::memset(buffer.data(), t, buffer.bytes());
        const Buffer other(32);
        for (std::size_t k = 0; k < buffer.bytes(); k += 31)
          if (buffer.data()[k] != std::byte(t)) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(memory_statistics().in_use_bytes == before);
}

TEST_CASE("memory: a borrowed block is neither copied, nor freed, nor given away") {
  const auto before = memory_statistics();
  std::vector<float> owner(1000, 1.0f);
  {
    const Buffer buffer = Buffer::borrowed(owner.data(), owner.size() * sizeof(float));
    CHECK(static_cast<void*>(buffer.data()) == owner.data());
    CHECK(buffer.bytes() == 4000);
    CHECK_FALSE(buffer.unique());
    CHECK(memory_statistics().in_use_bytes - before.in_use_bytes <= 64);
    const Buffer other = buffer;
    other.bump_version();
    CHECK(buffer.version() == 1);
  }
  CHECK(memory_statistics().in_use_bytes == before.in_use_bytes);
  CHECK(owner[999] == 1.0f);
}
