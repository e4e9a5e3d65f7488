// What a step of a training asks of the system. The first steps fill the pool; after them a step
// finds all its memory there.

#include <doctest/doctest.h>

#include <cstdlib>
#include <new>

#include "iotsl/core/memory.hpp"
#include "iotsl/data/glyphs.hpp"
#include "iotsl/models/model.hpp"
#include "iotsl/train/trainer.hpp"

namespace {
thread_local std::size_t allocations = 0;
}

// Replaced for the whole program. Not inlined: the compiler knows the pair by its names only.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* block = std::malloc(bytes)) return block;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }

using namespace iotsl;

namespace allocation_test {

TEST_CASE("a steady training step takes no memory from the system but two lists of tensors") {
  for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::adam}) {
    Sequential<float> net = build_model<float>({.width = 4});
    net.initialize(1);
    train::Trainer trainer(net, {.kind = kind, .lr = 0.01, .momentum = 0.9}, 1);
    const data::Dataset set = data::make_glyphs(data::Split::train, 8);
    const data::Batch batch = data::fetch_batch(set, data::count_up(8));
    for (std::uint64_t step = 0; step < 3; ++step) REQUIRE(trainer.train(batch, step).ok());
    const std::size_t reserved = memory_statistics().reserved_bytes;
    for (std::uint64_t step = 3; step < 8; ++step) {
      const std::size_t before = allocations;
      REQUIRE(trainer.train(batch, step).ok());
      CHECK(allocations - before ==
            2);  // the outputs that grad takes and the gradients that it gives
    }
    CHECK(memory_statistics().reserved_bytes == reserved);
  }
}

}  // namespace allocation_test
