#pragma once
// The one allocator: 64-byte aligned blocks from cached size classes, with a budget and peak
// statistics. Tensors, graph nodes and kernel scratch all come from here, so that the peak it
// reports is the memory that a run needs.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#include "iotsl/core/error.hpp"
#include "iotsl/core/threads/sync.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IOTSL_ADDRESS_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define IOTSL_ADDRESS_SANITIZER 1
#endif
#if defined(IOTSL_ADDRESS_SANITIZER)
// Declared here, so that no header of a sanitizer is needed.
extern "C" void __asan_poison_memory_region(void const volatile* address, std::size_t bytes);
extern "C" void __asan_unpoison_memory_region(void const volatile* address, std::size_t bytes);
#endif

IOTSL_NAMESPACE_BEGIN

/// Bytes handed out by the pool and bytes it holds from the system.
struct MemoryStatistics {
  std::size_t in_use_bytes = 0;
  std::size_t peak_bytes = 0;      ///< largest in_use_bytes since the last reset_memory_peak()
  std::size_t reserved_bytes = 0;  ///< in use and cached
  std::size_t budget_bytes = 0;    ///< 0: no limit
};

namespace detail {

// Without these the address sanitiser would take a cached block and the rounding at the end of a
// block for memory in use.
inline void forbid_access([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#if defined(IOTSL_ADDRESS_SANITIZER)
  __asan_poison_memory_region(data, bytes);
#endif
}
inline void allow_access([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#if defined(IOTSL_ADDRESS_SANITIZER)
  __asan_unpoison_memory_region(data, bytes);
#endif
}

/// Thread-safe pool. Blocks are rounded up to an eighth of a power of two, so at most 12.5 % of a
/// large block is lost, and a training step finds every buffer of the step before in the cache.
class MemoryPool {
 public:
  static constexpr std::size_t alignment = 64;

  static MemoryPool& instance() {
    // Never destroyed: tensors with static storage may outlive every destructor.
    static MemoryPool* pool = new MemoryPool;
    return *pool;
  }

  /// A block that release() takes back under the same number.
  void* allocate(std::size_t bytes) {
    std::size_t granted = 0;
    return allocate(bytes, granted, 0);
  }
  /// The same for what may be large. A cached block of up to twice the size will do, so that a
  /// last, smaller batch does not take memory beside that of the others; release() wants both
  /// numbers.
  void* allocate(std::size_t bytes, std::size_t& granted) {
    return allocate(bytes, granted, bytes < reuse_bytes ? 0 : 8);
  }

  void release(void* data, std::size_t bytes) noexcept { release(data, bytes, bytes); }
  void release(void* data, std::size_t bytes, std::size_t granted) noexcept {
    const std::size_t cls = size_class(granted);
    Lock lock(mutex_);
    allow_access(data, sizeof(Free));
    free_[cls] = new (data) Free{free_[cls]};
    // The link stays readable: the leak check follows it to the cached blocks.
    forbid_access(static_cast<std::byte*>(data) + sizeof(Free), class_bytes(cls) - sizeof(Free));
    // What the pool of another shared library has given was never counted here.
    statistics_.in_use_bytes -= std::min(statistics_.in_use_bytes, class_bytes(size_class(bytes)));
  }
  /// Gives all cached blocks back to the system.
  void trim() {
    Lock lock(mutex_);
    trim_from(0);
  }

  MemoryStatistics statistics() {
    Lock lock(mutex_);
    return statistics_;
  }
  void reset_peak() {
    Lock lock(mutex_);
    statistics_.peak_bytes = statistics_.in_use_bytes;
  }
  void set_budget(std::size_t bytes) {
    Lock lock(mutex_);
    statistics_.budget_bytes = bytes;
  }
  void fail_after(long allocations) {
    Lock lock(mutex_);
    fail_after_ = allocations;
  }

 private:
  struct Free {
    Free* next;
  };

  /// `spread`: how many classes above its own to look through.
  void* allocate(std::size_t bytes, std::size_t& granted, std::size_t spread) {
    std::size_t cls = size_class(bytes);
    Lock lock(mutex_);
    if (fail_after_ >= 0 && fail_after_-- == 0) out_of_memory(bytes, "an injected failure");
    if (exceeds_budget(class_bytes(cls))) out_of_memory(bytes, "the memory budget is exceeded");
    const std::size_t needed = class_bytes(cls);  // what counts as in use
    for (std::size_t c = cls; c <= cls + spread && c < classes; ++c)
      if (free_[c] != nullptr) {
        cls = c;
        break;
      }
    const std::size_t size = granted = class_bytes(cls);
    Free* block = free_[cls];
    if (block != nullptr) {
      free_[cls] = block->next;
    } else {
      block = static_cast<Free*>(from_system(size));
      if (block == nullptr) out_of_memory(bytes, "the system has no more memory");
    }
    statistics_.in_use_bytes += needed;
    if (statistics_.in_use_bytes > statistics_.peak_bytes)
      statistics_.peak_bytes = statistics_.in_use_bytes;
    forbid_access(block, size);
    allow_access(block, bytes);
    return block;
  }

  bool exceeds_budget(std::size_t size) const {
    return statistics_.budget_bytes != 0 &&
           statistics_.in_use_bytes + size > statistics_.budget_bytes;
  }
  // The largest class is 2^50 bytes, or 2^31 where addresses have 32 bits.
  static constexpr std::size_t classes = 8 * (sizeof(void*) >= 8 ? 42 : 23);
  static constexpr std::size_t large_bytes = std::size_t{1} << 20;
  static constexpr std::size_t reuse_bytes = std::size_t{1} << 16;

  // Sizes in units of 64 bytes: classes 0..7 are 1..8 units, then eight steps per power of two.
  static std::size_t size_class(std::size_t bytes) {
    const std::size_t units = bytes == 0 ? 1 : (bytes - 1) / alignment + 1;
    if (units <= 8) return units - 1;
    const auto log = static_cast<std::size_t>(std::bit_width(units - 1)) - 4;
    const std::size_t cls = 8 * (log + 1) + (((units - 1) >> log) - 8);
    if (cls >= classes) out_of_memory(bytes, "the request is too large");
    return cls;
  }
  static std::size_t class_bytes(std::size_t cls) {
    if (cls < 8) return (cls + 1) * alignment;
    return ((cls % 8 + 9) << (cls / 8 - 1)) * alignment;
  }

  void* from_system(std::size_t size) {
    const std::size_t cached = statistics_.reserved_bytes - statistics_.in_use_bytes;
    // A new large size while much is cached: the work has changed its shape, so the cache is stale.
    if (size >= large_bytes && cached > statistics_.in_use_bytes / 2 + 8 * large_bytes)
      trim_from(size_class(large_bytes));
    void* block = std::aligned_alloc(alignment, size);
    if (block == nullptr && cached > 0) {
      trim_from(0);
      block = std::aligned_alloc(alignment, size);
    }
    if (block != nullptr) statistics_.reserved_bytes += size;
    return block;
  }

  void trim_from(std::size_t first_class) {
    for (std::size_t cls = first_class; cls < classes; ++cls) {
      while (Free* block = free_[cls]) {
        allow_access(block, class_bytes(cls));
        free_[cls] = block->next;
        statistics_.reserved_bytes -= class_bytes(cls);
        std::free(block);
      }
    }
  }

  [[noreturn]] IOTSL_COLD static void out_of_memory(std::size_t bytes, const char* why) {
    raise<OutOfMemory>(concat("out of memory: ", bytes, " bytes asked for; ", why));
  }

  Mutex mutex_;
  std::array<Free*, classes> free_{};
  MemoryStatistics statistics_;
  long fail_after_ = -1;
};

}  // namespace detail

/// What tensors hold now and have held at most.
inline MemoryStatistics memory_statistics() { return detail::MemoryPool::instance().statistics(); }
/// Begins a new peak with what is held now.
inline void reset_memory_peak() { detail::MemoryPool::instance().reset_peak(); }
/// Gives free blocks back to the system.
inline void trim_memory() { detail::MemoryPool::instance().trim(); }

/// Limits the bytes in use; 0 removes the limit. An allocation beyond it raises OutOfMemory.
inline void set_memory_budget(std::size_t bytes) {
  detail::MemoryPool::instance().set_budget(bytes);
}

/// Makes the allocation after the next `allocations` ones fail, once; -1 switches it off. For
/// tests.
inline void fail_allocation_after(long allocations) {
  detail::MemoryPool::instance().fail_after(allocations);
}

/// A reference-counted block, or a counted handle to memory that somebody else owns. `version`
/// rises with every write in place, so that the graph can tell that a saved tensor has changed.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes) {
    std::size_t granted = 0;
    void* block = detail::MemoryPool::instance().allocate(bytes + header_bytes, granted);
    block_ = new (block) Header{detail::Shared<std::uint32_t>(1), 0, bytes, granted, own(block)};
  }
  /// Memory of somebody else, which must outlive every handle to it and is never freed here.
  static Buffer borrowed(void* data, std::size_t bytes) {
    Buffer out(0);
    out.block_->bytes = bytes;
    out.block_->data = static_cast<std::byte*>(data);
    return out;
  }
  Buffer(const Buffer& other) : block_(other.block_) {
    if (block_ != nullptr) block_->references.increase();
  }
  Buffer(Buffer&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  // Not by value: what clang 14 makes of `buffer = {}` in a template is never destroyed.
  Buffer& operator=(const Buffer& other) noexcept { return *this = Buffer(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer taken(std::move(other));
    std::swap(block_, taken.block_);
    return *this;
  }
  ~Buffer() {
    if (block_ == nullptr) return;
    if (block_->references.decrease() != 1) return;
    const std::size_t owned = is_borrowed() ? 0 : block_->bytes;
    detail::MemoryPool::instance().release(block_, owned + header_bytes, block_->granted);
  }

  explicit operator bool() const { return block_ != nullptr; }
  std::byte* data() const { return block_->data; }
  std::size_t bytes() const { return block_->bytes; }
  std::uint32_t version() const { return block_->version; }
  void bump_version() const { ++block_->version; }
  /// True if nobody else can see the bytes; never so for borrowed ones, whose owner sees them.
  bool unique() const { return block_->references.load_acquire() == 1 && !is_borrowed(); }

 private:
  struct Header {
    detail::Shared<std::uint32_t> references;
    std::uint32_t version;
    std::size_t bytes;
    std::size_t granted;  ///< of the pool
    std::byte* data;
  };
  static std::byte* own(void* block) { return static_cast<std::byte*>(block) + header_bytes; }
  bool is_borrowed() const { return block_->data != own(block_); }

  static constexpr std::size_t header_bytes = detail::MemoryPool::alignment;
  static_assert(sizeof(Header) <= header_bytes);

  Header* block_ = nullptr;
};

/// Working memory of a kernel: 64-byte aligned, not initialised, given back at the end of the
/// scope.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes)
      : data_(detail::MemoryPool::instance().allocate(bytes, granted_)), bytes_(bytes) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { detail::MemoryPool::instance().release(data_, bytes_, granted_); }

  template <class V>
  V* as() const {
    return static_cast<V*>(data_);
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t granted_ = 0;  // before data_, which is made with it
  void* data_;
  std::size_t bytes_;
};

namespace detail {
/// Memory of the pool for a list that lives as long as one call, such as a walk through the graph:
/// what comes again in every step of a training is not asked of the system again.
template <class V>
struct PoolAllocator {
  using value_type = V;
  PoolAllocator() = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>&) {}
  V* allocate(std::size_t count) {
    return static_cast<V*>(MemoryPool::instance().allocate(count * sizeof(V)));
  }
  void deallocate(V* block, std::size_t count) {
    MemoryPool::instance().release(block, count * sizeof(V));
  }
  bool operator==(const PoolAllocator&) const { return true; }
};
}  // namespace detail

IOTSL_NAMESPACE_END
