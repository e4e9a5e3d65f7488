// A programming error in a build without exceptions; the first argument says who handles it.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "iotsl/core/tensor.hpp"

namespace {

void show(const char* message) {
  std::printf("handled: %s\n", message);
  std::fflush(stdout);
}
void show_and_leave(const char* message) {
  show(message);
  std::exit(7);
}

}  // namespace

int main(int, char** arguments) {
  using namespace iotsl;
  const char* how = arguments[1];
  if (std::strcmp(how, "leave") == 0 || std::strcmp(how, "memory") == 0)
    set_error_handler(show_and_leave);
  if (std::strcmp(how, "return") == 0) set_error_handler(show);
  if (std::strcmp(how, "memory") == 0) {
    set_memory_budget(1 << 10);
    Tensor<float>::zeros({1 << 20});
  }
  return Tensor<float>::zeros({2, 3}).item() == 0.0F ? 0 : 1;
}
