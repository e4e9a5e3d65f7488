// Times one convolution (3x3, padding 1) in oneDNN, with each of its algorithms: the other side of
// compare_onednn.py, which builds it. No part of the project.
//
// usage: onednn_convolution BATCH IN OUT SIZE DIRECTION CLOCK
// DIRECTION: forward, grad_x or grad_weight; CLOCK: wall or cpu, the time of all threads together.
// Prints JSON: seconds, median of samples of some 20 ms, and the implementation of each algorithm.
// Tensors lie as oneDNN wants them, so that no time goes into bringing them there.

#include <dnnl.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using dnnl::memory;

struct Case {
  memory::dim batch, in, out, size;
  std::string direction;
};

struct Prepared {
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;
  std::string implementation;
};

const dnnl::engine& cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

memory filled(const memory::desc& description) {
  memory out(description, cpu());
  auto* values = static_cast<float*>(out.get_data_handle());
  const std::size_t count = description.get_size() / sizeof(float);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<float>(i * 2654435761U >> 16 & 255U) / 256 - 0.5F;
  return out;
}

/// The primitive description of a direction. oneDNN 3 takes at once what 2 has a description for.
template <class Direction, class... Arguments>
typename Direction::primitive_desc describe(const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Direction::primitive_desc(cpu(), arguments...);
#else
  return typename Direction::primitive_desc(typename Direction::desc(arguments...), cpu());
#endif
}
template <class Direction, class... Arguments>
typename Direction::primitive_desc describe_gradient(
    const dnnl::convolution_forward::primitive_desc& forward, const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Direction::primitive_desc(cpu(), arguments..., forward);
#else
  return typename Direction::primitive_desc(typename Direction::desc(arguments...), cpu(), forward);
#endif
}

Prepared prepare(const Case& c, dnnl::algorithm algorithm) {
  const auto any = [](const memory::dims& extents) {
    return memory::desc(extents, memory::data_type::f32, memory::format_tag::any);
  };
  const memory::desc x = any({c.batch, c.in, c.size, c.size}), w = any({c.out, c.in, 3, 3}),
                     y = any({c.batch, c.out, c.size, c.size});
  const memory::dims one{1, 1};
  const auto forward = describe<dnnl::convolution_forward>(dnnl::prop_kind::forward_training,
                                                           algorithm, x, w, y, one, one, one);
  if (c.direction == "forward")
    return {dnnl::convolution_forward(forward),
            {{DNNL_ARG_SRC, filled(forward.src_desc())},
             {DNNL_ARG_WEIGHTS, filled(forward.weights_desc())},
             {DNNL_ARG_DST, filled(forward.dst_desc())}},
            forward.impl_info_str()};
  if (c.direction == "grad_x") {
    const auto of_x = describe_gradient<dnnl::convolution_backward_data>(forward, algorithm, x, w,
                                                                         y, one, one, one);
    return {dnnl::convolution_backward_data(of_x),
            {{DNNL_ARG_DIFF_DST, filled(of_x.diff_dst_desc())},
             {DNNL_ARG_WEIGHTS, filled(of_x.weights_desc())},
             {DNNL_ARG_DIFF_SRC, filled(of_x.diff_src_desc())}},
            of_x.impl_info_str()};
  }
  const auto of_w = describe_gradient<dnnl::convolution_backward_weights>(forward, algorithm, x, w,
                                                                          y, one, one, one);
  return {dnnl::convolution_backward_weights(of_w),
          {{DNNL_ARG_SRC, filled(of_w.src_desc())},
           {DNNL_ARG_DIFF_DST, filled(of_w.diff_dst_desc())},
           {DNNL_ARG_DIFF_WEIGHTS, filled(of_w.diff_weights_desc())}},
          of_w.impl_info_str()};
}

double now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double median_seconds(const Prepared& prepared, clockid_t clock) {
  dnnl::stream stream(cpu());
  const auto timed = [&](int runs) {
    const double begin = now(clock);
    for (int i = 0; i < runs; ++i) prepared.primitive.execute(stream, prepared.arguments);
    stream.wait();
    return now(clock) - begin;
  };
  timed(2);
  const int runs = std::max(1, static_cast<int>(0.02 / (timed(1) + 1e-9)));
  std::vector<double> samples;
  for (int i = 0; i < 11; ++i) samples.push_back(timed(runs) / runs);
  std::nth_element(samples.begin(), samples.begin() + 5, samples.end());
  return samples[5];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: %s BATCH IN OUT SIZE DIRECTION CLOCK\n", argv[0]);
    return 2;
  }
  const Case c{std::atol(argv[1]), std::atol(argv[2]), std::atol(argv[3]), std::atol(argv[4]),
               argv[5]};
  const clockid_t clock =
      std::string(argv[6]) == "cpu" ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
  const dnnl_version_t* version = dnnl_version();
  std::printf("{\"version\": \"%d.%d.%d\", \"algorithms\": {", version->major, version->minor,
              version->patch);
  const char* between = "";
  for (const auto& [name, algorithm] :
       {std::pair("direct", dnnl::algorithm::convolution_direct),
        std::pair("winograd", dnnl::algorithm::convolution_winograd)}) {
    try {
      const Prepared prepared = prepare(c, algorithm);
      std::printf("%s\"%s\": {\"seconds\": %.9g, \"implementation\": \"%s\"}", between, name,
                  median_seconds(prepared, clock), prepared.implementation.c_str());
      between = ", ";
    } catch (const dnnl::error&) {
      // It has no such algorithm for this shape on this processor.
    }
  }
  std::printf("}}\n");
  return 0;
}
