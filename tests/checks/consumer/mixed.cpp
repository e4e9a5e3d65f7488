// Two units with different settings, each of which keeps its own engine: prints what either says
// of the same packed files.
#include <cstdio>
#include <string>

std::string read_with_zlib(const std::string& images, const std::string& labels);
std::string read_without_zlib(const std::string& images, const std::string& labels);

int main(int, char** arguments) {
  const std::string images = arguments[1];
  const std::string labels = arguments[2];
  std::printf("%s\n%s\n", read_with_zlib(images, labels).c_str(),
              read_without_zlib(images, labels).c_str());
}
